"""The process that the kill test kills: collects random batches under load and maintains its folder, until it dies at a chosen place.

Run as a file it is a small server: each JSON line on stdin is a job; it forks a child for it (polars and pyarrow are imported once and
not used before), the child writes what was acknowledged to stdout, the server writes `pid` and `dead`. Stages name functions of the
product; the child sends itself SIGKILL at the n-th call.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

import collector.journal
import collector.maintain
from collector.capture import Capture, Cutting
from collector.clock import DrivenClock
from collector.folder import DataFolder, open_folder
from collector.ledger import log
from collector.ledger.tree import Tree
from collector.store.catalog import Catalog
from tests.builders import SECOND_US, SIMPLE, Row, batch_of

Match = Callable[[tuple[Any, ...]], bool]
DEVICES = ("A", "B", "C")
LIVE_LIKE = Cutting(flush_ms=1, file_us=600 * SECOND_US)


def _any(_args: tuple[Any, ...]) -> bool:
    return True


def _day_file(args: tuple[Any, ...]) -> bool:
    return "open" not in Path(args[-1]).parts and Path(args[-1]).suffix == ".parquet"


def _into_day_file(args: tuple[Any, ...]) -> bool:
    return "open" not in Path(args[0].where).parts


def _open_file(args: tuple[Any, ...]) -> bool:
    return "open" in Path(args[-1]).parts


def _takes_parents(args: tuple[Any, ...]) -> bool:
    return len(args) > 2


def _ends(suffix: str) -> Match:
    return lambda args: Path(args[0]).suffix == suffix


def _in_rollup(args: tuple[Any, ...]) -> bool:
    return "rollup" in Path(args[0]).parts


# stage -> (what is patched, its name, the module that calls it, which calls)
POINTS: dict[str, list[tuple[Any, str, str, Match]]] = {
    "append": [(os, "write", "collector.journal", _any), (os, "fdatasync", "collector.journal", _any)],
    "rotate": [
        (os, "close", "collector.journal", _any),
        (os, "open", "collector.journal", _any),
        (collector.journal, "fsync_folder", "collector.journal", _any),
    ],
    "segment": [
        (pq.ParquetWriter, "write_table", "collector.store.segment", lambda args: not _into_day_file(args)),
        (os, "fsync", "collector.store.segment", _any),
        (Path, "rename", "collector.store.segment", _open_file),
        (Catalog, "replace", "collector.maintain", lambda args: not _takes_parents(args)),
        (Path, "unlink", "collector.maintain", _ends(".jrn")),
    ],
    "merge": [
        (collector.maintain, "merged", "collector.maintain", _any),
        (pq.ParquetWriter, "write_table", "collector.store.segment", _into_day_file),
        (Path, "rename", "collector.store.segment", _day_file),
        (Catalog, "replace", "collector.maintain", _takes_parents),
        (Path, "unlink", "collector.maintain", _ends(".parquet")),
    ],
    "seal": [
        (collector.maintain, "seal_hours", "collector.maintain", _any),
        (collector.maintain, "write_hours", "collector.maintain", _any),
        (Path, "rename", "collector.durable", _in_rollup),
        (DataFolder, "append", "collector.maintain", _any),
    ],
    "ledger": [
        (os, "fsync", "collector.ledger.log", _any),
        (Tree, "extend", "collector.ledger.log", _any),
        (log, "sign_checkpoint", "collector.ledger.log", _any),
        (Path, "rename", "collector.ledger.log", _any),
    ],
}


def arm(stage: str, point: int, when: str, nth: int) -> None:
    """Die at the n-th call of a stage's function: `before` it, `after` it, or with half of it done (`torn`)."""
    owner, name, caller, match = POINTS[stage][point]
    real, left = getattr(owner, name), [nth]

    def dying(*args: Any, **kwargs: Any) -> Any:
        if sys._getframe(1).f_globals["__name__"] != caller or not match(args):
            return real(*args, **kwargs)
        left[0] -= 1
        if left[0] == 0 and when == "torn":
            _half(name, real, args)
        if left[0] == 0 and when != "after":
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(*args, **kwargs)
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, dying)


def _half(name: str, real: Callable[..., Any], args: tuple[Any, ...]) -> None:
    """What a crash in the middle leaves: half the bytes of a write, a last line without its end."""
    if name == "write":
        real(args[0], bytes(args[1])[: max(1, len(args[1]) // 2)])
    if name == "fsync" and (size := os.fstat(args[0]).st_size) > 40:
        path = os.readlink(f"/proc/self/fd/{args[0]}")
        if path.endswith("entries.ndjson"):
            os.truncate(path, size - random.randrange(1, 40))


async def collect(job: dict[str, Any]) -> None:
    """Collect until dead, or until the job's steps are done."""
    rnd = random.Random(job["seed"])
    folder = open_folder(Path(job["folder"]))
    clock = DrivenClock(job["start_us"])
    rotations = 0

    async def maintained() -> None:
        nonlocal rotations
        rotations += 1
        if rotations % job["maintain_every"] == 0:
            collector.maintain.maintain(folder)

    capture = Capture(folder, clock, LIVE_LIKE, maintained)
    await capture.start("kill test")
    count = job["first_count"]
    for _ in range(job["steps"]):
        clock.advance_to(clock.now_us() + job["step_us"])
        batches = []
        for device in rnd.sample(DEVICES, rnd.randrange(1, 4)):
            rows = []
            for _ in range(rnd.randrange(1, 4)):
                source_us = clock.now_us() - rnd.randrange(10 * SECOND_US)
                rows.append(Row(device, SIMPLE, source_us, values={"state": count, "speed": rnd.uniform(0, 100)}))
                count += 1
            batches.append(rows)
        await asyncio.gather(*(capture.emit(batch_of(rows)) for rows in batches))
        acknowledged = [[r.device, r.source_us, r.values["state"]] for rows in batches for r in rows]
        say("ack", [capture._journal.seq, clock.now_us(), acknowledged])
    await capture.stop("done")


def say(word: str, body: Any) -> None:
    """One line on stdout, whole or not at all (shorter than PIPE_BUF)."""
    _WRITE(1, f"{word} {json.dumps(body, separators=(',', ':'))}\n".encode())


_WRITE = os.write


def serve() -> None:
    """A child per job line."""
    for line in sys.stdin:
        job = json.loads(line)
        pid = os.fork()
        if pid == 0:
            if job.get("stage"):
                arm(job["stage"], job["point"], job["when"], job["nth"])
            try:
                asyncio.run(collect(job))
            except BaseException as err:
                say("error", f"{type(err).__name__}: {err}")
                os._exit(1)
            os._exit(0)
        say("pid", pid)
        _, status = os.waitpid(pid, 0)
        say("dead", os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    serve()
