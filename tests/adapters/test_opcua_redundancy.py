"""Redundant OPC UA servers (node-opcua): the backup goes on with the same values, the way back does not flap, nothing false is said."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from adapters.batch import Outcome
from adapters.contract import ReadError, Site
from adapters.opcua import redundancy
from adapters.opcua.redundancy import Servers
from adapters.opcua.session import Session
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
        await asyncio.sleep(made.remaining_s)
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
