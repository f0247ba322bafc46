"""Records golden wire bytes from servers on other stacks: `python tests/golden/record.py` (needs tests/servers/node_modules).

A TCP proxy stands between one `read_once` of our adapter and the npm server, and keeps what both said, in order. Of a subscription
it keeps the publish responses. Out: tests/golden/*.json, hex; the expected values stand in tests/adapters/stacks.py, where the
servers' own sources put them.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))


class Recording:
    """A proxy to one port, and the exchange that went through it."""

    def __init__(self, target: int) -> None:
        self.exchange: list[tuple[str, str]] = []
        self.port = 0
        self._target = target

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._talk, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._target)
        await asyncio.gather(self._pass("c", reader, up_writer), self._pass("s", up_reader, writer))

    async def _pass(self, who: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            if self.exchange and self.exchange[-1][0] == who:
                self.exchange[-1] = (who, self.exchange[-1][1] + data.hex())
            else:
                self.exchange.append((who, data.hex()))
            writer.write(data)
            await writer.drain()
        writer.close()


async def main() -> None:
    from adapters.contract import Site
    from adapters.opcua.session import Session
    from adapters.registry import build
    from tests.adapters.plant import Recorder, Running, WallClock
    from tests.adapters.stacks import NodeServer, modbus_register, opcua_register

    async with NodeServer("modbus_server.js") as server, Recording(server.port) as proxy:
        await build(modbus_register(proxy.port), Site(WallClock()))[0].read_once()
        write("modbus-serial", "modbus-serial 8.0.25, read_once", proxy.exchange)
    async with NodeServer("jsmodbus_server.js", "rtu") as server, Recording(server.port) as proxy:
        register = modbus_register(proxy.port, transport="rtu_over_tcp", baudrate=115200)
        await build(register, Site(WallClock()))[0].read_once()
        write("jsmodbus-rtu", "jsmodbus 5.0.0, serial frames, read_once", proxy.exchange)
    async with NodeServer("opcua_server.js") as server, Recording(server.port) as proxy:
        await build(opcua_register(proxy.port), Site(WallClock()))[0].read_once()
        write("node-opcua-read", "node-opcua 2.182.0, read_once", proxy.exchange)

    responses: list[bytes] = []
    publish = Session.open

    async def open_and_listen(*arguments: Any) -> Session:
        session = await publish(*arguments)
        protocol = session.client.uaclient.protocol
        assert protocol is not None
        take = protocol._call_callback

        def keep(request_id: int, body: Any) -> None:
            raw = bytes(body.copy()) if not isinstance(body, bytes) else body
            if raw[:4] == PUBLISH_RESPONSE:
                responses.append(raw)
            take(request_id, body)

        protocol._call_callback = keep  # type: ignore[method-assign]
        return session

    Session.open = open_and_listen  # type: ignore[method-assign, assignment]
    recorder = Recorder()
    async with (
        NodeServer("opcua_server.js") as server,
        Running(opcua_register(server.port, "subscribe", queue=2), recorder),
    ):
        await recorder.until(lambda: len(responses) >= 3, "three publish responses")
    exchange = [("s", r.hex()) for r in responses[:3]]
    write("node-opcua-publish", "node-opcua 2.182.0, bodies of PublishResponse, queue of 2", exchange)


PUBLISH_RESPONSE = bytes.fromhex("01003d03")  # four-byte node id, namespace 0, i=829


def write(name: str, what: str, exchange: list[tuple[str, str]]) -> None:
    body = {"from": what, "exchange": [list(e) for e in exchange]}
    (Path(__file__).parent / f"{name}.json").write_text(json.dumps(body, indent=1) + "\n")


if __name__ == "__main__":
    asyncio.run(main())
