"""`plantproof test`: one round over the devices of the applied register, or of a file, nothing stored: does each answer, and with what?

In: the data folder's newest register and its keys/ (own certificates, trusted servers), or `--register FILE` before anything is applied;
optionally device ids. Out: a table on stderr, or JSON on stdout: result, good values, why not.
Exit codes: 0 every device answered, 2 unknown device, 3 some did not, 4 no register or an invalid one, 5 no data folder.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from collector.cli import DEFAULT_DATA, AsJson, Data

if TYPE_CHECKING:
    from adapters.trial import Trial
    from config.register import Register

app = typer.Typer()

_SHOWN = 4  # values in a line of the table
_WIDE = 24  # characters of a value: a text point may hold a whole array


@app.command("test")
def try_devices(
    device: Annotated[list[str] | None, typer.Argument(help="设备编号，缺省为全部 (device ids, default all)")] = None,
    register: Annotated[
        Path | None, typer.Option("--register", help="台账文件，缺省为已启用的台账 (a file instead of the applied one)")
    ] = None,
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """试采一轮：每台设备连得上吗、读到什么，不存数据 (read every device once, store nothing)."""
    import json

    from adapters.contract import Site
    from adapters.trial import trial
    from collector.clock import SystemClock
    from collector.folder import FolderError, open_folder
    from config.load import load_register

    loaded = load_register(register) if register else _applied(data)
    clock = SystemClock()
    chosen = _chosen(loaded, device or [], clock.now_us())
    try:
        keys = open_folder(data).keys
    except FolderError:
        keys = None  # with a file: there may be no data folder yet
    results = asyncio.run(trial(loaded, chosen, Site(clock, keys=keys)))
    if as_json:
        typer.echo(json.dumps([r.to_json() for r in results], ensure_ascii=False, indent=1))
    else:
        _show(results)
    _warn_of_certificates(loaded, chosen, keys)
    raise typer.Exit(0 if results and all(r.answered for r in results) else 3)


def _applied(data: Path) -> Register:
    """The newest register of the data folder. Errors: `FolderError`, `ConfigError`."""
    from collector.folder import open_folder
    from collector.revisions import registers
    from config.errors import ConfigError, Problem

    revisions = registers(open_folder(data))
    if not revisions:
        fix = "plantproof register apply 文件.toml --reason 首次建立，或 --register 文件.toml"
        raise ConfigError([Problem(str(data), "", "还没有设备台账 (expected an applied register, found none)", fix)])
    return revisions[-1].register


def _chosen(register: Register, asked: Sequence[str], now_us: int) -> set[str]:
    """The devices to try. Errors: `typer.BadParameter` for one that is not collected."""
    from adapters.registry import connections

    collected = {s.device for sources in connections(register, now_us).values() for s in sources}
    for name in asked:
        found = register.device.get(name)
        if found is None:
            raise typer.BadParameter(f"{name}: 台账里没有这台设备 (no such device)", param_hint="DEVICE")
        if name not in collected:
            why = (
                "台账里没有它的连接 (no connection in the register)" if found.connection is None else "已退役 (retired)"
            )
            raise typer.BadParameter(f"{name}: {why}", param_hint="DEVICE")
    return set(asked) or collected


def _warn_of_certificates(register: Register, chosen: set[str], keys: Path | None) -> None:
    """Certificates of secured OPC UA connections that are, or soon will be, out of their time; on stderr."""
    connections = [d.connection for d in register.devices if d.id in chosen]
    if keys is None or all(getattr(c, "policy", "None") == "None" for c in connections):
        return
    from datetime import UTC, datetime

    from adapters.opcua.security.inventory import notices

    for words in notices(keys / "opcua", datetime.now(UTC)):
        typer.echo(f"! {words}", err=True)


def _show(results: Sequence[Trial]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(stderr=True)
    table = Table("设备", "结果", "有效值", "读数", "原因")
    for r in results:
        good = {name: reading.value for name, reading in r.values.items() if reading.is_good}
        shown = [f"{name}={_short(value)}" for name, value in list(good.items())[:_SHOWN]]
        more = " …" if len(good) > _SHOWN else ""
        mark = "[green]通[/green]" if r.answered else f"[red]{r.outcome}[/red]"
        values = escape("  ".join(shown) + more)
        bad = [name for name in r.values if name not in good]
        why = r.why or ("无有效值: " + "、".join(bad[:_SHOWN]) + (" …" if len(bad) > _SHOWN else "") if bad else "")
        table.add_row(escape(f"{r.device} {r.name}"), mark, f"{len(good)}/{len(r.values)}", values, escape(why))
    console.print(table)
    failed = sum(not r.answered for r in results)
    console.print(f"{len(results)} 台设备，{failed} 台不通 ({len(results)} devices, {failed} not answering)")


def _short(value: bool | int | float | str | None) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= _WIDE else f"{text[: _WIDE - 1]}…"
