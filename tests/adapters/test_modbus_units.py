"""Units behind a gateway or on a line, silent, busy or with holes: they cost the others nothing; nothing is torn or invented."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

import adapters.modbus
from adapters.batch import BAD_DEVICE_FAILURE, Outcome
from adapters.modbus.frames import Question, WritingRefused, reading, refuse_writing
from adapters.modbus.poll import BAD_NOT_FOUND
from adapters.modbus.wire import Wire
from adapters.rows import BAD_TIMEOUT
from config.connections import Modbus
from config.errors import ConfigError
from tests.adapters.modbus_peers import Peer, Send, Talk, answer, refusing, register
from tests.adapters.plant import Recorder, Running, register_of

POINTS = [register("a", 0), register("b", 9)]
RIGHT = {"a": 0, "b": 9}


def units(**talks: Talk) -> Talk:
    """u1=…, u2=…: what each unit does; the others answer."""

    async def talk(peer: Peer, request: bytes, send: Send) -> None:
        await talks.get(f"u{peer.asked[-1][0]}", answer)(peer, request, send)

    return talk


async def mute(peer: Peer, request: bytes, send: Send) -> None:
    """As a gateway whose unit is silent."""


def holes(*missing: int, code: int = 2, most: int = 125) -> Talk:
    """A map without some addresses, from a device that takes so many registers at once."""

    async def talk(peer: Peer, request: bytes, send: Send) -> None:
        _, function, address, count = peer.asked[-1]
        if function == 3 and (count > most or any(address <= m < address + count for m in missing)):
            await refusing(code)(peer, request, send)
        else:
            await answer(peer, request, send)

    return talk


def reads(peer: Peer) -> list[tuple[int, int]]:
    return [(address, count) for _, function, address, count in peer.asked if function == 3]


async def test_theme_10_a_silent_unit_on_a_line_costs_the_others_no_interval() -> None:
    """Theme 10 of peers.md §3: one silent slave stalls all others."""
    async with Peer(units(u2=mute), rtu=True) as line:
        devices = [line.device("dead", 2, timeout_ms=5000), line.device("m1", 1), line.device("m3", 3)]
        async with Running(register_of(POINTS, devices), Recorder()) as recorder:
            await recorder.until(lambda: len(recorder.outcomes("dead")) >= 4, "a row of it in each interval")
            assert set(recorder.outcomes("dead")) == {Outcome.TIMEOUT}
            for other in ("m1", "m3"):
                assert recorder.outcomes(other).count(Outcome.OK) >= len(recorder.outcomes(other)) - 1
                assert all(r["values"] in ({}, RIGHT) for r in recorder.rows(other))
    assert line.connections == 1  # a second one would talk into the first
    assert sum(unit == 2 for unit, _, _, _ in line.asked) <= 6


@pytest.mark.parametrize("kind", ["refuses", "queues", "drops the first"])
async def test_a_gateway_that_takes_one_client_only_still_serves_a_unit_that_comes_back(kind: str) -> None:
    current: list[Any] = []

    async def serve(peer: Peer, request: bytes, send: Send) -> None:
        if not any(c is send for c in current):
            current.append(send)
        mine = next(i for i, c in enumerate(current) if c is send)
        if kind == "refuses" and mine:
            raise ConnectionError
        if kind == "queues" and mine and current[0] is not None:
            return
        if kind == "drops the first" and mine < len(current) - 1:
            raise ConnectionError
        await silent(peer, request, send)

    silent = units(u2=mute)
    async with Peer(serve) as gateway:
        devices = [gateway.device("m1", 1), gateway.device("m2", 2)]
        async with Running(register_of(POINTS, devices), Recorder()) as recorder:
            await recorder.until(lambda: len(recorder.outcomes("m2")) >= 2, "rows of the silent unit")
            silent = answer
            await recorder.until(lambda: Outcome.OK in recorder.outcomes("m2"), "it to come back")
            assert recorder.outcomes("m1").count(Outcome.OK) >= len(recorder.outcomes("m1")) - 2


async def test_a_slow_unit_is_found_by_patience_and_kept() -> None:
    async def slow(peer: Peer, request: bytes, send: Send) -> None:
        await asyncio.sleep(0.4)
        await answer(peer, request, send)

    async with Peer(units(u2=slow)) as gateway:
        devices = [gateway.device("m1", 1), gateway.device("slow", 2, timeout_ms=3000)]
        async with Running(register_of(POINTS, devices), Recorder()) as recorder:
            await recorder.until(lambda: recorder.outcomes("slow").count(Outcome.OK) >= 2, "values of the slow one")
    assert all(r["values"] in ({}, RIGHT) for r in recorder.rows("slow"))


@pytest.mark.parametrize("code", [5, 6])
async def test_theme_13_a_busy_device_is_asked_again_after_a_pause_and_nothing_is_stored_as_zero(code: int) -> None:
    """Theme 13: a busy or failed slave stored as 0."""

    async def busy_twice(peer: Peer, request: bytes, send: Send) -> None:
        await (refusing(code) if len(reads(peer)) <= 2 else answer)(peer, request, send)

    async with Peer(busy_twice) as peer, Running(register_of(POINTS, [peer.device("m1")]), Recorder()) as recorder:
        await recorder.until(lambda: recorder.rows("m1"), "a row")
    assert recorder.rows("m1")[0]["values"] == RIGHT
    assert peer.at_s[2] - peer.at_s[0] >= 0.14


async def test_a_device_that_stays_busy_has_failed_and_delivers_no_zeros() -> None:
    async with (
        Peer(refusing(6)) as peer,
        Running(register_of(POINTS, [peer.device("m1")]), Recorder()) as recorder,
    ):
        await recorder.until(lambda: recorder.rows("m1"), "a row")
    row = recorder.rows("m1")[0]
    assert (row["outcome"], row["values"]) == (Outcome.DEVICE_FAILURE, {})
    assert "device busy" in recorder.states[0].words


async def test_theme_7_one_refused_register_is_set_aside_alone_and_asked_for_rarely_also_after_a_disconnection() -> (
    None
):
    """Theme 7: one bad register blocks the rest of the batch."""
    points = [register(f"r{a}", a) for a in range(0, 40, 2)]
    async with (
        Peer(holes(22)) as peer,
        Running(register_of(points, [peer.device("m1")]), Recorder()) as recorder,
    ):
        await recorder.until(lambda: len(recorder.rows("m1")) >= 3, "three polls")
        learned = len(reads(peer))
        await peer.stop()
        await recorder.until(lambda: Outcome.REFUSED in recorder.outcomes("m1"), "the loss")
        await peer.__aenter__()
        count = len(recorder.rows("m1"))
        await recorder.until(lambda: Outcome.OK in recorder.outcomes("m1")[count:], "it to come back")
    for row in (r for r in recorder.rows("m1") if r["outcome"] is Outcome.OK):
        assert row["values"] == {f"r{a}": a for a in range(0, 40, 2) if a != 22}
        assert {n: m for n, m in row["marks"].items() if m} == {"r22": BAD_NOT_FOUND}
    asked_for_hole = [r for r in reads(peer) if r[0] <= 22 < r[0] + r[1]]
    assert asked_for_hole[-1] == (22, 1)
    assert asked_for_hole.count((22, 1)) == 1
    assert [r for r in reads(peer)[learned:] if r[0] <= 22 < r[0] + r[1]] == []


async def test_theme_9_a_device_that_takes_few_registers_is_read_in_what_it_takes() -> None:
    """Theme 9: a device takes fewer than 125 registers, or refuses holes."""
    points = [register(f"r{a}", a) for a in range(0, 100, 5)]
    async with (
        Peer(holes(most=10, code=3)) as peer,
        Running(register_of(points, [peer.device("m1")]), Recorder()) as recorder,
    ):
        await recorder.until(lambda: len(recorder.rows("m1")) >= 3, "rows")
    assert recorder.rows("m1")[-1]["values"] == {f"r{a}": a for a in range(0, 100, 5)}


async def test_scattered_points_are_read_in_a_request_for_each_block_not_for_each_register() -> None:
    """Theme 8: one register per request, far too slow on serial gateways."""
    points = [register(f"r{a}", a) for block in (0, 1000, 2000, 3000) for a in range(block, block + 60, 6)]
    async with (
        Peer(rtu=True) as peer,
        Running(register_of(points, [peer.device("m1", interval_s=3600)]), Recorder()) as recorder,
    ):
        await recorder.until(lambda: recorder.rows("m1"), "a row")
    assert recorder.rows("m1")[0]["values"] == {p["name"]: p["address"] for p in points}
    assert reads(peer) == [(0, 55), (1000, 55), (2000, 55), (3000, 55)]


async def test_a_gateway_that_rebooted_is_read_on_a_new_connection() -> None:
    """Theme 12: the connection is dead after a gateway's reboot, which no packet says: libmodbus #735."""
    rebooted: list[Send] = []

    async def serve(peer: Peer, request: bytes, send: Send) -> None:
        if not any(send is dead for dead in rebooted):
            now.append(send)
            await answer(peer, request, send)

    now: list[Send] = []
    async with Peer(serve) as gateway:
        devices = [gateway.device("m1", 1), gateway.device("m2", 2)]
        async with Running(register_of(POINTS, devices), Recorder()) as recorder:
            await recorder.until(lambda: len(recorder.rows("m1")) + len(recorder.rows("m2")) >= 4, "rows")
            rebooted += now
            before = {d: len(recorder.rows(d)) for d in ("m1", "m2")}
            for device, count in before.items():
                await recorder.until(
                    lambda d=device, c=count: Outcome.OK in recorder.outcomes(d)[c:],  # type: ignore[misc]
                    "values on a new connection",
                )


