"""The verifier: one pack, walked in numbered steps, offline, with the standard library and `cryptography` only.

A-01 A-02 the zip's one canonical form, names        A-03 … A-07 BagIt, manifests, files, pack.json        (container.py, bag.py)
B-11 … B-14 DSSE, its statement, the checkpoint, whose key                                                 (signature.py)
C-21 … C-26 entries, root, intent, hours without a hole, register revisions, records                       (history.py)
C-27 … C-29 lines against seals, every device in every hour, rules against their leaf                      (sealed.py)
D-31 D-32 external anchors (none known yet: grade E0), the machine's own clock                             (here)
E-41 … E-49 each number again from the lines; tables; the results' head                                    (recount.py)
H-71 … H-74 rules known to the reader, verdicts again, the simulated mark everywhere, the grade            (judged.py)

In: a file, the key the reader expects, the rules the reader knows. Out: `Findings`. Every step is walked before anything is
concluded; a step whose input failed is `skipped`. A pack that says of itself that it is simulated needs no key (docs/adr/0004).
Trust comes from the reader's side only: nothing inside a pack makes it trusted.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar

from collector.ledger.checkpoint import origin_of
from collector.ledger.entry import Entry, LedgerError
from evidence_api.verify import bag, history, judged, recount, sealed, signature
from evidence_api.verify.container import FORM, NAMES, Container, open_container
from evidence_api.verify.evidence import Evidence, Exclusion, Register
from evidence_api.verify.findings import FAILED, HINT, OK, SKIPPED, UNKNOWN, Findings, Number, PackRefused, Step
from evidence_api.verify.limits import LIMITS
from evidence_api.verify.obligation import Obligation

T = TypeVar("T")
ANCHORS, CLOCK = "外部锚定 (时间戳、见证)", "采集机自己的时钟"
_MALFORMED = (LedgerError, KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError, csv.Error)


def verify_file(path: Path, key: bytes | None, known_rules: Mapping[str, str] | None = None) -> Findings:
    """Walk every step over the file at `path`. Errors: `OSError` when it cannot be read."""
    with path.open("rb") as file:
        return verify_pack(file, key, known_rules)


def verify_pack(file: BinaryIO, key: bytes | None, known_rules: Mapping[str, str] | None = None) -> Findings:
    """Walk every step. `known_rules`: SHA-256 of a rules file -> SHA-256 of its canonical JSON; None: not at hand."""
    walk = _Walk()
    pack = walk.container(file)
    if pack is None:
        return Findings(tuple(walk.steps), not_proven=tuple(text for _, text in LIMITS))
    stated = walk.bag(pack)
    ledger = walk.run("C-21", history.TITLES, lambda p, s: _said(history.read_ledger(p, s), ""), pack, stated)
    walk.signatures(pack, stated, ledger, key)
    shown = walk.history(pack, stated, ledger)
    walk.time(ledger)
    numbers, report = walk.numbers(pack, stated, ledger, shown)
    return walk.concluded(pack, stated, ledger, shown, numbers, report, known_rules)


@dataclass(frozen=True, slots=True)
class _Shown:
    """What the C steps leave behind for D, E and H."""

    registers: list[Register]
    obligation: Obligation
    opened: sealed.Opened
    seals: int
    spans: int
    unsynchronised: int


class _Walk:
    """Steps as they are made; each method is one letter of the list above."""

    def __init__(self) -> None:
        self.steps: list[Step] = []

    def run(
        self, code: str, titles: Mapping[str, str], check: Callable[..., tuple[T, str]], *needs: object
    ) -> T | None:
        """One step: its value, or None when it did not hold or could not be made."""
        title = titles[code]
        if any(n is None for n in needs):
            self.steps.append(Step(code, SKIPPED, title, "前面的步骤未通过，此步无从检查"))
            return None
        try:
            value, found = check(*needs)
        except PackRefused as err:
            self.steps.append(Step(code, FAILED, title, err.step.found))
        except RecursionError:
            self.steps.append(Step(code, FAILED, title, "嵌套过深"))
        except _MALFORMED as err:
            self.steps.append(Step(code, FAILED, title, f"格式不合: {type(err).__name__} {err}"))
        else:
            self.steps.append(Step(code, OK, title, found))
            return value
        return None

    def container(self, file: BinaryIO) -> Container | None:
        """A-01, A-02."""
        titles = {"A-01": FORM, "A-02": NAMES}
        try:
            pack = open_container(file)
        except PackRefused as err:
            self.steps.append(err.step)
            return None
        found = f"{len(pack.names)} 个文件，逐字节等于规范形式"
        if pack.damaged:
            self.steps.append(Step("A-01", FAILED, FORM, f"内容与 CRC-32 不符: {', '.join(pack.damaged[:5])}"))
        else:
            self.run("A-01", titles, lambda: _said(pack, found))
        self.run("A-02", titles, lambda: _said(pack, f"{len(pack.names)} 个文件名"))
        return pack

    def bag(self, pack: Container) -> bag.PackJson | None:
        """A-03 … A-07."""
        for code, check in (
            ("A-03", bag.check_bag_info),
            ("A-04", bag.check_tag_manifest),
            ("A-05", bag.check_manifest),
            ("A-06", bag.check_files),
        ):
            self.run(code, bag.TITLES, lambda p, c=check: _said(p, c(p)), pack)
        return self.run("A-07", bag.TITLES, lambda p: _said(bag.read_pack_json(p), bag.FORMAT), pack)

    def signatures(
        self, pack: Container, stated: bag.PackJson | None, ledger: history.Ledger | None, key: bytes | None
    ) -> None:
        """B-11 … B-14."""
        titles = signature.TITLES
        identity = _identity(ledger)
        payload = self.run("B-11", titles, lambda i: _signed(pack, i), identity)
        self.run("B-12", titles, lambda p, s: _said(p, _stated(pack, p, s)), payload, stated)
        self.run("B-13", titles, lambda i, s: _checkpoint(pack, i, s), identity, stated)
        found = self.run("B-14", titles, lambda i: _said(i, f"公钥 {i[0].hex()}"), identity)
        if found is not None and ledger is not None:
            public, live = found[0], ledger.genesis["origin_class"] == "live"
            if key is None and live:
                self._mark(UNKNOWN, f"未给 --key，包内公钥 {public.hex()} 不能自证；请向企业或主管部门另行取得")
            elif key is None:
                self._mark(HINT, f"未给 --key；此包自称非实采，不作证据用，不必认识公钥 {public.hex()[:16]}…")
            elif key != public:
                self._mark(UNKNOWN, f"包内公钥 {public.hex()[:16]}… 不是您给的 {key.hex()[:16]}…")

    def history(self, pack: Container, stated: bag.PackJson | None, ledger: history.Ledger | None) -> _Shown | None:
        """C-22 … C-29."""
        root = stated.body["ledger"]["root"] if stated else None
        titles = history.TITLES | sealed.TITLES
        self.run("C-22", titles, lambda x, r: _said(x, history.check_root(x, r)), ledger, root)
        self.run("C-23", titles, lambda x, s: _said(x, history.check_intent(x, s)), ledger, stated)
        seals = self.run("C-24", titles, _seals, ledger)
        registers = self.run("C-25", titles, lambda x: _registers(pack, x), ledger)
        records = self.run("C-26", titles, lambda x: _records(pack, x), ledger)
        evidence = _evidence(ledger, registers, records, root)
        opened = self.run(
            "C-27", titles, lambda s, z, r, e: _opened(pack, s, z[0], r, e), stated, seals, registers, evidence
        )
        self.run("C-28", titles, lambda o: _said(o, sealed.check_devices(o)), opened)
        self.run("C-29", titles, lambda x, s: _said(x, sealed.check_rules(pack, x, s)), ledger, stated)
        if opened is None or evidence is None or registers is None or seals is None or stated is None:
            return None
        try:
            obligation = Obligation(evidence, stated.body["at_ms"] * 1000)
        except _MALFORMED:
            return None
        return _Shown(
            *(registers, obligation, opened, len(seals[0]), sum(b - a for a, b in seals[1])),
            sum(not s.sync for s in seals[0].values()),
        )

    def time(self, ledger: history.Ledger | None) -> None:
        """D-31, D-32."""
        titles = {"D-31": ANCHORS, "D-32": CLOCK}
        if self.run("D-31", titles, lambda x: _said(x, _anchors(x)), ledger) is not None:
            self._mark(HINT)
        self.run("D-32", titles, lambda x: _said(x, _clock(x)), ledger)

    def numbers(
        self, pack: Container, stated: bag.PackJson | None, ledger: history.Ledger | None, shown: _Shown | None
    ) -> tuple[list[Number], dict[str, object] | None]:
        """E-41 … E-49."""
        numbers: list[Number] = []
        titles = {c: f"{m} {recount.TITLE_OF[m]}" for m, c in recount.STEP_OF.items()}
        titles |= {"E-47": f"M12 {recount.TITLE_OF['M12']}", "E-48": recount.TABLES, "E-49": recount.HEAD}
        obligation = shown.obligation if shown else None
        report = self.run("E-49", titles, lambda s, o: _head(pack, s, o), stated, obligation)
        for metric, code in recount.STEP_OF.items():
            found = self.run(code, titles, lambda r, o, m=metric: recount.check_metric(r, o, m), report, obligation)
            numbers += found or []
        if self.run("E-47", titles, lambda r, o: _said(r, recount.check_draw(r, o)), report, obligation) is not None:
            self._mark(HINT)
        self.run("E-48", titles, lambda x, s: _said(x, _tables(pack, x, s)), ledger, shown)
        return numbers, report

    def concluded(
        self,
        pack: Container,
        stated: bag.PackJson | None,
        ledger: history.Ledger | None,
        shown: _Shown | None,
        numbers: list[Number],
        report: dict[str, object] | None,
        known_rules: Mapping[str, str] | None,
    ) -> Findings:
        """H-71 … H-74, and everything put together."""
        titles = judged.TITLES
        known = self.run("H-71", titles, lambda s: judged.check_known(pack, s, known_rules), stated)
        if known in (HINT, UNKNOWN):
            self._mark(known)
        verdicts = self.run("H-72", titles, lambda s, r: judged.check_verdicts(pack, s, r), stated, report) or []
        opened = shown.opened if shown else None
        origin = self.run(
            "H-73", titles, lambda s, x, o, r: judged.check_origin(s, x, o, r), stated, ledger, opened, report
        )
        if origin not in (None, "live"):
            self._mark(HINT)
        failed = [s.code for s in self.steps if s.outcome in (FAILED, SKIPPED)]
        grade = "" if failed else "E0"
        text = "E0: 仅有本台账自己的签名，无外部锚定" if grade else f"无: {', '.join(failed[:6])} 未通过或未检"
        self.steps.append(Step("H-74", HINT if grade else FAILED, titles["H-74"], text))
        return Findings(
            steps=tuple(sorted(self.steps, key=lambda s: s.code)),
            origin=origin or "",
            grade=grade,
            recomputed=tuple(numbers),
            verdicts=tuple(verdicts),
            unopened=_unopened(stated, opened),
            not_proven=tuple(text for _, text in LIMITS),
            facts=_facts(pack, stated, shown),
        )

    def _mark(self, outcome: str, found: str | None = None) -> None:
        """Change the outcome of the step just made."""
        last = self.steps[-1]
        self.steps[-1] = Step(last.code, outcome, last.title, last.found if found is None else found)


Identity = tuple[bytes, str]  # public key, log name


def _said(value: T, found: str) -> tuple[T, str]:
    return value, found


def _identity(ledger: history.Ledger | None) -> Identity | None:
    if ledger is None:
        return None
    try:
        public = bytes.fromhex(ledger.genesis["public_key"])
    except (KeyError, TypeError, ValueError):
        return None
    return (public, origin_of(ledger.entries[0].line())) if len(public) == 32 else None


def _signed(pack: Container, identity: Identity) -> tuple[bytes, str]:
    if bag.SIGNATURE not in pack.entries:
        raise PackRefused("B-11", signature.TITLES["B-11"], f"缺少 {bag.SIGNATURE}")
    payload = signature.check_envelope(pack.read(bag.SIGNATURE), identity[1], identity[0])
    return payload, f"签名人 {identity[1]}"


def _stated(pack: Container, payload: bytes, stated: bag.PackJson) -> str:
    if bag.TAG_MANIFEST not in pack.entries:
        raise PackRefused("B-12", signature.TITLES["B-12"], f"缺少 {bag.TAG_MANIFEST}")
    return signature.check_statement(payload, pack.read(bag.TAG_MANIFEST), stated)


def _checkpoint(pack: Container, identity: Identity, stated: bag.PackJson) -> tuple[bytes, str]:
    found = signature.check_checkpoint(pack.read(bag.CHECKPOINT), identity[0], identity[1], stated)
    return found.root, f"{found.origin}, {found.size:,} 条"


def _seals(ledger: history.Ledger) -> tuple[tuple[dict[int, history.Seal], list[tuple[int, int]]], str]:
    seals, spans, text = history.read_seals(ledger)
    return (seals, spans), text


def _registers(pack: Container, ledger: history.Ledger) -> tuple[list[Register], str]:
    found = history.read_registers(pack, ledger)
    sizes = [len(r.devices) for r in found]
    return found, f"{len(found)} 版，设备 {min(sizes)}–{max(sizes)} 台"


Records = tuple[dict[str, list[dict[str, str]]] | None, list[Exclusion]]


def _records(pack: Container, ledger: history.Ledger) -> tuple[Records, str]:
    rows, excluded, text = history.read_records(pack, ledger)
    return (rows, excluded), text


def _evidence(
    ledger: history.Ledger | None, registers: list[Register] | None, records: Records | None, root: str | None
) -> Evidence | None:
    if ledger is None or registers is None or records is None or root is None:
        return None
    try:
        return Evidence(registers, records[1], records[0], ledger.genesis["origin_class"], bytes.fromhex(root))
    except ValueError:
        return None


def _opened(
    pack: Container, stated: bag.PackJson, seals: dict[int, history.Seal], registers: list[Register], evidence: Evidence
) -> tuple[sealed.Opened, str]:
    opened = sealed.open_hours(pack, stated, seals, registers, evidence)
    lines = opened.lines
    return opened, f"{opened.hours:,} 个小时 {sum(lines.values()):,} 行 (台时 {lines['D']:,})"


def _head(pack: Container, stated: bag.PackJson, obligation: Obligation) -> tuple[dict[str, object], str]:
    report = bag.read_json(pack, bag.RESULTS, "E-49", recount.HEAD)
    return report, recount.check_head(report, stated, obligation.end_us)


def _tables(pack: Container, ledger: history.Ledger, shown: _Shown) -> str:
    return recount.check_tables(pack, ledger, shown.registers, shown.opened.gaps, shown.obligation.end_us)


def _anchors(ledger: history.Ledger) -> str:
    found = len(ledger.of("anchor"))
    return f"台账登记 {found} 次，本版核验程序不认，按没有计" if found else "没有；可改窗口: 全部历史"


def _clock(ledger: history.Ledger) -> str:
    entries: tuple[Entry, ...] = ledger.entries
    back = [a.at_ms - b.at_ms for a, b in zip(entries, entries[1:], strict=False) if b.at_ms < a.at_ms]
    seals = [e.body["clock"] for _, e in ledger.of("seal") if "clock" in e.body]
    synchronised = sum(bool(c.get("sync")) for c in seals)
    text = f"{synchronised:,}/{len(seals):,} 次封存时系统报告已对时"
    return text + (f"；时间倒退 {len(back)} 次，最多 {max(back) / 1000:.1f} 秒" if back else "；时间没有倒退")


def _unopened(stated: bag.PackJson | None, opened: sealed.Opened | None) -> tuple[str, ...]:
    if stated is None or opened is None:
        return ()
    lines = opened.lines
    found = [
        f"原始数据 {2 * lines['D'] + lines['L']:,} 个承诺未开封 (通断、过程各 {lines['D']:,}，迟到 {lines['L']:,})"
    ]
    if opened.unopened:
        found.append(f"窗口以外 {opened.unopened:,} 个小时的封存未开封")
    return (*found, "report.html 供人阅读，未与结果逐字比对")


def _facts(pack: Container, stated: bag.PackJson | None, shown: _Shown | None) -> tuple[tuple[str, int | str], ...]:
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
        found += [("seals", shown.seals), ("span_hours", shown.spans), ("opened_hours", o.hours)]
        found += [("device_hours", o.lines["D"]), ("in_service_s", o.in_service_s), ("gap_s", o.gap_s)]
        found += [(f"gap_s.{cause}", seconds) for cause, seconds in sorted(o.causes.items())]
        found += [(f"origin.{name}", o.origins[name]) for name in ("live", "simulated", "replay")]
    return tuple(found)
