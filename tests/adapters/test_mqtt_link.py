"""One MQTT session against real and odd brokers: versions, TLS, websockets, refusals, kicks, and what may never be published."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from adapters.batch import Outcome
from adapters.contract import ReadError
from adapters.mqtt import link as module
from adapters.mqtt import packets
from adapters.mqtt.link import BrokerLink, ForbiddenPublish
from adapters.mqtt.packets import REASON_STRING, V5, V311, Answer, Message, Packet, Will
from adapters.mqtt.reasons import refusal
from config.connections import Mqtt
from tests.adapters.brokers import CONNACK_5, HANG_UP, Mosquitto, ScriptedBroker, make_pair, node, polite
from tests.adapters.plant import PATIENCE_S, serve_bytes
from tests.adapters.stacks import NodeServer


def connection(url: str, **more: Any) -> Mqtt:
    return Mqtt.model_validate({"protocol": "mqtt", "broker": url, "topic": "plant/m1", **more})


@asynccontextmanager
async def linked(url: str, keys: Path | None = None, **more: Any) -> AsyncIterator[tuple[BrokerLink, list[Message]]]:
    """A link that listens to plant/m1 at QoS 2 and acknowledges at once."""
    came: list[Message] = []
    made: list[BrokerLink] = []

    def on_messages(messages: Any) -> None:
        came.extend(messages)
        made[0].acknowledge(messages)

    link = BrokerLink(connection(url, **more), on_messages, keys=keys)
    made.append(link)
    link.subscribe(["plant/m1"], qos=2)
    try:
        await link.open("link-test", clean=True)
        yield link, came
    finally:
        await link.close()


async def refused(url: str, keys: Path | None = None, **more: Any) -> ReadError:
    with pytest.raises(ReadError) as caught:
        async with linked(url, keys, **more):
            pass
    return caught.value


async def until(condition: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"expected {what}"
        await asyncio.sleep(0.02)


def speeds(messages: list[Message]) -> list[int]:
    return [json.loads(m.payload)["speed"] for m in messages]


@pytest.mark.parametrize(("asked", "spoken"), [("auto", V5), ("5", V5), ("3.1.1", V311)])
@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_every_version_and_qos_delivers_what_the_publisher_had_acknowledged(
    tmp_path: Path, asked: str, spoken: int, qos: int
) -> None:
    async with Mosquitto(tmp_path) as broker, linked(f"mqtt://127.0.0.1:{broker.port}", version=asked) as (link, came):
        await asyncio.sleep(0.2)
        said = await node("mqtt_publisher.js", f"mqtt://127.0.0.1:{broker.port}", str(qos), "20", "")
        await until(lambda: len(came) >= 20, "20 messages")
        assert link.version == spoken
        assert speeds(came) == said["acknowledged"] == list(range(1, 21))
        assert {m.qos for m in came} == {qos}
        assert link.deliveries.unacknowledged == 0


async def test_aedes_which_refuses_5_is_spoken_to_in_3_1_1() -> None:
    async with NodeServer("aedes_broker.js") as server:
        async with linked(f"mqtt://127.0.0.1:{server.port}") as (link, came):
            await until(lambda: len(came) >= 5, "5 messages")
            assert link.version == V311
            found = speeds(came)
            assert found == list(range(found[0], found[0] + len(found)))
        err = await refused(f"mqtt://127.0.0.1:{server.port}", version="5")
        assert err.outcome is Outcome.PROTOCOL
        assert "version" in str(err)


async def test_tls_with_a_client_certificate_delivers_and_each_fault_has_its_words(tmp_path: Path) -> None:
    ca = make_pair(tmp_path, "ca")
    other = make_pair(tmp_path, "other")
    make_pair(tmp_path, "server", ca)
    make_pair(tmp_path, "client", ca)
    make_pair(tmp_path, "stranger", other)
    mine = {"ca_file": "ca.crt", "certificate": "client.crt", "key": "client.key"}
    async with Mosquitto(tmp_path, "listener SECOND 127.0.0.1", *CERTIFICATES, "require_certificate true") as broker:
        url = f"mqtts://127.0.0.1:{broker.second}"
        await delivers(url, tmp_path, **mine)
        untrusted = await refused(url, tmp_path, **(mine | {"ca_file": "other.crt"}))
        nobody = await refused(url, tmp_path, ca_file="ca.crt")
        stranger = await refused(url, tmp_path, **(mine | {"certificate": "stranger.crt", "key": "stranger.key"}))
        missing = await refused(url, tmp_path, **(mine | {"ca_file": "nowhere.crt"}))
    assert [e.outcome for e in (untrusted, missing)] == [Outcome.DENIED] * 2
    assert "证书" in str(untrusted)
    assert "nowhere.crt" in str(missing)
    assert nobody.outcome in (Outcome.DENIED, Outcome.DISCONNECTED)  # TLS 1.3: the alert may come after the close
    assert stranger.outcome in (Outcome.DENIED, Outcome.DISCONNECTED)


WEBSOCKETS = ("listener SECOND", "bind_interface lo", "protocol websockets")
CERTIFICATES = ("cafile FOLDER/ca.crt", "certfile FOLDER/server.crt", "keyfile FOLDER/server.key")


async def delivers(url: str, keys: Path, **more: Any) -> None:
    """150 kB of messages, more than one TLS record, read whole on the grid."""
    async with linked(url, keys, **more) as (link, came):
        link._may_publish = {"plant/m1"}
        for k in range(50):
            await link.publish("plant/m1", json.dumps({"speed": k, "fill": "x" * 3000}).encode(), 1)
        await until(lambda: len(came) >= 50, "50 messages")
        assert speeds(came) == list(range(50))


async def test_websockets_over_tls_deliver_and_a_stranger_is_not_trusted(tmp_path: Path) -> None:
    make_pair(tmp_path, "server", make_pair(tmp_path, "ca"))
    make_pair(tmp_path, "other")
    async with Mosquitto(tmp_path, *WEBSOCKETS, *CERTIFICATES) as broker:
        url = f"wss://127.0.0.1:{broker.second}"
        await delivers(url, tmp_path, ca_file="ca.crt")
        assert (await refused(url, tmp_path, ca_file="other.crt")).outcome is Outcome.DENIED


async def test_an_expired_certificate_and_a_port_without_tls_have_their_own_words(tmp_path: Path) -> None:
    ca = make_pair(tmp_path, "ca")
    make_pair(tmp_path, "server", ca, days=-1)
    lines = ["listener SECOND 127.0.0.1", "certfile FOLDER/server.crt", "keyfile FOLDER/server.key"]
    async with Mosquitto(tmp_path, *lines) as broker:
        expired = await refused(f"mqtts://127.0.0.1:{broker.second}", tmp_path, ca_file="ca.crt")
        plain = await refused(f"mqtt://127.0.0.1:{broker.second}")
    assert expired.outcome is Outcome.DENIED
    assert "expired" in str(expired)
    assert plain.outcome in (Outcome.DISCONNECTED, Outcome.PROTOCOL)
    port, stop = await serve_bytes(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    no_tls = await refused(f"mqtts://127.0.0.1:{port}", tmp_path, ca_file="ca.crt")
    await stop()
    assert no_tls.outcome is Outcome.PROTOCOL


async def test_websockets_deliver_and_a_port_without_them_says_so(tmp_path: Path) -> None:
    async with Mosquitto(tmp_path, *WEBSOCKETS) as broker:
        url = f"ws://127.0.0.1:{broker.second}"
        async with linked(url) as (_, came):
            await asyncio.sleep(0.2)
            said = await node("mqtt_publisher.js", url, "1", "40", "")
            await until(lambda: len(came) >= 40, "40 messages")
            assert speeds(came) == said["acknowledged"]
    for answer in (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n", CONNACK_5):
        port, stop = await serve_bytes(answer)
        err = await refused(f"ws://127.0.0.1:{port}/mqtt")
        await stop()
        assert err.outcome in (Outcome.PROTOCOL, Outcome.DISCONNECTED)


@pytest.mark.parametrize("piecewise", [False, True])
async def test_one_byte_at_a_time_is_the_same_session(piecewise: bool) -> None:
    def script(packet: Packet) -> list[bytes]:
        messages = [
            packets.publish(V5, k, "plant/m1", json.dumps({"speed": k}).encode(), 1 + k % 2, retain=False)
            for k in range(1, 30)
        ]
        return [*polite(packet), *(messages if packet.kind == packets.SUBSCRIBE else [])]

    async with ScriptedBroker(script, piecewise) as broker, linked(f"mqtt://127.0.0.1:{broker.port}") as (_, came):
        await until(lambda: len(came) == 29, "29 messages")
        assert speeds(came) == list(range(1, 30))
        done = (packets.PUBACK, packets.PUBCOMP)
        await until(lambda: sum(p.kind in done for p in broker.received) == 29, "29 acknowledgements")
        order = [p for p in broker.received if p.kind in (packets.PUBACK, packets.PUBREC)]
        assert [int.from_bytes(p.body[:2]) for p in order] == list(range(1, 30))


async def test_a_qos_2_message_is_not_promised_before_it_is_durable() -> None:
    came: list[Message] = []
    message = packets.publish(V5, 5, "plant/m1", b"{}", 2, retain=False)

    def script(packet: Packet) -> list[bytes]:
        return [*polite(packet), *([message] if packet.kind == packets.SUBSCRIBE else [])]

    async with ScriptedBroker(script) as broker:
        link = BrokerLink(connection(f"mqtt://127.0.0.1:{broker.port}"), came.extend)
        link.subscribe(["plant/m1"], qos=2)
        await link.open("c", clean=False)
        await until(lambda: came, "the message")
        await asyncio.sleep(0.1)
        assert packets.PUBREC not in broker.kinds()
        await broker.send(bytes((message[0] | 8,)) + message[1:])  # the broker grows impatient
        await asyncio.sleep(0.1)
        assert len(came) == 1
        link.acknowledge(came)
        await until(lambda: packets.PUBCOMP in broker.kinds(), "the end of the exchange")
        await link.close()


def test_everything_but_the_allowed_topics_is_refused_before_it_is_a_packet(tmp_path: Path) -> None:
    async def main() -> set[int]:
        async with ScriptedBroker(polite) as broker:
            link = BrokerLink(
                connection(f"mqtt://127.0.0.1:{broker.port}"), lambda _: None, may_publish={"spBv1.0/STATE/h"}
            )
            await link.open("c", clean=True)
            for topic in ("plant/m1", "spBv1.0/STATE/other", "", "#"):
                with pytest.raises(ForbiddenPublish):
                    await link.publish(topic, b"1")
            with pytest.raises(ForbiddenPublish):
                await link.open("c", clean=True, will=Will("plant/m1", b"gone"))
            before = broker.kinds()
            await link.publish("spBv1.0/STATE/h", b"{}", 0, retain=True)
            await until(lambda: packets.PUBLISH in broker.kinds(), "the one that is allowed")
            await link.close()
            return before

    assert packets.PUBLISH not in asyncio.run(main())


def answering(*answers: bytes) -> Callable[[Packet], list[bytes]]:
    return lambda packet: list(answers) if packet.kind == packets.CONNECT else []


def moved(reason: int) -> bytes:
    reference = b"\x1c\x00\x0cplant-2:1883"
    return bytes((0x20, 3 + len(reference), 0, reason, len(reference))) + reference


@pytest.mark.parametrize(
    ("answer", "outcome", "words"),
    [
        (moved(0x9D), Outcome.UNREACHABLE, "plant-2:1883"),
        (moved(0x9C), Outcome.UNREACHABLE, "plant-2:1883"),
        (b"\x20\x03\x00\x87\x00", Outcome.DENIED, "not authorized"),
        (b"\x20\x03\x00\x89\x00", Outcome.UNREACHABLE, "busy"),
        (b"\x20\x02\x00\x05", Outcome.DENIED, "not authorized"),
        (b"\x20\x02\x00\x03", Outcome.UNREACHABLE, "unavailable"),
        (b"\x20\x03\x00\xfe\x00", Outcome.UNREACHABLE, "0xFE"),
        (b"\x20\x01\x00", Outcome.PROTOCOL, "CONNACK"),
        (b"\x20\xff\xff\xff\xff\xff", Outcome.PROTOCOL, "malformed"),
        (b"SSH-2.0-OpenSSH\r\n", Outcome.PROTOCOL, "MQTT"),
        (HANG_UP, Outcome.DISCONNECTED, "lost"),
    ],
)
async def test_a_broker_that_refuses_or_redirects_is_a_named_outcome(
    answer: bytes, outcome: Outcome, words: str
) -> None:
    async with ScriptedBroker(answering(answer)) as broker:
        err = await refused(f"mqtt://127.0.0.1:{broker.port}")
    assert err.outcome is outcome
    assert words in str(err)


async def test_a_server_that_speaks_first_is_no_broker() -> None:
    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        err = await refused(f"mqtt://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    assert err.outcome in (Outcome.PROTOCOL, Outcome.DISCONNECTED)


async def test_a_broker_that_says_nothing_to_5_is_spoken_to_in_3_1_1_and_the_next_time_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_SECOND_THOUGHT_S", 0.3)

    def script(packet: Packet) -> list[bytes]:
        if packet.kind == packets.CONNECT and packet.body[6] == V5:
            return []
        return polite(packet, V311)

    async with ScriptedBroker(script) as broker, linked(f"mqtt://127.0.0.1:{broker.port}") as (link, _):
        assert link.version == V311
        assert broker.connections == 2
        await link.open("again", clean=True)
        assert broker.connections == 3


async def test_a_broker_that_never_answers_is_a_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CONNECT_S", 0.2)
    monkeypatch.setattr(module, "_SECOND_THOUGHT_S", 0.2)
    async with ScriptedBroker(lambda _: []) as broker:
        assert (await refused(f"mqtt://127.0.0.1:{broker.port}")).outcome is Outcome.TIMEOUT


@pytest.mark.parametrize(
    ("kick", "outcome", "words"),
    [
        (b"\xe0\x02\x8e\x00", Outcome.DISCONNECTED, "client_id"),
        (b"\xe0\x02\x98\x00", Outcome.DISCONNECTED, "administrative"),
        (b"\xe0\x02\x87\x00", Outcome.DENIED, "not authorized"),
        (b"\xe0\x00", Outcome.DISCONNECTED, "0x00"),
        (b"\x00\x00", Outcome.PROTOCOL, "type 0"),
        (b"\x36\x05\x00\x01t\x00\x01", Outcome.PROTOCOL, "PUBLISH"),
    ],
)
async def test_a_broker_that_kicks_says_why(kick: bytes, outcome: Outcome, words: str) -> None:
    async with ScriptedBroker(polite) as broker, linked(f"mqtt://127.0.0.1:{broker.port}") as (link, _):
        await broker.send(kick)
        async with asyncio.timeout(PATIENCE_S):
            await link.lost.wait()
        assert link.why is not None
        assert link.why.outcome is outcome
        assert words in str(link.why)


async def test_a_broker_that_falls_silent_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEEP_ALIVE_S", 0.2)
    connect = packets.connect

    def deaf(packet: Packet) -> list[bytes]:
        return [] if packet.kind == packets.PINGREQ else polite(packet)

    monkeypatch.setattr(packets, "connect", lambda version, name, _, **more: connect(version, name, 1, **more))
    async with ScriptedBroker(deaf) as broker, linked(f"mqtt://127.0.0.1:{broker.port}") as (link, _):
        async with asyncio.timeout(PATIENCE_S):
            await link.lost.wait()
        assert link.why is not None
        assert link.why.outcome is Outcome.TIMEOUT
        assert packets.PINGREQ in broker.kinds()


async def test_a_refused_topic_is_known_and_the_others_are_heard() -> None:
    def script(packet: Packet) -> list[bytes]:
        if packet.kind != packets.SUBSCRIBE:
            return polite(packet)
        return [b"\x90\x04" + packet.body[:2] + b"\0\x87", packets.publish(V5, 0, "plant/m1", b"{}", 0, retain=False)]

    async with ScriptedBroker(script) as broker, linked(f"mqtt://127.0.0.1:{broker.port}") as (link, came):
        await until(lambda: came, "a message")
        assert list(link.denied) == ["plant/m1"]


async def test_topics_that_an_earlier_run_left_are_given_up_at_the_next_connection(tmp_path: Path) -> None:
    async with Mosquitto(tmp_path) as broker:
        url = f"mqtt://127.0.0.1:{broker.port}"
        for wanted in (["plant/a", "plant/b"], ["plant/b", "plant/c"]):
            came: list[Message] = []
            link = BrokerLink(
                connection(url), came.extend, state=tmp_path / "state", may_publish={"plant/a", "plant/b"}
            )
            link.subscribe(wanted, 1)
            await link.open("stays", clean=False)
            await asyncio.sleep(0.1)
            if link.session_present:
                await link.publish("plant/a", b"old", 1)
                await link.publish("plant/b", b"kept", 1)
                await until(lambda found=came: found, "the kept topic's message")
            await link.close()
        assert [m.payload for m in came] == [b"kept"]


async def test_a_host_that_can_be_no_name_is_a_named_outcome() -> None:
    assert (await refused("mqtt://plc..local:1883")).outcome is Outcome.UNREACHABLE


def test_a_brokers_words_bring_no_escape_sequences_to_a_terminal() -> None:
    said = refusal(Answer(0x87, False, {REASON_STRING: "\x1b]0;x\x07\r\n坏"}), "b:1883")
    assert str(said).isprintable()
    assert "坏" in str(said)
