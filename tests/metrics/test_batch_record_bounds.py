"""What holds for M10, M14, M19, M25, M27 whatever the records say: bounds in order, and nothing won by leaving rows out."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.store.record_frames import RecordFrames, frame_of_rows
from config.load import parse_register
from config.record_kinds import KINDS
from metrics.inputs import Inputs
from metrics.registry import METRICS
from metrics.result import MetricResult
from tests.metrics.casefile import Revision, frames, us

END_US = us("2026-11-01T00:00:00+08:00")
WANTED = ("M10", "M14", "M19", "M25", "M27")
Rows = dict[str, list[dict[str, Any]]]
REGISTER = parse_register(
    {
        "format": "plantproof-register/1",
        "line": [{"id": "L1", "name": "一线", "representative": True}, {"id": "L2", "name": "二线"}],
        "process": [
            {"id": f"P{i}", "name": "工序", "line": f"L{1 + i // 2}", "key": True, "inspection": True} for i in range(3)
        ],
        "points": [{"id": "pts", "point": [{"name": "s", "type": "f64", "path": "$.s"}]}],
        "device": [
            {
                "id": f"D{i}",
                "name": "机",
                "line": f"L{1 + i % 2}",
                "nc": True,
                "in_service_from": "2025-01-01",
                "points": "pts",
                "connection": {"protocol": "mqtt", "broker": "mqtt://b", "topic": "a"},
            }
            for i in range(3)
        ],
        "scene": [
            {
                "id": f"S{i}",
                "no": 21,
                "name": "场景",
                "line": "L1",
                "status": "in_production",
                "since": "2026-01-01",
                "ai": i < 2,
            }
            for i in range(4)
        ],
        "system": [{"id": "MES", "name": "MES", "kind": "mes"}],
        "interface": [{"id": f"I{i}", "source": "MES", "target": "MES"} for i in range(3)],
    },
    "test",
)
FULL = f"{(1 << 60) - 1:015x}"


def _lines() -> list[str]:
    """D0 heard from for thirty days, D1 for ten, D2 never."""
    at = END_US // 3_600_000_000
    hours = {"D0": range(at - 720, at), "D1": range(at - 240, at)}
    day = date(1970, 1, 1)
    texts = {h: f"{day + timedelta(days=h // 24)}T{h % 24:02d}Z" for h in hours["D0"]}
    return [
        f"D,{d},{texts[h]},1,live,3600,{FULL},60,0,0,0,0,0,,,,,,,1,0,p,q"
        for d, of_device in hours.items()
        for h in of_device
    ]


FRAMES = frames(_lines())


def _rows(rng: random.Random) -> Rows:
    def at(last: int = 92 * 24 * 4) -> str:
        quarter = rng.choice([rng.randrange(0, last), rng.randrange(0, 8)])
        hours, quarters = divmod(quarter, 4)
        day = date(2026, 8, 1) + timedelta(days=hours // 24)
        return f"{day}T{hours % 24:02d}:{15 * quarters:02d}:00Z"

    def day() -> str:
        return str(date(2026, 11, 1) - timedelta(days=rng.randrange(0, 33)))

    def some(most: int, row: Callable[[], dict[str, Any]]) -> list[dict[str, Any]]:
        return [row() for _ in range(rng.randrange(0, most))]

    def of_batch() -> dict[str, Any]:
        return {
            "batch_id": f"B{rng.randrange(4)}",
            "process_id": f"P{rng.randrange(3)}",
            "device_id": f"D{rng.randrange(3)}",
        }

    word = rng.choice
    good = word([0.6, 0.97])
    first = date(2026, 8, 1)
    everyday = [
        {"interface_id": f"I{i}", "day": str(first + timedelta(days=d)), "ok": int(rng.random() < good), "failed": 1}
        for i in range(3)
        for d in range(92)
        if rng.random() < good
    ]
    daily = [
        {"scene_id": f"S{i}", "day": str(date(2026, 10, 2) + timedelta(days=d)), "count": 1}
        for i in range(word([0, 2, 4]))
        for d in range(30)
    ]
    change = {"subject": ["setpoint", "schedule", "recipe"], "actor": ["algorithm", "person"], "reason": ["", "趋势"]}
    return {
        "batches": [
            {"batch_id": f"B{i}", "product": "轴", "trial": 0, "closed_at": word(["", at(), at()])} for i in range(4)
        ],
        "operations": some(8, lambda: {**of_batch(), "start": at(200), "program": word(["", "O1", "O2"])}),
        "inspections": some(20, lambda: {**of_batch(), "at": at(), "result": "pass", "automatic": word([0, 1, 1, 1])}),
        "dispatches": some(
            12,
            lambda: {
                **of_batch(),
                "job_id": str(rng.random()),
                "at": at(200),
                "method": word(["network", "network", "usb"]),
                "program": word(["", "O1"]),
                "acked_at": word(["", at(200)]),
            },
        ),
        "alarms": some(
            6,
            lambda: {
                "alarm_id": str(rng.random()),
                "process_id": f"P{rng.randrange(3)}",
                "raised_at": at(),
                "diagnosis": word(["", "磨损"]),
                "diagnosed_at": word(["", "2026-10-31T00:00:00Z"]),
                "closed_at": word(["", "2026-10-31T01:00:00Z"]),
                "tested": word([0, 0, 1]),
            },
        ),
        "changes": some(
            8,
            lambda: {
                "change_id": str(rng.random()),
                "at": at(),
                "device_id": word(["", "D0"]),
                "scene_id": word(["", "S0", "S1", "S2", "S3"]),
                "overridden": word([0, 0, 1]),
                **{k: word(v) for k, v in change.items()},
            },
        ),
        "exchanges": everyday,
        "inferences": daily + some(3, lambda: {"scene_id": "S3", "day": day(), "count": word([0, 1])}),
    }


def _results(rows: Rows) -> dict[tuple[str, str], MetricResult]:
    inputs = Inputs(
        end_us=END_US,
        tz=REGISTER.calendar.tz,
        lines=FRAMES,
        revisions=(Revision(1, 0, REGISTER, "x"),),
        records=RecordFrames(1, {kind: frame_of_rows(KINDS[kind], found) for kind, found in rows.items()}),
    )
    return {(r.metric, r.scope): r for metric in WANTED for r in METRICS[metric](inputs)}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 10**6), st.data())
def test_taking_a_record_away_never_raises_a_lower_bound(seed: int, data: st.DataObject) -> None:
    """Rows that make members (operations, batches, the last change of a scene without AI) are another matter: docs/metrics.md."""
    rng = random.Random(seed)
    rows = _rows(rng)
    kind = data.draw(st.sampled_from(["inspections", "dispatches", "alarms", "changes", "exchanges", "inferences"]))
    left = [r for r in rows[kind] if rng.random() < 0.8]
    before, after = _results(rows), _results({**rows, kind: left})
    for key, result in before.items():
        assert after[key].lower.numerator <= result.lower.numerator
        gone = {m.id for m in result.members} - {m.id for m in after[key].members}
        assert not gone or (key[0], kind) == ("M27", "changes")
        for one in (result, after[key]):
            assert one.lower.not_above(one.value)
            assert one.value.not_above(one.upper)
            assert all((not m.lower or m.value) and (not m.value or m.upper) for m in one.members)
            assert all((m.why == "ok") == m.lower for m in one.members)


@pytest.mark.parametrize("metric", WANTED)
def test_without_records_nothing_is_proven(metric: str) -> None:
    inputs = Inputs(end_us=END_US, tz=REGISTER.calendar.tz, lines=FRAMES, revisions=(Revision(1, 0, REGISTER, "x"),))
    for result in METRICS[metric](inputs):
        assert result.lower.numerator == 0
        assert not result.lower.at_least(1, 100)
