"""`PackInputs` to a pack file: contents, words for people, bag, zip. The same inputs give the same bytes.

 1 data/ into a stage folder beside the target   2 report.html and READ-ME-FIRST.txt   3 manifests and signature
 4 zip aside, fsync, rename
If the process dies, the target is whole or not there; what is left begins with a dot and is swept at the next build.
"""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from collector.ledger.entry import strict_json
from evidence_api.pack.archive import seal_bag, write_zip
from evidence_api.pack.contents import whole_origin, write_contents, write_file
from evidence_api.pack.inputs import PackInputs
from evidence_api.pack.readme import read_me
from evidence_api.pack.report_html import report_page
from evidence_api.verify.bag import REPORT, check_code
from evidence_api.verify.evidence import parse_register

SUFFIX = {"live": "", "simulated": "-DEMO", "replay": "-REPLAY"}


@dataclass(frozen=True, slots=True)
class BuiltPack:
    """A pack on disk."""

    path: Path
    pack_id: str
    manifest_sha256: str  # of the tag manifest
    check_code: str
    size_bytes: int
    mark: str
    public_key: str


def write_pack(inputs: PackInputs, folder: Path, name: str | None = None) -> BuiltPack:
    """Build the pack in `folder` (under its own name unless one is given). Errors: `PackError`, `OSError`."""
    stage = folder / f".{inputs.request.pack_id}.stage"
    shutil.rmtree(stage, ignore_errors=True)
    stage.mkdir(parents=True)
    try:
        body = write_contents(inputs, stage)  # 1
        rules = strict_json(inputs.rules[body["instrument"]][1])
        level = next(x["title"] for x in rules["levels"] if x["id"] == body["level"])
        write_file(stage, REPORT, report_page(body, inputs.report, rules))  # 2
        public_key = _public_key(inputs)
        write_file(stage, "READ-ME-FIRST.txt", read_me(body, level, inputs.report["instrument"]["name"], public_key))
        ledger = body["ledger"]
        tags = seal_bag(stage, inputs.log, body["pack_id"], ledger["root"], ledger["size"], inputs.seed)  # 3
        path = folder / (name or pack_name(inputs, body))
        size = write_zip(stage, path)  # 4
    finally:
        shutil.rmtree(stage, ignore_errors=True)
    digest = hashlib.sha256(tags).hexdigest()
    return BuiltPack(path, body["pack_id"], digest, check_code(tags), size, body["mark"], public_key)


def pack_name(inputs: PackInputs, body: dict[str, Any]) -> str:
    """docs/format/pack.md: Name."""
    tz = parse_register(1, 0, strict_json(inputs.registers[-1])).tz
    day = datetime.fromtimestamp(body["window"][1] // 1000, UTC).astimezone(tz).strftime("%Y%m%d")
    suffix = SUFFIX[whole_origin(body["origin_class"], body["origins"])]
    return f"{body['plant']['credit_code']}-{body['level']}-{day}-{body['pack_id'][:8]}{suffix}.zip"


def _public_key(inputs: PackInputs) -> str:
    return str(strict_json(inputs.lines[0])["body"]["public_key"])
