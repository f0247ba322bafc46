"""One cell as a person or a system wrote it -> the canonical text of its column (docs/format/records.md).

In: a column of config/record_kinds.py, the cell as text, the plant's offset. Out: `Taken`: canonical text, and whether its form was
changed. Accepts what Chinese plants write: full-width digits, 是/√/Y, 2026/10/1 8:30, 2026年10月1日 下午2时30分, 1,200.50, ￥.
Times without an offset are plant time. Refuses (`CellError`, words for a person): everything that has two readings.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from functools import lru_cache

from config.record_kinds import Column

ID_LENGTH, TEXT_LENGTH, WHOLE_DIGITS, PLACES = 64, 500, 12, 6
YES = frozenset("1 是 √ ✓ ✔ y yes true t 有 对 真".split())
NO = frozenset("0 否 × ✗ x n no false f 无 非 假 不是".split())
_STAMP = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})[T ](\d{2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,6}))?)?(?:(Z)|([+-])(\d{2}):?(\d{2}))?",
    re.ASCII,
)
_DAY = re.compile(
    r"(\d{4})(?:-(\d{1,2})-(\d{1,2})|/(\d{1,2})/(\d{1,2})|\.(\d{1,2})\.(\d{1,2})|年(\d{1,2})月(\d{1,2})日?)",
    re.ASCII,
)
_CLOCK = re.compile(
    r"(上午|下午|中午|晚上|凌晨|早上|AM|PM)?(\d{1,2})(?::|时|点)(\d{1,2})?(?:(?::|分)(?:(\d{1,2})(?:[.](\d{1,6}))?秒?)?)?(AM|PM)?"
    r"(?:(Z)|([+-])(\d{2}):?(\d{2}))?",
    re.IGNORECASE | re.ASCII,
)
_COMPACT = re.compile(r"(\d{4})(\d{2})(\d{2})(?:(\d{2})(\d{2})(\d{2})?)?", re.ASCII)
_NUMBER = re.compile(r"([+-]?)(\d+)(?:\.(\d*))?", re.ASCII)  # int() takes Arabic digits too, the typed frames do not
_GROUPED = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?", re.ASCII)
_FULL_WIDTH = {c: c - 0xFEE0 for c in range(0xFF01, 0xFF5F)} | {0x3000: 0x20}
_GUARD = "=+-@"  # a spreadsheet would compute what begins so; `records quarantine --csv` writes a quote before it


class CellError(ValueError):
    """The cell cannot be taken; the message says what was expected and what was found."""


@dataclass(frozen=True, slots=True)
class Taken:
    """The canonical text, and True where a person should look whether the reading is right."""

    text: str
    corrected: bool = False


def take(column: Column, raw: str, tz: timezone) -> Taken:
    """The canonical text of a cell; "" for an empty one. Errors: `CellError`."""
    cell = raw.strip(" \t\r\n\u3000\u00a0\ufeff")
    if not cell:
        return Taken("")
    if cell[0] == "'" and cell[1:2] and cell[1] in _GUARD:
        cell = cell[1:]
    text = _READ[column.type](column, cell, tz)
    return Taken(text, text != cell and not _same(column, cell))


def guarded(cell: str) -> str:
    """A cell for a file that a spreadsheet will open; `take` takes the quote off again."""
    return f"'{cell}" if cell[:1] and cell[0] in _GUARD and not _NUMBER.fullmatch(cell) else cell


def day_of(text: str) -> date:
    """A canonical day."""
    return date.fromisoformat(text)


def us_of(text: str) -> int:
    """A canonical time as microseconds since 1970 UTC."""
    return int((datetime.fromisoformat(text) - _EPOCH) / timedelta(microseconds=1))


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def canonical_time(at: datetime) -> str:
    """`2026-10-01T00:30:00Z`, with a fraction only where there is one."""
    at = at.astimezone(UTC)
    text = f"{at.year:04d}-{at.month:02d}-{at.day:02d}T{at.hour:02d}:{at.minute:02d}:{at.second:02d}"
    return f"{text}.{at.microsecond:06d}".rstrip("0") + "Z" if at.microsecond else f"{text}Z"


def _same(column: Column, cell: str) -> bool:
    """Another spelling of the same that nobody needs to look at: ISO 8601, 1.50 for 1.5, the word's own Chinese name."""
    match column.type:
        case "time":
            return _STAMP.fullmatch(cell) is not None
        case "decimal" | "money" | "integer":
            return _NUMBER.fullmatch(cell) is not None and cell.isascii() and "+" not in cell
        case "word":
            return any(cell == word[1] for word in column.words if len(word) > 1)
        case _:
            return False


