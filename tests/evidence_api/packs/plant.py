"""A plant small enough to flip each byte of its pack: real folder, register, records and ledger; hour lines written by hand.

Sealed hours end at a plant midnight. `files_of`, `reseal` are what an owner of the key can do to a pack: change files, write the
manifests again, sign again.
"""

from __future__ import annotations

import base64
import hashlib
import io
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta, timezone
from functools import cached_property
from pathlib import Path
from typing import Any

from collector.clock import DrivenClock
from collector.folder import DataFolder, create_folder
from collector.intake.imports import import_records
from collector.ledger import log, merkle
from collector.ledger.checkpoint import origin_of
from collector.ledger.entry import Entry, strict_json
from collector.revisions import add_exclusion, apply_register
from collector.store.lines import write_hours
from config.metric_names import TITLES
from config.rulebook import parse_ruleset
from config.ruleset import RuleSet
from config.settings import PlantTable
from evidence_api.pack.build import read_inputs
from evidence_api.pack.inputs import PackInputs, Request, ledger_root
from evidence_api.pack.rules import RuleBook, rules_json
from evidence_api.pack.writer import BuiltPack, write_pack
from evidence_api.verify.bag import BAGIT, SIGNATURE, TAG_FILES, bag_info
from evidence_api.verify.container import directory_record, end_record, local_header, open_container
from evidence_api.verify.findings import Findings
from evidence_api.verify.lines import hour_text
from evidence_api.verify.signature import envelope, statement
from evidence_api.verify.verifier import verify_pack
from metrics.window import last_months

SEEDS = (b"\x01" * 32, b"\x02" * 32)
HOUR_MS = 3_600_000
MIDNIGHT_HOUR = 498_688  # 2026-11-21T16Z, midnight in the plant
FIRST_HOUR_MS = (MIDNIGHT_HOUR - 3) * HOUR_MS
RULES = """format: plantproof-rules/2
id: CN-XX/T1
edition: 1
title: 试验办法
doc_no: 试〔2026〕1号
issuer: 试验
status: in_force
in_force: {from: 2025-08-06, until: null}
levels:
  - {id: basic, title: 基础级}
criteria:
  - id: T1-1
    title: 全部联网
    levels: [basic]
    article: 第一条
    quote: 主要数控设备全部联网
    gate: hard
    judged_by: metric
    metric: M03
    scope: plant
    op: "=="
    values:
      - {from: 2025-08-06, until: null, threshold: 1/1, threshold_by: instrument, as_written: 全部}
"""
REGISTER = """format = "plantproof-register/1"
[[line]]
id = "L1"
name = "一线"
[[process]]
id = "P1"
name = "铣"
line = "L1"
key = true
[[points]]
id = "s"
[[points.point]]
name = "speed"
type = "f64"
key_parameter = true
table = "holding_register"
address = 0
wire = "f64"
[[device]]
id = "A1"
name = "铣床"
line = "L1"
process = "P1"
nc = true
major_nc = true
in_service_from = 2026-01-01
points = "s"
connection = { protocol = "modbus", host = "10.0.0.1" }
[[device]]
id = "B2"
name = "钻床"
line = "L1"
in_service_from = 2026-01-01
"""
RECORDS = {
    "batches.csv": "batch_id,product,quantity,closed_at,trial\nB1,轴,10,2026-11-21T23:00:00,0\n",
    "operations.csv": "batch_id,process_id,device_id,start,end,operator,program\n"
    "B1,P1,A1,2026-11-21T21:30:00,2026-11-21T22:30:00,甲班,O100\n",
    "lots.csv": "batch_id,item,lot_id,supplier_lot\nB1,钢,L7,S7\n",
    "inspections.csv": "batch_id,process_id,at,result\nB1,P1,2026-11-21T22:40:00,pass\n",
    "shipments.csv": "batch_id,at,kind,document\nB1,2026-11-21T22:50:00,ship,D1\n",
}
Lines = dict[int, list[bytes]]
BEIJING = timezone(timedelta(hours=8))


