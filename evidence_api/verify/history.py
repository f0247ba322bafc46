"""The ledger in the pack. Steps, each a `PackRefused` with its code:

C-21 as many entries as pack.json says, each canonical JSON of a known type; the first, and only the first, is a genesis entry, and
     pack.json names its plant and its origin class
C-22 the RFC 6962 root of all entries is the one that the checkpoint signs
C-23 the last entry is this pack's intent, and the pack id follows from ledger, level, window and rules
C-24 hours are sealed one after the other, each once; a span leaf stands for the hours it names
C-25 each register revision in the pack has the bytes its leaf names, none is missing, and revisions count from 1; each takes
     effect when it was entered, after every hour that was sealed before it, and after the one before it
(C-26, records: records.py)

In: a `Container` and `PackJson`. Out: `History`, which the lines are then held against (`sealed.py`).
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Any

from collector.ledger import merkle
from collector.ledger.entry import Entry, LedgerError, canonical_json, strict_json
from evidence_api.verify.bag import ENTRIES, PackJson
from evidence_api.verify.container import Container
from evidence_api.verify.evidence import Register, parse_register
from evidence_api.verify.findings import PackRefused
from evidence_api.verify.lines import hour_number

REGISTERS = "data/inventory/register/"
TITLES = {
    "C-21": "账本每一条都是规范写法",
    "C-22": "账本的 RFC 6962 根与检查点一致",
    "C-23": "导出登记与包号",
    "C-24": "逐小时封存，不缺不重",
    "C-25": "设备台账各版与其登记一致",
    "C-26": "生产记录、停机豁免、材料与其登记一致",
}


@dataclass(frozen=True, slots=True)
class Seal:
    """One hour seal's leaf. `down`: seconds of the hour."""

    hour: int
    index: int
    register: int
    devices: int
    parameters: int
    late: int
    root: str
    down: tuple[tuple[int, int], ...]
    cause: str
    sums: tuple[int, int, int, int]  # ok, failed, late, losses
    sync: int


@dataclass(frozen=True, slots=True)
class Ledger:
    """C-21: entries as they stand."""

    entries: tuple[Entry, ...]
    hashes: tuple[bytes, ...]

    @property
    def genesis(self) -> dict[str, Any]:
        """Body of the genesis entry."""
        return self.entries[0].body

    def of(self, kind: str) -> list[tuple[int, Entry]]:
        """(index, entry) of one type, in order."""
        return [(i, e) for i, e in enumerate(self.entries) if e.t == kind]


def read_ledger(pack: Container, stated: PackJson) -> Ledger:
    """C-21."""
    entries, hashes = [], []
    for number, line in enumerate(pack.lines(ENTRIES), 1):
        try:
            entry = Entry.parse(line)
        except (LedgerError, RecursionError) as err:
            raise _refused("C-21", f"第 {number} 条: {err}") from err
        if (entry.t == "genesis") != (number == 1):
            raise _refused("C-21", f"第 {number} 条：创世条目只能是第一条，此处为 {entry.t}")
        entries.append(entry)
        hashes.append(merkle.leaf_hash(line))
    if len(entries) != stated.body["ledger"]["size"] or not pack.read(ENTRIES).endswith(b"\n"):
        raise _refused("C-21", f"应有 {stated.body['ledger']['size']} 条，实有 {len(entries)} 条")
    genesis = entries[0].body
    plant = {k: genesis[k] for k in ("plant", "credit_code", "site")}
    named = {"plant": stated.body["plant"]["name"], **{k: stated.body["plant"][k] for k in ("credit_code", "site")}}
    if plant != named or genesis["origin_class"] != stated.body["origin_class"]:
        raise _refused("C-21", "pack.json 的企业或数据来源与创世条目不同")
    return Ledger(tuple(entries), tuple(hashes))


def check_root(ledger: Ledger, signed_root: str) -> str:
    """C-22."""
    found = merkle.root(ledger.hashes).hex()
    if found != signed_root:
        raise _refused("C-22", f"算得 {found[:16]}…, 检查点签的是 {signed_root[:16]}…")
    return f"{len(ledger.entries):,} 条，根 {found[:16]}…"


def pack_id(stated: dict[str, Any]) -> str:
    """First 20 hex of SHA-256 over what a pack is asked for: docs/format/pack.md, pack_id."""
    intent = stated["intent"]
    asked = {k: stated[k] for k in ("at_ms", "disclosure", "instrument", "level", "window")}
    asked |= {"log": stated["ledger"]["log"], "root": intent["root"], "size": intent["size"]}
    return hashlib.sha256(canonical_json(asked)).hexdigest()[:20]


