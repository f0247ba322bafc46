"""检查的措辞: what a model refuses, in words a plant engineer reads: Chinese first, the English gloss in brackets.

In: pydantic's errors. Out: `Finding`: key path, what was expected and found, what to do. A union's branch is taken out of the path,
because the file does not name it. Errors that models raise themselves (`config.model.Wrong`, `ValueError`) keep their own words.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from typing import Any

from pydantic import BaseModel

from config.model import Wrong

Loc = tuple[str | int, ...]
CHINA = timezone(timedelta(hours=8))
_MOMENT = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|\+00:00)")
_BRANCHES = ("opcua", "modbus", "mqtt", "sparkplug")
_SHAPES = {
    "^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$": (
        "以字母或数字开头、只含字母数字和 _ . -、最多 64 个字符的编号",
        "an id of letters, digits and _ . -",
    ),
    r"^[+-](0\d|1[0-4]):00$": ("整点时区，如 +08:00", "an offset in whole hours"),
    r"^([01]\d|2[0-3]):[0-5]\d$": ("00:00 到 23:59 的时刻", "a time of day hh:mm"),
    r"^(([01]\d|2[0-3]):[0-5]\d|24:00)$": ("00:00 到 24:00 的时刻", "a time of day hh:mm"),
    r"^[^#+]*$": ("不含通配符 # 和 + 的主题", "a topic without wildcards"),
}
_NAMED_SHAPES = {
    "credit_code": ("18 位统一社会信用代码", "a unified social credit code"),
    "endpoint": ("opc.tcp://主机:端口，如 opc.tcp://192.168.1.11:4840", "an OPC UA address"),
    "backups": ("opc.tcp://主机:端口，如 opc.tcp://192.168.1.12:4840", "an OPC UA address"),
    "broker": ("mqtt:// mqtts:// ws:// 或 wss:// 地址，如 mqtt://192.168.1.5:1883", "a broker's address"),
    "forbidden": ("寄存器范围，如 holding_register:100-119", "a range of registers"),
    "path": ("报文路径，如 $.spindle.speed", "a path"),
    "element": ("元素路径，如 $[3]", "a path"),
    "records_path": ("报文路径，如 $.samples", "a path"),
    "time_path": ("报文路径，如 $.ts", "a path"),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong at a key path."""

    loc: Loc
    message: str
    fix: str = ""
    others: tuple[str, ...] = ()  # keys beside it that the rule looked at
    there: Loc = ()  # another place that the message names as {there}


def findings_of(kind: type[BaseModel], errors: list[Any], before: Loc = ()) -> list[Finding]:
    """Each error of a model's validation; `before` is the path of the model in its file."""
    return [_finding(kind, e, before) for e in errors]


def told(finding: Finding, there: str = "") -> str:
    """The message, with the other place by its key path or as given."""
    return finding.message.replace("{there}", there or key_path(finding.there)) if finding.there else finding.message


def key_path(loc: Loc) -> str:
    """A path as TOML readers write it: `device[3].connection.port`."""
    path = ""
    for part in loc:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path


def plant_time(text: str, tz: timezone = CHINA) -> str:
    """The text with every UTC moment in it as the plant's clock showed it: `2026-10-01T00:30:00Z` -> `2026-10-01 08:30:00`."""

    def local(found: re.Match[str]) -> str:
        at = datetime.fromisoformat(found[0]).astimezone(tz)
        return at.replace(tzinfo=None).isoformat(sep=" ")

    return _MOMENT.sub(local, text)


def near(found: object, known: list[str]) -> str:
    """What to do when a name is not known: the nearest one we know, or nothing."""
    match = difflib.get_close_matches(str(found), known, 1, 0.7)
    return f"您是不是要写 {match[0]}? (did you mean {match[0]}?)" if match else ""


def _finding(kind: type[BaseModel], error: Any, before: Loc) -> Finding:
    loc = before + _without_branch(error["loc"])
    name = error["type"]
    if name == "extra_forbidden":
        known = _keys(kind)
        if "connection" in loc and error["loc"][-1] in known:
            return Finding(
                loc,
                "这种协议不用这一项 (a key of another protocol)",
                "清空它，或核对协议 (remove it, or check the protocol)",
            )
        fix = near(error["loc"][-1], sorted(known)) or "删去或改正 (remove or correct it)"
        return Finding(loc, "没有这一项 (unknown key)", fix)
    if name == "value_error":
        wrong = error["ctx"]["error"]
        if isinstance(wrong, Wrong):
            return Finding((*loc, wrong.key) if wrong.key else loc, wrong.message, wrong.fix, wrong.others)
        return Finding(loc, str(wrong))
    if name == "missing":
        return Finding(loc, "必填，没有写 (expected a value, found none)")
    found = error.get("input")
    shown = f"，实为 {found!r}" if isinstance(found, str | int | float | bool) else ""
    zh, en = _words(name, error.get("ctx") or {}, loc, str(error["msg"]))
    return Finding(loc, f"{zh}{shown} ({en})")


