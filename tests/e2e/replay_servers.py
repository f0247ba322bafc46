"""The recorded NIST machines in a process of their own: `python -m tests.e2e.replay_servers FOLDER BROKER_PORT`, led over stdin.

In: one moment (µs since 1970) per line; broker port 0: an embedded broker is started here. Out: first a line with the register and
`next_us` (when the next row was delivered), then a line for each moment, once OPC UA clients have acknowledged and the broker has taken
all of it.
End of input ends it. A process of its own, so that the servers' work and the collector's have a core each.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from simulators.broker import Broker
from simulators.replay import Replay


async def serve(folder: Path, broker_port: int) -> None:
    broker = Broker()
    if not broker_port:
        await broker.start()
        broker_port = broker.port
    replay = Replay(folder)
    await replay.start(broker_port)
    say({"register": replay.register_toml(), "next_us": replay.next_us})
    while line := await asyncio.to_thread(sys.stdin.readline):
        rows = await replay.advance(int(line))
        say({"rows": rows, "next_us": replay.next_us})
    await replay.stop()
    await broker.stop()


def say(body: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(body) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), int(sys.argv[2])))
