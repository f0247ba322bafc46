"""MQTT beyond the contract, over mosquitto: acknowledgement, sessions, retained messages, silence, refusals, identity."""

from __future__ import annotations

import asyncio
import itertools
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from adapters.batch import Outcome
from config.register import Register
from tests.adapters.plant import VALUES, MqttWire, Recorder, Running, free_port, program, register_of


@pytest.fixture
async def wire() -> AsyncIterator[MqttWire]:
    made = MqttWire()
    made.repeat = False
    yield made
    await made.stop()


def register(wire: MqttWire, port: int, interval_s: int = 60, **more: Any) -> Register:
    return register_of(wire.points(), [wire.device("m1", port, interval_s, **more)])


async def publish(wire: MqttWire, body: Any, **more: Any) -> None:
    await asyncio.to_thread(wire.publish, "m1", body, **more)


async def listening(wire: MqttWire, recorder: Recorder) -> None:
    """Publish until the first row: from then on the subscription stands."""
    while not recorder.entered:
        await publish(wire, {"data": VALUES})
        await asyncio.sleep(0.1)


async def test_a_message_whose_emit_did_not_return_comes_again(wire: MqttWire) -> None:
    port = free_port()
    await wire.start(port)
    stuck, again = Recorder(), Recorder()
    async with Running(register(wire, port), stuck):
        await listening(wire, stuck)
        await stuck.until(lambda: stuck.batches, "stored rows")
        stuck.gate.clear()
        await publish(wire, {"data": {"count": 77}})
        entered = stuck.entered
        await stuck.until(lambda: stuck.entered >= entered, "the message offered to the store")
        await asyncio.sleep(0.3)
    assert 77 not in [r["values"].get("count") for r in stuck.rows("m1")]
    async with Running(register(wire, port), again):
        await again.until(lambda: any(r["values"].get("count") == 77 for r in again.rows("m1")), "the message again")


async def test_a_message_that_was_stored_does_not_come_again(wire: MqttWire) -> None:
    port = free_port()
    await wire.start(port)
    async with Running(register(wire, port), Recorder()) as first:
        await listening(wire, first)
        await publish(wire, {"data": {"count": 77}})
        await first.until(lambda: any(r["values"].get("count") == 77 for r in first.rows("m1")), "the message")
        await asyncio.sleep(0.3)
    async with Running(register(wire, port), Recorder()) as second:
        await asyncio.sleep(1.0)
        await publish(wire, {"data": {"count": 78}})
        await second.until(lambda: second.rows("m1"), "the next message")
    assert [r["values"]["count"] for r in second.rows("m1")] == [78]


async def test_messages_sent_while_we_were_away_arrive_with_their_own_time(wire: MqttWire) -> None:
    port = free_port()
    await wire.start(port)
    described = register(wire, port, time_path="$.ts")
    async with Running(described, Recorder()) as before:
        await listening(wire, before)
    for k in range(3):
        await publish(wire, {"ts": 1_795_309_323_000 + k, "data": {"count": 100 + k}})
    async with Running(described, Recorder()) as after:
        await after.until(lambda: len(after.rows("m1")) >= 3, "the three messages")
    kept = [(r["values"]["count"], r["source_us"]) for r in after.rows("m1") if r["values"].get("count", 0) >= 100]
    assert kept == [(100 + k, 1_795_309_323_000_000 + 1000 * k) for k in range(3)]


async def test_a_silent_device_has_one_row_an_interval_and_the_other_is_untouched(wire: MqttWire) -> None:
    port = free_port()
    wire.repeat, wire.talking = True, {"m2"}
    await wire.start(port)
    both = register_of(wire.points(), [wire.device("m1", port), wire.device("m2", port)])
    async with Running(both, Recorder()) as recorder:
        await recorder.until(lambda: len(recorder.rows("m1")) >= 3, "three silent intervals")
    assert set(recorder.outcomes("m1")) == {Outcome.SILENT}
    assert set(recorder.outcomes("m2")) == {Outcome.OK}
    times = [r["source_us"] for r in recorder.rows("m1")]
    assert all(b - a >= 500_000 for a, b in itertools.pairwise(times))


