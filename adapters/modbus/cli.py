"""`plantproof modbus probe`: registers side by side in every order and type, so that an engineer without a manual finds the encoding.

In: where the device is, which registers. Out: tables on stderr's console (or JSON on stdout), plausible readings marked; with `--pick` the
TOML of that point on stdout. Reads only; what the device refuses is shown as refused. Exit codes: 0 read, 2 usage, 3 nothing answered.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from adapters.modbus.link import ModbusLink
    from adapters.modbus.probe import View
    from config.connections import Modbus

app = typer.Typer(help="Modbus 现场工具 (field tools)", no_args_is_help=True)

_MOST = 125
_TABLES = ("holding_register", "input_register", "coil", "discrete_input")


@app.callback()
def modbus() -> None:
    """Modbus 现场工具 (field tools)."""


@app.command()
def probe(
    host: Annotated[str, typer.Argument(metavar="HOST[:PORT]", help="设备或网关地址；串口用 --serial (TCP peer)")] = "",
    unit: Annotated[int, typer.Option(help="站号 (unit id)", min=0, max=255)] = 1,
    table: Annotated[str, typer.Option(help="、".join(_TABLES))] = "holding_register",
    address: Annotated[int, typer.Option(help="首地址，按 --base 计 (first address)", min=0)] = 0,
    count: Annotated[int, typer.Option(help="个数 (how many)", min=1, max=_MOST)] = 16,
    base: Annotated[int, typer.Option(help="手册地址从 0 还是 1 数起 (addresses count from)", min=0, max=1)] = 0,
    serial: Annotated[str, typer.Option(help="串口，如 /dev/ttyUSB0 (serial port)")] = "",
    baudrate: Annotated[int, typer.Option(help="波特率")] = 9600,
    parity: Annotated[str, typer.Option(help="校验 N、E、O")] = "N",
    stopbits: Annotated[int, typer.Option(help="停止位", min=1, max=2)] = 1,
    rtu: Annotated[bool, typer.Option("--rtu", help="TCP 上走 RTU 帧，透传转换器 (RTU over TCP)")] = False,
    timeout_ms: Annotated[int, typer.Option(help="限时，毫秒 (time limit)", min=50)] = 2000,
    pick: Annotated[str, typer.Option(help="选定编码，如 f32:CDAB，输出首地址测点的 TOML (print that point)")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="结果以 JSON 输出到标准输出 (JSON on stdout)")] = False,
) -> None:
    """同一组寄存器按各种类型和字节序并排显示 (registers in every type and order)."""
    from adapters.contract import ReadError

    where = {"host": host, "serial": serial, "rtu": rtu, "base": base, "unit": unit, "timeout_ms": timeout_ms}
    connection = _connection({**where, "baudrate": baudrate, "parity": parity, "stopbits": stopbits})
    if table not in _TABLES:
        raise typer.BadParameter(f"expected one of {', '.join(_TABLES)}, found {table!r}", param_hint="--table")
    if not base <= address <= 65536 + base - count:
        raise typer.BadParameter(f"expected {base} to {65536 + base - count}, found {address}", param_hint="--address")
    try:
        cells, refused = asyncio.run(_read(connection, table, address - base, count))
    except ReadError as err:
        sys.stderr.write(f"✘ {err}\n")
        raise typer.Exit(3) from None
    report = _report(cells, refused, table, address)
    if pick:
        sys.stdout.write(_picked(pick, cells, table, address))
    elif as_json:
        sys.stdout.write(json.dumps(report, ensure_ascii=False, indent=1) + "\n")
    else:
        _show(report, table)
    raise typer.Exit(0 if any(c is not None for c in cells) else 3)


def _connection(given: dict[str, Any]) -> Modbus:
    from pydantic import ValidationError

    from config.connections import Modbus

    host, _, port = given["host"].rpartition(":") if ":" in given["host"] else (given["host"], "", "502")
    transport = "rtu" if given["serial"] else "rtu_over_tcp" if given["rtu"] else "tcp"
    line = {k: given[k] for k in ("serial", "baudrate", "parity", "stopbits", "unit", "timeout_ms")}
    try:
        return Modbus.model_validate({"protocol": "modbus", "transport": transport, "host": host, "port": port, **line})
    except ValidationError as err:
        problem = err.errors()[0]
        raise typer.BadParameter(f"{'.'.join(map(str, problem['loc']))} {problem['msg']}".strip()) from None


async def _read(connection: Modbus, table: str, first: int, count: int) -> tuple[list[bytes | None], dict[int, str]]:
    """The registers (or bits, one byte each), None where the device refused; and the words of each refusal."""
    from adapters.modbus.line import Line
    from adapters.modbus.link import ModbusLink
    from adapters.wallclock import WallClock

    link = (ModbusLink if connection.transport == "tcp" else Line)(connection, WallClock())
    cells: list[bytes | None] = [None] * count
    refused: dict[int, str] = {}
    try:
        todo = [(0, count)]
        while todo:
            start, size = todo.pop()
            words = await _read_range(link, connection, table, (first + start, size), cells, start)
            if words and size > 1:
                todo += [(start + size // 2, size - size // 2), (start, size // 2)]
            elif words:
                refused[start] = words
    finally:
        await link.close()
    return cells, refused


async def _read_range(
    link: ModbusLink, connection: Modbus, table: str, place: tuple[int, int], cells: list[bytes | None], start: int
) -> str:
    """Fill cells from `start`; the words of the refusal, or empty."""
    from adapters.modbus.plan import Block
    from adapters.modbus.wire import DeviceRefusal

    block = Block(table, place[0], place[1], (), place[1])
    try:
        raw = await link.read(connection.unit, block, block.question(connection.unit), connection.timeout_ms / 1000)
    except DeviceRefusal as err:
        return str(err)
    for i in range(place[1]):
        cells[start + i] = bytes([raw[i >> 3] >> (i & 7) & 1]) if block.is_bits else raw[2 * i : 2 * i + 2]
    return ""


def _report(cells: list[bytes | None], refused: dict[int, str], table: str, address: int) -> dict[str, Any]:
    from adapters.modbus.probe import DOUBLE, QUADRUPLE, SINGLE, bits_of, texts, views

    named = {str(address + at): words for at, words in refused.items()}
    if table in ("coil", "discrete_input"):
        bits = {str(address + at): bool(c[0]) for at, c in enumerate(cells) if c is not None}
        return {"table": table, "bits": bits, "refused": named}
    shown = [
        {"address": address + at, "hex": c.hex(), "bits": bits_of(c)} for at, c in enumerate(cells) if c is not None
    ]
    return {
        "table": table,
        "registers": shown,
        "single": [_plain(v) for v in views(cells, address, SINGLE)],
        "double": [_plain(v) for v in views(cells, address, DOUBLE)],
        "quadruple": [_plain(v) for v in views(cells, address, QUADRUPLE)],
        "text": [_plain(v) for v in texts(cells, address)],
        "refused": named,
    }


def _plain(view: View) -> dict[str, Any]:
    value = view.value
    if isinstance(value, float) and value - value != 0:
        value = str(value)  # JSON has no NaN
    return {
        "address": view.address,
        "wire": view.wire,
        "order": view.order,
        "value": value,
        "plausible": view.plausible,
    }


def _picked(pick: str, cells: list[bytes | None], table: str, address: int) -> str:
    from adapters.modbus.probe import DOUBLE, QUADRUPLE, SINGLE, texts, toml_of, views

    wire, _, order = pick.partition(":")
    found = [*views(cells, address, (*SINGLE, *DOUBLE, *QUADRUPLE)), *texts(cells, address)]
    for view in found:
        if (view.address, view.wire, view.order) == (address, wire, order or "ABCD"):
            return f"# 当前读数 now: {view.value}\n{toml_of(view, table)}"
    known = sorted({f"{v.wire}:{v.order}" for v in found if v.address == address})
    raise typer.BadParameter(f"expected one of {', '.join(known)}, found {pick!r}", param_hint="--pick")


def _show(report: dict[str, Any], table: str) -> None:
    from rich.console import Console
    from rich.table import Column, Table

    console = Console(stderr=True)
    if "bits" in report:
        console.print("  ".join(f"{at}={int(on)}" for at, on in report["bits"].items()))
    else:
        first = Table(
            "地址", "hex", Column("bits 15…0", no_wrap=True), "u16", "i16", "f16", "BCD", "u16 BADC", title=table
        )
        single = {(v["address"], v["wire"], v["order"]): v for v in report["single"]}
        for r in report["registers"]:
            at = r["address"]
            keys = [(at, w, "ABCD") for w in ("u16", "i16", "f16", "bcd16")] + [(at, "u16", "BADC")]
            first.add_row(str(at), r["hex"], r["bits"], *(_cell(single.get(k)) for k in keys))
        console.print(first)
        for name, title in (("double", "两个寄存器 32 bit"), ("quadruple", "四个寄存器 64 bit")):
            _show_orders(console, report[name], title)
        for v in report["text"]:
            console.print(f"[green]文本 text {v['address']} {v['order']}: {v['value']!r}[/green]")
        console.print("绿色：数值合理，供参考 (green: plausible). --pick 类型:字节序 输出测点 (prints the point)")
    for at, words in report["refused"].items():
        console.print(f"[yellow]{at}: {words}[/yellow]")


def _show_orders(console: Any, found: list[dict[str, Any]], title: str) -> None:
    from rich.table import Table

    from adapters.modbus.probe import ORDERS

    if not found:
        return
    table = Table("地址", "类型", *ORDERS, title=title)
    rows: dict[tuple[int, str], dict[str, dict[str, Any]]] = {}
    for v in found:
        rows.setdefault((v["address"], v["wire"]), {})[v["order"]] = v
    for (address, wire), orders in sorted(rows.items()):
        if any(v["value"] not in (None, 0) for v in orders.values()):
            table.add_row(str(address), wire, *(_cell(orders.get(o)) for o in ORDERS))
    console.print(table)


def _cell(view: dict[str, Any] | None) -> str:
    if view is None or view["value"] is None:
        return "·"
    value = view["value"]
    words = f"{value:.6g}" if isinstance(value, float) else str(value)
    return f"[green]{words}[/green]" if view["plausible"] else words
