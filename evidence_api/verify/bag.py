"""The bag inside the container (BagIt 1.0, RFC 8493) and what the pack says it is. Steps, each a `PackRefused` with its code:

A-03 bagit.txt and bag-info.txt are the two fixed forms; Payload-Oxum counts the payload
A-04 the tag manifest lists exactly the four tag files, and their SHA-256 are equal
A-05 the manifest lists exactly the files under data/, and their SHA-256 are equal
A-06 no file stands where the format knows none, and none that must be there is missing; files under attest/ are listed
A-07 pack.json is canonical JSON with exactly the known keys

In: a `Container`. Out: nothing, or `PackJson`.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Any

from collector.ledger.entry import LedgerError, canonical_json, strict_json
from evidence_api.verify.container import Container
from evidence_api.verify.findings import PackRefused

FORMAT, DISCLOSURE = "plantproof-pack/2", "L1"
BAGIT = b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
TAG_FILES = ("READ-ME-FIRST.txt", "bag-info.txt", "bagit.txt", "manifest-sha256.txt")
MANIFEST, TAG_MANIFEST = "manifest-sha256.txt", "tagmanifest-sha256.txt"
PACK_JSON, RESULTS = "data/pack.json", "data/metrics/results.json"
RULES = "data/rules/"
DEVICE_HOURS, PARAMETER_HOURS, LATE_HOURS = (
    "data/rollups/device-hours.csv",
    "data/rollups/parameter-hours.csv",
    "data/rollups/late-hours.csv",
)
DEVICES, CHANGES, DOCUMENTS, GAPS, PACKS = (
    "data/inventory/devices.csv",
    "data/inventory/changes.csv",
    "data/inventory/documents.csv",
    "data/accounting/gaps.csv",
    "data/accounting/packs.csv",
)
ENTRIES, CHECKPOINT, REPORT = "data/ledger/entries.ndjson", "data/ledger/checkpoint", "data/report/report.html"
SIGNATURE = "attest/pack.dsse.json"
REQUIRED = (
    *(PACK_JSON, RESULTS, DEVICE_HOURS, PARAMETER_HOURS, LATE_HOURS, DEVICES, CHANGES, DOCUMENTS, GAPS, PACKS),
    *(ENTRIES, CHECKPOINT, REPORT, SIGNATURE, TAG_MANIFEST, *TAG_FILES),
)
INSTRUMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,31}/[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_RECORD_NAME = "[a-z_]{1,32}"  # a kind of record, or replaced: what the leaf names decides (C-26)
_MORE = re.compile(
    rf"data/inventory/register/\d{{6}}\.json|data/records/\d{{6}}/({_RECORD_NAME}\.csv|exclusion\.json)|attest/[^/]+|"
    rf"data/rules/{INSTRUMENT.pattern}\.(yaml|json)"
)
MARKS = {"live": "", "simulated": "模拟数据·不得用于申报", "replay": "回放数据·不得用于申报"}
_TEXT = ("format", "pack_id", "program", "origin_class", "mark", "level", "instrument", "disclosure")
_NUMBER = ("at_ms", "number")
_MAPS = {
    "plant": {"name", "credit_code", "site"},
    "ledger": {"log", "size", "root"},
    "intent": {"size", "root"},
    "origins": {"live", "simulated", "replay"},
    "counts": {"devices", "device_hours", "parameter_hours", "late_lines", "seals", "spans", "commitments"},
}
DISCLOSED = ("ledger", "device-hours", "parameter-hours", "late-hours", "register", "records", "results", "rules")
WITHHELD = (
    *("presence-rows", "process-rows", "late-rows", "salts"),
    *("documents", "record-sources", "record-quarantine", "record-corrections"),
)
_LISTS = ("window", "hours", "disclosed", "withheld", "limits")
TITLES = {
    "A-03": "BagIt 声明与载荷计数",
    "A-04": "标签清单与四个标签文件",
    "A-05": "载荷清单与 data/ 下的文件",
    "A-06": "文件不多不少",
    "A-07": "pack.json 的写法与字段",
}


@dataclass(frozen=True, slots=True)
class PackJson:
    """`data/pack.json`, its keys and types checked; meanings are in docs/format/pack.md."""

    body: dict[str, Any]

    def text(self, key: str) -> str:
        """A text field."""
        return str(self.body[key])


def check_bag_info(pack: Container) -> str:
    """A-03."""
    _need(pack, "A-03", "bagit.txt", "bag-info.txt")
    payload = [e for n, e in pack.entries.items() if n.startswith("data/")]
    expected = bag_info(sum(e.size for e in payload), len(payload))
    if pack.read("bagit.txt") != BAGIT:
        raise _refused("A-03", "bagit.txt 不是 BagIt 1.0 的固定内容")
    if pack.read("bag-info.txt") != expected:
        raise _refused("A-03", f"bag-info.txt 与载荷不符，应为 {len(payload)} 个文件")
    return f"载荷 {len(payload)} 个文件，{sum(e.size for e in payload):,} 字节"


def bag_info(size: int, count: int) -> bytes:
    """The fixed bag-info.txt of a payload of `size` bytes in `count` files."""
    return f"Bag-Software-Agent: plantproof\nPayload-Oxum: {size}.{count}\n".encode()


def check_tag_manifest(pack: Container) -> str:
    """A-04. Out: the check code people read to each other."""
    _need(pack, "A-04", TAG_MANIFEST, *TAG_FILES)
    _compare(pack, "A-04", TAG_MANIFEST, list(TAG_FILES))
    return f"校验码 {check_code(pack.read(TAG_MANIFEST))}"


def check_code(tag_manifest: bytes) -> str:
    """校验码: the first 16 hex digits of the tag manifest's SHA-256, in fours."""
    digest = hashlib.sha256(tag_manifest).hexdigest()
    return " ".join(digest[i : i + 4] for i in range(0, 16, 4))


