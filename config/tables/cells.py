"""一格的读法: what a person wrote in a cell, and what is taken for it.

In: a cell as the workbook or CSV gives it (text, number, flag, date) and its column. Out: `Read`: the value for the model, and a note
when it stands there in another form than the canonical one (docs/register.md lists the forms). Nothing is guessed: two-digit years,
numbers that Excel cut off after 15 digits, unknown words and months without a day are refused (`CellError`), never bent into shape.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

from config.tables.columns import Column, half, plain

Raw = str | int | float | bool | date | datetime | time | timedelta
YES = frozenset("是 √ ✓ ✔ ☑ 有 对 y yes t true 1".split())
NO = frozenset("否 × ✗ ✘ ☐ 无 错 n no f false 0 x - — – /".split())
_DAY = re.compile(
    r"^(\d{4})(?:-(\d{1,2})-(\d{1,2})|/(\d{1,2})/(\d{1,2})|\.(\d{1,2})\.(\d{1,2})|年(\d{1,2})月(\d{1,2})日?)$"
)
_MIDNIGHT = re.compile(r"[ T]0{1,2}:00(:00(\.0+)?)?$")
_GROUPED = re.compile(r"^[+-]?\d{1,3}(,\d{3})+(\.\d+)?$")
_NUMBER = re.compile(r"^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?$")
_SCIENTIFIC = re.compile(r"^[+-]?\d(\.\d+)?[eE]\+\d{2,}$")  # as Excel writes it; no id has a plus sign
_RULE = re.compile(r"^(\S+)\s*(>=|<=|==|!=|>|<|=)\s*([+-]?\d+(?:\.\d+)?)$")
_EXACT = 10**15  # Excel keeps 15 digits
_SPLIT = re.compile(r"[,，、;；|\n]")
_RUN_WORDS = {
    "运行": "run",
    "加工": "run",
    "停机": "stop",
    "待机": "stop",
    "停止": "stop",
    "关机": "off",
    "断电": "off",
}
EXCEL_ERRORS = frozenset("#N/A #REF! #NAME? #VALUE! #DIV/0! #NULL! #NUM! #GETTING_DATA #SPILL! #CALC!".split())


class CellError(ValueError):
    """A cell that cannot be taken for anything; `fix` says what to do."""

    def __init__(self, message: str, fix: str = "") -> None:
        super().__init__(message)
        self.message, self.fix = message, fix


@dataclass(frozen=True, slots=True)
class Read:
    """What is taken for a cell; `note` says in which form it stood there, empty when in the canonical one."""

    value: Any
    note: str = ""


def read_cell(raw: Raw, column: Column, tz: timezone) -> Read:
    """One cell that is not empty. Errors: `CellError`."""
    if isinstance(raw, str) and raw.strip().upper() in EXCEL_ERRORS:
        raise CellError(
            f"单元格是错误值 {raw.strip()} (an error value)", "改正公式，或直接填写数值 (correct the formula)"
        )
    if column.kind == "moment":
        return _moment(raw, tz)
    return _READERS[column.kind](raw, column)


def shown(raw: Any) -> str:
    """A cell as a person sees it, at most 60 characters."""
    if isinstance(raw, float):
        text = f"{raw:.15g}"
    elif isinstance(raw, bool):
        text = "TRUE" if raw else "FALSE"
    else:
        text = str(raw)
    return text if len(text) <= 60 else text[:57] + "…"


def _number_text(raw: float) -> str:
    """A number as its shortest plain decimal text."""
    if isinstance(raw, float) and raw.is_integer() and abs(raw) < _EXACT:
        return str(int(raw))
    text = repr(raw)
    return text if "e" not in text else f"{raw:.20f}".rstrip("0").rstrip(".")


def _id(raw: Raw, _column: Column) -> Read:
    if isinstance(raw, bool) or not isinstance(raw, str | int | float):
        raise CellError(
            f"应为编号，实为{_kind_of(raw)} {shown(raw)} (expected an id)",
            "把单元格设为文本格式再填 (format it as text)",
        )
    if isinstance(raw, str):
        text = half(raw).strip()
        if _SCIENTIFIC.match(text):
            raise CellError(
                f"应为编号，实为科学计数 {text} (an id in scientific notation)",
                "Excel 改写了它：把列设为文本格式后重填原编号 (format the column as text, type it again)",
            )
        if text.endswith(".0") and text[:-2].isdigit():
            return Read(text[:-2], "数字格式的编号 (a number with .0)")
        return Read(text, "" if text == raw else "去掉全角字符或空格 (full-width characters or spaces)")
    if abs(raw) >= _EXACT:
        raise CellError(
            f"应为编号，实为超过 15 位的数字 {shown(raw)}，末几位已被 Excel 改写 (Excel keeps 15 digits)",
            "把列设为文本格式后重填原编号 (format the column as text, type it again)",
        )
    return Read(
        _number_text(raw), "数字格式的编号；前导零若有，已丢失，请核对 (a numeric cell: leading zeros would be lost)"
    )


def _text(raw: Raw, _column: Column) -> Read:
    if isinstance(raw, str):
        text = raw.replace("\r\n", "\n").replace("_x000D_\n", "\n").strip()
        return Read(text, "" if text == raw else "去掉首尾空格 (spaces around)")
    if isinstance(raw, bool):
        return Read(shown(raw), "逻辑值按文本读取 (a flag taken as text)")
    if isinstance(raw, int | float):
        if abs(raw) >= _EXACT:
            raise CellError(
                f"应为文本，实为超过 15 位的数字 {shown(raw)} (Excel keeps 15 digits)", "把单元格设为文本格式后重填"
            )
        return Read(_number_text(raw), "数字按文本读取；前导零若有，已丢失 (a number taken as text)")
    return Read(raw.isoformat() if isinstance(raw, date | time) else str(raw), "日期按文本读取 (a date taken as text)")


def _flag(raw: Raw, _column: Column) -> Read:
    if isinstance(raw, bool):
        return Read(raw, f"{shown(raw)} → {'是' if raw else '否'}")
    word = _number_text(raw) if isinstance(raw, int | float) else half(str(raw)).strip().lower()
    if word in YES or word in NO:
        value = word in YES
        return Read(value, "" if raw in ("是", "否") else f"{shown(raw).strip()} → {'是' if value else '否'}")
    raise CellError(
        f"应为 是 或 否，实为 {shown(raw)!r} (expected yes or no)", "填 是 或 否，空着取默认值 (write 是 or 否)"
    )


def _day(raw: Raw, _column: Column) -> Read:
    if isinstance(raw, datetime):
        return Read(raw.date(), "" if raw.time() == time() else "日期时间只取日期 (its time is dropped)")
    if isinstance(raw, date):
        return Read(raw)
    text = _number_text(raw) if isinstance(raw, int | float) else half(str(raw)).strip().replace(" ", " ")
    return _day_of(text, raw)


def _day_of(text: str, raw: Raw) -> Read:
    short = _MIDNIGHT.sub("", text)
    match = _DAY.match(short.replace(" ", ""))
    if match:
        parts = [int(g) for g in match.groups() if g]
    elif re.fullmatch(r"(19|20)\d{6}", short):
        parts = [int(short[:4]), int(short[4:6]), int(short[6:])]
    elif isinstance(raw, int | float) and not isinstance(raw, bool) and 20_000 <= raw < 80_000:
        return Read(date(1899, 12, 30) + timedelta(days=int(raw)), "Excel 日期序号 (a serial day number)")
    else:
        raise CellError(
            f"应为日期，如 2024-03-01，实为 {shown(raw)!r} (expected a date)", "写全年月日 (year, month and day)"
        )
    try:
        day = date(*parts)
    except ValueError:
        raise CellError(
            f"没有 {shown(raw)} 这一天 (no such day)", "核对年月日，如 2024-03-01 (check year, month, day)"
        ) from None
    return Read(day, "" if day.isoformat() == raw else "日期写法 (another way to write a day)")


def _moment(raw: Raw, tz: timezone) -> Read:
    if isinstance(raw, datetime):
        return Read(raw.replace(tzinfo=tz), "按厂区时区 (in the plant's zone)")
    if isinstance(raw, date):
        return Read(
            datetime(raw.year, raw.month, raw.day, tzinfo=tz), "当日零点，按厂区时区 (midnight in the plant's zone)"
        )
    text = half(str(raw)).strip()
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        day, _, clock = text.partition(" ")
        try:
            found = _day_of(day, day).value
            at = datetime.combine(found, time.fromisoformat(clock.strip().zfill(5)) if clock else time())
        except ValueError:
            raise CellError(
                f"应为时间，如 2026-10-01 08:00，实为 {shown(raw)!r} (expected a time)",
                "写全年月日和时分 (day and time)",
            ) from None
    if at.tzinfo is not None:
        return Read(at, "" if at.isoformat() == raw else "时间写法 (another way to write a time)")
    return Read(at.replace(tzinfo=tz), "按厂区时区 (in the plant's zone)")


def _clock(raw: Raw, _column: Column) -> Read:
    if isinstance(raw, time):
        return Read(f"{raw.hour:02}:{raw.minute:02}")
    if isinstance(raw, timedelta) and raw == timedelta(days=1):
        return Read("24:00")
    if isinstance(raw, int | float) and not isinstance(raw, bool) and raw in (0, 1):
        return Read("24:00" if raw else "00:00", "时间写法 (another way to write a time)")
    match = re.fullmatch(r"(\d{1,2})[:时点](\d{2})?(?::00)?分?", half(str(raw)).strip())
    if match is None:
        raise CellError(f"应为时刻，如 08:00，实为 {shown(raw)!r} (expected hh:mm)", "")
    text = f"{int(match[1]):02}:{match[2] or '00'}"
    return Read(text, "" if text == raw else "时间写法 (another way to write a time)")


def _bare_number(raw: Raw, column: Column) -> tuple[str, str]:
    """(plain decimal text, note)."""
    if isinstance(raw, int | float) and not isinstance(raw, bool):
        if isinstance(raw, float) and not math.isfinite(raw):
            raise CellError("应为数字 (expected a number)")
        near = float(f"{raw:.15g}")
        return _number_text(near), "" if near == raw else "按 Excel 显示的 15 位取值 (the 15 digits Excel shows)"
    if not isinstance(raw, str):
        raise CellError(f"应为数字，实为{_kind_of(raw)} {shown(raw)} (expected a number)", "把单元格设为常规格式再填")
    text, notes = half(raw).strip(), []
    if text != raw:
        notes.append("全角字符或空格 (full-width characters or spaces)")
    for unit in column.units:
        if text.lower().endswith(unit):
            text = text[: -len(unit)].rstrip()
            notes.append(f"去掉单位 {unit} (unit removed)")
            break
    if _GROUPED.match(text):
        text = text.replace(",", "")
        notes.append("去掉千分位 (thousands separators)")
    if not _NUMBER.match(text):
        raise CellError(f"应为数字，实为 {shown(raw)!r} (expected a number)", "只填数字 (write the number only)")
    return text, "；".join(notes)


def _integer(raw: Raw, column: Column) -> Read:
    text, note = _bare_number(raw, column)
    whole, _, rest = (f"{Decimal(text):f}" if "e" in text.lower() else text).partition(".")
    if rest.strip("0"):
        raise CellError(f"应为整数，实为 {shown(raw)!r} (expected a whole number)", "")
    if rest:
        note = note or "整数写成小数 (a whole number with decimals)"
    return Read(int(whole or "0"), note)


def _decimal(raw: Raw, column: Column) -> Read:
    text, note = _bare_number(raw, column)
    return Read(text, note)


def _word(raw: Raw, column: Column) -> Read:
    found = plain(_number_text(raw) if isinstance(raw, int | float) and not isinstance(raw, bool) else str(raw))
    for word in column.words:
        if found in {plain(w) for w in word}:
            return Read(word[0], "" if raw in word[:2] else f"{shown(raw).strip()} → {word[1]}")
    allowed = "、".join(w[1] for w in column.words)
    raise CellError(f"应为 {allowed} 之一，实为 {shown(raw)!r} (expected one of these)", "从中选一个 (choose one)")


def _texts(raw: Raw, _column: Column) -> Read:
    text = _text(raw, _column).value
    if text.startswith("["):
        return Read(_json(text, list, '["甲", "乙"]'))
    found = tuple(part.strip() for part in _SPLIT.split(text) if part.strip())
    return Read(
        found, "" if "、".join(found) == raw or isinstance(raw, int | float) else "分隔写法 (another separator)"
    )


def _ids(raw: Raw, column: Column) -> Read:
    if not isinstance(raw, str):
        one = _id(raw, column)
        return Read((one.value,), one.note)
    found = tuple(part for part in re.split(r"[\s,，、;；|]+", half(raw).strip()) if part)
    return Read(found, "" if "、".join(found) == raw else "分隔写法 (another separator)")


def _map(raw: Raw, _column: Column) -> Read:
    text = str(raw).strip()
    if text.startswith("{"):
        return Read(_json(text, dict, '{"1": "run"}'))
    found: dict[str, str] = {}
    for part in re.split(r"[;；\n]", text):
        name, equals, value = part.strip().replace("＝", "=").rpartition("=")
        if not part.strip():
            continue
        if not equals or not name.strip():
            raise CellError(
                f"应如 1=run; 0=stop，实为 {shown(raw)!r} (expected value=state)",
                "状态为 run、stop、off (运行、停机、关机)",
            )
        word = half(value).strip().lower()
        found[name.strip()] = _RUN_WORDS.get(word, word)
    return Read(found, "" if "; ".join(f"{k}={v}" for k, v in found.items()) == raw else "写法 (another spelling)")


def _rule(raw: Raw, _column: Column) -> Read:
    match = _RULE.match(half(str(raw)).strip().replace("≥", ">=").replace("≤", "<=").replace("≠", "!="))
    if match is None:
        raise CellError(f"应如 power > 0.5，实为 {shown(raw)!r} (expected point, comparison, number)", "")
    op = "==" if match[2] == "=" else match[2]
    value = {"point": match[1], "op": op, "value": match[3]}
    return Read(value, "" if f"{match[1]} {op} {match[3]}" == raw else "写法 (another spelling)")


def _pairs(raw: Raw, _column: Column) -> Read:
    found: dict[str, Any] = {}
    for part in _entries(str(raw)):
        name, equals, value = part.partition("=")
        name, value = half(name).strip(), value.strip()
        if not equals or not name:
            raise CellError(
                f"应如 键=值; 键=值，实为 {shown(part)!r} (expected key=value)", "多项之间用分号 (semicolons between)"
            )
        if name in found:
            raise CellError(f"{name} 写了两次 (key written twice)", "删去一个 (remove one)")
        found[name] = _json(value, (list, str), '["甲"]') if value[:1] in ('"', "[") else value
    return Read(found)


def _entries(text: str) -> list[str]:
    """Split at semicolons and line ends outside of double quotes."""
    parts, quoted, last = [""], False, ""
    for char in text.replace("；", ";"):
        if char == '"' and last != "\\":
            quoted = not quoted
        if char in ";\n" and not quoted:
            parts.append("")
        else:
            parts[-1] += char
        last = "" if last == "\\" else char
    return [p.strip() for p in parts if p.strip()]


def _json(text: str, kind: type | tuple[type, ...], example: str) -> Any:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, kind):
        raise CellError(
            f"应如 {example}，实为 {shown(text)!r} (expected JSON)", "核对引号和括号 (check quotes and brackets)"
        )
    return value


def _kind_of(raw: Any) -> str:
    return (
        "逻辑值"
        if isinstance(raw, bool)
        else "日期"
        if isinstance(raw, date)
        else "时间"
        if isinstance(raw, time)
        else ""
    )


_READERS: dict[str, Callable[[Raw, Column], Read]] = {
    "id": _id,
    "text": _text,
    "flag": _flag,
    "day": _day,
    "clock": _clock,
    "integer": _integer,
    "decimal": _decimal,
    "word": _word,
    "ids": _ids,
    "texts": _texts,
    "map": _map,
    "rule": _rule,
    "pairs": _pairs,
}
