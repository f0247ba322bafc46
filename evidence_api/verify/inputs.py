"""The inputs of each step, brought into the shape in which the walk hands them on. Nothing is checked here but presence.

In: what earlier steps left. Out: (value, text to print) for one step; facts and unopened parts for the findings.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import pairwise
from typing import Any, TypeVar

from collector.ledger.checkpoint import origin_of
from evidence_api.verify import bag, history, instruments, judged, records, recount, report_head, sealed, signature
from evidence_api.verify.container import Container
from evidence_api.verify.evidence import Document, Evidence, Exclusion, Register
from evidence_api.verify.findings import PackRefused
from evidence_api.verify.obligation import Obligation

T = TypeVar("T")
SLOW_S = 300  # a longer polling interval is said aloud: what happens between two polls nobody sees

Identity = tuple[bytes, str]  # public key, log name
Records = tuple[records.Rows | None, list[Exclusion], list[Document]]


@dataclass(frozen=True, slots=True)
class Shown:
    """What the C steps leave behind for D, E and H."""

    registers: list[Register]
    obligation: Obligation
    opened: sealed.Opened
    seals: int
    spans: int
    unsynchronised: int


def said(value: T, found: str) -> tuple[T, str]:
    """One step's value and what to print."""
    return value, found


def ledger_of(pack: Container, stated: bag.PackJson) -> tuple[history.Ledger, str]:
    """C-21."""
    found = history.read_ledger(pack, stated)
    return found, f"{len(found.entries):,} 条，首条为创世条目"


def identity_of(ledger: history.Ledger | None) -> Identity | None:
    """Public key and log name, as the genesis entry gives them."""
    if ledger is None:
        return None
    try:
        public = bytes.fromhex(ledger.genesis["public_key"])
    except (KeyError, TypeError, ValueError):
        return None
    return (public, origin_of(ledger.entries[0].line())) if len(public) == 32 else None


def signed_payload(pack: Container, identity: Identity) -> tuple[bytes, str]:
    """B-11."""
    if bag.SIGNATURE not in pack.entries:
        raise PackRefused("B-11", signature.TITLES["B-11"], f"缺少 {bag.SIGNATURE}")
    payload = signature.check_envelope(pack.read(bag.SIGNATURE), identity[1], identity[0])
    return payload, f"签名人 {identity[1]}"


def stated_subject(pack: Container, payload: bytes, stated: bag.PackJson) -> str:
    """B-12."""
    if bag.TAG_MANIFEST not in pack.entries:
        raise PackRefused("B-12", signature.TITLES["B-12"], f"缺少 {bag.TAG_MANIFEST}")
    return signature.check_statement(payload, pack.read(bag.TAG_MANIFEST), stated)


def signed_checkpoint(pack: Container, identity: Identity, stated: bag.PackJson) -> tuple[bytes, str]:
    """B-13."""
    found = signature.check_checkpoint(pack.read(bag.CHECKPOINT), identity[0], identity[1], stated)
    return found.root, f"{found.origin}, {found.size:,} 条"


def seals_of(ledger: history.Ledger) -> tuple[tuple[dict[int, history.Seal], list[tuple[int, int]]], str]:
    """C-24."""
    seals, spans, text = history.read_seals(ledger)
    return (seals, spans), text


def registers_of(pack: Container, ledger: history.Ledger) -> tuple[list[Register], str]:
    """C-25."""
    found = history.read_registers(pack, ledger)
    sizes = [len(r.devices) for r in found]
    return found, f"{len(found)} 版，设备 {min(sizes)}–{max(sizes)} 台"


def records_of(pack: Container, ledger: history.Ledger) -> tuple[Records, str]:
    """C-26."""
    rows, excluded, held, text = records.read_records(pack, ledger)
    return (rows, excluded, held), text


def evidence_of(
    ledger: history.Ledger | None, registers: list[Register] | None, read: Records | None, root: str | None
) -> Evidence | None:
    """What C-27 fills."""
    if ledger is None or registers is None or read is None or root is None:
        return None
    try:
        rows, excluded, held = read
        return Evidence(registers, excluded, rows, ledger.genesis["origin_class"], bytes.fromhex(root), held)
    except ValueError:
        return None


def open_lines(
    pack: Container,
    stated: bag.PackJson,
    seals: tuple[dict[int, history.Seal], list[tuple[int, int]]],
    registers: list[Register],
    evidence: Evidence,
) -> tuple[sealed.Opened, str]:
    """C-27."""
    opened = sealed.open_hours(pack, stated, seals[0], len(seals[1]), registers, evidence)
    lines = opened.lines
    return opened, f"{opened.hours:,} 个小时 {sum(lines.values()):,} 行 (台时 {lines['D']:,})"


def read_report(
    pack: Container, stated: bag.PackJson, obligation: Obligation, ledger: history.Ledger
) -> tuple[dict[str, Any], str]:
    """E-49."""
    report = bag.read_json(pack, bag.RESULTS, "E-49", report_head.HEAD)
    return report, report_head.check_head(report, stated, obligation, ledger)


