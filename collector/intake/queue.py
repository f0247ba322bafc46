"""From the inbox to answers: what waits in records/inbox is imported, each delivery exactly once, and its sender's answer is written.

In: a data folder, the inbox, the clock. Steps for what waits: 1 one import revision for all of it (one by one, in
the order they came, when something is refused or they contradict each other)
2 the answer, read back from the revision itself 3 the delivery leaves the inbox.
If the process dies before the leaf of 1: imported after the restart. Between 1 and 2: the bytes are recognised, the same answer is written.
Between 2 and 3: the same answer is written again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from collector.clock import Clock
from collector.folder import DataFolder
from collector.intake import inbox as box
from collector.intake.imports import MAX_DELIVERIES, OUTCOMES, import_deliveries
from collector.intake.inbox import Waiting
from collector.intake.known import Known
from collector.intake.tables import Delivery
from collector.record_revisions import QUARANTINE, SHORT, ImportRevision, table_rows
from config.errors import ConfigError

ACTOR = "intake"
MAX_TOLD = 1000  # quarantined rows, or problems, in an answer; all quarantined rows stand in quarantine.csv
WAYS = {"rest": "REST", "mqtt": "MQTT", "file": "目录"}


def import_waiting(folder: DataFolder, clock: Clock, known: Known, gather_s: float) -> int:
    """Import what waits and answer it; how many deliveries. MQTT messages wait for company up to `gather_s`."""
    inbox = box.inbox_of(folder.records)
    rest = box.waiting(inbox, "rest", MAX_DELIVERIES)
    queue = box.queued(inbox, "mqtt")
    due = len(queue) >= MAX_DELIVERIES or (bool(queue) and time.time() - queue[0][0] / 1e9 >= gather_s)
    mqtt = box.waiting(inbox, "mqtt", MAX_DELIVERIES) if due else []
    for batch in (rest, mqtt):
        if batch:
            _import(folder, inbox, batch, clock, known)
    return len(rest) + len(mqtt)


def import_one(folder: DataFolder, delivery: Delivery, clock: Clock, known: Known, way: str = "file") -> dict[str, Any]:
    """Import a single delivery; its answer. Errors: `ConfigError`."""
    reason = f"自动导入（{WAYS[way]}）：{delivery.name}"
    import_deliveries(folder, [delivery], reason=reason, clock=clock, actor=ACTOR, known=known)
    known.catch_up()
    return answer_of(known.revisions, delivery.sha256)


def answer_of(revisions: Sequence[ImportRevision], sha256: str) -> dict[str, Any]:
    """What became of the rows of these bytes, as the newest revision that took them says."""
    revision = next(r for r in reversed(revisions) if any(s["sha256"] == sha256 for s in r.sources))
    source = next(s for s in revision.sources if s["sha256"] == sha256)
    rows = table_rows(revision.read(QUARANTINE)) if QUARANTINE in revision.files else []
    told = [
        {
            "kind": r["kind"],
            "row": int(r["source_row"]),
            "code": r["code"].split(";"),
            "column": r["column"].split(";"),
            "words": r["words"],
            "cells": json.loads(r["cells"]),
        }
        for r in rows
        if r["source"] == sha256[:SHORT]
    ]
    counts = {o: source[o] for o in OUTCOMES}
    return {"revision": revision.rev, "rows": sum(counts.values()), **counts, "quarantine": told[:MAX_TOLD]}


def _import(folder: DataFolder, inbox: Path, batch: Sequence[Waiting], clock: Clock, known: Known) -> None:
    deliveries = [Delivery(one.name, one.body, one.form, one.kind or None) for one in batch]
    names = "、".join(dict.fromkeys(WAYS[one.via] for one in batch))
    reason = f"自动导入（{names}）：{len(batch)} 份"
    try:
        together = len(batch) > 1
        import_deliveries(folder, deliveries, reason=reason, clock=clock, actor=ACTOR, gathered=together, known=known)
    except ConfigError as err:
        if len(batch) > 1:
            for one in batch:
                _import(folder, inbox, [one], clock, known)
            return
        problems = [{"where": p.where, "message": p.message, "fix": p.fix} for p in err.problems[:MAX_TOLD]]
        box.answer(inbox, batch[0], {"problems": problems}, refused=True)
        return
    known.catch_up()
    for one, delivery in zip(batch, deliveries, strict=True):
        box.answer(inbox, one, answer_of(known.revisions, delivery.sha256), refused=False)
