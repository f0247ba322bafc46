"""Reports as files for the web process: one per instrument, and an index. Derived: deleting them costs one run.

In: reports of one computation and what stands beside them. Out: `<folder>/CN-GS/GS25.json` (the bytes of `plantproof check --json --rules
CN-GS/GS25`), `deadlines/CN-GS/GS25.json` and `.ics` (`plantproof deadlines --json`, `--ics`), `findings.json` (`plantproof findings --json
--skip-raw`) and `index.json`, written last: what it names is there. What is no longer made is removed. Raw readings are left out of the
findings: reading them takes longer than all the metrics, and the file says what was therefore not checked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from collector.durable import write_durably
from collector.folder import VERSION
from config.errors import ConfigError, Problem
from config.rulebook import shipped_digest
from metrics.report import Report
from metrics.report_json import (
    DEADLINES,
    FINDINGS,
    INDEX,
    INDEX_FORMAT,
    NAME,
    deadlines_path,
    report_bytes,
    report_path,
)
from metrics.standing.standing_json import Standing
from metrics.verdicts.rows import instrument_row


def index_of(reports: Sequence[Report]) -> dict[str, Any]:
    """What was judged: the instruments, the site's own first, with the levels that have a verdict. By what: program and shipped rules."""
    first = reports[0]
    return {
        "format": INDEX_FORMAT,
        "at_us": first.at_us,
        "day": first.day.isoformat(),
        "end_us": first.end_us,
        "size": first.size,
        "root": first.root,
        "simulated": first.simulated,
        "default": first.rules.id,
        "program": VERSION,
        "shipped_rules": shipped_digest(),
        "instruments": [
            instrument_row(r.rules, r.day) | {"verdicts": {x.id: x.verdict for x in r.levels}} for r in reports
        ],
    }


def write_reports(
    folder: Path, reports: Sequence[Report], standings: Sequence[Standing], findings: Mapping[str, Any], plant: str
) -> None:
    """All of them, then the index. plant: its name, for the calendars. Errors: `ConfigError` for an id that cannot be a file's name."""
    unfit = [r.rules.id for r in reports if not NAME.match(r.rules.id)]
    if unfit:
        words = f"应为 <地区>/<名称>，如 CN-GS/GS25 (expected <region>/<name>), found {unfit[0]!r}"
        raise ConfigError([Problem(unfit[0], "id", words, "改规则文件的 id (change the id)")])
    files = {report_path(folder, r.rules.id): report_bytes(r.to_json()) for r in reports}
    for standing in standings:
        files[deadlines_path(folder, standing.rules.id)] = report_bytes(standing.to_json())
        files[deadlines_path(folder, standing.rules.id, "ics")] = standing.calendar(plant)
    files[folder / FINDINGS] = report_bytes(findings)
    for path, raw in files.items():
        write_durably(path, raw)
    write_durably(folder / INDEX, report_bytes(index_of(reports)))
    made = (
        path for what in ("*/*.json", f"{DEADLINES}/*/*.json", f"{DEADLINES}/*/*.ics") for path in folder.glob(what)
    )
    for stale in set(made) - set(files):
        stale.unlink()
