"""`plantproof test`: each device read once by the applied register or by a file; nothing is stored, and the exit code says how it went."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

import plantproof
from adapters import trial as trials
from adapters.batch import Batch, Outcome
from adapters.contract import Site
from adapters.rows import Rows, failed_batch
from adapters.template import Source
from tests.adapters.plant import ModbusWire
from tests.builders import FIRST_HOUR, HOUR_US, Driver

T0 = FIRST_HOUR * HOUR_US


def a_register(port: int, *more: str) -> str:
    """A lathe on Modbus, a bench without a connection, a scrapped one; `more` devices as TOML."""
    head = """format = "plantproof-register/1"
line = [{id = "L", name = "L"}]
points = [{id = "p", point = [
  {name = "speed", type = "f64", table = "holding_register", address = 0, wire = "f32"},
  {name = "count", type = "i64", table = "holding_register", address = 2, wire = "i32"},
]}]
"""
    where = f'connection = {{protocol = "modbus", host = "127.0.0.1", port = {port}}}\npoints = "p"\n'
    service = 'line = "L"\nin_service_from = 2020-01-01\n'
    return (
        head
        + f'[[device]]\nid = "m1"\nname = "一号车床"\n{service}{where}'
        + f'[[device]]\nid = "bench"\nname = "钳工台"\n{service}'
        + f'[[device]]\nid = "old"\nname = "旧车床"\n{service}retired_at = 2024-01-01\n{where}'
        + "".join(more)
    )


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@contextmanager
def modbus() -> Iterator[int]:
    """pymodbus' own server in a thread of its own; its port."""
    wire, port, loop = ModbusWire(), free_port(), asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(wire.start(port), loop).result(20)
        yield port
    finally:
        asyncio.run_coroutine_threadsafe(wire.stop(), loop).result(20)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(20)
        loop.close()


def snapshot(path: Path) -> dict[str, bytes]:
    return {str(p.relative_to(path)): p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()}


def test_the_applied_register_is_tried_and_nothing_is_stored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with modbus() as port:
        driver = Driver(tmp_path, T0)
        driver.register(a_register(port))
        before = snapshot(driver.folder.path)
        code = plantproof.run(["test", "--data", str(driver.folder.path), "--json"])
        assert snapshot(driver.folder.path) == before
    (row,) = json.loads(capsys.readouterr().out)
    assert (code, row["device"], row["answered"], row["outcome"], row["why"]) == (0, "m1", True, "ok", "")
    assert {n: v["value"] for n, v in row["values"].items()} == {"speed": 1.5, "count": 3}


def test_a_file_is_tried_before_there_is_a_data_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "register.toml"
    with modbus() as port:
        file.write_text(a_register(port), encoding="utf-8")
        where = ["--data", str(tmp_path / "none")]
        assert plantproof.run(["test", "m1", "--register", str(file), *where]) == 0
    assert "1 台设备，0 台不通" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_a_device_that_does_not_answer_ends_with_3_and_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    driver = Driver(tmp_path, T0)
    driver.register(a_register(free_port()))
    assert plantproof.run(["test", "--data", str(driver.folder.path), "--json"]) == 3
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["device"], row["answered"], row["outcome"]) == ("m1", False, "refused")
    assert "connection refused" in row["why"]


@pytest.mark.parametrize(
    ("device", "words"), [("m9", "no such device"), ("bench", "no connection"), ("old", "retired")]
)
def test_a_device_that_is_not_collected_ends_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], device: str, words: str
) -> None:
    driver = Driver(tmp_path, T0)
    driver.register(a_register(free_port()))
    assert plantproof.run(["test", "m1", device, "--data", str(driver.folder.path)]) == 2
    found = capsys.readouterr().err
    assert device in found
    assert words in found


def test_without_a_register_it_ends_with_4_and_without_a_folder_with_5(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    driver = Driver(tmp_path, T0)
    assert plantproof.run(["test", "--data", str(driver.folder.path)]) == 4
    assert "register apply" in capsys.readouterr().err
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(a_register(1).replace("f32", "f33"), encoding="utf-8")
    assert plantproof.run(["test", "--register", str(wrong)]) == 4
    assert "wire" in capsys.readouterr().err
    assert plantproof.run(["test", "--data", str(tmp_path / "none")]) == 5


class Odd:
    """An adapter of one device that answers in an unusual way."""

    def __init__(self, sources: Sequence[Source], site: Site) -> None:
        self.source, self.site = sources[0], site

    @property
    def devices(self) -> tuple[str, ...]:
        return (self.source.device,)

    async def read_once(self) -> list[Batch]:
        device, template = self.source.device, self.source.template
        if device == "m1":
            raise RuntimeError("a bug")
        if device == "mute":
            return []
        rows = Rows(device, template)
        rows.wide(T0, T0, [2.5, None], [0, 0x8000_0000])
        batch = rows.batch()
        assert batch is not None
        return [failed_batch(device, template, T0, Outcome.OVERFLOW), batch]


def test_a_fault_of_one_adapter_is_its_devices_result_and_nobody_elses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def odd(register: object, site: Site) -> list[Odd]:
        from adapters.registry import connections
        from config.register import Register

        assert isinstance(register, Register)
        assert site.keys == driver.folder.keys
        assert site.state is None
        return [Odd(sources, site) for sources in connections(register, T0).values()]

    monkeypatch.setattr(trials, "build", odd)
    driver = Driver(tmp_path, T0)
    more = [
        f'[[device]]\nid = "{d}"\nname = "{d}"\nline = "L"\nin_service_from = 2020-01-01\npoints = "p"\n'
        f'connection = {{protocol = "modbus", host = "127.0.0.1", port = {port}}}\n'
        for d, port in (("mute", 1503), ("late", 1504))
    ]
    driver.register(a_register(1502, *more))
    where = ["--data", str(driver.folder.path)]
    assert plantproof.run(["test", *where, "--json"]) == 3
    rows = {r["device"]: r for r in json.loads(capsys.readouterr().out)}
    assert [(r["answered"], r["outcome"]) for r in rows.values()] == [
        (False, "silent"),
        (False, "silent"),
        (True, "ok"),
    ]
    assert "a bug" in rows["m1"]["why"]
    assert rows["late"]["values"]["speed"] == {"value": 2.5, "quality": 0}
    assert plantproof.run(["test", "late", *where]) == 0
    assert "speed=2.5" in capsys.readouterr().err
