"""What a Modbus peer should never say: each a named outcome at once or within the time limit, and another device never waits for it."""

from __future__ import annotations

import asyncio
import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.batch import Outcome
from adapters.contract import ReadError
from adapters.modbus.frames import hear_mbap, hear_rtu, reading
from adapters.modbus.identity import read_objects, server_facts
from adapters.modbus.line import Line
from adapters.modbus.plan import limits_of, plan
from config.connections import Modbus
from tests.adapters.modbus_peers import Peer, Send, Talk, crc, register, silence
from tests.adapters.plant import Recorder, Running, WallClock, register_of

POINTS = [register("a", 0), register("b", 9)]
RIGHT = {"a": 0, "b": 9}


async def half_a_frame(peer: Peer, request: bytes, send: Send) -> None:
    await send(peer.frame(request, peer.pdu(request))[:-5])


async def one_byte_at_a_time(peer: Peer, request: bytes, send: Send) -> None:
    for byte in peer.frame(request, peer.pdu(request)):
        await send(bytes([byte]))
        await asyncio.sleep(0)


async def another_transaction(peer: Peer, request: bytes, send: Send) -> None:
    await send(peer.frame(request, peer.pdu(request), transaction=0x7777))


async def another_unit(peer: Peer, request: bytes, send: Send) -> None:
    await send(peer.frame(request, peer.pdu(request), unit=9))


async def another_function(peer: Peer, request: bytes, send: Send) -> None:
    await send(peer.frame(request, b"\x04" + peer.pdu(request)[1:]))


async def fewer_bytes(peer: Peer, request: bytes, send: Send) -> None:
    await send(peer.frame(request, b"\x03\x02\0\0"))


async def a_byte_count_that_lies(peer: Peer, request: bytes, send: Send) -> None:
    pdu = peer.pdu(request)
    await send(peer.frame(request, pdu[:1] + b"\x63" + pdu[2:]))


async def an_absurd_length(peer: Peer, request: bytes, send: Send) -> None:
    await send(request[:4] + b"\xff\xff" + bytes(300))


async def no_length(peer: Peer, request: bytes, send: Send) -> None:
    await send(request[:4] + b"\0\0\1\3")


async def endless_bytes(peer: Peer, request: bytes, send: Send) -> None:
    with_head = peer.frame(request, peer.pdu(request), transaction=0x7777)
    for _ in range(100_000):
        await send(with_head * 100)


async def everything_twice(peer: Peer, request: bytes, send: Send) -> None:
    await send(peer.frame(request, peer.pdu(request)) * 2)


async def an_exception_with_a_tail(peer: Peer, request: bytes, send: Send) -> None:
    await send(peer.frame(request, b"\x83\x02\0\0"))


async def rubbish(peer: Peer, request: bytes, send: Send) -> None:
    await send(bytes(range(200, 240)))


async def hang_up(peer: Peer, request: bytes, send: Send) -> None:
    raise ConnectionError


TCP = [
    (half_a_frame, Outcome.TIMEOUT, "half a frame"),
    (one_byte_at_a_time, Outcome.OK, ""),
    (another_transaction, Outcome.PROTOCOL, "transaction"),
    (another_unit, Outcome.PROTOCOL, "expected 1, found 9"),
    (another_function, Outcome.PROTOCOL, "expected 3, found 4"),
    (fewer_bytes, Outcome.PROTOCOL, "expected 20, found 2"),
    (a_byte_count_that_lies, Outcome.PROTOCOL, "expected 20, found 99"),
    (an_absurd_length, Outcome.PROTOCOL, "expected Modbus"),
    (no_length, Outcome.PROTOCOL, "expected Modbus"),
    (endless_bytes, Outcome.PROTOCOL, ""),
    (everything_twice, Outcome.OK, ""),
    (an_exception_with_a_tail, Outcome.PROTOCOL, "异常应答长度"),
    (rubbish, Outcome.PROTOCOL, "expected Modbus"),
    (silence, Outcome.TIMEOUT, "no answer in time"),
    (hang_up, Outcome.DISCONNECTED, "connection lost"),
]
SERIAL = [
    (half_a_frame, Outcome.PROTOCOL, "bad CRC"),
    (one_byte_at_a_time, Outcome.OK, ""),
    (another_unit, Outcome.PROTOCOL, "unit 9"),
    (another_function, Outcome.PROTOCOL, "function 4"),
    (fewer_bytes, Outcome.PROTOCOL, "function 3"),
    (endless_bytes, Outcome.PROTOCOL, ""),
    (everything_twice, Outcome.OK, ""),
    (rubbish, Outcome.PROTOCOL, "bad CRC"),
    (silence, Outcome.TIMEOUT, "no answer in time"),
]
CASES = [(False, *case) for case in TCP] + [(True, *case) for case in SERIAL]