async def test_a_register_that_fails_is_set_aside_when_the_others_answer() -> None:
    points = [register("bad", 0), register("a", 1), register("far", 100)]
    async with (
        Peer(holes(0, code=4)) as peer,
        Running(register_of(points, [peer.device("m1")]), Recorder()) as recorder,
    ):
        await recorder.until(lambda: len(recorder.rows("m1")) >= 3, "rows")
    row = recorder.rows("m1")[-1]
    assert row["values"] == {"a": 1, "far": 100}
    assert row["marks"]["bad"] == BAD_DEVICE_FAILURE


async def test_a_block_that_is_never_answered_keeps_no_other_block_from_its_values() -> None:
    async def mute_below_50(peer: Peer, request: bytes, send: Send) -> None:
        if peer.asked[-1][2] >= 50:
            await answer(peer, request, send)

    points = [register("mute", 0), register("far", 100), register("farther", 200)]
    async with (
        Peer(mute_below_50) as peer,
        Running(register_of(points, [peer.device("m1", timeout_ms=100)]), Recorder()) as recorder,
    ):
        await recorder.until(lambda: recorder.outcomes("m1").count(Outcome.OK) >= 4, "rows")
    rows = [r for r in recorder.rows("m1") if r["outcome"] is Outcome.OK]
    assert all(r["values"] == {"far": 100, "farther": 200} for r in rows)
    assert all(r["marks"]["mute"] == BAD_TIMEOUT for r in rows)
    assert sum(address < 50 for address, _ in reads(peer)) <= 5