def _words(name: str, ctx: dict[str, Any], loc: Loc, message: str) -> tuple[str, str]:
    if name == "string_pattern_mismatch":
        field = next((p for p in reversed(loc) if isinstance(p, str)), "")
        zh, en = _NAMED_SHAPES.get(field) or _SHAPES.get(ctx["pattern"], (ctx["pattern"], "that pattern"))
        return f"应为 {zh}", f"expected {en}"
    made = _WORDS.get(name)
    return made(ctx) if made else ("不合要求", f"{message[:1].lower()}{message[1:]}")


def _plain(zh: str, en: str) -> Callable[[dict[str, Any]], tuple[str, str]]:
    return lambda _ctx: (zh, en)


def _limit(key: str, zh: str, en: str) -> Callable[[dict[str, Any]], tuple[str, str]]:
    return lambda ctx: (zh.format(ctx[key]), en.format(ctx[key]))


_WHOLE = _plain("应为整数", "expected a whole number")
_NUMBER = _plain("应为数字", "expected a number")
_DAY = _plain("应为日期，如 2024-03-01", "expected a date")
_TIME = _plain("应为带时区的时间，如 2026-10-01T00:00:00+08:00", "expected a time with its offset")
_FLAG = _plain("应为 true 或 false", "expected true or false")
_TABLE = _plain("应为一张表", "expected a table")
_LIST = _plain("应为列表", "expected a list")
_WORDS: dict[str, Callable[[dict[str, Any]], tuple[str, str]]] = {
    **dict.fromkeys(("int_parsing", "int_type", "int_from_float", "int_parsing_size"), _WHOLE),
    **dict.fromkeys(("decimal_parsing", "decimal_type", "float_parsing", "float_type", "finite_number"), _NUMBER),
    **dict.fromkeys(("date_parsing", "date_type", "date_from_datetime_parsing", "date_from_datetime_inexact"), _DAY),
    **dict.fromkeys(("datetime_parsing", "datetime_type", "datetime_from_date_parsing"), _TIME),
    **dict.fromkeys(("bool_parsing", "bool_type"), _FLAG),
    **dict.fromkeys(("model_type", "dict_type", "model_attributes_type"), _TABLE),
    **dict.fromkeys(("tuple_type", "list_type"), _LIST),
    "string_type": _plain("应为文本", "expected a text"),
    "string_too_short": _limit("min_length", "至少 {} 个字符", "expected at least {} characters"),
    "string_too_long": _limit("max_length", "最多 {} 个字符", "expected at most {} characters"),
    "too_short": _limit("min_length", "至少 {} 项", "expected at least {}"),
    "greater_than": _limit("gt", "应大于 {}", "expected more than {}"),
    "greater_than_equal": _limit("ge", "应不小于 {}", "expected at least {}"),
    "less_than": _limit("lt", "应小于 {}", "expected less than {}"),
    "less_than_equal": _limit("le", "应不大于 {}", "expected at most {}"),
    "literal_error": lambda ctx: (f"应为 {ctx['expected'].replace(' or ', ', ')} 之一", "expected one of these"),
    "decimal_max_places": _limit("decimal_places", "最多 {} 位小数", "expected at most {} decimals"),
    "decimal_max_digits": _limit("max_digits", "最多 {} 位数字", "expected at most {} digits"),
    "decimal_whole_digits": _limit("whole_digits", "整数部分最多 {} 位", "expected at most {} whole digits"),
    "union_tag_invalid": _limit("expected_tags", "protocol 应为 {} 之一", "expected one of these protocols"),
    "union_tag_not_found": _plain("应写明 protocol", "expected a protocol"),
}


def _without_branch(loc: Loc) -> Loc:
    """Without the union's branch that pydantic puts behind `connection`."""
    for i in range(len(loc) - 1):
        if loc[i] == "connection" and loc[i + 1] in _BRANCHES:
            return loc[: i + 1] + loc[i + 2 :]
    return loc


@lru_cache(maxsize=64)
def _keys(kind: type[BaseModel]) -> frozenset[str]:
    """Every key name reachable from a model: what a mistyped key may have meant."""
    names: set[str] = set()
    todo: list[Any] = [kind]
    seen: set[Any] = set()
    while todo:
        model = todo.pop()
        if model in seen:
            continue
        seen.add(model)
        if isinstance(model, type) and issubclass(model, BaseModel):
            for name, field in model.model_fields.items():
                names.add(field.alias or name)
                todo.append(field.annotation)
        else:
            todo += list(getattr(model, "__args__", ()))
    return frozenset(names)
