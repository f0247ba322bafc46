"""MQTT packets: bytes in any pieces to messages and back, oversize ones skimmed, malformed ones refused; paho as the other side."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from adapters.mqtt import packets
from adapters.mqtt.packets import V5, V311, Framer, Malformed, Message, Packet, read_message, read_properties

TOPICS = st.text(st.characters(codec="utf-8", exclude_characters="\0#+"), min_size=1, max_size=40)


def one(data: bytes, limit: int = 1 << 20) -> Packet:
    (packet,) = Framer(limit).feed(data)
    return packet


@given(
    st.sampled_from([V311, V5]),
    st.lists(st.tuples(TOPICS, st.binary(max_size=300), st.sampled_from([0, 1, 2]), st.booleans()), max_size=8),
    st.lists(st.integers(1, 40)),
)
def test_messages_survive_whatever_pieces_they_come_in(
    version: int, sent: list[tuple[str, bytes, int, bool]], pieces: list[int]
) -> None:
    stream = b"".join(
        packets.publish(version, i + 1, topic, payload, qos, retain=retain)
        for i, (topic, payload, qos, retain) in enumerate(sent)
    )
    framer, found = Framer(1 << 20), []
    for size in pieces:
        found += framer.feed(stream[:size])
        stream = stream[size:]
    found += framer.feed(stream)
    messages = [read_message(p, version, {}) for p in found]
    assert [(m.topic, m.payload, m.qos, m.retain) for m in messages] == sent
    assert all(m.mid == (i + 1 if m.qos else 0) and m.size == len(m.payload) for i, m in enumerate(messages))


@given(st.lists(st.integers(1, 200_000), max_size=6), st.booleans())
def test_a_message_over_the_limit_keeps_its_name_and_size_and_the_next_one_is_whole(
    pieces: list[int], last: bool
) -> None:
    big = packets.publish(V311, 7, "plant/m1", b"x" * 400_000, 1, retain=False)
    stream = big + packets.publish(V311, 8, "plant/m2", b"next", 1, retain=last)
    framer, found, held = Framer(100_000), [], 0
    for size in pieces:
        found += framer.feed(stream[:size])
        held = max(held, len(framer._rest))
        stream = stream[size:]
    found += framer.feed(stream)
    first, second = (read_message(p, V311, {}) for p in found)
    assert (first.topic, first.mid, first.size) == ("plant/m1", 7, 400_000)
    assert len(first.payload) < packets.KEPT_BYTES
    assert (second.topic, second.payload) == ("plant/m2", b"next")
    assert held <= 100_000 + packets.KEPT_BYTES


@given(st.binary(max_size=200), st.sampled_from([V311, V5]))
def test_no_bytes_do_more_than_be_refused(data: bytes, version: int) -> None:
    aliases: dict[int, str] = {}
    try:
        for packet in Framer(1 << 16).feed(data):
            if packet.kind == packets.PUBLISH:
                message = read_message(packet, version, aliases)
                assert message.topic
                assert message.qos in (0, 1, 2)
            elif packet.kind == packets.CONNACK:
                packets.read_connack(packet, version)
            elif packet.kind == packets.DISCONNECT:
                packets.read_disconnect(packet)
            elif packet.kind in (packets.SUBACK, packets.UNSUBACK):
                packets.read_codes(packet, version)
            else:
                packets.read_mid(packet)
    except Malformed:
        pass


@pytest.mark.parametrize("claimed", [b"\xff\xff\xff\xff", b"\x80\x80\x80\x80\x01"])
def test_a_length_of_more_than_four_bytes_is_refused(claimed: bytes) -> None:
    with pytest.raises(Malformed, match="four bytes"):
        Framer(1 << 20).feed(b"\x30" + claimed + b"x")


def test_a_huge_packet_that_is_no_message_is_refused() -> None:
    with pytest.raises(Malformed, match="at most"):
        Framer(1000).feed(b"\x90\xff\xff\xff\x7f" + b"x" * packets.KEPT_BYTES)


@pytest.mark.parametrize(
    "packet",
    [
        b"\x36\x07\x00\x01t\x00\x01xx",  # QoS 3
        b"\x32\x05\x00\x01t\x00\x00",  # QoS 1 without an identifier
        b"\x30\x04\x00\x00xx",  # no topic
        b"\x30\x03\x00\x09t",  # a topic longer than the packet
    ],
)
def test_a_message_no_broker_may_send_is_refused(packet: bytes) -> None:
    with pytest.raises(Malformed):
        read_message(one(packet), V311, {})


def publish_5(topic: bytes, properties: bytes, payload: bytes = b"1") -> Packet:
    body = struct.pack(">H", len(topic)) + topic + bytes((len(properties),)) + properties + payload
    return one(bytes((0x30, len(body))) + body)


def test_a_topic_alias_stands_for_the_topic_it_was_declared_with() -> None:
    aliases: dict[int, str] = {}
    assert read_message(publish_5(b"plant/m1", b"\x23\x00\x05"), V5, aliases).topic == "plant/m1"
    assert read_message(publish_5(b"", b"\x23\x00\x05"), V5, aliases).topic == "plant/m1"
    assert read_message(publish_5(b"plant/m2", b"\x23\x00\x05"), V5, aliases).topic == "plant/m2"
    assert read_message(publish_5(b"", b"\x23\x00\x05"), V5, aliases).topic == "plant/m2"


@pytest.mark.parametrize("alias", [b"\x23\x00\x06", b"\x23\x00\x00", b"\x23\xff\xff", b""])
def test_an_alias_that_was_never_declared_is_refused(alias: bytes) -> None:
    with pytest.raises(Malformed):
        read_message(publish_5(b"", alias), V5, {5: "plant/m1"})


def test_properties_are_read_as_paho_writes_them() -> None:
    written = Properties(PacketTypes.CONNACK)
    written.SessionExpiryInterval = 3600
    written.ServerKeepAlive = 7
    written.ServerReference = "plant-2:1883"
    written.ReasonString = "维护"
    written.UserProperty = ("a", "b")
    written.ReceiveMaximum = 20
    packed = written.pack()
    found, end = read_properties(b"\x00\x9c" + packed, 2)
    assert end == len(packed) + 2
    assert (found[17], found[19], found[28], found[31], found[33]) == (3600, 7, "plant-2:1883", "维护", 20)


@given(st.binary(max_size=40))
def test_properties_are_whole_or_refused(body: bytes) -> None:
    try:
        _, end = read_properties(body, 0)
    except Malformed:
        return
    assert end <= len(body)


def test_a_refusal_of_3_1_1_has_the_code_of_mqtt_5() -> None:
    assert packets.read_connack(one(b"\x20\x02\x00\x05"), V311).reason == 0x87
    assert packets.read_connack(one(b"\x20\x02\x00\x01"), V5).reason == 0x84  # an old broker's answer to MQTT 5
    assert packets.read_connack(one(b"\x20\x03\x01\x00\x00"), V5).session_present


def test_the_golden_connect_of_both_versions() -> None:
    old = packets.connect(V311, "c1", 20, clean=False, session_s=60, receive_maximum=65535, username="u", password="p")
    assert old.hex() == "10140004" + b"MQTT".hex() + "04c000140002" + b"c1".hex() + "000175" + "000170"
    new = packets.connect(V5, "c1", 20, clean=False, session_s=60, receive_maximum=65535)
    assert (
        new.hex()
        == "101a0004" + b"MQTT".hex() + "050000140b" + "21ffff" + "2203e8" + "110000003c" + "0002" + b"c1".hex()
    )


def test_a_message_is_the_same_read_back() -> None:
    raw = packets.publish(V5, 9, "a/b", b"{}", 1, retain=True)
    assert read_message(one(raw), V5, {}) == Message("a/b", b"{}", 1, True, False, 9, 2)
