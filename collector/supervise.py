"""`plantproof run`: one supervisor, a collector process, a web process. Standard library only: it must stay small.

In: name -> arguments of `plantproof`. Out: an exit code. A process that dies is started again after a growing pause; one that says that it
cannot work (exit 2, 4, 5) ends the run with its code. SIGTERM or SIGINT ends all within 5 s; a supervisor that is killed takes them along.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from types import FrameType

HOPELESS = (2, 4, 5)
STOP_WITHIN_S = 4.5
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
STEADY_S = 120.0  # a process that ran that long has its pause forgiven


SUPERVISED = "PLANTPROOF_SUPERVISED"
_PR_SET_PDEATHSIG = 1  # prctl(2)


@dataclass(slots=True)
class _Child:
    name: str
    command: list[str]
    process: subprocess.Popen[bytes]
    started: float
    pause_s: float = FIRST_PAUSE_S


def supervise(processes: dict[str, list[str]]) -> int:
    """Run until a signal (0) or until a process cannot work (its code)."""
    stopping: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        stopping.append(number)

    before = {s: signal.signal(s, stop) for s in (signal.SIGTERM, signal.SIGINT)}
    children = [_start(name, [sys.executable, "-m", "plantproof", *args]) for name, args in processes.items()]
    code = 0
    try:
        while not stopping and not code:
            time.sleep(0.2)
            code = max((_look_after(child) for child in children), default=0)
    finally:
        _end(children)
        for number, handler in before.items():
            signal.signal(number, handler)
    return code


def end_with_parent() -> None:
    """In a supervised process: SIGTERM to it when its parent is gone, however that went."""
    if os.environ.get(SUPERVISED):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _start(name: str, command: list[str]) -> _Child:
    return _Child(name, command, _spawn(command), time.monotonic())


def _spawn(command: list[str]) -> subprocess.Popen[bytes]:
    # a session of its own: Ctrl+C in a terminal reaches the supervisor only, which ends the others in order
    return subprocess.Popen(command, start_new_session=True, env={**os.environ, SUPERVISED: "1"})  # noqa: S603


def _look_after(child: _Child) -> int:
    """0, or the exit code that ends everything."""
    code = child.process.poll()
    if code is None:
        return 0
    if code in HOPELESS:
        return code
    ran_s = time.monotonic() - child.started
    if ran_s < child.pause_s:
        return 0  # it rests
    sys.stderr.write(f"{child.name}: 进程已退出 (ended with {code})，重新启动 (starting again)\n")
    pause_s = FIRST_PAUSE_S if ran_s > STEADY_S else min(2 * child.pause_s, LONGEST_PAUSE_S)
    child.process = _spawn(child.command)
    child.started, child.pause_s = time.monotonic(), pause_s
    return 0


def _end(children: list[_Child]) -> None:
    for child in children:
        if child.process.poll() is None:
            child.process.terminate()
    deadline = time.monotonic() + STOP_WITHIN_S
    for child in children:
        try:
            child.process.wait(max(0.05, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            sys.stderr.write(
                f"{child.name}: 未在 {STOP_WITHIN_S} s 内结束，强制终止 (killed; acknowledged data is on disk)\n"
            )
            child.process.kill()
            child.process.wait()