async def test_points_of_one_block_are_of_one_moment_or_bad_together() -> None:
    counting = [register("c0", 0, block="pair"), register("c30", 30, block="pair"), register("free", 60)]

    async def count_up(peer: Peer, request: bytes, send: Send) -> None:
        peer.registers |= {a: len(peer.asked) for a in (0, 30)}
        await talk(peer, request, send)

    talk = answer
    async with Peer(count_up) as peer:
        device = peer.device("m1", max_gap=0)
        async with Running(register_of(counting, [device]), Recorder()) as recorder:
            await recorder.until(lambda: len(recorder.rows("m1")) >= 2, "rows")
            assert all(r["values"]["c0"] == r["values"]["c30"] for r in recorder.rows("m1"))
            talk = holes(most=20, code=3)
            count = len(recorder.rows("m1"))
            await recorder.until(lambda: len(recorder.rows("m1")) >= count + 2, "rows of the refusal")
    assert recorder.rows("m1")[-1]["values"] == {"free": 60}


async def test_pauses_are_kept_after_connecting_and_between_requests() -> None:
    async with Peer() as peer:
        device = peer.device("m1", pause_ms=120, connect_pause_ms=200, max_gap=0)
        async with Running(register_of(POINTS, [device]), Recorder()) as recorder:
            await recorder.until(lambda: recorder.rows("m1"), "a row")
    assert all(b - a >= 0.11 for a, b in zip(peer.at_s, peer.at_s[1:], strict=False))


