"""Modbus against servers on other stacks (libmodbus, jsmodbus): over TCP, over serial frames in TCP, over a serial line."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from adapters.batch import Outcome
from config.register import Register
from tests.adapters.plant import PATIENCE_S, Recorder, Running, device_of, free_port, program, register_of
from tests.adapters.stacks import FOLDER, MODBUS_BAD, MODBUS_VALUES, NodeServer, modbus_register

COUNTER = {"name": "served", "type": "i64", "table": "holding_register", "address": 40, "wire": "u16"}


def interop_register(connection: dict[str, Any], *, hole: bool, more: tuple[dict[str, Any], ...] = ()) -> Register:
    """The points of every stack, and the counter of what it served."""
    points = [p.model_dump(exclude_defaults=True, mode="json") for p in modbus_register(1).point_sets[0].points]
    chosen = [p for p in points if hole or p["name"] != "hole"] + [COUNTER]
    return register_of(chosen, [device_of("m1", {"protocol": "modbus", "timeout_ms": 2000, **connection}), *more])


def build_server(tmp: Path) -> Path:
    """tests/servers/libmodbus_server.c, compiled."""
    gcc, target = program("gcc"), tmp / "libmodbus_server"
    if not Path("/usr/include/modbus/modbus.h").exists():
        if os.environ.get("PLANTPROOF_REQUIRE") == "all":
            raise RuntimeError("expected Debian's libmodbus-dev (PLANTPROOF_REQUIRE=all), found none")
        pytest.skip("libmodbus-dev is not installed")
    source = FOLDER / "libmodbus_server.c"
    code = os.system(f"{gcc} -Wall -Werror -O1 -I/usr/include/modbus {source} -o {target} -lmodbus")
    assert code == 0
    return target


@pytest.fixture(scope="session")
def libmodbus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_server(tmp_path_factory.mktemp("libmodbus"))


@asynccontextmanager
async def running(*command: str | Path) -> AsyncIterator[list[str]]:
    """A server's process; what it says it was asked, line by line."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
    said: list[str] = []

    async def listen() -> None:
        assert process.stdout is not None
        while line := await process.stdout.readline():
            said.append(line.decode().strip())

    listening = asyncio.create_task(listen())
    try:
        await until(lambda: said, "its first word")
        assert json.loads(said.pop(0))
        yield said
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        await listening


