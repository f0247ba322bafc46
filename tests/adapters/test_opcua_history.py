"""Back-fill from a real server's history: what an outage cost comes back, each value once, and nothing else is asked of the server."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from adapters.batch import GOOD, Outcome
from adapters.opcua.history import historyread
from adapters.opcua.history.historyread import HistoryReader, Page, Range
from adapters.registry import connections
from config.register import Register
from tests.adapters.plant import Recorder, Running, WallClock, device_of, register_of
from tests.adapters.proxy import proxied
from tests.adapters.stacks import HistoryServer

POINTS = {
    "plain": "u64",
    "ramp": "u64",
    "wave": "f64",
    "label": "str",
    "temperature": "f64",
}  # the first is the one that is read each interval


def served_register(port: int, *names: str, **more: Any) -> Register:
    points = [
        {"name": n, "type": t, "node": f"nsu=urn:example:history;s={{device}}.{n}"}
        for n, t in POINTS.items()
        if not names or n in ("plain", *names)
    ]
    connection = {
        "protocol": "opcua",
        "endpoint": f"opc.tcp://127.0.0.1:{port}",
        "mode": "subscribe",
        "sampling_ms": 50,
        "timeout_ms": 5000,
        **more,
    }
    return register_of(points, [device_of("m1", connection)], "event")


def delivered_of(recorder: Recorder, point: str) -> list[tuple[int, Any]]:
    """(source time, value) of all rows of a point that are values of their own."""
    return [
        (r["source_us"], r["values"][point])
        for r in recorder.rows("m1")
        if r["outcome"] is Outcome.OK and point in r["values"]
    ]


def difference(recorder: Recorder, server: HistoryServer, point: str) -> str:
    """Empty when every value served between the first and the last delivered one has arrived, once."""
    got = sorted(delivered_of(recorder, point))
    if len(got) < 2:
        return "nothing arrived"
    served = [v for v in server.values(point) if got[0] <= v <= got[-1]]
    lost, twice = sorted(set(served) - set(got)), [v for v, w in pairwise(got) if v == w]
    alien = sorted(set(got) - set(served))
    return f"{point}: {lost=} {twice=} {alien=} of {len(got)}" if lost or twice or alien else ""


def newest(recorder: Recorder, point: str) -> int:
    return max((us for us, _ in delivered_of(recorder, point)), default=0)


async def has_arrived(recorder: Recorder, server: HistoryServer, points: Sequence[str], count: int) -> None:
    """Every value of these points, none lost, none twice, none invented."""

    def whole() -> bool:
        enough = len(delivered_of(recorder, points[0])) >= count
        return enough and not any(difference(recorder, server, p) for p in points)

    with contextlib.suppress(AssertionError):
        await recorder.until(whole, f"every value of {points} once")
    assert [difference(recorder, server, p) for p in points] == [""] * len(points)
    assert len(delivered_of(recorder, points[0])) >= count


async def test_a_cut_connection_and_a_stopped_collector_lose_nothing_that_the_server_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []
    read = HistoryReader.read

    async def watched(self: HistoryReader, nodes: Any, span: Range) -> list[Page]:
        asked.append([str(node.Identifier) for node, _ in nodes])
        return await read(self, nodes, span)

    monkeypatch.setattr(HistoryReader, "read", watched)
    recorder, kept = Recorder(), ("ramp", "wave", "label")
    async with (
        HistoryServer(tmp_path / "served.jsonl", limit=2) as server,
        proxied(server.port) as proxy,
    ):
        register = served_register(proxy.port)
        async with Running(register, recorder, state=tmp_path / "state"):
            await recorder.until(lambda: len(delivered_of(recorder, "label")) > 1, "values")
            await proxy.refuse()
            await asyncio.sleep(1.5)  # a dozen values
            await proxy.listen()
            back_us = WallClock().now_us()
            await recorder.until(lambda: newest(recorder, "ramp") > back_us, "values after the return")
            await has_arrived(recorder, server, kept, 20)
        await asyncio.sleep(1.0)  # nobody collects
        start_us = WallClock().now_us()
        async with Running(register, recorder, state=tmp_path / "state"):
            await recorder.until(lambda: newest(recorder, "ramp") > start_us, "values after the start")
            await server.tell(quiet=True)
            await has_arrived(recorder, server, kept, 30)
    assert set(delivered_of(recorder, "plain")) < set(server.values("plain"))  # without a history the gap stays a gap
    assert delivered_of(recorder, "temperature") == server.values(
        "temperature"
    )  # it stood still, and is not told again
    assert max(len(nodes) for nodes in asked) == 2  # MaxNodesPerHistoryReadData
    assert "m1.plain" not in {
        node for nodes in asked for node in nodes
    }  # AccessLevel says that there is nothing to ask for
    outcomes = recorder.outcomes("m1")
    assert Outcome.DISCONNECTED in outcomes
    late = [r for r in recorder.rows("m1") if r["lag_us"] > 1_000_000 and r["point"] == "ramp"]
    assert late
    assert all(r["quality"] == GOOD for r in late)


async def test_theme_6_a_server_killed_in_mid_traffic_comes_back_with_its_history_and_nothing_is_lost_or_twice(
    tmp_path: Path,
) -> None:
    recorder, points = Recorder(), ("ramp", "wave")
    server = HistoryServer(tmp_path / "served.jsonl")
    async with Running(served_register(server.port, *points), recorder, state=tmp_path / "state"):
        async with server:
            await recorder.until(lambda: len(delivered_of(recorder, "ramp")) > 10, "values")
        killed = server.values("ramp")[-1]  # the newest ones were still in the server's queue
        async with server:
            await recorder.until(lambda: newest(recorder, "ramp") > killed[0], "values after the restart")
            await server.tell(quiet=True)
            await has_arrived(recorder, server, points, 12)
    assert killed in delivered_of(recorder, "ramp")


async def test_values_lost_in_a_full_queue_are_filled_and_the_loss_stays_recorded(tmp_path: Path) -> None:
    recorder = Recorder()
    async with (
        HistoryServer(tmp_path / "served.jsonl") as server,
        Running(served_register(server.port, "ramp", queue=4), recorder),
    ):
        await recorder.until(lambda: Outcome.OVERFLOW in recorder.outcomes("m1"), "an overflow row")
        await recorder.until(lambda: len(delivered_of(recorder, "ramp")) > 8, "values")
        await server.tell(quiet=True)
        await has_arrived(recorder, server, ["ramp"], 8)


async def test_hours_without_a_collector_come_back_in_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(historyread, "VALUES_MOST", 1000)  # the span grows until there are continuation points
    count, step_us = 2000, 15_000_000
    start_us = WallClock().now_us() // 1000 * 1000 - count * step_us
    served = tmp_path / "served.jsonl"
    served.write_text(
        "".join(
            json.dumps({"point": p, "us": start_us + n * step_us, "value": n}) + "\n"
            for n in range(count)
            for p in ("ramp", "wave")
        )
    )
    known = {"last": [start_us, 0], "gaps": []}
    nodes = {
        p: {"node": f"nsu=urn:example:history;s={{device}}.{p}", "type": POINTS[p], **known} for p in ("ramp", "wave")
    }
    folder = tmp_path / "state" / "opcua-history"
    folder.mkdir(parents=True)
    (folder / "m1.json").write_text(json.dumps({"format": "plantproof-opcua-history/1", "points": nodes}))
    recorder = Recorder()
    async with (
        HistoryServer(served) as server,
        Running(served_register(server.port, "ramp", "wave"), recorder, state=tmp_path / "state"),
    ):
        await recorder.until(lambda: len(delivered_of(recorder, "ramp")) > 10, "live values")
        await server.tell(quiet=True)
        await has_arrived(recorder, server, ("ramp", "wave"), count)
    stamps = [us for us, _ in delivered_of(recorder, "ramp") if us > start_us + step_us]
    assert (
        min(us for us, _ in delivered_of(recorder, "ramp")) == start_us + step_us
    )  # the one known is not delivered again
    filled = [us for us in stamps if us < start_us + (count - 1) * step_us]  # the last of them was the current value
    assert filled == sorted(filled)  # oldest first: a server that keeps a ring overwrites those next


async def test_a_register_that_changes_a_device_costs_it_nothing_that_the_server_kept(tmp_path: Path) -> None:
    recorder = Recorder()
    async with HistoryServer(tmp_path / "served.jsonl") as server:
        before, after = served_register(server.port, "ramp"), served_register(server.port, "ramp", "wave")
        running = Running(before, recorder, state=tmp_path / "state")
        async with running:
            await recorder.until(lambda: len(delivered_of(recorder, "ramp")) > 10, "values")
            (sources,) = connections(after, WallClock().now_us()).values()
            await running.adapters[0].apply(sources)
            await recorder.until(lambda: len(delivered_of(recorder, "wave")) > 10, "values of the new point")
            await server.tell(quiet=True)
            await has_arrived(recorder, server, ("ramp", "wave"), 12)
