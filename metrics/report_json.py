"""自评报告 as JSON: its format, its bytes, the part of one level. Standard library only: the web process reads reports with this.

In: the JSON of a report (`metrics.report.Report.to_json`). Out: bytes, equal for equal reports whoever writes them; one level's part.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FORMAT = "plantproof-report/2"
INDEX_FORMAT = "plantproof-reports/1"
INDEX = "index.json"
DEADLINES_FORMAT, FINDINGS_FORMAT = "plantproof-deadlines/1", "plantproof-findings/1"
DEADLINES, FINDINGS = "deadlines", "findings.json"  # a folder beside those of the reports; one file
NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9-]{0,31}/[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")  # <folder>/<instrument>


def report_bytes(body: Any) -> bytes:
    """One line: keys sorted, no spaces, UTF-8, a newline."""
    return (json.dumps(body, ensure_ascii=False, sort_keys=True, separators=(",", ":")) + "\n").encode()


def report_path(folder: Path, instrument: str) -> Path:
    """`<folder>/CN-GS/GS25.json`. Errors: ValueError for an id that is no plain name."""
    if not NAME.match(instrument):
        raise ValueError(f"instrument: expected <folder>/<name>, found {instrument!r}")
    return folder / f"{instrument}.json"


def deadlines_path(folder: Path, instrument: str, ending: str = "json") -> Path:
    """`<folder>/deadlines/CN-GS/GS25.json`, the calendar with ending `ics`. Errors: ValueError, as `report_path`."""
    return report_path(folder / DEADLINES, instrument).with_name(f"{instrument.rpartition('/')[2]}.{ending}")


def only_level(body: Mapping[str, Any], level: str) -> dict[str, Any]:
    """The report of one level: equal to `Report.at_level(level).to_json()`. The results stay, they are the plant's."""
    return {
        **body,
        **_only(body, level),
        "references": [{**reference, **_only(reference, level)} for reference in body["references"]],
    }


def _only(body: Mapping[str, Any], level: str) -> dict[str, Any]:
    criteria = [c for c in body["criteria"] if level in c["levels"]]
    kept = {c["id"] for c in criteria}
    return {
        "criteria": criteria,
        "verdicts": [v for v in body["verdicts"] if v["criterion"] in kept],
        "levels": [x for x in body["levels"] if x["id"] == level],
    }
