"""Reports as files for the web process: one per instrument, and an index. Derived: deleting them costs one run.

In: reports of one computation. Out: `<folder>/CN-GS/GS25.json` (the bytes of `plantproof check --json --rules CN-GS/GS25`) and
`<folder>/index.json`, written last: what it names is there. A report that is no longer made is removed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from collector.durable import write_durably
from config.errors import ConfigError, Problem
from metrics.report import Report
from metrics.report_json import INDEX, INDEX_FORMAT, NAME, report_bytes, report_path
from metrics.verdicts.rows import instrument_row


def index_of(reports: Sequence[Report]) -> dict[str, Any]:
    """What was judged: the instruments, the site's own first, with the levels that have a verdict."""
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
        "instruments": [
            instrument_row(r.rules, r.day) | {"verdicts": {x.id: x.verdict for x in r.levels}} for r in reports
        ],
    }


def write_reports(folder: Path, reports: Sequence[Report]) -> None:
    """All of them, then the index. Errors: `ConfigError` for an id that cannot be a file's name."""
    unfit = [r.rules.id for r in reports if not NAME.match(r.rules.id)]
    if unfit:
        words = f"应为 <地区>/<名称>，如 CN-GS/GS25 (expected <region>/<name>), found {unfit[0]!r}"
        raise ConfigError([Problem(unfit[0], "id", words, "改规则文件的 id (change the id)")])
    written = {report_path(folder, r.rules.id) for r in reports}
    for report in reports:
        path = report_path(folder, report.rules.id)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_durably(path, report_bytes(report.to_json()))
    write_durably(folder / INDEX, report_bytes(index_of(reports)))
    for stale in set(folder.glob("*/*.json")) - written:
        stale.unlink()
