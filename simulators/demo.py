"""`plantproof demo`: the order in which the demo's processes are started, and what a person reads meanwhile.

 1 simulated machines listen    2 a new data folder with origin class `simulated`, register applied; the page opens at once
 3 95 days of history through the same emit-to-seal functions    4 the live collector takes over    5 numbers, pack, next commands
 6 until Ctrl+C (or, with --once, at once) everything is ended in order
Only commands of `plantproof` are run, each in a process of its own: what the demo shows is what the product does.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from rich.console import Console

from simulators.story import HOUR_US, PLANT_TZ

READY_WITHIN_S, SEALED_WITHIN_S, STOP_WITHIN_S = 60.0, 120.0, 6.0  # limits that say "stuck", on a busy machine too


class DemoError(Exception):
    """The demo cannot go on; says which step and why (exit code 5)."""


@dataclass
class _Stage:
    """Processes of one demo, ended in reverse order."""

    out: Console
    children: list[subprocess.Popen[str]] = field(default_factory=list)
    stopping: bool = False

    def start(self, *arguments: str, pipe: bool = False) -> subprocess.Popen[str]:
        child = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "plantproof", *arguments],
            stdout=subprocess.PIPE if pipe else subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        self.children.append(child)
        return child

    def end(self) -> None:
        for child in reversed(self.children):
            if child.poll() is None:
                child.terminate()
        deadline = time.monotonic() + STOP_WITHIN_S
        for child in reversed(self.children):
            try:
                child.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def run_demo(data: Path, port: int, *, once: bool) -> int:
    """The whole demo; its exit code."""
    out = Console(stderr=True, highlight=False)
    stage = _Stage(out)
    try:
        with _signals(stage), ExitStack() as ends:
            ends.callback(stage.end)
            _play(stage, data, port)
            if not once:
                _wait(stage)
    except DemoError as err:
        out.print(f"✘ {err}", markup=False)
        return 5
    except KeyboardInterrupt:
        return 130
    return 0


def _play(stage: _Stage, data: Path, port: int) -> None:
    out = stage.out
    begun = time.monotonic()
    out.print("演示模式 · 数据全部为模拟，不得用于申报 (simulated; never evidence)", markup=False)
    _clear(data, out)
    ports = _ready_line(stage.start("simulate", pipe=True))
    out.print(f"✔ 模拟设备  OPC UA ×8  Modbus TCP ×12  MQTT ×4      数据目录 {data}", markup=False)
    now_us = int(time.time() * 1_000_000)
    today = datetime.fromtimestamp(now_us / 1e6, PLANT_TZ).date().isoformat()
    history = stage.start("demo-history", str(data), today, str(now_us // HOUR_US), json.dumps(ports))
    _until((data / "genesis.json").exists, READY_WITHIN_S, "建立数据目录", history)
    url = _ready_line(stage.start("serve", "--data", str(data), "--port", str(port), "--json", pipe=True))["url"]
    out.print(f"➜ 页面 {url}   （{time.monotonic() - begun:.0f} s；历史正在生成）", markup=False)
    if history.wait():
        raise DemoError(f"生成历史失败 (history ended with {history.returncode})")
    out.print(f"✔ 95 天历史已封存  {time.monotonic() - begun:.0f} s", markup=False)
    collector = stage.start("collect", "--data", str(data))
    wanted = now_us // HOUR_US
    _until(lambda: _sealed_before(data, wanted), SEALED_WITHIN_S, "封存到当前小时", collector)
    pack = _build_pack(data)
    out.print(f"✔ 证据包 {pack}  {time.monotonic() - begun:.0f} s", markup=False)
    out.print(f"\n打开 {url}\n接下来:", markup=False)
    for command in (
        f"plantproof check --data {data} --why GS25-12-3-3h",
        f"plantproof verify {pack}",
        f"plantproof status --data {data}",
    ):
        out.print(f"  .venv/bin/{command}", markup=False, soft_wrap=True)


def _wait(stage: _Stage) -> None:
    stage.out.print("\nCtrl+C 停止", markup=False)
    while not stage.stopping:
        time.sleep(0.2)
        for child in stage.children:
            if child.poll() not in (None, 0):
                raise DemoError(f"进程意外退出 (a process ended): {' '.join(map(str, child.args[3:]))}")  # type: ignore[index]


def _clear(data: Path, out: Console) -> None:
    """Only a demo folder is made anew; anything else is somebody's data."""
    genesis = data / "genesis.json"
    if not data.exists() or not any(data.iterdir()):
        return
    if not genesis.exists() or b'"origin_class":"simulated"' not in genesis.read_bytes():
        raise DemoError(f"{data}: 不是演示目录，不会覆盖 (not a demo folder)\n    → 换一个 --data")
    out.print(f"  重新生成 {data}：上一次的演示数据将被删除", markup=False)
    shutil.rmtree(data)


def _ready_line(child: subprocess.Popen[str]) -> dict[str, object]:
    line = child.stdout.readline() if child.stdout else ""
    try:
        return dict(json.loads(line))
    except ValueError as err:
        raise DemoError(f"进程没有就绪 (not ready): {' '.join(map(str, child.args[3:]))}") from err  # type: ignore[index]


def _until(test: object, within_s: float, what: str, child: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + within_s
    while callable(test) and not test():
        if time.monotonic() > deadline or child.poll() not in (None, 0):
            raise DemoError(f"{what}: 没有完成 (expected within {within_s:.0f} s)")
        time.sleep(0.1)


def _sealed_before(data: Path, hour: int) -> bool:
    """True when every hour before `hour` has its seal."""
    newest = next(
        (x for x in reversed((data / "ledger" / "entries.ndjson").read_bytes().splitlines()) if b'"t":"seal"' in x),
        None,
    )
    if newest is None:
        return False
    at = datetime.strptime(json.loads(newest)["body"]["hour"], "%Y-%m-%dT%HZ").replace(tzinfo=UTC)
    return int(at.timestamp()) // 3600 >= hour - 1


def _build_pack(data: Path) -> Path:
    built = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "plantproof", "pack", "build", "--data", str(data), "--json"],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if built.returncode:
        raise DemoError(f"证据包没有生成 (pack build ended with {built.returncode})")
    return Path(json.loads(built.stdout)["path"])


@contextmanager
def _signals(stage: _Stage) -> Iterator[None]:
    def stop(_number: int, _frame: FrameType | None) -> None:
        stage.stopping = True
        raise KeyboardInterrupt

    before = {s: signal.signal(s, stop) for s in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