def _text(_column: Column, cell: str, _tz: timezone) -> str:
    text = " ".join(unicodedata.normalize("NFC", cell).split()) if not cell.isprintable() else cell
    if not text.isprintable():
        raise CellError(f"含有不可见字符 {text!r} (expected printable text)")
    if len(text) > TEXT_LENGTH:
        raise CellError(f"应不超过 {TEXT_LENGTH} 字，实有 {len(text)} 字 (expected at most {TEXT_LENGTH} characters)")
    return text


def _id(_column: Column, cell: str, _tz: timezone) -> str:
    text = cell if cell.isascii() else unicodedata.normalize("NFC", cell.translate(_FULL_WIDTH)).strip()
    if not text.isprintable() or "\t" in text:
        raise CellError(f"编号含有不可见字符 {text!r} (expected printable characters)")
    if len(text) > ID_LENGTH:
        raise CellError(
            f"编号应不超过 {ID_LENGTH} 个字符，实有 {len(text)} 个 (expected at most {ID_LENGTH} characters)"
        )
    return text


def _time(_column: Column, cell: str, tz: timezone) -> str:
    found = _STAMP.fullmatch(cell)
    try:
        if found is not None:
            y, mo, d, h, mi, s, fraction, *offset = found.groups()
            at = datetime(
                int(y), int(mo), int(d), int(h), int(mi), int(s or 0), _micros(fraction), tzinfo=_zone(offset, tz)
            )
        else:
            at = _chinese_time(cell, tz)
        return canonical_time(at)
    except (ValueError, OverflowError) as err:
        raise CellError(f"应为日期加时刻，实为 {cell!r} (expected a time such as 2026-10-01 08:30:00)") from err


def _chinese_time(cell: str, tz: timezone) -> datetime:
    text = unicodedata.normalize("NFKC", cell)
    compact = _COMPACT.fullmatch(text)
    if compact is not None and compact[4]:
        return datetime(*(int(x or 0) for x in compact.groups()), tzinfo=tz)  # type: ignore[misc, arg-type]
    begin = _DAY.match(text)
    if begin is None:
        raise ValueError("no day")
    clock = _CLOCK.fullmatch(text[begin.end() :].lstrip("T ").replace(" ", ""))
    if clock is None:
        raise ValueError("no time of day")
    half, hour, minute, second, fraction, late, *offset = clock.groups()
    if minute is None and ":" in clock[0]:
        raise ValueError("no minute")
    day = _day_parts(begin)
    return datetime(
        day.year,
        day.month,
        day.day,
        _hour(int(hour), (half or late or "").upper()),
        int(minute or 0),
        int(second or 0),
        _micros(fraction),
        tzinfo=_zone(offset, tz),
    )


def _hour(hour: int, half: str) -> int:
    """Twelve-hour words. 下午 13 点 is what some people write for 13:00; 上午 13 点 is no time, 晚上 12 点 has two readings."""
    if half in ("下午", "晚上", "PM"):
        if hour == 12 and half == "晚上":
            raise ValueError("noon or midnight")
        return hour + 12 if hour < 12 else hour
    if half == "中午":
        return hour + 12 if hour < 3 else hour
    if half in ("上午", "凌晨", "早上", "AM"):
        if hour > 12 or (hour == 12 and half in ("上午", "早上")):
            raise ValueError("no such hour of the morning")
        return 0 if hour == 12 else hour
    return hour


def _zone(offset: list[str | None], tz: timezone) -> timezone:
    zulu, sign, hours, minutes = offset
    if zulu:
        return UTC
    if sign is None:
        return tz
    away = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
    return timezone(-away if sign == "-" else away)


def _micros(fraction: str | None) -> int:
    return int(fraction.ljust(6, "0")) if fraction else 0


