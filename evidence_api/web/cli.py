"""`plantproof serve`: the web process on loopback.

In: a data folder and a port (0 picks a free one). Out: the address on stdout; it runs until SIGTERM or Ctrl+C, which it follows within 2 s.
The address is left in `state/web.json` for `status` and the demo.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

app = typer.Typer(help="页面与接口 (web pages and API, loopback only)")

GRACE_S = 1  # for requests under way when the process is asked to end
ADDRESS = "web.json"


@app.command()
def serve(
    data: Annotated[Path, typer.Option("--data", help="数据目录 (data folder)")] = Path("plantproof-data"),
    host: Annotated[str, typer.Option(help="只允许本机地址 (loopback only)")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="端口，0 为任选 (0 picks a free one)")] = 8420,
    as_json: Annotated[bool, typer.Option("--json", help="以 JSON 输出地址")] = False,
) -> None:
    """打开只读页面 (serve the read-only pages)."""
    from collector.folder import FolderError

    talk = Console(stderr=True)
    if host not in ("127.0.0.1", "::1"):
        talk.print(f"--host: 只能是 127.0.0.1 或 ::1 (expected a loopback address, found {host})", markup=False)
        raise typer.Exit(2)
    try:
        interrupted = run_server(data, host, port, announce=lambda url: _announce(url, as_json=as_json))
    except FolderError as err:
        talk.print(str(err), markup=False)
        raise typer.Exit(err.exit_code) from err
    except OSError as err:
        fix = "换一个端口: --port 0 (pick a free port)"
        talk.print(f"{host}:{port}: 无法监听 (cannot listen): {err.strerror}\n    → {fix}", markup=False)
        raise typer.Exit(5) from err
    if interrupted:
        raise typer.Exit(130)


def run_server(data: Path, host: str, port: int, announce: Callable[[str], None] = lambda _: None) -> bool:
    """Serve until told to end; True when SIGINT ended it. `announce(url)` is called once the socket listens.

    Errors: `FolderError`, `OSError`.
    """
    import uvicorn

    from collector.durable import write_durably
    from evidence_api.web.app import create_app
    from evidence_api.web.server import Server

    application = create_app(data)
    listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=64)
    name = f"[{host}]" if ":" in host else host
    url = f"http://{name}:{listener.getsockname()[1]}/"
    write_durably(data / "state" / ADDRESS, json.dumps({"pid": os.getpid(), "url": url}).encode())
    config = uvicorn.Config(
        application,
        loop="asyncio",
        http="h11",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
        timeout_keep_alive=5,
    )
    server = Server(config)
    announce(url)
    server.run(sockets=[listener])
    return server.interrupted


def _announce(url: str, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"url": url}))  # one line: whoever started this process reads it
    else:
        typer.echo(f"➜ 打开 {url}    Ctrl+C 停止")