def compare_tables(pack: Container, ledger: history.Ledger, shown: Shown) -> str:
    """E-48."""
    return recount.check_tables(pack, ledger, shown.registers, shown.opened.gaps, shown.obligation.end_us)


def anchors_of(ledger: history.Ledger) -> str:
    """D-31."""
    found = len(ledger.of("anchor"))
    return f"账本登记 {found} 次，本版核验程序不认，按没有计" if found else "没有；可改窗口：全部历史"


def clock_of(ledger: history.Ledger) -> tuple[bool, str]:
    """D-32. Out: whether it never went backwards, text."""
    by_hand = [
        e for e in ledger.entries if e.t not in ("seal", "identity")
    ]  # those two say when their hour was, not when they were written
    times = (by_hand, [e for e in ledger.entries if e.t == "seal"])
    back = [a.at_ms - b.at_ms for entries in times for a, b in pairwise(entries) if b.at_ms < a.at_ms]
    seals = [e.body["clock"] for _, e in ledger.of("seal") if "clock" in e.body]
    synchronised = sum(bool(c.get("sync")) for c in seals)
    text = f"{synchronised:,}/{len(seals):,} 次封存时系统报告已对时"
    if not back:
        return True, f"{text}；时间没有倒退"
    return False, f"{text}；时间倒退 {len(back)} 次，最多 {max(back) / 1000:.1f} 秒"


def unopened_parts(stated: bag.PackJson | None, opened: sealed.Opened | None) -> tuple[str, ...]:
    """What the pack commits to and does not show."""
    if stated is None or opened is None:
        return ()
    lines = opened.lines
    found = [
        f"原始数据 {2 * lines['D'] + lines['L']:,} 个承诺未开封 (通断、过程各 {lines['D']:,}，迟到 {lines['L']:,})"
    ]
    if opened.unopened:
        found.append(f"窗口以外 {opened.unopened:,} 个小时的封存未开封")
    found.append("材料原件、导入的原始文件、被隔离的行与写法更正留在企业，账本有各自的 SHA-256")
    return (
        *found,
        "report.html、READ-ME-FIRST.txt、各项名称、备注、豁免说明与批次缺口的具体所在，以及判定的要求、缘由、缺项、提醒各段文字供人阅读，未逐字比对",
    )


def _days(shown: Shown) -> list[str]:
    """First day of the three months and the day after the last, in plant time."""
    o = shown.obligation
    return [datetime.fromtimestamp(us // 1_000_000, UTC).astimezone(o.tz).date().isoformat() for us in o.last_months(3)]


def name_of(pack: Container, stated: bag.PackJson, shown: Shown) -> str:
    """The instrument's name with its standing, from the rules in the pack; empty when they cannot be read."""
    try:
        rules = judged.read_shelf(pack, stated, "H-71")[stated.text("instrument")]
        return instruments.name_on(rules, date.fromisoformat(shown.obligation.day))
    except (PackRefused, KeyError, TypeError, ValueError):
        return ""


def facts_of(pack: Container, stated: bag.PackJson | None, shown: Shown | None) -> tuple[tuple[str, int | str], ...]:
    """Names and counts for the print."""
    found: list[tuple[str, int | str]] = []
    if bag.TAG_MANIFEST in pack.entries:
        found.append(("check_code", bag.check_code(pack.read(bag.TAG_MANIFEST))))
    if stated is not None:
        body = stated.body
        found += [(k, body[k]) for k in ("pack_id", "level", "instrument", "at_ms", "mark", "number")]
        found += [("plant", body["plant"]["name"]), ("credit_code", body["plant"]["credit_code"])]
        found += [("window_start_ms", body["window"][0]), ("window_end_ms", body["window"][1])]
        found += [("size", body["ledger"]["size"]), ("root", body["ledger"]["root"]), ("log", body["ledger"]["log"])]
    if shown is not None:
        o = shown.opened
        if stated is not None:
            found.append(("instrument_name", name_of(pack, stated, shown)))
        found += [("seals", shown.seals), ("span_hours", shown.spans), ("opened_hours", o.hours)]
        found += [("device_hours", o.lines["D"]), ("in_service_s", o.in_service_s), ("gap_s", o.gap_s)]
        found += [("window", "/".join(_days(shown))), ("hours_after", o.hours_after)]
        intervals = [int(d.get("interval_s", 60)) for r in shown.registers for d in r.body.get("device", [])]
        slow = {d["id"] for r in shown.registers for d in r.body.get("device", []) if d.get("interval_s", 60) > SLOW_S}
        found += [("longest_interval_s", max(intervals, default=0)), ("slow_devices", len(slow))]
        found += [(f"gap_s.{cause}", seconds) for cause, seconds in sorted(o.causes.items())]
        found += [(f"origin.{name}", o.origins[name]) for name in ("live", "simulated", "replay")]
    return tuple(found)
