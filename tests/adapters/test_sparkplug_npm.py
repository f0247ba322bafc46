"""The Sparkplug host against npm sparkplug-client: every basic type, signs, compression, bdSeq that is always 0."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from adapters.batch import Outcome
from adapters.contract import Site
from adapters.mqtt.sparkplug.edge import EdgeNode
from adapters.mqtt.sparkplug.member import Member
from adapters.mqtt.sparkplug.payload import address
from adapters.template import source_of
from config.register import Register
from tests.adapters.plant import MqttWire, Recorder, Running, WallClock, device_of, free_port, register_of
from tests.adapters.stacks import FOLDER, NodeServer

TYPES = dict.fromkeys(("i8", "i16", "i32", "i64", "u8", "u16", "u32", "when"), "i64")
TYPES |= {"u64": "u64", "f32": "f32", "f64": "f64", "flag": "bool", "name": "str"}
READ: dict[str, Any] = {
    "i64": int,
    "u64": int,
    "f32": float,
    "f64": float,
    "bool": lambda text: text == "true",
    "str": str,
}


class NpmEdge(NodeServer):
    """sparkplug_edge.js; `sent` is what it says it sent: (device, point, source time in ms, value)."""

    def __init__(self, broker_port: int, compress: str = "") -> None:
        super().__init__("sparkplug_edge.js", f"mqtt://127.0.0.1:{broker_port}", json.dumps({"compress": compress}))
        self.sent: list[tuple[str, str, int, Any]] = []

    async def tell(self, **command: Any) -> Any:
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        async with asyncio.timeout(30):
            answer = json.loads(await self._process.stdout.readline())
        self.sent += [(d, n, at, READ[TYPES[n]](text)) for d, n, at, text in answer.get("sent", ())]
        return answer


@pytest.fixture
async def port() -> AsyncIterator[int]:
    broker, chosen = MqttWire(), free_port()
    broker.repeat = False
    await broker.start(chosen)
    yield chosen
    await broker.stop()


def register(port: int, interval_s: int = 60) -> Register:
    points = [{"name": n, "type": t, "metric": n} for n, t in TYPES.items()]
    link = {"protocol": "sparkplug", "broker": f"mqtt://127.0.0.1:{port}", "group": "G", "edge_node": "E"}
    return register_of(points, [device_of(d, link | {"device": d}, interval_s) for d in "ab"], "event")


def values(recorder: Recorder) -> list[tuple[str, str, int, Any]]:
    return [
        (device, r["point"], r["source_us"] // 1000, r["values"].get(r["point"]))
        for device in "ab"
        for r in recorder.rows(device)
        if r["outcome"] is Outcome.OK
    ]


async def born(recorder: Recorder, edge: NpmEdge) -> None:
    """Both devices' births have come; from here on everything counts."""
    await recorder.until(lambda: {v[0] for v in values(recorder)} == {"a", "b"}, "both births")
    await edge.tell(data={"device": "a", "count": 0})
    edge.sent.clear()
    recorder.batches.clear()


@pytest.mark.parametrize("compress", ["", "DEFLATE", "GZIP"])
async def test_every_type_arrives_signed_right_once_and_under_its_name(port: int, compress: str) -> None:
    async with Running(register(port), Recorder()) as recorder, NpmEdge(port, compress) as edge:
        await born(recorder, edge)
        for device in "abaab":
            await edge.tell(data={"device": device, "count": 60})
        await recorder.until(lambda: len(values(recorder)) >= len(edge.sent), "everything sent")
        assert values(recorder) == sorted(edge.sent, key=lambda row: row[0])
        assert {o for d in "ab" for o in recorder.outcomes(d)} == {Outcome.OK}
        assert (await edge.tell(ncmds=True))["ncmds"] <= 1


async def test_an_edge_node_that_vanishes_and_returns_with_the_same_bdseq_is_heard_again(port: int) -> None:
    async with Running(register(port), Recorder()) as recorder, NpmEdge(port) as edge:
        await born(recorder, edge)
        await edge.tell(deathOf="a")
        await recorder.until(lambda: Outcome.DISCONNECTED in recorder.outcomes("a"), "the device's death")
        assert Outcome.DISCONNECTED not in recorder.outcomes("b")
        await edge.tell(vanish=True)
        await recorder.until(lambda: Outcome.DISCONNECTED in recorder.outcomes("b"), "the will")
        await recorder.until(lambda: recorder.outcomes("b")[-1].is_contact, "its new births")
        await edge.tell(data={"device": "b", "count": 1})
        await recorder.until(lambda: set(edge.sent) <= set(values(recorder)), "all that it says it sent")
        assert len(set(values(recorder))) == len(values(recorder))


@pytest.mark.parametrize("part", [0, 1])
def test_recorded_npm_bytes_decode_to_what_it_says_it_sent(part: int) -> None:
    golden = json.loads((FOLDER.parent / "golden/sparkplug-client.json").read_text(encoding="utf-8"))["parts"][part]
    described = register(1883)
    node, site = EdgeNode("G", "E"), Site(WallClock())
    node.apply([Member(source_of(described, d), site) for d in described.devices])
    for at, (topic, raw) in enumerate(golden["messages"]):
        _, _, verb, device = address(topic)
        node.take(topic, verb, device, bytes.fromhex(raw), len(raw) // 2, 1_795_309_400_000_000 + at)
    recorder = Recorder(batches=list(node.batches()))
    assert values(recorder) == sorted((tuple(row) for row in golden["sent"]), key=lambda row: row[0])
    assert recorder.outcomes("b")[-1] is Outcome.DISCONNECTED
    assert node.session.wanted == ""
    assert node.letters == []
