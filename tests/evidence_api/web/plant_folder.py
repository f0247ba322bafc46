"""A small plant's data folder, built with the product's own writers where they exist and the documented formats elsewhere.

Seven devices on two lines, 95 days: one silent for 11 days, one without a connection, a network break, a planned stop, a day without
the collector. The report is made of `metrics.result` values, so its shape is the product's.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from collector.clock import DrivenClock
from collector.folder import DataFolder, create_folder
from collector.ledger.entry import Entry
from collector.revisions import apply_register
from config.documents import Document
from config.metric_names import TITLES
from config.rulebook import load_shelf
from config.settings import PlantTable
from metrics.findings.finding import Finding
from metrics.findings.findings_json import findings_json
from metrics.instruments import DEFAULT, provincial
from metrics.report import Report
from metrics.report_files import write_reports
from metrics.result import Bound, Member, MetricResult, Window
from metrics.standing.facts import Award, Facts, Incident, Title
from metrics.standing.standing_json import standing_of
from metrics.verdicts.assess import Assessment, assess
from metrics.verdicts.evidence import Evidence

LAST_HOUR = 498_699  # 2026-11-22T03Z, 11:00-12:00 in the plant
DAYS = 95
REGISTER = """
format = "plantproof-register/1"
[[line]]
id = "L1"
name = "机加工一线"
workshop = "1# 车间"
representative = true
[[line]]
id = "L2"
name = "注塑线"
workshop = "2# 车间"
[[process]]
id = "P10"
name = "精铣"
line = "L1"
key = true
[[points]]
id = "cnc"
state_map = { "1" = "run", "0" = "stop" }
[[points.point]]
name = "state"
type = "i64"
role = "state"
node = "ns=2;s={device}.State"
"""
MATURITY = Document(
    doc_id="D1",
    sha256="ab" * 32,
    kind="maturity",
    name="成熟度自评估报告 2026",
    issuer="c3mep",
    issued_on=date(2026, 3, 1),
    valid_until=None,
    level=2,
    years=(),
    criteria=(),
    size_bytes=1,
    entered_us=0,
)
FACTS = Facts(
    titles=(
        Title("T1", "basic", "一号线<基础级>", date(2024, 2, 1), date(2027, 1, 31), "held", None, "", "", ""),
        Title("T2", "scene", "智能排产", date(2025, 9, 20), None, "held", None, "", "D1", ""),
    ),
    incidents=(Incident("I1", "major_change", date(2026, 9, 10), "", False, None, ""),),
    awards=(Award("W1", "scene", date(2025, 12, 1), 10_000_000),),
)
QUESTIONS = (
    Finding("declared_differs", "申报的数从哪里来？", "与计算不同", ("指标", "申报"), (("M01", "7/7 <表三>"),), 1),
    Finding("exclusion_late", "停机为什么事后才补？", "事后登记", ("序号",), tuple((str(i),) for i in range(8)), 60),
)
DEVICES = (
    ("CNC-01", "1#加工中心", "L1", True),
    ("CNC-02", "2#加工中心", "L1", True),
    ("CNC-03", "3#数控车床", "L1", True),
    ("MAN-04", "4#普通钻床", "L1", False),
    ("INJ-14", "14#注塑机", "L2", True),
    ("INJ-15", "15#注塑机", "L2", True),
    ("INJ-16", "16#<注塑机>", "L2", True),
)


@dataclass(frozen=True)
class Plant:
    """The folder, the clock it was built with and the hours that were sealed."""

    folder: DataFolder
    clock: DrivenClock
    first_hour: int
    end_hour: int

    def write_report(self, *, size: int | None = None, simulated: bool = True) -> dict[str, Any]:
        """`state/reports/` as `check --all --json-dir` would leave it; the report of the site's own instrument."""
        found = reports(self.folder, size, simulated)
        leave_reports(self.folder, self.folder.state / "reports", found, FACTS)
        return found[0].to_json()

    def line(self, device: str, hour: int, gap_s: int = 0, cause: str = "") -> str:
        """A D line."""
        return d_line(device, hour, gap_s, cause)