def check_intent(ledger: Ledger, stated: PackJson) -> str:
    """C-23."""
    body, last = stated.body, ledger.entries[-1]
    size = body["intent"]["size"]
    expected = {
        "pack_id": pack_id(body),
        "profile": f"{body['instrument']}/{body['level']}/{body['disclosure']}",
        "window": body["window"],
        "size": size,
    }
    if last.t != "pack_intent" or last.body != expected or body["pack_id"] != expected["pack_id"]:
        raise _refused("C-23", "最后一条不是本包的导出登记，或包号推算不符")
    if not 0 < size < len(ledger.entries) or merkle.root(ledger.hashes[:size]).hex() != body["intent"]["root"]:
        raise _refused("C-23", f"登记时账本 {size} 条的根不符")
    number = len(ledger.of("pack_intent"))
    if body["number"] != number:
        raise _refused("C-23", f"应为本账本第 {number} 次导出，包内写 {body['number']}")
    return f"本账本第 {number} 次导出，此前完成 {len(ledger.of('pack'))} 次"


def read_seals(ledger: Ledger) -> tuple[dict[int, Seal], list[tuple[int, int]], str]:
    """C-24. Out: seals by hour, spans as [first, end), what to print."""
    seals: dict[int, Seal] = {}
    spans: list[tuple[int, int]] = []
    after: int | None = None
    for index, entry in ledger.of("seal"):
        if "span" in entry.body:
            first, end = (hour_number(x) for x in entry.body["span"])
            spans.append((first, end))
        else:
            seal = _seal(index, entry.body)
            first, end = seal.hour, seal.hour + 1
            seals[first] = seal
        if (after is not None and first != after) or end <= first:
            raise _refused("C-24", f"第 {index + 1} 条：封存小时不连续或重复")
        after = end
    missing = sum(end - first for first, end in spans)
    return seals, spans, f"{len(seals):,} 个小时逐一封存" + (f", {missing} 小时以跨段登记 (采集停)" if missing else "")


def read_registers(pack: Container, ledger: Ledger) -> list[Register]:
    """C-25."""
    found: list[Register] = []
    earliest_ms = sealed_ends_ms(ledger)
    for number, (index, entry) in enumerate(ledger.of("register"), 1):
        name = f"{REGISTERS}{number:06d}.json"
        if entry.body["rev"] != number or name not in pack.entries:
            raise _refused("C-25", f"第 {index + 1} 条：应为第 {number} 版，且包内有 {name}")
        raw = pack.read(name)
        if hashlib.sha256(raw).hexdigest() != entry.body["sha256"]:
            raise _refused("C-25", f"{name} 与登记的 SHA-256 不符")
        effective_ms = entry.body["effective_ms"]
        if effective_ms != entry.at_ms or effective_ms < earliest_ms[index]:
            raise _refused("C-25", f"第 {number} 版：生效时刻早于登记，或早于其前已封存的小时 (倒签, back-dated)")
        if found and effective_ms * 1000 <= found[-1].effective_us:
            raise _refused("C-25", f"第 {number} 版：生效时刻不晚于前一版")
        register = parse_register(number, effective_ms * 1000, strict_json(raw))
        if len(register.devices) != entry.body["devices"]:
            raise _refused("C-25", f"{name}: 登记 {entry.body['devices']} 台，文件 {len(register.devices)} 台")
        found.append(register)
    in_pack = sum(n.startswith(REGISTERS) for n in pack.names)
    if not found or in_pack != len(found):
        raise _refused("C-25", f"账本登记 {len(found)} 版，包内 {in_pack} 版")
    return found


def _seal(index: int, body: dict[str, Any]) -> Seal:
    sums = body["sums"]
    root = body["root"]
    if not re.fullmatch(r"[0-9a-f]{64}", root):
        raise _refused("C-24", f"第 {index + 1} 条: root 不是 64 位十六进制")
    return Seal(
        hour=hour_number(body["hour"]),
        index=index,
        register=int(body["register"]),
        devices=int(body["n"]),
        parameters=int(body["parameters"]),
        late=int(body["late"]),
        root=root,
        down=tuple((int(a), int(b)) for a, b in body["down"]),
        cause=str(body["cause"]),
        sums=(int(sums["ok"]), int(sums["failed"]), int(sums["late"]), int(sums["losses"])),
        sync=int(body["clock"].get("sync", 0)),
    )


def sealed_ends_ms(ledger: Ledger) -> list[int]:
    """For each entry, the end of the newest hour that was sealed before it: nothing entered later can say it was there."""
    found, newest = [], 0
    for entry in ledger.entries:
        found.append(newest)
        if entry.t == "seal":
            span = entry.body.get("span")
            newest = max(newest, (hour_number(span[1]) if span else hour_number(entry.body["hour"]) + 1) * 3_600_000)
    return found


def _refused(code: str, found: str) -> PackRefused:
    return PackRefused(code, TITLES[code], found)