async def test_a_device_without_43_says_who_it_is_by_17() -> None:
    async def reports(peer: Peer, request: bytes, send: Send) -> None:
        if peer.asked[-1][1] == 17:
            await send(peer.frame(request, b"\x11\x0aPLC X-200\xff"))
        else:
            await answer(peer, request, send)

    for rtu in (False, True):
        async with (
            Peer(reports, rtu=rtu) as peer,
            Running(register_of(POINTS, [peer.device("m1")]), Recorder()) as recorder,
        ):
            await recorder.until(lambda: recorder.identities, "its identity")
        assert recorder.identities[0].facts == (("run_indicator", "on"), ("server_id", "PLC X-200"))
        assert recorder.identities[0].origin == "live"


async def test_nothing_but_reading_functions_is_ever_asked_by_any_of_these() -> None:
    async with (
        Peer(holes(9)) as peer,
        Running(register_of(POINTS, [peer.device("m1")]), Recorder()) as recorder,
    ):
        await recorder.until(lambda: len(recorder.rows("m1")) >= 2, "rows")
    assert {function for _, function, _, _ in peer.asked} <= {1, 2, 3, 4, 17, 43}


@pytest.mark.parametrize("function", sorted({*range(256)} - {1, 2, 3, 4, 17, 43}))
def test_every_other_function_is_refused_before_a_byte_leaves(function: int) -> None:
    with pytest.raises(WritingRefused):
        refuse_writing(bytes([function, 0, 0, 0, 1]))


def test_of_function_43_only_identification_is_sent() -> None:
    refuse_writing(bytes([43, 14, 1, 0]))
    with pytest.raises(WritingRefused):
        refuse_writing(bytes([43, 13, 1, 0]))  # CANopen general reference can write


async def test_the_wire_itself_sends_no_byte_of_a_write() -> None:
    async with Peer() as peer:
        connection = Modbus.model_validate(peer.device("m1")["connection"])
        wire = Wire(connection, "here", lambda err: None)
        await wire.open(5)
        with pytest.raises(WritingRefused):
            await wire.ask([Question(1, b"\x06\0\0\0\1", 2)], 1)
        await wire.ask([reading(1, "holding_register", 0, 1)], 5)
        wire.end()
    assert peer.asked == [(1, 3, 0, 1)]


def test_bytes_leave_in_one_place_only() -> None:
    text = "\n".join(p.read_text(encoding="utf-8") for p in Path(adapters.modbus.__path__[0]).glob("*.py"))
    assert len(re.findall(r"transport\.write\(|\.sendto\(|\.execute\(|\.write_(coil|register)|sock\.send", text)) == 1


@pytest.mark.parametrize(
    ("points", "connection", "expected"),
    [
        ([register("a", 105)], {"forbidden": ["holding_register:100-119"]}, "碰到禁读范围 holding_register:100-119"),
        (
            [register("a", 0, block="x"), register("b", 30, block="x")],
            {"forbidden": ["holding_register:10-11"]},
            "读块 'x' .* 碰到禁读范围",
        ),
        ([register("a", 0, block="x"), register("b", 130, block="x")], {}, "一次最多 125 个地址"),
        (
            [register("a", 0, block="x"), register("b", 1, block="x", table="input_register")],
            {},
            "points of one table",
        ),
        ([register("a", 0, wire="u64")], {"max_registers": 2}, "一次最多 2 个寄存器"),
        ([register("a", 65535, wire="u32")], {}, "寄存器地址应在 0-65535"),
        ([register("a", 0)], {"address_base": 1}, "寄存器地址应在 1-65536"),
        ([register("a", 0)], {"transport": "rtu_over_tcp", "unit": 0}, "广播没有回答"),
        ([register("a", 0)], {"transport": "rtu", "host": "", "serial": "socket://x:1"}, "实为地址"),
        ([register("a", 0)], {"forbidden": ["coil:9-3"]}, "expected first <= last"),
    ],
)
def test_a_register_that_cannot_be_read_as_written_is_refused(
    points: list[dict[str, Any]], connection: dict[str, Any], expected: str
) -> None:
    device = Peer(port=502).device("m1", **connection)
    with pytest.raises(ConfigError, match=expected):
        register_of(points, [device])