@dataclass
class Plant:
    """The folder, its clock, its small rules."""

    folder: DataFolder
    clock: DrivenClock
    rules_raw: bytes
    packs: Path
    others: tuple[bytes, ...] = ()
    public_key: bytes = field(init=False)

    def __post_init__(self) -> None:
        self.public_key = bytes.fromhex(self.folder.genesis["public_key"])

    @cached_property
    def rules(self) -> RuleSet:
        """Parsed."""
        return parse_ruleset(self.rules_raw, "T1.yaml", TITLES)

    @cached_property
    def book(self) -> RuleBook:
        """The small rules, and beside them those that a test brings."""
        others = [parse_ruleset(raw, "other.yaml", TITLES) for raw in self.others]
        shelf = {r.id: r for r in (self.rules, *others)}
        return RuleBook(self.rules.id, dict(zip(shelf, (self.rules_raw, *self.others), strict=True)), shelf)

    @cached_property
    def known(self) -> dict[str, str]:
        """What a reader who has these rules knows."""
        book = self.book
        digests = {i: hashlib.sha256(raw).hexdigest() for i, raw in book.raw.items()}
        return {d: hashlib.sha256(rules_json(book.shelf[i])).hexdigest() for i, d in digests.items()}

    def inputs(self, level: str = "basic") -> PackInputs:
        """A new intent in the ledger, and everything at it."""
        lines = log.read_lines(self.folder.ledger)
        at_ms = MIDNIGHT_HOUR * HOUR_MS
        window = last_months(at_ms * 1000, 3, BEIJING)
        span = (window.start_us // 1000, window.end_us // 1000)
        request = Request(level, self.rules.id, at_ms, span, origin_of(lines[0]), len(lines), ledger_root(lines))
        known = {e.body["instrument"] for e in (Entry.parse(x) for x in lines) if e.t == "rules"}
        bodies = [{"instrument": r.id, "sha256": r.sha256, "edition": r.edition} for r in self.book.shelf.values()]
        new = [Entry("rules", at_ms, "plantproof", b) for b in bodies if b["instrument"] not in known]
        size = self.folder.append(*new, request.intent(at_ms, "tester"))
        return read_inputs(self.folder, request, size, self.book)

    def build(self) -> BuiltPack:
        """A pack."""
        return write_pack(self.inputs(), self.packs)

    def verify(self, raw: bytes, key: bytes | None = None) -> Findings:
        """As a reader who knows the rules and, by default, the key."""
        return verify_pack(io.BytesIO(raw), self.public_key if key is None else key or None, self.known)


def make_plant(
    place: Path,
    origin_class: str = "live",
    hours: int = 3,
    *,
    records: bool = False,
    lines: Callable[[Lines], None] = lambda _: None,
    seals: Callable[[list[Entry]], None] = lambda _: None,
    rules: str = RULES,
    others: tuple[bytes, ...] = (),
    register_more: str = "",
) -> Plant:
    """`lines` may change the hour lines before they are sealed, `seals` the leaves before they are appended."""
    first = MIDNIGHT_HOUR - hours
    clock = DrivenClock(first * HOUR_MS * 1000 - 1_000_000)
    table = PlantTable(name="试验厂", credit_code="91620100MA0000000X", site="一厂")
    folder = create_folder(place / "data", table, origin_class, clock, seeds=SEEDS)
    (place / "register.toml").write_text(REGISTER + register_more, encoding="utf-8")
    apply_register(folder, place / "register.toml", "初次登记", clock, "tester")
    made: Lines = {h: hour_lines(h, origin_class) for h in range(first, MIDNIGHT_HOUR)}
    lines(made)
    write_hours(folder, made.items())
    leaves = [seal(h, ls) for h, ls in made.items()]
    seals(leaves)
    folder.append(*leaves)
    clock.advance_to(MIDNIGHT_HOUR * HOUR_MS * 1000)
    if records:
        _records(folder, place, clock, first)
    (place / "packs").mkdir()
    return Plant(folder, clock, rules.encode(), place / "packs", others)


def hour_lines(hour: int, origin: str, minutes: int = (1 << 60) - 1) -> list[bytes]:
    """Device A1 seen, B2 not connected, one key parameter."""
    text, gap = hour_text(hour), 3600 - 60 * minutes.bit_count()
    cause = "timeout" if gap else ""
    return [
        f"D,A1,{text},1,{origin},3600,{minutes:015x},60,0,0,0,0,{gap},{cause},,,,,,1,0,{_commit(hour, 1)},{_commit(hour, 2)}".encode(),
        f"D,B2,{text},1,{origin},3600,{0:015x},0,0,0,0,0,3600,not_connected,,,,,,0,0,{_commit(hour, 3)},{_commit(hour, 4)}".encode(),
        f"P,A1,{text},speed,{minutes:015x},60,0,,".encode(),
    ]


def seal(hour: int, lines: list[bytes]) -> Entry:
    """The leaf of an hour (docs/format/ledger.md)."""
    kinds = [line[:1] for line in lines]
    rows = [line.decode().split(",") for line in lines if line[:1] == b"D"]
    body = {
        "hour": hour_text(hour),
        "register": 1,
        "n": kinds.count(b"D"),
        "parameters": kinds.count(b"P"),
        "late": kinds.count(b"L"),
        "root": merkle.root([merkle.leaf_hash(line) for line in lines]).hex(),
        "frames": [1, 2],
        "head": "00" * 32,
        "down": [],
        "clock": {"wall_ms": (hour + 1) * HOUR_MS, "boot": "b", "mono_ms": 0, "sync": 1, "max_error_us": 900},
        "cause": "",
        "sums": {k: sum(int(r[i]) for r in rows) for k, i in (("ok", 7), ("failed", 8), ("losses", 10), ("late", 11))},
    }
    return Entry("seal", (hour + 1) * HOUR_MS, "collector", body)


def files_of(raw: bytes) -> dict[str, bytes]:
    """Every file of a pack."""
    pack = open_container(io.BytesIO(raw))
    return {n: pack.read(n) for n in pack.names}


def zipped(files: dict[str, bytes], order: Iterable[str] | None = None) -> bytes:
    """The canonical container of files (or one in another order)."""
    body, directory = bytearray(), bytearray()
    names = list(order) if order is not None else sorted(files)
    for name in names:
        crc, size, start = zlib.crc32(files[name]), len(files[name]), len(body)
        body += local_header(name, size, crc) + files[name]
        directory += directory_record(name, size, crc, start)
    return bytes(body + directory) + end_record(len(names), len(directory), len(body))


def reseal(
    files: dict[str, bytes], *, pack_id: str = "", bag: bool = True, stated: dict[str, Any] | None = None
) -> bytes:
    """What the owner of the key can do: manifests and signature again over changed files (`stated`: pack.json before)."""
    files = dict(files)
    payload = sorted(n for n in files if n.startswith("data/"))
    if bag:
        files["bagit.txt"] = BAGIT
        files["bag-info.txt"] = bag_info(sum(len(files[n]) for n in payload), len(payload))
    files["manifest-sha256.txt"] = _manifest(files, payload)
    files["tagmanifest-sha256.txt"] = _manifest(files, TAG_FILES)
    body = stated or strict_json(files["data/pack.json"])
    ledger = body["ledger"]
    subject = statement(
        files["tagmanifest-sha256.txt"], ledger["log"], pack_id or body["pack_id"], ledger["root"], ledger["size"]
    )
    files[SIGNATURE] = envelope(subject, ledger["log"], SEEDS[0])
    return zipped(files)


def _manifest(files: dict[str, bytes], names: Iterable[str]) -> bytes:
    return b"".join(f"{hashlib.sha256(files[n]).hexdigest()}  {n}\n".encode() for n in names)


def _records(folder: DataFolder, place: Path, clock: DrivenClock, first: int) -> None:
    source = place / "records"
    source.mkdir()
    for name, text in RECORDS.items():
        (source / name).write_text(text, encoding="utf-8")
    import_records(folder, source, "月度导入", clock, "tester")
    start = (first - 24) * HOUR_MS * 1000
    add_exclusion(
        *(folder, ("B2",), start, start + 3_600_000_000), reason="检修", approver="王主任", clock=clock, actor="tester"
    )


def _commit(hour: int, which: int) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(f"{hour}/{which}".encode()).digest()).decode().rstrip("=")
