"""Sums of running time over a window, to be checked by hand: hours 0 and 1 lie in it, hour 2 does not."""

from __future__ import annotations

from datetime import UTC

import polars as pl

from collector.store.lines import DEVICE_FIELDS, PARAMETER_FIELDS
from metrics.inputs import Inputs
from metrics.result import Window
from metrics.running import parameter_running, running
from metrics.window import HOUR_US
from tests.metrics.casefile import FULL, Frames

WINDOW = Window(0, 2 * HOUR_US)


def inputs(devices: list[dict[str, object]], parameters: list[dict[str, object]]) -> Inputs:
    """D and P lines with these fields, the others empty."""
    texts = {"device", "point", "origin", "cause", "presence_commit", "process_commit"}

    def frame(names: list[str], rows: list[dict[str, object]]) -> pl.DataFrame:
        schema = {n: pl.String if n in texts else pl.UInt64 if n == "covered" else pl.Int64 for n in names}
        return pl.DataFrame([{n: row.get(n) for n in names} for row in rows], schema)

    lines = Frames(frame(DEVICE_FIELDS, devices), frame(PARAMETER_FIELDS, parameters), pl.DataFrame())
    return Inputs(2 * HOUR_US, UTC, lines, ())  # type: ignore[arg-type]


def test_device_hours_add_up_and_what_no_line_states_stays_unknown() -> None:
    found = running(
        inputs(
            [
                {"device": "B", "hour": 0, "output_delta": 0},
                {"device": "A", "hour": 0, "run_s": 1200, "stop_s": 2400, "unknown_s": 0, "auto_s": 600},
                {"device": "A", "hour": 1, "run_s": 60, "stop_s": 0, "unknown_s": 3540},
                {"device": "A", "hour": 2, "run_s": 3600, "stop_s": 0, "unknown_s": 0},
            ],
            [],
        ),
        WINDOW,
    )
    assert found.rows() == [("A", 1260, 2400, 3540, 600, None), ("B", None, None, None, None, 0)]


def test_a_parameters_seconds_stand_beside_the_running_time_of_the_same_hours() -> None:
    hours = [{"device": "A", "hour": h, "run_s": r} for h, r in ((0, 1200), (1, 3000), (2, 3600))]
    speed = {"device": "A", "point": "speed", "covered": int(FULL, 16), "ok": 60, "bad": 1}
    found = parameter_running(
        inputs(
            [*hours, {"device": "B", "hour": 0}],
            [
                speed | {"hour": 0, "run_ok_s": 1000},  # limits came with the next hour
                speed | {"hour": 1, "run_ok_s": 2900, "run_in_s": 2500},
                speed | {"hour": 2, "run_ok_s": 3600, "run_in_s": 3600},
                speed | {"device": "B", "hour": 0, "covered": 3},
            ],
        ),
        WINDOW,
    )
    assert found.columns[2:] == "covered_min ok bad run_ok_s run_in_s run_s_known run_s_limited".split()
    assert found.rows() == [
        ("A", "speed", 120, 120, 2, 3900, 2500, 4200, 3000),
        ("B", "speed", 2, 60, 1, None, None, None, None),
    ]
