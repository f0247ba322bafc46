"""From a data folder to a pack, and the same pack again (docs/format/pack.md: Order of one export).

 1 one build at a time (lock)     2 rules leaf when the newest one is another, then the intent leaf; its index + 1 is N
 3 evaluate at N                  4 read what N fixes, write the pack        5 the `pack` leaf
`rebuild_pack` makes 3 and 4 again from pack.json's N and appends nothing.
If the process dies after 2 the intent stays visible without a pack; after 4 the pack lies there without its leaf.

Errors: `PackError` (with an exit code), `FolderError`, `LedgerError`, `ConfigError`, `OSError`.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path

from collector.clock import Clock
from collector.folder import VERSION, DataFolder
from collector.ledger import log
from collector.ledger.checkpoint import origin_of
from collector.ledger.entry import Entry, LedgerError
from collector.recompute import recompute_hours
from collector.record_revisions import imports
from collector.register_revisions import registers
from collector.store.lines import day_file
from config.ruleset import RuleSet
from evidence_api.pack.inputs import PackError, PackInputs, Request, ledger_root
from evidence_api.pack.rules import RuleBook, read_rules, rules_json
from evidence_api.pack.writer import BuiltPack, write_pack
from evidence_api.verify.bag import PackJson, read_pack_json
from evidence_api.verify.container import open_container
from evidence_api.verify.findings import PackRefused
from evidence_api.verify.lines import hour_number, hour_text
from evidence_api.verify.records import WITHHELD_FILES
from metrics.evaluate import evaluate
from metrics.window import DAY_US, last_months, local_day

LEAD_DAYS, MONTHS, HOUR_MS, HOUR_US = 7, 3, 3_600_000, 3_600_000_000
NO_SEAL = "还没有封存的小时，无包可建 (no sealed hour yet)\n    → 让采集运行满一小时，或先 plantproof store maintain"
Say = Callable[[str], None]


def build_pack(
    folder: DataFolder,
    *,
    instrument: str,
    level: str,
    at_ms: int | None,
    clock: Clock,
    actor: str,
    say: Say = lambda _: None,
) -> BuiltPack:
    """A new pack in `packs/`. `at_ms` None: the end of the newest sealed hour."""
    book = read_rules(instrument, level)
    with _alone(folder):  # 1
        lines = log.read_lines(folder.ledger)
        entries = [Entry.parse(line) for line in lines]
        at = newest_sealed_ms(entries) if at_ms is None else at_ms
        request, day = _request(folder, lines, book.own, level, at)
        rules = [book.shelf[i] for i in book.needed(day)]
        leaves = [_rules_leaf(r, clock) for r in rules if not _rules_known(entries, r)]
        say("登记导出")
        size = folder.append(*leaves, request.intent(clock.now_us() // 1000, actor))  # 2
        say("计算指标")
        inputs = read_inputs(folder, request, size, book)  # 3
        say("写包")
        built = write_pack(inputs, folder.packs)  # 4
        body = {"pack_id": built.pack_id, "manifest_sha256": built.manifest_sha256, "size_bytes": built.size_bytes}
        folder.append(Entry("pack", clock.now_us() // 1000, actor, body))  # 5
        return built


def rebuild_pack(folder: DataFolder, pack: Path, target: Path, rules: Path | None = None) -> BuiltPack:
    """The pack that `pack` claims to be, built again at its N and written to `target`. `rules`: a file of the factory's own.

    Appends nothing.
    """
    stated = _stated(pack)
    body = stated.body
    instrument, level = stated.text("instrument"), stated.text("level")
    book = read_rules(str(rules or instrument), level)
    others = [i for i, d in body["rules"].items() if i not in book.raw or hashlib.sha256(book.raw[i]).hexdigest() != d]
    if others or book.own != instrument:
        named = "、".join(others) or instrument
        raise PackError(f"{pack.name}: 包按另一份规则生成，本程序所带的 {named} 已不同 (the rules have changed)", 7)
    size, lines = body["ledger"]["size"], log.read_lines(folder.ledger)
    if len(lines) < size or ledger_root(lines[:size]) != body["ledger"]["root"]:
        raise PackError(f"{pack.name}: 不是由这个数据目录的账本导出的 (not from this ledger)", 6)
    request = Request(
        level,
        instrument,
        body["at_ms"],
        (body["window"][0], body["window"][1]),
        body["ledger"]["log"],
        body["intent"]["size"],
        body["intent"]["root"],
    )
    return write_pack(read_inputs(folder, request, size, book), target.parent, target.name)


def read_inputs(folder: DataFolder, request: Request, size: int, book: RuleBook) -> PackInputs:
    """Everything at ledger size N. Errors: `PackError` when the entry before N is not the request's intent."""
    lines = tuple(log.read_lines(folder.ledger)[:size])
    entries = [Entry.parse(line) for line in lines]
    if entries[-1].t != "pack_intent" or entries[-1].body["pack_id"] != request.pack_id:
        raise PackError(f"账本第 {size} 条不是本包的导出登记 (entry {size} is not this pack's intent)", 6)
    report = evaluate(folder, book.rules, request.at_ms * 1000, size, recompute=_from_raw_rows, shelf=book.shelf)
    sealed = [hour_number(e.body["hour"]) for e in entries if e.t == "seal" and "span" not in e.body]
    first = max(min(sealed), (request.window_ms[0] * 1000 - LEAD_DAYS * DAY_US) // HOUR_US)
    revisions = registers(folder, size)
    return PackInputs(
        request=request,
        lines=lines,
        seed=folder.log_seed,
        registers=tuple(_proven(folder.register / f"{r.rev:06d}.json", r.sha256) for r in revisions),
        records=_records(folder, entries, size),
        rules={i: (book.raw[i], rules_json(book.shelf[i])) for i in book.needed(report.day)},
        report=report.to_json(),
        hours=(first, max(max(sealed) + 1, first)),
        lines_of=_Days(folder).lines,
        program=VERSION,
    )


class _Days:
    """Exact lines by hour; a day's file is read once, hours are asked for in order."""

    def __init__(self, folder: DataFolder) -> None:
        self._folder = folder
        self._path: Path | None = None
        self._hours: dict[bytes, list[bytes]] = {}

    def lines(self, hour: int) -> list[bytes]:
        """Sorted as sealed; empty where there is no file."""
        path = day_file(self._folder, hour)
        if path != self._path:
            self._path, self._hours = path, {}
            for line in path.read_bytes().splitlines() if path.exists() else []:
                self._hours.setdefault(line.split(b",", 3)[2], []).append(line)
        return self._hours.get(hour_text(hour).encode(), [])


def newest_sealed_ms(entries: list[Entry]) -> int:
    """End of the newest sealed hour. Errors: `PackError` when there is none."""
    hours = [hour_number(e.body["hour"]) for e in entries if e.t == "seal" and "span" not in e.body]
    if not hours:
        raise PackError(NO_SEAL, 3)
    return (max(hours) + 1) * HOUR_MS


def _request(folder: DataFolder, lines: list[bytes], instrument: str, level: str, at_ms: int) -> tuple[Request, date]:
    """What is asked for, and the plant's day of it."""
    newest_sealed_ms([Entry.parse(line) for line in lines])
    revisions = registers(folder)
    in_force = [r for r in revisions if r.effective_us < at_ms * 1000] or revisions[:1]
    if not in_force:
        raise PackError("还没有设备台账 (no register)\n    → plantproof register apply 文件 --reason 事由", 3)
    tz = in_force[-1].register.calendar.tz
    window = last_months(at_ms * 1000, MONTHS, tz)
    span = (window.start_us // 1000, window.end_us // 1000)
    request = Request(level, instrument, at_ms, span, origin_of(lines[0]), len(lines), ledger_root(lines))
    return request, local_day(at_ms * 1000, tz)


def _rules_known(entries: list[Entry], rules: RuleSet) -> bool:
    leaves = [e.body for e in entries if e.t == "rules" and e.body["instrument"] == rules.id]
    return bool(leaves) and leaves[-1]["sha256"] == rules.sha256


def _rules_leaf(rules: RuleSet, clock: Clock) -> Entry:
    body = {"instrument": rules.id, "sha256": rules.sha256, "edition": rules.edition}
    return Entry("rules", clock.now_us() // 1000, "plantproof", body)


def _from_raw_rows(folder: DataFolder, hours: Sequence[int]) -> dict[int, list[str]]:
    return {hour: [x.decode() for x in sealed.lines] for hour, sealed in recompute_hours(folder, hours).items()}


def _records(folder: DataFolder, entries: list[Entry], size: int) -> Mapping[str, bytes]:
    """Of every import the accepted rows and what replaced stated cells, and every exclusion; what was refused stays at the plant."""
    imports(folder, size)  # refuses imports of a version that did not accumulate
    return {
        f"{e.body['rev']:06d}/{name}": _proven(folder.records / f"{e.body['rev']:06d}" / name, digest)
        for e in entries[:size]
        if e.t == "records"
        for name, digest in e.body["files"].items()
        if name not in WITHHELD_FILES
    }


def _proven(path: Path, sha256: str) -> bytes:
    try:
        raw = path.read_bytes()
    except OSError as err:
        raise LedgerError(f"{path}: expected the revision its leaf names, found {err.strerror}") from err
    if hashlib.sha256(raw).hexdigest() != sha256:
        raise LedgerError(f"{path}: the file was changed after its leaf was written")
    return raw


def _stated(pack: Path) -> PackJson:
    try:
        with pack.open("rb") as file:
            return read_pack_json(open_container(file))
    except PackRefused as err:
        raise PackError(f"{pack.name}: {err}", 6) from err


@contextmanager
def _alone(folder: DataFolder) -> Iterator[None]:
    folder.packs.mkdir(exist_ok=True)
    with (folder.packs / ".lock").open("ab") as file:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX)
        for left in (*folder.packs.glob(".*.stage"), *folder.packs.glob(".*.tmp")):
            _sweep(left)
        yield


def _sweep(path: Path) -> None:
    """What a build that died left behind."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