async def test_a_payload_that_cannot_be_understood_is_a_rejected_row(wire: MqttWire) -> None:
    port = free_port()
    await wire.start(port)
    async with Running(register(wire, port), Recorder()) as recorder:
        await listening(wire, recorder)
        await publish(wire, b"\xff not json")
        await recorder.until(lambda: Outcome.REJECTED in recorder.outcomes("m1"), "the rejected row")
        await publish(wire, {"data": VALUES})
        await recorder.until(lambda: recorder.outcomes("m1")[-1] is Outcome.OK, "the next good one")


async def test_a_status_message_says_who_the_device_is(wire: MqttWire) -> None:
    port = free_port()
    await wire.start(port)
    status = {"origin": "simulated", "product": "PlantProof simulator", "serial": 7}
    await publish(wire, status, retain=True, topic="plant/m1/status")
    async with Running(register(wire, port, status_topic="plant/m1/status"), Recorder()) as recorder:
        await recorder.until(lambda: recorder.identities, "an identity")
        await listening(wire, recorder)
    (identity,) = recorder.identities
    assert identity.origin == "simulated"
    assert identity.facts == (("product", "PlantProof simulator"), ("serial", "7"))


async def test_a_topic_of_an_earlier_register_is_left(wire: MqttWire) -> None:
    port = free_port()
    await wire.start(port)
    async with Running(register(wire, port, topic="plant/old"), Recorder()) as old:
        await old.until(lambda: old.states or True, "a connection")
        while not old.entered:
            await publish(wire, {"data": VALUES}, topic="plant/old")
            await asyncio.sleep(0.1)
    await publish(wire, {"data": {"count": 1}}, topic="plant/old")
    async with Running(register(wire, port), Recorder()) as new:
        await listening(wire, new)
    assert all(r["outcome"] is Outcome.OK and r["values"] == VALUES for r in new.rows("m1"))


async def test_a_wrong_password_is_denied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    passwords = Path("/tmp") / f"plantproof-passwords-{free_port()}"
    await asyncio.to_thread(
        subprocess.run, [program("mosquitto_passwd"), "-b", "-c", str(passwords), "plant", "right"], check=True
    )
    passwords.chmod(0o644)
    wire = MqttWire()
    wire.repeat = False
    wire.extra = f"allow_anonymous false\npassword_file {passwords}\n"
    port = free_port()
    login = {"username": "plant", "password_env": "PLANT_MQTT"}
    try:
        await wire.start(port)
        async with Running(register(wire, port, **login), Recorder()) as unset:
            await unset.until(lambda: unset.rows("m1"), "a row")
        assert unset.outcomes("m1")[0] is Outcome.DENIED
        assert "PLANT_MQTT" in unset.states[0].words
        monkeypatch.setenv("PLANT_MQTT", "wrong")
        async with Running(register(wire, port, **login), Recorder()) as wrong:
            await wrong.until(lambda: wrong.rows("m1"), "a row")
        assert wrong.outcomes("m1")[0] is Outcome.DENIED
        monkeypatch.setenv("PLANT_MQTT", "right")
        async with Running(register(wire, port, interval_s=1, **login), Recorder()) as right:
            await right.until(lambda: right.rows("m1"), "a row")
        assert right.outcomes("m1")[0] is Outcome.SILENT
    finally:
        await wire.stop()
        passwords.unlink()


async def test_a_broker_that_is_down_has_a_row_of_each_device_in_each_interval(wire: MqttWire) -> None:
    port = free_port()
    both = register_of(wire.points(), [wire.device("m1", port), wire.device("m2", port)])
    async with Running(both, Recorder()) as recorder:
        await recorder.until(lambda: len(recorder.rows("m1")) >= 3 and len(recorder.rows("m2")) >= 3, "three rows each")
    assert set(recorder.outcomes("m1")) == set(recorder.outcomes("m2")) == {Outcome.REFUSED}
