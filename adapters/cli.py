"""`plantproof test`: one round over the devices of a register, nothing stored: does each answer, and with what?

In: a register file, optionally device ids. Out: a table on stderr's console (or JSON on stdout): result, good values, why not.
Exit codes: 0 every device answered, 2 unknown device, 3 some did not, 4 register invalid.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import structlog
import typer

if TYPE_CHECKING:
    from adapters.batch import Batch
    from adapters.contract import DeviceState
    from config.register import Register

app = typer.Typer()

_SHOWN = 4  # values in a line of the table


@app.command("test")
def try_devices(
    register: Annotated[Path, typer.Option("--register", help="设备台账文件 (register file)")],
    device: Annotated[list[str] | None, typer.Argument(help="设备编号，缺省为全部 (device ids, default all)")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="结果以 JSON 输出到标准输出 (JSON on stdout)")] = False,
) -> None:
    """试采一轮：每台设备连得上吗、读到什么，不存数据 (read every device once, store nothing)."""
    from config.load import load_register

    loaded = load_register(register)
    chosen = _chosen(loaded, device or [])
    before = structlog.get_config()
    try:
        results = asyncio.run(_round(loaded, chosen))
    finally:
        structlog.configure(**before)
    if as_json:
        sys.stdout.write(json.dumps(results, ensure_ascii=False, indent=1) + "\n")
    else:
        _show(results)
    raise typer.Exit(0 if all(r["answered"] for r in results) else 3)


def _chosen(register: Register, asked: list[str]) -> set[str]:
    connected = {d.id for d in register.devices if d.connection is not None}
    for name in asked:
        if name not in connected:
            known = (
                "没有这台设备 (no such device)"
                if name not in register.device
                else "台账里没有连接 (no connection in the register)"
            )
            raise typer.BadParameter(f"{name}: {known}", param_hint="DEVICE")
    return set(asked) or connected


async def _round(register: Register, chosen: set[str]) -> list[dict[str, Any]]:
    """One read of each chosen device, all connections at the same time."""
    from adapters.contract import Site
    from adapters.registry import build

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))  # the table says it
    states: dict[str, DeviceState] = {}
    only = register.model_copy(update={"devices": tuple(d for d in register.devices if d.id in chosen)})
    adapters = build(only, Site(_WallClock(), lambda state: states.__setitem__(state.device, state)))
    rounds = await asyncio.gather(*(a.read_once() for a in adapters))
    batches = {b.device: b for batch_list in rounds for b in batch_list}
    return [_result(d.id, d.name, batches[d.id], states.get(d.id)) for d in only.devices if d.id in batches]


def _result(device: str, name: str, batch: Batch, state: DeviceState | None) -> dict[str, Any]:
    from adapters.batch import Outcome

    values = _values(batch)
    outcome = Outcome(int(batch.outcome[0]))
    answered = outcome.is_contact and any(v["quality"] < 0x8000_0000 for v in values.values())
    return {
        "device": device,
        "name": name,
        "answered": answered,
        "outcome": outcome.name.lower(),
        "why": "" if answered or state is None else state.words,
        "values": values,
    }


def _values(batch: Batch) -> dict[str, dict[str, Any]]:
    """Point -> value and quality, from the batch's first row of each point."""
    found: dict[str, dict[str, Any]] = {}
    wide = batch.template.kind == "wide"
    for k in range(len(batch) if not wide else 1):
        for i, (_, kind) in enumerate(batch.template.columns):
            column, own = batch.columns[i], batch.point_quality[i]
            has = column.valid is None or bool(column.valid[k])
            quality = int(batch.quality[k] if own is None else own[k])
            if wide:
                found[batch.template.points[i].name] = {
                    "value": _plain(column.values[k]) if has else None,
                    "quality": quality,
                }
            elif i and has and (batch.columns[0].valid is None or batch.columns[0].valid[k]):
                point = batch.template.points[int(batch.columns[0].values[k])]
                if point.type is kind:
                    found.setdefault(point.name, {"value": _plain(column.values[k]), "quality": quality})
    return found


def _plain(value: Any) -> Any:
    return value if isinstance(value, str) else value.item()


def _show(results: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(stderr=True)
    table = Table("设备", "结果", "有效值", "读数", "原因")
    for r in results:
        good = {n: v["value"] for n, v in r["values"].items() if v["quality"] < 0x8000_0000 and v["value"] is not None}
        shown = "  ".join(
            f"{n}={v:.6g}" if isinstance(v, float) else f"{n}={v}" for n, v in list(good.items())[:_SHOWN]
        ) + (" …" if len(good) > _SHOWN else "")
        mark = "[green]通[/green]" if r["answered"] else f"[red]{r['outcome']}[/red]"
        table.add_row(f"{r['device']} {r['name']}", mark, f"{len(good)}/{len(r['values'])}", shown, r["why"])
    console.print(table)
    failed = sum(not r["answered"] for r in results)
    console.print(f"{len(results)} 台设备，{failed} 台不通 ({len(results)} devices, {failed} not answering)")


class _WallClock:
    """The machine's own clock: a single round has nothing to replay."""

    def now_us(self) -> int:
        return time.time_ns() // 1000

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))
