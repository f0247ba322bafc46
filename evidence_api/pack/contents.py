"""The payload of a pack: every file under data/, written into a stage folder (docs/format/pack.md: Files).

In: `PackInputs`. Out: files; `pack.json`'s body. Lines are streamed hour by hour and held against their seals while they pass.
Refuses (`PackError`, exit 6): hour lines that do not have the root their seal states.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

from collector.ledger import merkle
from collector.ledger.checkpoint import Checkpoint, sign_checkpoint
from collector.ledger.entry import Entry, canonical_json, strict_json
from evidence_api.pack.inputs import DISCLOSURE, PackError, PackInputs, ledger_root
from evidence_api.verify import bag
from evidence_api.verify.evidence import Register, parse_register
from evidence_api.verify.history import REGISTERS
from evidence_api.verify.limits import LIMITS
from evidence_api.verify.lines import (
    DEVICE_FIELDS,
    LATE_FIELDS,
    PARAMETER_FIELDS,
    Hour,
    hour_number,
    hour_text,
    parse_device_hour,
)
from evidence_api.verify.records import RECORDS
from evidence_api.verify.tables import Gaps, changes_table, devices_table, documents_table, packs_table


def write_contents(inputs: PackInputs, stage: Path) -> dict[str, Any]:
    """All of data/. Out: the body of pack.json."""
    entries = [Entry.parse(line) for line in inputs.lines]
    registers = _registers(inputs, entries)
    root = ledger_root(inputs.lines)
    checkpoint = Checkpoint(inputs.log, len(inputs.lines), bytes.fromhex(root))
    counts, origins, gaps = _write_lines(inputs, entries, stage)
    genesis = entries[0].body
    end_us = inputs.request.window_ms[1] * 1000
    files = {
        bag.ENTRIES: b"".join(line + b"\n" for line in inputs.lines),
        bag.CHECKPOINT: sign_checkpoint(checkpoint, inputs.seed),
        bag.RESULTS: canonical_json(inputs.report) + b"\n",
        bag.DEVICES: devices_table(registers, end_us),
        bag.CHANGES: changes_table(entries, registers[-1].tz),
        bag.PACKS: packs_table(entries, registers[-1].tz),
        bag.GAPS: gaps.table(),
        bag.DOCUMENTS: documents_table(entries, registers[-1].tz),
        **{bag.rules_file(i, "yaml"): raw for i, (raw, _) in inputs.rules.items()},
        **{bag.rules_file(i, "json"): text + b"\n" for i, (_, text) in inputs.rules.items()},
        **{f"{REGISTERS}{i:06d}.json": raw for i, raw in enumerate(inputs.registers, 1)},
        **{f"{RECORDS}{name}": raw for name, raw in inputs.records.items()},
    }
    body = _pack_json(inputs, genesis, root, counts, origins, sum(e.t == "pack_intent" for e in entries))
    files[bag.PACK_JSON] = canonical_json(body) + b"\n"
    for name, raw in files.items():
        write_file(stage, name, raw)
    return body


def write_file(stage: Path, name: str, raw: bytes) -> None:
    """One file of the stage."""
    (stage / name).parent.mkdir(parents=True, exist_ok=True)
    (stage / name).write_bytes(raw)


def whole_origin(genesis: str, origins: dict[str, int]) -> str:
    """What the pack is as a whole: simulated before replay before live."""
    present = {genesis, *(name for name, count in origins.items() if count)}
    return next(name for name in ("simulated", "replay", "live") if name in present)


def _registers(inputs: PackInputs, entries: list[Entry]) -> list[Register]:
    leaves = [e.body for e in entries if e.t == "register"]
    if not leaves or len(leaves) != len(inputs.registers):
        raise PackError(
            f"台账版次: 账本登记 {len(leaves)} 版, 目录里 {len(inputs.registers)} 版 (register revisions)", 6
        )
    return [
        parse_register(b["rev"], b["effective_ms"] * 1000, strict_json(raw))
        for b, raw in zip(leaves, inputs.registers, strict=True)
    ]


def _write_lines(inputs: PackInputs, entries: list[Entry], stage: Path) -> tuple[dict[str, int], dict[str, int], Gaps]:
    """The three files of lines. Out: counts and origins for pack.json, gaps."""
    seals = {e.body["hour"]: e.body["root"] for e in entries if e.t == "seal" and "span" not in e.body}
    spans = sum(e.t == "seal" and "span" in e.body for e in entries)
    count, origins, gaps, devices = Counter[str](), Counter[str](), Gaps(), set[str]()
    fields = {"D": DEVICE_FIELDS, "P": PARAMETER_FIELDS, "L": LATE_FIELDS}
    names = {"D": bag.DEVICE_HOURS, "P": bag.PARAMETER_HOURS, "L": bag.LATE_HOURS}
    for name in names.values():
        (stage / name).parent.mkdir(parents=True, exist_ok=True)
    outs = {kind: (stage / name).open("wb") for kind, name in names.items()}
    try:
        for kind, out in outs.items():
            out.write(fields[kind].encode() + b"\n")
        for text in sorted(h for h in seals if inputs.hours[0] <= hour_number(h) < inputs.hours[1]):
            lines = inputs.lines_of(hour_number(text))
            if merkle.root([merkle.leaf_hash(line) for line in lines]).hex() != seals[text]:
                raise PackError(
                    f"rollup/hours {text}: 小时行与封存不符 (lines do not have the sealed root)\n"
                    "    → 删去当天的 rollup/hours 文件并重建 (plantproof store rebuild)",
                    6,
                )
            for line in lines:
                kind = chr(line[0])
                outs[kind].write(line + b"\n")
                count[kind] += 1
            read = [parse_device_hour(line) for line in lines if line.startswith(b"D")]
            gaps.add(Hour(hour_number(text), lines, read, [], []))
            origins.update(d.origin for d in read)
            devices.update(d.device for d in read)
    finally:
        for out in outs.values():
            out.close()
    counts = {"devices": len(devices), "device_hours": count["D"], "parameter_hours": count["P"]}
    counts |= {
        "late_lines": count["L"],
        "seals": len(seals),
        "spans": spans,
        "commitments": 2 * count["D"] + count["L"],
    }
    return counts, {name: origins[name] for name in bag.MARKS}, gaps


def _pack_json(
    inputs: PackInputs, genesis: dict[str, Any], root: str, counts: dict[str, int], origins: dict[str, int], number: int
) -> dict[str, Any]:
    request = inputs.request
    return {
        "format": bag.FORMAT,
        "pack_id": request.pack_id,
        "program": inputs.program,
        "plant": {"name": genesis["plant"], "credit_code": genesis["credit_code"], "site": genesis["site"]},
        "origin_class": genesis["origin_class"],
        "origins": origins,
        "mark": bag.MARKS[whole_origin(genesis["origin_class"], origins)],
        "level": request.level,
        "instrument": request.instrument,
        "rules": {i: hashlib.sha256(raw).hexdigest() for i, (raw, _) in inputs.rules.items()},
        "at_ms": request.at_ms,
        "window": list(request.window_ms),
        "hours": [hour_text(h) for h in inputs.hours],
        "ledger": {"log": inputs.log, "size": len(inputs.lines), "root": root},
        "intent": {"size": request.size, "root": request.root},
        "disclosure": DISCLOSURE,
        "disclosed": list(bag.DISCLOSED),
        "withheld": list(bag.WITHHELD),
        "counts": counts,
        "number": number,
        "limits": [list(x) for x in LIMITS],
    }
