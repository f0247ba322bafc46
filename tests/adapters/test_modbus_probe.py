"""`plantproof modbus probe`: registers in every order, the refused shown as refused, the point's TOML, nothing but reads."""

from __future__ import annotations

import asyncio
import json
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

import plantproof
from adapters.modbus.probe import point_of, texts, toml_of, views
from tests.adapters.modbus_peers import Peer, Send, answer, refusing

REGISTERS = {0: 0x0000, 1: 0x41BC, 2: 0x412D, 3: 0x3132, 4: 0x1234}  # 23.5 as CDAB, "A-12", BCD 1234


@contextmanager
def served(peer: Peer) -> Iterator[Peer]:
    """A peer in a thread of its own: the command has its own event loop."""
    started, stop = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        async with peer:
            started.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert started.wait(30)
    yield peer
    loop.call_soon_threadsafe(stop.set)
    thread.join(30)
    loop.close()


async def without_7(peer: Peer, request: bytes, send: Send) -> None:
    _, _, address, count = peer.asked[-1]
    await (refusing(2) if address <= 7 < address + count else answer)(peer, request, send)


@pytest.fixture
def peer() -> Iterator[Peer]:
    made = Peer(without_7)
    made.registers = REGISTERS
    with served(made):
        yield made


def probe(peer: Peer, *more: str) -> int:
    return plantproof.run(["modbus", "probe", f"127.0.0.1:{peer.port}", *more])


def test_the_right_order_is_among_those_shown_and_the_refused_register_is_named(
    peer: Peer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert probe(peer, "--count", "10", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    found = {(v["address"], v["wire"], v["order"]): v for v in [*report["single"], *report["double"]]}
    assert (found[0, "f32", "CDAB"]["value"], found[0, "f32", "CDAB"]["plausible"]) == (23.5, True)
    assert found[4, "bcd16", "ABCD"]["value"] == 1234
    assert [r["address"] for r in report["registers"]] == [0, 1, 2, 3, 4, 5, 6, 8, 9]
    assert "illegal data address" in report["refused"]["7"]
    assert any(v["value"].startswith("A-12") and v["address"] == 2 for v in report["text"])
    assert {function for _, function, _, _ in peer.asked} == {3}


def test_the_table_for_the_eye_shows_the_same(peer: Peer, capsys: pytest.CaptureFixture[str]) -> None:
    assert probe(peer, "--count", "5") == 0
    shown = capsys.readouterr().err
    assert "23.5" in shown
    assert "CDAB" in shown


def test_a_picked_encoding_becomes_a_point_of_the_register(peer: Peer, capsys: pytest.CaptureFixture[str]) -> None:
    assert probe(peer, "--base", "1", "--address", "1", "--count", "2", "--pick", "f32:CDAB") == 0
    (point,) = tomllib.loads(capsys.readouterr().out.replace("[[points.point]]", "[[point]]"))["point"]
    assert point == {
        "name": "改名 rename",
        "type": "f64",
        "table": "holding_register",
        "address": 1,
        "wire": "f32",
        "word_order": "little",
    }


def test_bits_are_shown_as_bits(peer: Peer, capsys: pytest.CaptureFixture[str]) -> None:
    assert probe(peer, "--table", "coil", "--count", "4", "--json") == 0
    assert json.loads(capsys.readouterr().out)["bits"] == {"0": True, "1": False, "2": False, "3": True}


@pytest.mark.parametrize(
    ("more", "code", "words"),
    [
        (["--table", "register"], 2, "holding_register"),
        (["--address", "65530"], 2, "65520"),
        (["--pick", "f32:XYZ"], 2, "f32:CDAB"),
        (["--parity", "X"], 2, "parity"),
    ],
)
def test_a_wrong_word_is_a_usage_error_that_says_what_is_right(
    peer: Peer, capsys: pytest.CaptureFixture[str], more: list[str], code: int, words: str
) -> None:
    assert probe(peer, *more) == code
    assert words in capsys.readouterr().err


def test_a_device_that_is_not_there_is_said_so_with_exit_3(capsys: pytest.CaptureFixture[str]) -> None:
    assert probe(Peer(port=1)) == 3
    assert "连接被拒绝" in capsys.readouterr().err


def test_what_covers_a_refused_register_is_left_out() -> None:
    found = {(v.address, v.wire) for v in views([b"\0\1", None, b"\0\2"], 0, ("u16", "u32"))}
    assert found == {(0, "u16"), (2, "u16")}


def test_the_toml_of_a_text_has_its_length() -> None:
    (view,) = [v for v in texts([b"A-", b"12"], 5) if v.order == "ABCD"]
    (point,) = tomllib.loads(toml_of(view, "input_register").replace("[[points.point]]", "[[point]]"))["point"]
    assert (point["wire"], point["length"], point["table"]) == ("str", 2, "input_register")
    assert point_of("str", "ABCD", 5, 2, "input_register").length == 2
