"""The verifier: one pack, walked in numbered steps, offline, with the standard library and `cryptography` only.

A-01 A-02 the zip's one canonical form, names        A-03 … A-07 BagIt, manifests, files, pack.json        (container.py, bag.py)
B-11 … B-14 DSSE, its statement, the checkpoint, whose key                                                 (signature.py)
C-21 … C-25 entries, root, intent, hours without a hole, register revisions                                (history.py)
C-26 records, exclusions, documents: every import revision, merged by key                                  (records.py)
C-27 … C-29 lines against seals, every device in every hour, rules against their leaf                      (sealed.py)
D-31 D-32 external anchors (none known yet: grade E0), the machine's own clock                             (here)
E-41 … E-47 numbers again from lines, register and records; M12's draw                                     (recount.py, twin_*.py)
E-48 E-50 derived tables, strips    E-49 the results' head and form                                        (recount.py, report_head.py)
E-51 … E-58 more numbers again; E-56 those that nobody here has counted, by name                           (recount.py)
H-71 … H-74 rules known to the reader, every verdict again, the simulated mark everywhere, the grade      (judged.py, judgement.py)

In: a file, the key the reader expects, the rules the reader knows. Out: `Findings`. Every step is walked before anything is
concluded; a step whose input failed is `skipped`. A pack that says of itself that it is simulated needs no key (docs/adr/0004).
Trust comes from the reader's side only: nothing inside a pack makes it trusted.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from collector.ledger.entry import LedgerError
from evidence_api.verify import bag, history, inputs, judged, recount, report_head, sealed, signature
from evidence_api.verify.container import FORM, NAMES, Container, open_container
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
    pack = walk.open(file)
    if pack is None:
        return Findings(tuple(walk.steps), not_proven=tuple(text for _, text in LIMITS))
    stated = walk.read_bag(pack)
    ledger = walk.run("C-21", history.TITLES, inputs.ledger_of, pack, stated)
    walk.signatures(pack, stated, ledger, key)
    shown = walk.read_history(pack, stated, ledger)
    walk.time(ledger)
    numbers, others, report = walk.numbers(pack, stated, ledger, shown)
    return walk.concluded(pack, stated, ledger, shown, (numbers, others), report, known_rules)


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

    def open(self, file: BinaryIO) -> Container | None:
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
            self.run("A-01", titles, lambda: inputs.said(pack, found))
        self.run("A-02", titles, lambda: inputs.said(pack, f"{len(pack.names)} 个文件名"))
        return pack

    def read_bag(self, pack: Container) -> bag.PackJson | None:
        """A-03 … A-07."""
        for code, check in (
            ("A-03", bag.check_bag_info),
            ("A-04", bag.check_tag_manifest),
            ("A-05", bag.check_manifest),
            ("A-06", bag.check_files),
        ):
            self.run(code, bag.TITLES, lambda p, c=check: inputs.said(p, c(p)), pack)
        return self.run("A-07", bag.TITLES, lambda p: inputs.said(bag.read_pack_json(p), bag.FORMAT), pack)

    def signatures(
        self, pack: Container, stated: bag.PackJson | None, ledger: history.Ledger | None, key: bytes | None
    ) -> None:
        """B-11 … B-14."""
        titles = signature.TITLES
        identity = inputs.identity_of(ledger)
        payload = self.run("B-11", titles, lambda i: inputs.signed_payload(pack, i), identity)
        self.run("B-12", titles, lambda p, s: inputs.said(p, inputs.stated_subject(pack, p, s)), payload, stated)
        self.run("B-13", titles, lambda i, s: inputs.signed_checkpoint(pack, i, s), identity, stated)
        found = self.run("B-14", titles, lambda i: inputs.said(i, f"公钥 {i[0].hex()}"), identity)
        if found is not None and ledger is not None:
            public, live = found[0], ledger.genesis["origin_class"] == "live"
            if key is None and live:
                self._mark(UNKNOWN, f"未给 --key，包内公钥 {public.hex()} 不能自证；请向企业或主管部门另行取得")
            elif key is None:
                self._mark(HINT, f"未给 --key；此包自称非实采，不作证据用，不必认识公钥 {public.hex()[:16]}…")
            elif key != public:
                self._mark(UNKNOWN, f"包内公钥 {public.hex()[:16]}… 不是您给的 {key.hex()[:16]}…")

    def read_history(
        self, pack: Container, stated: bag.PackJson | None, ledger: history.Ledger | None
    ) -> inputs.Shown | None:
        """C-22 … C-29."""
        root = stated.body["ledger"]["root"] if stated else None
        titles = history.TITLES | sealed.TITLES
        self.run("C-22", titles, lambda x, r: inputs.said(x, history.check_root(x, r)), ledger, root)
        self.run("C-23", titles, lambda x, s: inputs.said(x, history.check_intent(x, s)), ledger, stated)
        seals = self.run("C-24", titles, inputs.seals_of, ledger)
        registers = self.run("C-25", titles, lambda x: inputs.registers_of(pack, x), ledger)
        records = self.run("C-26", titles, lambda x: inputs.records_of(pack, x), ledger)
        evidence = inputs.evidence_of(ledger, registers, records, root)
        opened = self.run(
            "C-27",
            titles,
            lambda s, z, r, e: inputs.open_lines(pack, s, z, r, e),
            stated,
            seals,
            registers,
            evidence,
        )
        self.run("C-28", titles, lambda o: inputs.said(o, sealed.check_devices(o)), opened)
        self.run("C-29", titles, lambda x, s: inputs.said(x, sealed.check_rules(pack, x, s)), ledger, stated)
        if opened is None or evidence is None or registers is None or seals is None or stated is None:
            return None
        try:
            obligation = Obligation(evidence, stated.body["at_ms"] * 1000)
        except _MALFORMED:
            return None
        return inputs.Shown(
            *(registers, obligation, opened, len(seals[0]), sum(b - a for a, b in seals[1])),
            sum(not s.sync for s in seals[0].values()),
        )

    def time(self, ledger: history.Ledger | None) -> None:
        """D-31, D-32."""
        titles = {"D-31": ANCHORS, "D-32": CLOCK}
        if self.run("D-31", titles, lambda x: inputs.said(x, inputs.anchors_of(x)), ledger) is not None:
            self._mark(HINT)
        if self.run("D-32", titles, inputs.clock_of, ledger) is False:
            self._mark(HINT)

    def numbers(
        self, pack: Container, stated: bag.PackJson | None, ledger: history.Ledger | None, shown: inputs.Shown | None
    ) -> tuple[list[Number], list[Number], dict[str, Any] | None]:
        """E-41 … E-56. Out: numbers made again, numbers that are the plant's word, the report."""
        numbers: list[Number] = []
        titles = {c: f"{m} {recount.TITLE_OF[m]}" for m, c in recount.STEP_OF.items()}
        titles |= {"E-47": f"M12 {recount.TITLE_OF['M12']}", "E-48": recount.TABLES, "E-49": report_head.HEAD}
        titles |= {"E-50": recount.STRIPS, "E-56": recount.OTHERS}
        obligation = shown.obligation if shown else None
        report = self.run("E-49", titles, lambda s, o, x: inputs.read_report(pack, s, o, x), stated, obligation, ledger)
        for metric, code in recount.STEP_OF.items():
            found = self.run(code, titles, lambda r, o, m=metric: recount.check_metric(r, o, m), report, obligation)
            numbers += found or []
        if (
            self.run("E-47", titles, lambda r, o: inputs.said(r, recount.check_draw(r, o)), report, obligation)
            is not None
        ):
            self._mark(HINT)
        self.run("E-48", titles, lambda x, s: inputs.said(x, inputs.compare_tables(pack, x, s)), ledger, shown)
        self.run("E-50", titles, lambda r, o: inputs.said(r, recount.check_strips(r, o)), report, obligation)
        others = self.run("E-56", titles, recount.not_recounted, report)
        if others:
            self._mark(HINT)
        return numbers, others or [], report

    def concluded(
        self,
        pack: Container,
        stated: bag.PackJson | None,
        ledger: history.Ledger | None,
        shown: inputs.Shown | None,
        numbers: tuple[list[Number], list[Number]],
        report: dict[str, Any] | None,
        known_rules: Mapping[str, str] | None,
    ) -> Findings:
        """H-71 … H-74, and everything put together."""
        titles = judged.TITLES
        known = self.run("H-71", titles, lambda s: judged.check_known(pack, s, known_rules), stated)
        if known in (HINT, UNKNOWN):
            self._mark(known)
        opened, obligation = (shown.opened, shown.obligation) if shown else (None, None)
        verdicts = self.run(
            *("H-72", titles, lambda s, r, o: judged.check_verdicts(pack, s, r, o), stated, report, obligation)
        )
        origin = self.run("H-73", titles, judged.check_origin, stated, ledger, opened, report)
        if origin not in (None, "live"):
            self._mark(HINT)
        failed = [s.code for s in self.steps if s.outcome in (FAILED, SKIPPED)]
        grade = "" if failed else "E0"
        text = "E0: 仅有本账本自己的签名，无外部锚定" if grade else f"无: {', '.join(failed[:6])} 未通过或未检"
        self.steps.append(Step("H-74", HINT if grade else FAILED, titles["H-74"], text))
        return Findings(
            steps=tuple(sorted(self.steps, key=lambda s: s.code)),
            origin=origin or "",
            grade=grade,
            recomputed=tuple(numbers[0]),
            not_recomputed=tuple(numbers[1]),
            verdicts=tuple(verdicts or ()),
            unopened=inputs.unopened_parts(stated, opened),
            not_proven=tuple(text for _, text in LIMITS),
            facts=inputs.facts_of(pack, stated, shown),
        )

    def _mark(self, outcome: str, found: str | None = None) -> None:
        """Change the outcome of the step just made."""
        last = self.steps[-1]
        self.steps[-1] = Step(last.code, outcome, last.title, last.found if found is None else found)