def leave_reports(folder: DataFolder, where: Path, found: list[Report], facts: Facts) -> None:
    """The reports, deadlines, calendars and findings of one run."""
    standings = [standing_of(r.rules, r.day, facts, r.size) for r in found]
    questions = findings_json(QUESTIONS, found[0].day, found[0].size, raw_read=False)
    write_reports(where, found, standings, questions, folder.genesis["plant"])


def build_plant(tmp_path: Path, origin_class: str = "simulated", days: int = DAYS) -> Plant:
    """A plant of an origin class below `tmp_path`."""
    end_hour = LAST_HOUR + 1
    first_hour = (LAST_HOUR + 8) // 24 * 24 - 8 - (days - 1) * 24  # a plant midnight
    clock = DrivenClock(first_hour * 3_600_000_000)
    table = PlantTable(name="兰州精工机械有限公司", credit_code="91620100MA0000000X", site="新区二厂")
    folder = create_folder(tmp_path / "data", table, origin_class, clock, seeds=(b"\1" * 32, b"\2" * 32))
    _register(folder, tmp_path, clock)
    _hours(folder, first_hour, end_hour)
    clock.advance_to(end_hour * 3_600_000_000)
    _seals(folder, range(end_hour - 3, end_hour))
    _state(folder, clock)
    (folder.packs / "PP-20261122-DEMO.zip").write_bytes(bytes(range(256)) * 40)
    return Plant(folder, clock, first_hour, end_hour)


def browser(app: FastAPI, host: str = "127.0.0.1:8420") -> httpx.AsyncClient:
    """A client whose Host header is `host`."""
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url=f"http://{host}")


def d_line(device: str, hour: int, gap_s: int = 0, cause: str = "") -> str:
    """A D line of docs/format/hour-lines.md; minutes lost from the hour's start."""
    text = hour_text(hour)
    covered = f"{(1 << 60) - 1 >> (gap_s // 60):015x}"
    return f"D,{device},{text},1,simulated,3600,{covered},60,0,0,0,0,{gap_s},{cause},3600,0,0,,,1,0,AAAA,BBBB"


def hour_text(hour: int) -> str:
    """Hours since 1970 as the format writes them."""
    return f"{datetime.fromtimestamp(hour * 3600, UTC):%Y-%m-%dT%HZ}"


END_US = (LAST_HOUR + 1) * 3_600_000_000 // 86_400_000_000 * 86_400_000_000 - 8 * 3_600_000_000


def reports(folder: DataFolder, size: int | None, simulated: bool) -> list[Report]:
    """Seven results judged by the product's own rules, for each province's instrument; the default one first."""
    results, assessed = judged(simulated)
    return [
        Report(
            at_us=END_US,
            day=date(2026, 11, 22),
            end_us=END_US,
            own=own,
            references=references,
            results=results,
            strips=(),
            origin_class=folder.origin_class,
            size=folder_size(folder) if size is None else size,
            root="00" * 32,
        )
        for own, references in assessed
    ]


@lru_cache
def judged(
    simulated: bool,
) -> tuple[tuple[MetricResult, ...], tuple[tuple[Assessment, tuple[Assessment, ...]], ...]]:
    """The results, and each instrument with those it adopts: the same for every test."""
    results = tuple(
        _result(metric, scope, END_US, numbers, simulated)
        for metric, scope, numbers in (
            ("M01", "plant", (4, 5, 7, 6)),
            ("M03", "plant", (1, 2, 3, 3)),
            ("M05", "line:L1", (3, 3, 4, 4)),
            ("M06", "line:L1", (2, 3, 4, 3)),
            ("M06", "plant", (2, 3, 4, 3)),
            ("M08", "plant", (9, 9, 10, None)),
            ("M13", "plant", (41, 41, 41, None)),
        )
    )
    shelf = load_shelf(TITLES)
    evidence = Evidence(date(2026, 11, 22), results, documents=(MATURITY,))
    found = []
    for rules in sorted(provincial(shelf), key=lambda r: r.id != DEFAULT):
        own, *references = assess(rules, evidence, shelf).values()
        found.append((own, tuple(references)))
    return results, tuple(found)