@pytest.mark.parametrize(
    ("rtu", "talk", "outcome", "words"), CASES, ids=[f"{'rtu' if r else 'tcp'}-{t.__name__}" for r, t, _, _ in CASES]
)
async def test_what_does_not_fit_has_a_name_and_nobody_else_waits(
    rtu: bool, talk: Talk, outcome: Outcome, words: str
) -> None:
    async with Peer(talk, rtu=rtu) as bad, Peer() as good:
        devices = [bad.device("bad", timeout_ms=200), good.device("good")]
        async with Running(register_of(POINTS, devices), Recorder()) as recorder:
            await recorder.until(lambda: recorder.rows("bad"), "a row of the bad one")
            await recorder.until(lambda: recorder.rows("good"), "a row of the good one")
    row = recorder.rows("bad")[0]
    assert row["outcome"] is outcome
    assert row["values"] == (RIGHT if outcome is Outcome.OK else {})
    assert words in next(s.words for s in recorder.states if s.device == "bad")
    assert [r["values"] for r in recorder.rows("good")] == [RIGHT] * len(recorder.rows("good"))


@pytest.mark.parametrize("rtu", [False, True], ids=["tcp", "rtu"])
async def test_theme_11_an_answer_that_comes_late_is_never_the_answer_to_the_next_question(rtu: bool) -> None:
    """Theme 11 of peers.md §3: a late reply taken for the next request."""
    served: list[int] = []
    numbers = itertools.count(1000)

    async def now_and_then_late(peer: Peer, request: bytes, send: Send) -> None:
        """Every answer says when it was made; every fourth comes only when the next question is there, before its own answer."""
        if peer.asked[-1][1] != 3:
            return
        peer.registers[0] = next(numbers)
        served.append(peer.registers[0])
        made = peer.frame(request, peer.pdu(request))
        if len(served) % 4 == 1:
            owed.append(made)
            return
        late, owed[:] = b"".join(owed), []
        if late:
            await send(late)
            await asyncio.sleep(0.02)
        await send(made)

    owed: list[bytes] = []
    async with Peer(now_and_then_late, rtu=rtu) as peer:
        device = peer.device("m1", timeout_ms=100)
        points = [register("a", 0), register("b", 1)]
        async with Running(register_of(points, [device]), Recorder()) as recorder:
            await recorder.until(lambda: recorder.outcomes("m1").count(Outcome.OK) >= 4, "rows")
    late = {v for i, v in enumerate(served) if i % 4 == 0}
    got = [r["values"]["a"] for r in recorder.rows("m1") if "a" in r["values"]]
    assert not late & {*got}
    assert got == sorted(set(got))  # none twice, none from before


@pytest.mark.parametrize("registers", [1, 2, 20])
async def test_a_slave_of_random_slowness_is_never_out_of_step(registers: int) -> None:
    """Theme 11 on a line, where nothing but order and length tells answers apart: each says which question it answers."""
    dice = random.Random(registers)  # the same plays each time

    async def slow(peer: Peer, request: bytes, send: Send) -> None:
        peer.registers = dict.fromkeys(range(registers + 4), len(peer.asked))
        made = peer.frame(request, peer.pdu(request))
        await asyncio.sleep(dice.choice([0, 0, 0, 0.02, 0.06, 0.12]))
        await send(made)

    points = [register(f"r{i}", i) for i in range(registers)]
    async with Peer(slow, rtu=True) as peer:
        connection = Modbus.model_validate(peer.device("m1")["connection"])
        (block,) = plan(register_of(points, [peer.device("m1")]).point_sets[0].points, limits_of(connection))
        line = Line(connection, WallClock())
        line.units = 2  # so that a silence does not close the connection, which would hide it
        answered = 0
        for _ in range(40):
            line.try_now()
            try:
                raw = await line.read(1, block, block.question(1), 0.05)
            except ReadError:
                continue
            answered += 1
            assert {int.from_bytes(raw[i : i + 2], "big") for i in range(0, len(raw), 2)} == {len(peer.asked)}
        await line.close()
    assert answered >= 10


@given(st.binary(max_size=600), st.integers(1, 125))
def test_any_bytes_over_tcp_are_heard_without_a_crash(heard: bytes, count: int) -> None:
    question = reading(1, "holding_register", 0, count)
    for asked in (question, None):
        found = hear_mbap(heard, asked, 5)
        assert 0 <= found.used <= len(heard)
        assert found.data is None or len(found.data) == 2 * count


@given(st.binary(max_size=300), st.binary(min_size=2, max_size=250), st.binary(max_size=20))
def test_an_answer_on_a_noisy_line_is_found_whole_or_not_at_all(noise: bytes, data: bytes, tail: bytes) -> None:
    data = data[: len(data) // 2 * 2]
    question = reading(1, "holding_register", 0, len(data) // 2)
    adu = bytes([1, 3, len(data)]) + data
    frame = adu + crc(adu)
    found = hear_rtu(noise + frame + tail, question)
    if found.code == 0:  # three bytes of noise may be a sound exception
        assert found.data == data or (found.data is not None and noise)
    assert hear_rtu(frame[:-1], question).data is None
    broken = frame[:-3] + bytes([frame[-3] ^ 1]) + frame[-2:]
    assert hear_rtu(broken, question).data is None


@given(st.binary(max_size=260))
def test_any_identity_is_read_without_a_crash(raw: bytes) -> None:
    objects, following = read_objects(raw)
    assert all(isinstance(text, str) for text in objects.values())
    assert following is None or 0 <= following <= 255
    assert all(text.isprintable() for _, text in server_facts(raw))
