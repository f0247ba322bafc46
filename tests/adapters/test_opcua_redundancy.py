"""Redundant OPC UA servers (node-opcua): the backup goes on with the same values, the way back does not flap, nothing false is said."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, cast

import pytest

from adapters.batch import Outcome
from adapters.contract import ReadError, Site
from adapters.opcua import redundancy
from adapters.opcua.redundancy import Servers
from adapters.opcua.session import Session
from adapters.opcua.transport import BoundedClient
from config.connections import OpcUa
from tests.adapters.plant import PATIENCE_S, Recorder, Running, WallClock, free_port
from tests.adapters.secure import SecureServer, certificate, secure_register

WHEN_US = 1_795_309_323_456_000


def pair(folder: Path, **second: Any) -> tuple[SecureServer, SecureServer]:
    """Two servers of one set; the second has its namespace elsewhere."""
    made = {"redundancy": 3}  # hot (IEC 62541-5 §12.5)
    return (
        SecureServer(folder / "a", certificate("a"), uri="urn:example:a", **made),
        SecureServer(folder / "b", certificate("b"), uri="urn:example:b", shift=2, **made, **second),
    )


def servers(*ports: int, timeout_ms: int = 10_000) -> Servers:
    connection = secure_register(ports, timeout_ms=timeout_ms).devices[0].connection
    assert isinstance(connection, OpcUa)
    return Servers(connection, timeout_ms / 1000, Site(WallClock()))


@pytest.mark.parametrize("mode", ["subscribe", "poll"])
async def test_values_go_on_from_the_backup_when_the_first_server_dies(tmp_path: Path, mode: str) -> None:
    first, second = pair(tmp_path)
    async with first, second:
        register = secure_register([first.port, second.port], mode, history="off")
        async with Running(register, Recorder()) as recorder:
            await recorder.until(lambda: Outcome.OK in recorder.outcomes("m1"), "the first value")
            await first.say(speed=2.5, at=WHEN_US // 1000 + 1000)
            await second.say(speed=2.5, at=WHEN_US // 1000 + 1000)
            await recorder.until(lambda: 2.5 in speeds(recorder), "the value of both")
            await first.kill()
            await recorder.until(lambda: Outcome.DISCONNECTED in recorder.outcomes("m1"), "the loss")
            await second.say(speed=3.5, at=WHEN_US // 1000 + 2000)
            await recorder.until(lambda: 3.5 in speeds(recorder), "the value of the backup")
            again = len(recorder.rows("m1"))
            await recorder.until(lambda: len(recorder.rows("m1")) > again, "one more row")
    rows = recorder.rows("m1")
    stored = [(r["source_us"], r["values"]["speed"]) for r in rows if r["outcome"] is Outcome.OK]
    assert list(dict.fromkeys(stored)) == [(WHEN_US, 1.5), (WHEN_US + 1_000_000, 2.5), (WHEN_US + 2_000_000, 3.5)]
    assert {o for o in recorder.outcomes("m1") if not o.is_contact} <= {Outcome.DISCONNECTED, Outcome.TIMEOUT}
    facts = [dict(i.facts) for i in recorder.identities]
    assert [f["application_uri"] for f in facts] == ["urn:example:a", "urn:example:b"]
    assert [f["endpoint"].rpartition(":")[2] for f in facts] == [str(first.port), str(second.port)]
    assert {f["redundancy_support"] for f in facts} == {"hot"}


def speeds(recorder: Recorder) -> list[float]:
    return [r["values"]["speed"] for r in recorder.rows("m1") if r["outcome"] is Outcome.OK]


async def test_the_healthier_server_is_used_and_the_way_back_does_not_flap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redundancy, "LOOK_S", 0.05)
    monkeypatch.setattr(redundancy, "BACK_FIRST_S", 0.2)
    first, second = pair(tmp_path, level=150)
    lost = asyncio.Event()
    async with first, second:
        made = servers(first.port, second.port)
        watching = asyncio.create_task(made.watch())
        try:
            await first.say(level=199)
            session = await made.open(lost.set)
            assert uri(session) == "urn:example:a"  # none is healthy: the higher level
            await second.say(level=255)
            await asyncio.wait_for(lost.wait(), PATIENCE_S)  # degraded: left for the healthy one
            session = await moved(made, session, lost)
            assert uri(session) == "urn:example:b"
            for _ in range(2):
                created = (await first.say(ask="sessions"))["created"]
                await first.say(level=255)
                await asyncio.wait_for(lost.wait(), PATIENCE_S)  # healthy in three looks: back
                session = await moved(made, session, lost)
                assert uri(session) == "urn:example:a"
                assert (await first.say(ask="sessions"))["created"] - created >= redundancy.LOOKS_BACK
                await first.say(level=100)
                await asyncio.wait_for(lost.wait(), PATIENCE_S)
                session = await moved(made, session, lost)
                assert uri(session) == "urn:example:b"
            assert made.back_s == pytest.approx(4 * redundancy.BACK_FIRST_S)
            await session.close()
            await made.close()
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        assert [(await s.say(ask="sessions"))["sessions"] for s in (first, second)] == [0, 0]


async def moved(made: Servers, old: Session, lost: asyncio.Event) -> Session:
    """What the adapter does at a loss."""
    lost.clear()
    assert not old.alive
    await old.close()
    return await made.open(lost.set)


def uri(session: Session) -> str:
    return dict(session.facts)["application_uri"]


async def test_when_all_are_dead_the_words_name_each_and_the_first_that_returns_is_used(tmp_path: Path) -> None:
    second = SecureServer(tmp_path, certificate("b"), uri="urn:example:b")
    dead = free_port()
    made = servers(dead, second.port)
    with pytest.raises(ReadError) as refused:
        await made.open(lambda: None)
    assert refused.value.outcome is Outcome.REFUSED
    assert str(dead) in str(refused.value)
    assert str(second.port) in str(refused.value)
    assert 0 < made.remaining_s <= 0.9  # nobody at home: each second
    async with second:
        session = None
        async with asyncio.timeout(PATIENCE_S):
            while session is None:  # each server has its own pause
                await asyncio.sleep(made.remaining_s)
                with contextlib.suppress(ReadError):
                    session = await made.open(lambda: None)
        assert uri(session) == "urn:example:b"
        await session.close()


async def test_a_first_server_that_hangs_does_not_hold_up_the_backup(tmp_path: Path) -> None:
    gone = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(100):
            pass
        writer.close()
        gone.set()

    hanging = await asyncio.start_server(hang, "127.0.0.1", 0)
    async with SecureServer(tmp_path, certificate("b"), uri="urn:example:b") as second:
        made = servers(hanging.sockets[0].getsockname()[1], second.port, timeout_ms=60_000)
        session = await made.open(lambda: None)
        assert uri(session) == "urn:example:b"
        await asyncio.wait_for(gone.wait(), PATIENCE_S)  # the attempt was given up, not left behind
        await session.close()
    hanging.close()


class Fake:
    """A session that only counts: its level, whether it is open."""

    made: ClassVar[list[Fake]] = []

    def __init__(self, where: str, level: int, on_lost: Callable[[], None]) -> None:
        self.where, self.level, self.on_lost = where, level, on_lost
        self.facts: tuple[tuple[str, str], ...] = ()
        self.alive, self.closed = True, False
        Fake.made.append(self)

    async def read_redundancy(self) -> tuple[int, str]:
        return self.level, "hot"

    def mark_lost(self) -> None:
        self.alive = False
        self.on_lost()

    async def close(self) -> None:
        try:
            await asyncio.sleep(0)
        finally:
            self.alive, self.closed = False, True


@pytest.fixture
def levels(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """The level each server says, by port; servers are not asked over a network."""
    said: dict[str, int] = {}

    async def opened(endpoint: str, _: float, on_lost: Callable[[], None], *__: object) -> Fake:
        return Fake(endpoint, said[endpoint.rpartition(":")[2]], on_lost)

    Fake.made.clear()
    monkeypatch.setattr("adapters.opcua.redundancy.Session", SimpleNamespace(open=opened))
    return said


def open_ports() -> list[str]:
    return [f.where.rpartition(":")[2] for f in Fake.made if not f.closed]


async def test_a_server_without_data_is_left_for_a_degraded_one_and_the_best_is_taken(levels: dict[str, int]) -> None:
    levels.update({"1001": 255, "1002": 150, "1003": 1})
    made = servers(1001, 1002, 1003)
    session = cast(Fake, await made.open(lambda: None))
    session.level = 1  # NoData (IEC 62541-4 §6.6.2.4.2)
    found = await made._better(cast(Session, session))
    assert found is not None
    assert found.level == 150
    assert open_ports() == ["1001", "1002"]
    await found.session.close()
    levels["1003"] = 200
    session.level = 120
    found = await made._better(cast(Session, session))
    assert found is not None
    assert found.level == 200
    await found.session.close()
    levels.update({"1002": 199, "1003": 199})
    assert await made._better(cast(Session, session)) is None  # degraded as well: no reason to move
    assert open_ports() == ["1001"]


async def test_a_session_that_dies_before_it_is_taken_over_is_closed(levels: dict[str, int]) -> None:
    levels.update({"1001": 100, "1002": 255})
    made = servers(1001, 1002)
    lost = cast(Fake, await made.open(lambda: None))
    made._next = await made._above(made._all[1:], 2)
    assert made._next is not None
    cast(Fake, made._next.session).alive = False
    await lost.close()
    await made.open(lambda: None)
    assert len(open_ports()) == 1


async def test_opening_that_is_cancelled_leaves_no_session_behind(levels: dict[str, int]) -> None:
    levels.update({"1001": 100, "1002": 255})
    for rounds in range(1, 12):  # wherever it is cancelled
        made = servers(1001, 1002)
        task = asyncio.create_task(made.open(lambda: None))
        for _ in range(rounds):
            await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await (await task).close()
        assert open_ports() == []


async def test_an_error_of_our_own_is_not_taken_for_a_server_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> Fake:
        raise LookupError("ours")

    monkeypatch.setattr("adapters.opcua.redundancy.Session", SimpleNamespace(open=broken))
    with pytest.raises(LookupError):
        await servers(1001, 1002).open(lambda: None)


async def test_a_session_whose_closing_is_cancelled_lets_go_of_its_socket() -> None:
    class Client:
        open = True

        async def disconnect(self) -> None:
            await asyncio.Event().wait()

        def disconnect_socket(self) -> None:
            self.open = False

    client = Client()
    closing = asyncio.create_task(Session(cast(BoundedClient, client), "cnc:4840", lambda: None).close())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert not client.open