def _result(
    metric: str, scope: str, end_us: int, numbers: tuple[int, int, int, int | None], simulated: bool
) -> MetricResult:
    proven, seen, of, declared = numbers
    members = tuple(
        Member(f"X{i}", f"设备{i}", i < proven, i < seen, True, "ok" if i < proven else "coverage") for i in range(of)
    )
    return MetricResult(
        metric=metric,
        version=1,
        scope=scope,
        window=Window(end_us - 30 * 86_400_000_000, end_us),
        lower=Bound(proven, of),
        value=Bound(seen, of),
        upper=Bound(of, of),
        declared=Bound(declared, of) if declared is not None else None,
        members=members,
        exclusions=(),
        parameters=(),
        inputs=(),
        simulated=simulated,
        status="ok",
        notes=(),
    )


def folder_size(folder: DataFolder) -> int:
    """Entries in the ledger."""
    return (folder.ledger / "entries.ndjson").read_bytes().count(b"\n")


def _register(folder: DataFolder, tmp_path: Path, clock: DrivenClock) -> None:
    text = REGISTER
    for device, name, line, connected in DEVICES:
        text += (
            f'[[device]]\nid = "{device}"\nname = "{name}"\nline = "{line}"\nin_service_from = 2024-01-01\nnc = true\n'
        )
        if connected:
            text += f'points = "cnc"\nconnection = {{ protocol = "opcua", endpoint = "opc.tcp://127.0.0.1:4840/{device}" }}\n'
    path = tmp_path / "register.toml"
    path.write_text(text, encoding="utf-8")
    apply_register(folder, path, "初次登记", clock, "test")


def _hours(folder: DataFolder, first: int, end: int) -> None:
    files: dict[str, list[str]] = {}
    for hour in range(first, end):
        day = (hour - first) // 24
        lines = files.setdefault(hour_text(hour)[:10], [])
        for device, *_ in DEVICES:
            lines.append(d_line(device, hour, *_story(device, day, hour % 24)))
    for day_text, lines in files.items():
        path = folder.hours / day_text[:4] / day_text[5:7] / f"{day_text[8:]}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{line}\n" for line in lines), "ascii")


def _story(device: str, day: int, hour_of_day: int) -> tuple[int, str]:
    """(gap, cause) of each device-hour; the first that fits."""
    moulding = device.startswith("INJ")
    stories = (
        (device == "MAN-04", 3600, "not_connected"),
        (48 <= day < 55, 3600, "planned_stop"),
        (day == 70, 3600, "collector_down"),
        (device == "INJ-14" and 30 <= day < 41, 3600, "silent"),
        (moulding and day == 20 and hour_of_day < 9, 3600, "unreachable"),
        (device == "CNC-02" and day % 13 == 4 and hour_of_day in (3, 4), 1800, "timeout"),
    )
    return next(((gap_s, cause) for fits, gap_s, cause in stories if fits), (0, ""))


def _seals(folder: DataFolder, hours: range) -> None:
    for hour in hours:
        body = {
            "hour": hour_text(hour), "register": 1, "n": len(DEVICES), "parameters": 0, "late": 0, "root": f"{hour:064x}",
            "frames": [0, 1], "head": "00" * 32, "down": [], "clock": {}, "cause": "",
            "sums": {"ok": 420, "failed": 0, "late": 0, "losses": 0},
        }  # fmt: skip
        folder.append(Entry("seal", (hour + 1) * 3_600_000, "collector", body))


def _state(folder: DataFolder, clock: DrivenClock) -> None:
    at_us = clock.now_us() - 5_000_000
    body = {d[0]: {"outcome": "ok", "at_us": at_us} for d in DEVICES if d[3]}
    body["INJ-15"] = {"outcome": "refused", "at_us": at_us, "message": "[Errno 111] Connect call failed"}
    state = {"running": True, "at_us": clock.now_us() - 2_000_000, "rows": 1, "devices": body}
    (folder.state / "devices.json").write_text(json.dumps(state))
