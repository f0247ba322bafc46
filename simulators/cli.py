"""`plantproof simulate` (hidden): the workshop's servers until SIGTERM, for the demo and the tests.

Out on stdout, once, when everything listens: one JSON line with the ports. Exit codes: 0 ended by a signal, 5 port taken.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from datetime import datetime
from typing import Annotated

import typer

app = typer.Typer(hidden=True)


@app.command(hidden=True)
def simulate(
    announce: Annotated[bool, typer.Option(help="服务器声明自己是模拟器 (servers say that they are simulated)")] = True,
    today: Annotated[str, typer.Option(help="剧情中的“今天” YYYY-MM-DD，默认为当天 (the story's today)")] = "",
    seed: Annotated[int, typer.Option(help="随机种子 (seed)")] = 20261122,
    fixed_ports: Annotated[
        bool, typer.Option(help="用固定端口，否则任取空闲端口 (fixed ports, else free ones)")
    ] = False,
) -> None:
    """启动演示车间的 24 台模拟设备，直到收到 SIGTERM (serve the demo workshop until SIGTERM)."""
    from simulators.live import ANY_PORTS
    from simulators.story import PLANT_TZ, Story
    from simulators.workshop import Ports

    day = datetime.strptime(today, "%Y-%m-%d").replace(tzinfo=PLANT_TZ) if today else datetime.now(PLANT_TZ)
    ports = Ports() if fixed_ports else ANY_PORTS
    try:
        asyncio.run(_serve(Story(day.date(), seed), ports, announce))
    except OSError as err:
        typer.echo(f"演示车间无法启动：{err.strerror or err}\n    → 换端口或先停掉占用者 (free the port)", err=True)
        raise typer.Exit(5) from err


async def _serve(story: object, ports: object, announce: bool) -> None:
    from simulators.live import serve

    workshop = await serve(story, ports, announce=announce)  # type: ignore[arg-type]
    loop = asyncio.get_running_loop()
    running = asyncio.ensure_future(workshop.run())
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, running.cancel)
    sys.stdout.write(json.dumps(workshop.ports.to_json()) + "\n")
    sys.stdout.flush()
    try:
        await running
    except asyncio.CancelledError:
        pass
    finally:
        await workshop.stop()
