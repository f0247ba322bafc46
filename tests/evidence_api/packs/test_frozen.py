"""A pack built once and kept: what it was found to be then, it is found to be now (packs are read for nine years).

Write it again only when the format meant to change: PLANTPROOF_WRITE_VECTORS=1 pytest tests/evidence_api/packs/test_frozen.py
"""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

from evidence_api.verify.verifier import verify_pack
from tests.evidence_api.packs.conftest import Made

PLACE = Path(__file__).parents[2] / "vectors" / "pack"


def test_a_frozen_pack_is_found_to_be_what_it_was(live: Made) -> None:
    pack, kept = PLACE / "small-live.zip", PLACE / "small-live.json"
    if os.environ.get("PLANTPROOF_WRITE_VECTORS"):
        PLACE.mkdir(exist_ok=True)
        pack.write_bytes(live.raw)
        findings = verify_pack(io.BytesIO(live.raw), live.plant.public_key, live.plant.known)
        known = {"key": live.plant.public_key.hex(), "rules": live.plant.known, "expected": findings.to_json()}
        kept.write_text(json.dumps(known, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    then = json.loads(kept.read_text(encoding="utf-8"))
    now = verify_pack(io.BytesIO(pack.read_bytes()), bytes.fromhex(then["key"]), then["rules"]).to_json()
    assert now["exit_code"] == then["expected"]["exit_code"] == 0
    assert [(s["code"], s["outcome"]) for s in now["steps"]] == [
        (s["code"], s["outcome"]) for s in then["expected"]["steps"]
    ]
    for name in ("facts", "recomputed", "verdicts", "grade", "origin"):
        assert now[name] == then["expected"][name]