def _day(_column: Column, cell: str, _tz: timezone) -> str:
    text = unicodedata.normalize("NFKC", cell)
    try:
        compact = _COMPACT.fullmatch(text)
        if compact is not None and not compact[4]:
            return date(int(compact[1]), int(compact[2]), int(compact[3])).isoformat()
        found = _DAY.match(text)
        rest = text[found.end() :].strip("T ") if found else "?"
        if found is None or rest.replace("0", "").replace(":", "").replace(
            ".", ""
        ):  # Excel writes 00:00:00 behind days
            raise ValueError("not a day")
        return _day_parts(found).isoformat()
    except ValueError as err:
        raise CellError(f"应为日期，实为 {cell!r} (expected a day such as 2026-10-01)") from err


def _day_parts(found: re.Match[str]) -> date:
    year, *parts = (int(x) for x in found.groups() if x is not None)
    return date(year, parts[0], parts[1])


def _number(column: Column, cell: str, places: int) -> tuple[bool, str, str]:
    """(negative, whole, fraction) with at most `places` digits behind the point. Errors: `CellError`."""
    text = cell if cell.isascii() else unicodedata.normalize("NFKC", cell).lstrip("¥￥").removesuffix("元").strip()
    if _GROUPED.fullmatch(text):
        text = text.replace(",", "")
    found = _NUMBER.fullmatch(text)
    if found is None:
        raise CellError(f"应为数，实为 {cell!r} (expected a number)")
    whole, fraction = found[2].lstrip("0") or "0", (found[3] or "").rstrip("0")
    if len(fraction) > places:
        raise CellError(f"小数应不超过 {places} 位，实为 {cell!r} (expected at most {places} decimal places)")
    if len(whole) > WHOLE_DIGITS:
        raise CellError(f"数过大：{cell!r} (expected at most {WHOLE_DIGITS} digits before the point)")
    negative = found[1] == "-" and (whole != "0" or fraction != "")
    if negative and not column.signed:
        raise CellError(f"不能为负，实为 {cell!r} (expected a number >= 0)")
    return negative, whole, fraction


def _integer(column: Column, cell: str, _tz: timezone) -> str:
    if cell.isascii() and cell.isdigit() and cell[0] != "0" and len(cell) <= WHOLE_DIGITS:
        return cell
    negative, whole, _ = _number(column, cell, 0)  # 12.0, as Excel writes 12
    return f"-{whole}" if negative else whole


def _decimal(column: Column, cell: str, _tz: timezone) -> str:
    negative, whole, fraction = _number(column, cell, PLACES)
    return ("-" if negative else "") + whole + (f".{fraction}" if fraction else "")


def _money(column: Column, cell: str, _tz: timezone) -> str:
    negative, whole, fraction = _number(column, cell, 2)
    return f"{'-' if negative else ''}{whole}.{fraction.ljust(2, '0')}"


def _flag(_column: Column, cell: str, _tz: timezone) -> str:
    word = unicodedata.normalize("NFKC", cell).casefold()
    if word in YES:
        return "1"
    if word in NO:
        return "0"
    raise CellError(f"应为 是 或 否（也可写 1/0、√/×、Y/N），实为 {cell!r} (expected yes or no)")


def _word(column: Column, cell: str, _tz: timezone) -> str:
    found = _words(column).get(folded(cell))
    if found is None:
        shown = "、".join(word[1] if len(word) > 1 else word[0] for word in column.words)
        raise CellError(f"应为 {shown} 之一，实为 {cell!r} (expected one of {', '.join(w[0] for w in column.words)})")
    return found


def folded(text: str) -> str:
    """Width, case and blanks taken away: how words and headers are compared."""
    return "".join(unicodedata.normalize("NFKC", text).casefold().split())


@lru_cache(maxsize=128)
def _words(column: Column) -> dict[str, str]:
    return {folded(spelling): word[0] for word in column.words for spelling in word}


_READ: dict[str, Callable[[Column, str, timezone], str]] = {
    "text": _text,
    "id": _id,
    "time": _time,
    "day": _day,
    "integer": _integer,
    "decimal": _decimal,
    "money": _money,
    "flag": _flag,
    "word": _word,
}
