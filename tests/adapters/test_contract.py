"""One contract for every protocol: the same sentences, said to the real servers of each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from adapters.batch import Outcome
from adapters.contract import Site
from adapters.registry import build
from tests.adapters.plant import (
    VALUES,
    WIRES,
    Recorder,
    Running,
    WallClock,
    Wire,
    free_port,
    register_of,
    serve_bytes,
)

HTTP = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\nnot here"


@pytest.fixture(params=sorted(WIRES))
async def wire(request: pytest.FixtureRequest) -> AsyncIterator[Wire]:
    made = WIRES[request.param]()
    yield made
    await made.stop()


def seen(recorder: Recorder, device: str) -> dict[str, object]:
    """The newest value of each point."""
    return {k: v for row in recorder.rows(device) for k, v in row["values"].items()}


async def test_it_connects_and_delivers_typed_values(wire: Wire) -> None:
    port = free_port()
    await wire.start(port)
    register = register_of(wire.points(), [wire.device("m1", port)], wire.kind)
    async with Running(register, Recorder()) as recorder:
        await recorder.until(lambda: len(seen(recorder, "m1")) == len(VALUES), "all four values")
        assert seen(recorder, "m1") == VALUES
        assert [type(seen(recorder, "m1")[n]) for n in VALUES] == [type(v) for v in VALUES.values()]
        assert recorder.states[-1].outcome is Outcome.OK


async def test_a_dead_port_is_a_recorded_reason_and_comes_back_by_itself(wire: Wire) -> None:
    port = free_port()
    register = register_of(wire.points(), [wire.device("m1", port)], wire.kind)
    async with Running(register, Recorder()) as recorder:
        await recorder.until(lambda: len(recorder.outcomes("m1")) >= 2, "a row for each interval")
        assert set(recorder.outcomes("m1")) == {Outcome.REFUSED}
        assert "refused" in recorder.states[0].words
        await wire.start(port)
        await recorder.until(lambda: Outcome.OK in recorder.outcomes("m1"), "values after the server came up")
        assert [s.outcome for s in recorder.states] == [Outcome.REFUSED, Outcome.OK]


async def test_a_server_that_goes_away_is_recorded_and_comes_back_by_itself(wire: Wire) -> None:
    port = free_port()
    await wire.start(port)
    register = register_of(wire.points(), [wire.device("m1", port)], wire.kind)
    async with Running(register, Recorder()) as recorder:
        await recorder.until(lambda: Outcome.OK in recorder.outcomes("m1"), "values")
        await wire.stop()
        await recorder.until(lambda: not recorder.outcomes("m1")[-1].is_contact, "a failed row after the loss")
        count = len(recorder.outcomes("m1"))
        await recorder.until(lambda: Outcome.REFUSED in recorder.outcomes("m1")[count:], "then that nobody listens")
        await wire.start(port)
        count = len(recorder.outcomes("m1"))
        await recorder.until(lambda: Outcome.OK in recorder.outcomes("m1")[count:], "values again")


async def test_a_port_that_answers_http_is_another_protocol(wire: Wire) -> None:
    port, stop = await serve_bytes(HTTP)
    register = register_of(wire.points(), [wire.device("m1", port)], wire.kind)
    async with Running(register, Recorder()) as recorder:
        await recorder.until(lambda: recorder.outcomes("m1"), "a row")
        assert recorder.outcomes("m1")[0] is Outcome.PROTOCOL
        assert "HTTP/1.1" in recorder.states[0].words
    await stop()


async def test_one_dead_device_does_not_touch_another(wire: Wire) -> None:
    port = free_port()
    await wire.start(port)
    devices = [wire.device("m2", free_port()), wire.device("m1", port)]
    register = register_of(wire.points(), devices, wire.kind)
    async with Running(register, Recorder()) as recorder:
        await recorder.until(lambda: len(recorder.outcomes("m2")) >= 3, "three failed intervals of the dead one")
        assert set(recorder.outcomes("m2")) == {Outcome.REFUSED}
        assert seen(recorder, "m1") == VALUES
        assert all(o.is_contact for o in recorder.outcomes("m1"))


async def test_cancelling_ends_it_and_closes_the_connection(wire: Wire) -> None:
    port = free_port()
    await wire.start(port)
    register = register_of(wire.points(), [wire.device("m1", port)], wire.kind)
    recorder = Recorder()
    async with Running(register, recorder), asyncio.timeout(30):
        await recorder.until(lambda: recorder.batches, "a row")
    count = recorder.entered
    async with asyncio.timeout(10):  # a server can only stop at once when nobody holds a connection to it
        await wire.stop()
    assert recorder.entered == count


async def test_cancelling_while_the_store_is_stuck_still_ends_it(wire: Wire) -> None:
    port = free_port()
    await wire.start(port)
    register = register_of(wire.points(), [wire.device("m1", port)], wire.kind)
    recorder = Recorder()
    recorder.gate.clear()
    async with Running(register, recorder):
        await recorder.until(lambda: recorder.entered, "a row offered")
    assert recorder.batches == []


async def test_one_round_for_the_test_command_stores_nothing(wire: Wire) -> None:
    port = free_port()
    await wire.start(port)
    register = register_of(wire.points(), [wire.device("m1", port)], wire.kind)
    (adapter,) = build(register, Site(WallClock()))
    recorder = Recorder(batches=await adapter.read_once())
    assert seen(recorder, "m1") == VALUES


async def test_one_round_of_a_dead_port_says_why(wire: Wire) -> None:
    register = register_of(wire.points(), [wire.device("m1", free_port())], wire.kind)
    (adapter,) = build(register, Site(WallClock()))
    assert Recorder(batches=await adapter.read_once()).outcomes("m1") == [Outcome.REFUSED]


async def test_a_store_that_fails_ends_the_adapter_with_its_own_error(wire: Wire) -> None:
    class DiskFull(Exception):
        pass

    async def failing(*_: object, urgent: bool = False) -> None:
        raise DiskFull

    port = free_port()
    await wire.start(port)
    (adapter,) = build(register_of(wire.points(), [wire.device("m1", port)], wire.kind), Site(WallClock()))
    with pytest.raises(DiskFull):
        async with asyncio.timeout(30):
            await adapter.run(failing, Recorder().identify)
