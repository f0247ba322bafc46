"""Ledger entries in words, in plant time, for a person at the terminal (账本条目的说明). What counts is the entry itself: `--json`.

In: an entry, the plant's time zone. Out: its kind and one line of text; a type this page does not know shows its body as it is.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from collector.hours import parse_hour
from collector.ledger.entry import Entry
from config.documents import DOCUMENT_KINDS

KINDS = {
    "genesis": "建账",
    "register": "台账",
    "rules": "规则",
    "records": "记录",
    "document": "材料",
    "software": "程序",
    "start": "开始采集",
    "stop": "停止采集",
    "seal": "小时封存",
    "identity": "设备身份",
    "pack_intent": "导出登记",
    "pack": "证据包",
}
_ORIGINS = {"live": "实采 (live)", "simulated": "模拟 (simulated)", "replay": "回放 (replay)"}
_OUTCOMES = {"accepted": "导入", "completed": "补全", "duplicates": "重复", "quarantined": "隔离"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SHOWN = 6  # devices or facts in a line


def described(entry: Entry, zone: tzinfo) -> tuple[str, str]:
    """(kind, text) of an entry."""
    text = json.dumps(entry.body, ensure_ascii=False)
    with suppress(
        KeyError, TypeError, ValueError, AttributeError
    ):  # a body that is not what its type says is shown as it is
        text = _SAY[entry.t](entry.body, zone)
    return KINDS.get(entry.t, entry.t), text


def plant_time(at_ms: int, zone: tzinfo) -> str:
    """A moment to the second, as the plant's clock shows it."""
    return f"{(_EPOCH + timedelta(milliseconds=at_ms)).astimezone(zone):%Y-%m-%d %H:%M:%S}"


def _genesis(body: dict[str, Any], _zone: tzinfo) -> str:
    return f"{body['plant']} · {body['credit_code']} · {_ORIGINS.get(body['origin_class'], body['origin_class'])}"


def _register(body: dict[str, Any], _zone: tzinfo) -> str:
    diff = body["diff"]
    changes = [
        f"{word} {_some(diff[key])}"
        for key, word in (("added", "新增"), ("removed", "移除"), ("changed", "修改"))
        if diff[key]
    ]
    moves = [f"{metric} {scope} {before}→{after}" for metric, scope, before, after in body.get("denominators", [])]
    moved = [f"分母 {_some(moves)}"] if moves else []
    return " · ".join([f"第 {body['rev']} 版", f"{body['devices']} 台", *changes, *moved, body["reason"]])


def _rules(body: dict[str, Any], _zone: tzinfo) -> str:
    return f"{body['instrument']} 第 {body['edition']} 版 · {body['sha256'][:16]}"


def _records(body: dict[str, Any], _zone: tzinfo) -> str:
    kind = "停机登记" if body["kind"] == "exclusion" else "导入"
    counts = "、".join(f"{_OUTCOMES.get(name, name)} {n}" for name, n in body["counts"].items())
    return f"第 {body['rev']} 版 {kind} · {counts} · {body['reason']}"


def _document(body: dict[str, Any], _zone: tzinfo) -> str:
    until = [f"有效期至 {body['valid_until']}"] if body["valid_until"] else []
    return " · ".join([body["id"], DOCUMENT_KINDS[body["kind"]], body["name"], *until, body["sha256"][:16]])


def _software(body: dict[str, Any], _zone: tzinfo) -> str:
    return f"plantproof {body['version']} · Python {body['python']} · {body['digest'][:16]}"


def _begun_or_ended(body: dict[str, Any], _zone: tzinfo) -> str:
    parts = [str(body["why"])]
    if body.get("recovered"):
        parts.append(f"截去未写完的 {body['recovered']['cut_bytes']} 字节 (torn tail cut)")
    if body.get("clock_accepted"):
        parts.append("时钟由人确认 (clock vouched for)")
    return " · ".join(parts)


def _seal(body: dict[str, Any], zone: tzinfo) -> str:
    if "span" in body:
        first, end = (_hour(text, zone) for text in body["span"])
        return f"{first:%Y-%m-%d %H:%M} 至 {end:%Y-%m-%d %H:%M} 未运行 · {len(body['devices'])} 台 (collector down)"
    start = _hour(body["hour"], zone)
    sums = body["sums"]
    parts = [
        f"{start:%Y-%m-%d %H:%M}–{start + timedelta(hours=1):%H:%M}",
        f"{body['n']} 台",
        f"成功 {sums['ok']}，失败 {sums['failed']}，丢失 {sums['losses']}，迟到 {sums['late']}",
        f"根 {body['root'][:16]}",
    ]
    return " · ".join([*parts, *(["采集程序未运行 (collector down)"] if body["cause"] else [])])


def _identity(body: dict[str, Any], _zone: tzinfo) -> str:
    facts = _some([f"{name}={value}" for name, value in sorted(body["facts"].items())])
    return f"{body['device']} 第 {body['rev']} 次 · {_ORIGINS.get(body['origin'], body['origin'])} · {facts}"


def _pack_intent(body: dict[str, Any], zone: tzinfo) -> str:
    start, end = (plant_time(ms, zone) for ms in body["window"])
    return f"{body['pack_id']} · {body['profile']} · {start} 至 {end}"


def _pack(body: dict[str, Any], _zone: tzinfo) -> str:
    return f"{body['pack_id']} · {body['size_bytes']:,} 字节 · 清单 {body['manifest_sha256'][:16]}"


_SAY: dict[str, Callable[[dict[str, Any], tzinfo], str]] = {
    "genesis": _genesis,
    "register": _register,
    "rules": _rules,
    "records": _records,
    "document": _document,
    "software": _software,
    "start": _begun_or_ended,
    "stop": _begun_or_ended,
    "seal": _seal,
    "identity": _identity,
    "pack_intent": _pack_intent,
    "pack": _pack,
}


def _hour(text: str, zone: tzinfo) -> datetime:
    return (_EPOCH + timedelta(hours=parse_hour(text))).astimezone(zone)


def _some(names: list[str]) -> str:
    return "、".join(names[:_SHOWN]) + (f" 等 {len(names)} 项" if len(names) > _SHOWN else "")