@asynccontextmanager
async def serial_line(folder: Path) -> AsyncIterator[tuple[Path, Path]]:
    """Two ends of a serial line: a pair of pseudo terminals."""
    ends = folder / "ours", folder / "theirs"
    links = [f"pty,raw,echo=0,link={end}" for end in ends]
    process = await asyncio.create_subprocess_exec(program("socat"), *links)
    try:
        await until(lambda: all(end.exists() for end in ends), "both ends")
        yield ends
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def until(condition: Any, what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"expected {what}"
        await asyncio.sleep(0.02)


def check(recorder: Recorder, said: list[str], *, hole: bool, whole: bool = True) -> None:
    """Every row holds what the server serves; the counter: each read of it served once, delivered once, in order."""
    rows = [r for r in recorder.rows("m1") if r["outcome"] is Outcome.OK]
    if not whole:  # a request that the server passed over leaves its values missing and marked: what is there is right
        for row in rows:
            there = {n: v for n, v in row["values"].items() if n != "served"}
            assert there.items() <= MODBUS_VALUES.items()
            assert all(row["marks"][n] for n in MODBUS_VALUES.keys() - there.keys())
        rows = [r for r in rows if MODBUS_VALUES.keys() <= r["values"].keys() and "served" in r["values"]]
        assert rows
    for row in rows:
        assert {n: v for n, v in row["values"].items() if n != "served"} == MODBUS_VALUES
        assert {n: m for n, m in row["marks"].items() if m} == (MODBUS_BAD if hole else {})
    counted = [r["values"]["served"] for r in rows]
    assert counted == sorted(set(counted))
    answered = [line for line in said if line.startswith("3 ") and not (hole and touches(line, 20, 29))]
    served = [i for i, line in enumerate(answered, 1) if touches(line, 40, 40)]
    if whole:  # every answered read of the counter became a row; the last may still be on its way
        assert counted == served[: len(counted)]
        assert len(served) - len(counted) <= 1
    assert {*counted} <= {*served}


def touches(line: str, first: int, last: int) -> bool:
    _, address, count = map(int, line.split())
    return address <= last and first < address + count


async def test_libmodbus_over_tcp_delivers_every_value_once(libmodbus: Path) -> None:
    port = free_port()
    async with running(libmodbus, "tcp", str(port)) as said:
        register = interop_register({"host": "127.0.0.1", "port": port}, hole=True)
        async with Running(register, Recorder()) as recorder:
            await recorder.until(lambda: recorder.outcomes("m1").count(Outcome.OK) >= 2, "two polls")
        check(recorder, said, hole=True)
        assert {line.split()[0] for line in said} <= {"1", "2", "3", "4", "17", "43"}
    assert dict(recorder.identities[0].facts)["server_id"] == "LMB3.1.6"


async def test_libmodbus_on_a_serial_line_delivers_every_value_once_beside_a_dead_unit(
    libmodbus: Path, tmp_path: Path
) -> None:
    async with serial_line(tmp_path) as (ours, theirs), running(libmodbus, "rtu", theirs) as said:
        line = {"transport": "rtu", "serial": str(ours), "baudrate": 115200}
        dead = device_of("dead", {"protocol": "modbus", **line, "unit": 7})
        register = interop_register(line, hole=True, more=(dead,))
        async with Running(register, Recorder()) as recorder:
            await recorder.until(lambda: recorder.outcomes("m1").count(Outcome.OK) >= 3, "three polls")
            await recorder.until(lambda: len(recorder.outcomes("dead")) >= 3, "a row of the dead one in each interval")
        check(recorder, said, hole=True, whole=False)  # libmodbus passes over the request after one for another unit
    assert set(recorder.outcomes("dead")) == {Outcome.TIMEOUT}


async def test_a_serial_port_that_is_missing_is_unreachable_and_read_when_it_is_plugged_in(
    libmodbus: Path, tmp_path: Path
) -> None:
    line = {"transport": "rtu", "serial": str(tmp_path / "ours"), "baudrate": 115200}
    async with Running(interop_register(line, hole=True), Recorder()) as recorder:
        await recorder.until(lambda: recorder.outcomes("m1"), "a row of the absence")
        assert recorder.outcomes("m1")[0] is Outcome.UNREACHABLE
        assert "打不开串口" in recorder.states[0].words
        for _ in range(2):  # plugged in, pulled out, plugged in
            async with serial_line(tmp_path) as (_, theirs), running(libmodbus, "rtu", theirs):
                count = recorder.outcomes("m1").count(Outcome.OK)
                await recorder.until(lambda c=count: recorder.outcomes("m1").count(Outcome.OK) > c, "values")
            await recorder.until(lambda: not recorder.outcomes("m1")[-1].is_contact, "the loss")
    assert (
        dict(recorder.identities[0].facts)["server_id"] == "LMB3.1.6"
    )  # by 17: libmodbus says nothing to 43 on a line


@pytest.mark.parametrize("framing", ["tcp", "rtu"])
async def test_jsmodbus_delivers_every_value_once(framing: str) -> None:
    node = shutil.which("node")
    async with NodeServer("modbus_server.js"):  # skips, or fails, without node and its modules
        pass
    port = free_port()
    transport = "tcp" if framing == "tcp" else "rtu_over_tcp"
    connection = {"transport": transport, "host": "127.0.0.1", "port": port, "baudrate": 115200}
    async with running(str(node), FOLDER / "jsmodbus_server.js", str(port), framing) as said:
        async with Running(interop_register(connection, hole=False), Recorder()) as recorder:
            await recorder.until(lambda: recorder.outcomes("m1").count(Outcome.OK) >= 2, "two polls")
        check(recorder, said, hole=False)
