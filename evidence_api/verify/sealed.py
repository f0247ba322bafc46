"""The opened lines against their seals and the register. Steps, each a `PackRefused` with its code:

C-27 each opened hour's lines, sorted, have the Merkle root, the counts and the sums that its seal states; the opened hours are
     exactly the sealed ones from seven days before the window to the last, as pack.json says, and its counts are theirs
C-28 each opened hour has a line for every device in force during any part of it, and for no other: service time, register
     revision and key parameters are the register's; a parameter's running time is stated where the machine's is and lies within
     it, and its time inside limits is stated where the register gives limits
C-29 each rules file is what the newest `rules` leaf of its instrument committed to; pack.json names each, and no other is there

In: lines, `History` parts. Out: `Evidence` (filled hour by hour), counts for the report.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from collector.ledger import merkle
from evidence_api.verify.bag import DEVICE_HOURS, LATE_HOURS, PARAMETER_HOURS, RULES, PackJson, rules_file
from evidence_api.verify.container import Container
from evidence_api.verify.evidence import HOUR_US, MINUTE_US, Device, Evidence, Register
from evidence_api.verify.findings import PackRefused
from evidence_api.verify.history import Ledger, Seal
from evidence_api.verify.lines import Hour, LineError, hour_text, read_hours
from evidence_api.verify.tables import Gaps

LEAD_HOURS = 7 * 24  # before the window: M13 looks back that far
TITLES = {
    "C-27": "各小时的行与封存根、行数、合计一致",
    "C-28": "在册设备每小时一行，一台不少",
    "C-29": "判定规则与其登记一致",
}


@dataclass(slots=True)
class Opened:
    """What the opened hours add up to."""

    hours: int = 0
    unopened: int = 0
    hours_after: int = 0  # opened, but after the window
    lines: Counter[str] = field(default_factory=Counter)  # D, P, L
    origins: Counter[str] = field(default_factory=Counter)
    causes: Counter[str] = field(default_factory=Counter)  # gap_s by cause
    in_service_s: int = 0
    gap_s: int = 0
    wrong_devices: list[str] = field(default_factory=list)
    gaps: Gaps = field(default_factory=Gaps)
    # (device, identity revision, origin) of lines -> ledger index of the first and of the last seal that says so
    identified: dict[tuple[str, int, str], tuple[int, int]] = field(default_factory=dict)


def open_hours(
    pack: Container,
    stated: PackJson,
    seals: dict[int, Seal],
    spans: int,
    registers: list[Register],
    evidence: Evidence,
) -> Opened:
    """C-27; what C-28 finds is collected in `Opened.wrong_devices`."""
    first, end = _range(stated, seals)
    expected = [h for h in sorted(seals) if first <= h < end]
    opened = Opened(unopened=len(seals) - len(expected))
    position = 0
    for hour in _hours(pack):
        if position >= len(expected) or hour.hour != expected[position]:
            raise _refused("C-27", f"{hour_text(hour.hour)}: 有行而没有封存，或应有的小时缺行")
        position += 1
        seal = seals[hour.hour]
        _compare(hour, seal)
        if len(opened.wrong_devices) < 5:
            opened.wrong_devices += _wrong_devices(hour, seal, registers)
        _add(opened, hour, seal)
        opened.hours_after += hour.hour * HOUR_US >= stated.body["window"][1] * 1000
        evidence.add_hour(hour, list(seal.down))
    if position != len(expected):
        raise _refused("C-27", f"{hour_text(expected[position])}: 已封存而包内没有它的行")
    counts = stated.body["counts"]
    found = {"device_hours": opened.lines["D"], "parameter_hours": opened.lines["P"], "late_lines": opened.lines["L"]}
    found |= {"commitments": 2 * opened.lines["D"] + opened.lines["L"], "seals": len(seals), "spans": spans}
    found |= {"devices": len(evidence.devices)}
    if counts != found:
        raise _refused("C-27", f"pack.json 的行数与包内不符：应为 {found}")
    return opened


def _range(stated: PackJson, seals: dict[int, Seal]) -> tuple[int, int]:
    """Which hours a pack opens follows from window and ledger: a bad or simulated hour cannot be left closed."""
    if not seals:
        raise _refused("C-27", "账本里没有一个小时的封存")
    lead = stated.body["window"][0] * 1000 // HOUR_US - LEAD_HOURS
    first = max(min(seals), lead)
    end = max(max(seals) + 1, first)
    if stated.body["hours"] != [hour_text(first), hour_text(end)]:
        raise _refused(
            "C-27", f"应开封 {hour_text(first)} 至 {hour_text(end)} 的全部小时，包内写 {stated.body['hours']}"
        )
    return first, end


def check_devices(opened: Opened) -> str:
    """C-28."""
    if opened.wrong_devices:
        raise _refused("C-28", "; ".join(opened.wrong_devices[:5]))
    return f"{opened.hours:,} 个小时，{opened.lines['D']:,} 个台时"


def check_rules(pack: Container, ledger: Ledger, stated: PackJson) -> str:
    """C-29."""
    stand = stated.body["rules"]
    there = {n for n in pack.names if n.startswith(RULES)}
    wanted = {rules_file(i, form) for i in stand for form in ("yaml", "json")}
    if there != wanted:
        raise _refused("C-29", f"与 pack.json 不符的规则文件: {', '.join(sorted(there ^ wanted)[:5])}")
    newest = {e.body["instrument"]: e.body["sha256"] for _, e in ledger.of("rules")}
    for instrument, digest in stand.items():
        if pack.sha256(rules_file(instrument, "yaml")) != digest or newest.get(instrument) != digest:
            raise _refused("C-29", f"{instrument}: 规则文件与登记的 SHA-256 不符")
    own = stated.text("instrument")
    others = f"，连同所引用的 {len(stand) - 1} 份" if len(stand) > 1 else ""
    return f"{own}{others}, SHA-256 {stand[own][:16]}…"


def _hours(pack: Container) -> Iterator[Hour]:
    hours = read_hours(pack.lines(DEVICE_HOURS), pack.lines(PARAMETER_HOURS), pack.lines(LATE_HOURS))
    while True:
        try:
            yield next(hours)
        except StopIteration:
            return
        except LineError as err:
            raise _refused("C-27", str(err)) from err


def _compare(hour: Hour, seal: Seal) -> None:
    name = hour_text(hour.hour)
    if hour.raw != sorted(set(hour.raw)):
        raise _refused("C-27", f"{name}: 行的次序不对或重复")
    if merkle.root([merkle.leaf_hash(line) for line in hour.raw]).hex() != seal.root:
        raise _refused("C-27", f"{name}: 行的 Merkle 根与封存不符")
    if (len(hour.devices), len(hour.parameters), len(hour.late)) != (seal.devices, seal.parameters, seal.late):
        raise _refused("C-27", f"{name}: 行数与封存不符")
    sums = tuple(sum(getattr(d, k) for d in hour.devices) for k in ("polls_ok", "polls_failed", "late", "losses"))
    if sums != seal.sums:
        raise _refused("C-27", f"{name}: 合计与封存不符")


def _wrong_devices(hour: Hour, seal: Seal, registers: list[Register]) -> list[str]:
    name = hour_text(hour.hour)
    rev, expected = in_force(registers, hour.hour)
    found = {d.device: d for d in hour.devices}
    if set(found) != set(expected):
        return [f"{name}: 应有而无或应无而有 {', '.join(sorted(set(found) ^ set(expected))[:5])}"]
    wrong = [f"{name} {i}: 服役秒数应为 {s}" for i, (_, s) in expected.items() if found[i].in_service_s != s]
    if any(d.register_rev != rev for d in hour.devices) or seal.register != rev:
        wrong.append(f"{name}: 台账版次应为 {rev}")
    points = {(i, p["name"]): p for i, (d, _) in expected.items() for p in d.points if p.get("key_parameter")}
    if points.keys() != {(p.device, p.point) for p in hour.parameters}:
        wrong.append(f"{name}: 关键工艺参数的行与设备台账不符")
        return wrong
    for p in hour.parameters:
        run_s = found[p.device].run_s
        if (p.run_ok_s is None) != (run_s is None) or (p.run_ok_s or 0) > (run_s or 0):
            wrong.append(f"{name} {p.device} {p.point}: run_ok_s 应不超过该设备的 run_s，且同有同无")
        elif (p.run_in_s is not None) != (run_s is not None and _has_limits(points[p.device, p.point])):
            wrong.append(f"{name} {p.device} {p.point}: run_in_s 应在台账给出规格限时填写，否则为空")
    return wrong


def _has_limits(point: dict[str, Any]) -> bool:
    return point.get("spec_low") is not None or point.get("spec_high") is not None


def in_force(registers: list[Register], hour: int) -> tuple[int, dict[str, tuple[Device, int]]]:
    """Revision at the hour's end, and each device in service in any whole minute of the hour with its seconds of service."""
    start, end = hour * HOUR_US, (hour + 1) * HOUR_US
    until = [r.effective_us for r in registers[1:]] + [end]
    now = [(r, u) for r, u in zip(registers, until, strict=True) if r.effective_us < end and u > start]
    first_minute: dict[str, int] = {}
    found: dict[str, tuple[Device, int]] = {}
    for register, last_us in now:
        for device in register.devices.values():
            begin = _minute(max(device.from_us, register.effective_us) - start)
            last = _minute(min(device.to_us, last_us) - start)
            begin = min(begin, first_minute.get(device.id, 60))
            if last > begin:
                first_minute[device.id] = begin
                found[device.id] = (device, (last - begin) * 60)
    return (now[-1][0].rev if now else 0), found


def _minute(offset_us: int) -> int:
    return min(60, max(0, -(-offset_us // MINUTE_US)))


def _add(opened: Opened, hour: Hour, seal: Seal) -> None:
    opened.hours += 1
    opened.gaps.add(hour)
    opened.lines.update({"D": len(hour.devices), "P": len(hour.parameters), "L": len(hour.late)})
    for d in hour.devices:
        opened.origins[d.origin] += 1
        opened.in_service_s += d.in_service_s
        said = (d.device, d.identity_rev, d.origin)
        opened.identified[said] = (opened.identified.get(said, (seal.index, 0))[0], seal.index)
        opened.gap_s += d.gap_s
        if d.gap_s:
            opened.causes[d.cause] += d.gap_s


def _refused(code: str, found: str) -> PackRefused:
    return PackRefused(code, TITLES[code], found)