def check_manifest(pack: Container) -> str:
    """A-05."""
    _need(pack, "A-05", MANIFEST)
    names = [n for n in pack.names if n.startswith("data/")]
    _compare(pack, "A-05", MANIFEST, names)
    return f"{len(names)} 个文件的 SHA-256 逐一相等"


def check_files(pack: Container) -> str:
    """A-06. Out: how many, and what lies under attest/ beyond our signature."""
    _need(pack, "A-06", *REQUIRED)
    for name in pack.names:
        if name not in REQUIRED and not _MORE.fullmatch(name):
            raise _refused("A-06", f"多出文件 {name}")
    added = [n for n in pack.names if n.startswith("attest/") and n != SIGNATURE]
    return f"{len(pack.names)} 个文件" + (f"; 其后附加、未受本签名保护: {', '.join(added)}" if added else "")


def read_pack_json(pack: Container) -> PackJson:
    """A-07."""
    _need(pack, "A-07", PACK_JSON)
    body = read_json(pack, PACK_JSON, "A-07", TITLES["A-07"])
    known = {*_TEXT, *_NUMBER, *_MAPS, *_LISTS, "rules"}
    if not isinstance(body, dict) or set(body) != known:
        found = sorted(set(body) ^ known) if isinstance(body, dict) else type(body).__name__
        raise _refused("A-07", f"字段不符: {found}")
    wrong = [k for k in _TEXT if not isinstance(body[k], str)] + [k for k in _NUMBER if type(body[k]) is not int]
    wrong += [k for k, keys in _MAPS.items() if not isinstance(body[k], dict) or set(body[k]) != keys]
    wrong += [k for k in _LISTS if not isinstance(body[k], list)]
    wrong += [k for k, kind in (("window", int), ("hours", str)) if _is_not_pair(body[k], kind)]
    wrong += [k for k, v in (("disclosed", DISCLOSED), ("withheld", WITHHELD)) if body[k] != list(v)]
    wrong += ["rules"] if _are_not_rules(body["rules"], body["instrument"]) else []
    wrong += ["limits"] if any(_is_not_pair(x, str) for x in body["limits"]) else []
    if wrong or not _inner_types(body):
        raise _refused("A-07", f"字段类型或内容不符: {wrong}")
    if body["disclosure"] != DISCLOSURE:
        raise _refused("A-07", f"disclosure: 应为 {DISCLOSURE}, 实为 {body['disclosure']}")
    if body["format"] != FORMAT:
        raise _refused("A-07", f"应为 {FORMAT}, 实为 {body['format']}")
    return PackJson(body)


def rules_file(instrument: str, form: str) -> str:
    """Where an instrument stands; form: yaml, json."""
    return f"{RULES}{instrument}.{form}"


def read_json(pack: Container, name: str, code: str, title: str) -> Any:
    """A file of canonical JSON and one newline. Errors: `PackRefused` with the code of the step that asks."""
    raw = pack.read(name)
    try:
        value = strict_json(raw)
        if canonical_json(value) + b"\n" != raw:
            raise LedgerError("expected canonical JSON and one newline, found another spelling")
    except LedgerError as err:
        raise PackRefused(code, title, f"{name}: {err}") from err
    return value


def _inner_types(body: dict[str, Any]) -> bool:
    texts = [*body["plant"].values(), body["ledger"]["log"], body["ledger"]["root"], body["intent"]["root"]]
    numbers = [*body["counts"].values(), *body["origins"].values(), body["ledger"]["size"], body["intent"]["size"]]
    return all(isinstance(t, str) for t in texts) and all(type(n) is int and n >= 0 for n in numbers)


def _are_not_rules(value: Any, own: Any) -> bool:
    """True unless it is a map from ids of instruments to SHA-256, the one applied under among them."""
    if not isinstance(value, dict) or own not in value:
        return True
    return any(
        not INSTRUMENT.fullmatch(i) or not isinstance(d, str) or not re.fullmatch("[0-9a-f]{64}", d)
        for i, d in value.items()
    )


def _is_not_pair(value: Any, kind: type) -> bool:
    return not isinstance(value, list) or [type(v) for v in value] != [kind, kind]


def _compare(pack: Container, code: str, manifest: str, names: list[str]) -> None:
    expected = b"".join(f"{pack.sha256(n)}  {n}\n".encode() for n in names)
    found = pack.read(manifest)
    if found == expected:
        return
    there = set(found.split(b"\n"))
    wrong = [line.split("  ")[1] for line in expected.decode().splitlines() if line.encode() not in there]
    raise _refused(code, f"与 {manifest} 不符: {', '.join(wrong[:5]) or '清单多出或次序不对'}")


def _need(pack: Container, code: str, *names: str) -> None:
    missing = [n for n in names if n not in pack.entries]
    if missing:
        more = f" 等 {len(missing)} 个" if len(missing) > 5 else ""
        raise _refused(code, f"缺少 {', '.join(missing[:5])}{more}")


def _refused(code: str, found: str) -> PackRefused:
    return PackRefused(code, TITLES[code], found)
