"""Events and alarms: every event one row with its own time, transitions of a condition can be joined, a lost event is a recorded loss."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from asyncua import ua
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.batch import GOOD, UNCERTAIN, Outcome
from adapters.contract import Site
from adapters.opcua.alarms.conditions import Conditions
from adapters.opcua.alarms.events import KEYS, TEXT_MOST, Event, add_event, event_filter, event_of
from adapters.opcua.device import BAD_NOT_SUPPORTED
from adapters.opcua.values.binary import Encoded
from adapters.registry import build
from adapters.rows import Rows
from adapters.template import source_of
from tests.adapters.plant import Recorder, Running, WallClock, device_of, register_of, rows_of
from tests.adapters.proxy import proxied
from tests.adapters.stacks import HistoryServer
from tests.adapters.test_read_only import OPCUA_READS, opcua_said

NAMESPACES = ("http://opcfoundation.org/UA/", "urn:example:machine")
TIME = "2026-11-22T01:02:03.456000+00:00"
TIME_US = 1_795_309_323_456_000
NOW_US = TIME_US + 1_000_000
ALARM = {
    "event_id": b"\x01\xff",
    "event_type": "i=9341",
    "source_node": "ns=1;s=m1",
    "source_name": "m1",
    "time": TIME,
    "receive_time": TIME,
    "message": "主轴过热",
    "severity": 700,
    "condition_id": "ns=1;s=m1.TooHot",
    "condition_name": "TooHot",
    "branch_id": "i=0",
    "retain": True,
    "active": True,
    "acked": False,
}


def fields(**more: object) -> tuple[object, ...]:
    return tuple((ALARM | more).get(k) for k in KEYS)


def row(event_fields: tuple[object, ...], *, conditions_only: bool = True) -> list[dict[str, Any]]:
    register = register_of(*alarm_register(4840, "conditions"))
    of = source_of(register, register.devices[0])
    rows = Rows("m1", of.template)
    event = event_of(event_fields, NAMESPACES, NOW_US)
    add_event(rows, 0, event, NOW_US, conditions_only=conditions_only)
    batch = rows.batch()
    return [] if batch is None else rows_of(batch)


def alarm_register(port: int, events: str, **more: Any) -> tuple[list[dict[str, Any]], list[dict[str, Any]], str]:
    points = [
        {"name": "alarms", "type": "str", "node": "i=2253", "events": events, "role": "alarm"},
        {"name": "temperature", "type": "f64", "node": "nsu=urn:example:history;s=m1.temperature"},
    ]
    endpoint = f"opc.tcp://127.0.0.1:{port}"
    connection = {"protocol": "opcua", "endpoint": endpoint, "mode": "subscribe", "sampling_ms": 100, **more}
    return points, [device_of("m1", connection)], "event"


def test_an_alarm_is_one_json_text_with_its_own_time() -> None:
    (found,) = row(fields())
    assert (found["outcome"], found["quality"], found["source_us"]) == (Outcome.OK, GOOD, TIME_US)
    assert found["values"]["alarms"] == (
        '{"acked":false,"active":true,"condition_id":"nsu=urn:example:machine;s=m1.TooHot","condition_name":"TooHot",'
        '"event_id":"01ff","event_type":"i=9341","message":"主轴过热","receive_time":"2026-11-22T01:02:03.456000+00:00",'
        '"retain":true,"severity":700,"source_name":"m1","source_node":"nsu=urn:example:machine;s=m1",'
        '"time":"2026-11-22T01:02:03.456000+00:00"}'
    )


@pytest.mark.parametrize("event_type", ["i=3035", "i=2789"])
def test_an_event_that_says_events_were_dropped_is_a_loss(event_type: str) -> None:
    (found,) = row(fields(event_type=event_type, condition_id=None))
    assert (found["outcome"], found["point"], found["values"]) == (Outcome.OVERFLOW, "alarms", {})


@pytest.mark.parametrize("time", [None, "1601-01-01T00:00:00+00:00", "2100-01-01T00:00:00+00:00", "soon", 5, [TIME]])
def test_an_event_without_a_credible_time_has_ours_and_is_uncertain(time: object) -> None:
    (found,) = row(fields(time=time))
    assert (found["source_us"], found["quality"]) == (NOW_US, UNCERTAIN)


def test_an_event_of_no_condition_is_no_condition() -> None:
    assert row(fields(condition_id=None)) == row(fields(condition_id="i=0")) == []
    assert len(row(fields(condition_id=None), conditions_only=False)) == 1


def test_a_text_without_end_is_cut_and_says_so() -> None:
    (found,) = row(fields(message="长" * 10_000_000))
    body = json.loads(found["values"]["alarms"])
    assert (len(body["message"]), body["cut"]) == (TEXT_MOST, ["message"])


@given(
    st.lists(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
            | st.builds(Encoded, st.text(), st.binary()) | st.builds(object),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
            max_leaves=8,
        ),
        max_size=25,
    )
)  # fmt: skip
@settings(max_examples=60)
def test_whatever_the_fields_hold_becomes_a_row_or_none(event_fields: list[object]) -> None:
    for found in row(tuple(event_fields), conditions_only=False):
        for text in found["values"].values():
            assert isinstance(json.loads(text), dict)
            text.encode()


def test_the_filter_asks_for_every_field_and_for_conditions_only_where_wanted() -> None:
    wanted = event_filter(conditions_only=True)
    assert len(wanted.SelectClauses) == len(KEYS)
    (element,) = wanted.WhereClause.Elements
    assert element.FilterOperator is ua.FilterOperator.OfType
    assert not event_filter(conditions_only=False).WhereClause.Elements


def condition(number: int, *, stands: bool = True, name: str = "TooHot") -> Event:
    text = f"{name} {number}"
    return Event(text, TIME_US + number, None, is_loss=False, event_id=str(number), condition=name, stands=stands)


def test_what_was_read_after_a_connect_is_stored_once_and_only_when_it_is_news() -> None:
    conditions = Conditions()
    standing, over = condition(1), condition(1, stands=False, name="TooCold")
    assert conditions.news("m1", 0, [standing, over]) == [standing]  # nobody knows what an old, settled one was
    assert conditions.news("m1", 0, [standing]) == []
    assert not conditions.is_news("m1", 0, standing)  # its notification comes after all
    assert conditions.is_news("m1", 0, condition(2))
    assert conditions.news("m1", 0, [condition(2)]) == []
    ended = condition(3, stands=False)
    assert conditions.news("m1", 0, [ended]) == [ended]
    assert conditions.is_news("m2", 0, ended)  # another device's


def told(recorder: Recorder, point: str = "alarms") -> list[dict[str, Any]]:
    """Events that arrived, with the row's time beside."""
    found = [r for r in recorder.rows("m1") if r["point"] == point and r["values"]]
    return [json.loads(r["values"][point]) | {"row_us": r["source_us"]} for r in found]


def is_running(recorder: Recorder) -> bool:
    return any(r["point"] == "temperature" for r in recorder.rows("m1"))


async def test_the_life_of_an_alarm_arrives_and_can_be_joined(tmp_path: Path) -> None:
    recorder = Recorder()
    async with (
        HistoryServer(tmp_path / "served.jsonl") as server,
        Running(register_of(*alarm_register(server.port, "conditions")), recorder),
    ):
        await recorder.until(lambda: is_running(recorder), "a subscription")
        await server.tell(set="temperature", value=95)
        await server.tell(event="不是报警", severity=900)
        await server.tell(ack="已查看, 换了冷却液")
        await server.tell(set="temperature", value=20)
        await recorder.until(lambda: any(not e["active"] for e in told(recorder)), "the alarm's end")
        await recorder.until(lambda: Outcome.CONFIRMED in recorder.outcomes("m1"), "a confirming read")
    events = sorted(told(recorder), key=lambda e: e["event_id"])  # the last one may have been read at the connect
    served = {e["event_id"]: e for e in server.events() if e["condition"]}
    assert [e["event_id"] for e in events] == list(served)  # each once, none of another kind
    assert [e["row_us"] for e in events] == [e["us"] for e in served.values()]
    assert {e["condition_id"] for e in events} == {"nsu=urn:example:history;s=m1.TooHot"}
    states = list(dict.fromkeys((e["active"], e["acked"]) for e in events))
    assert states == [(True, False), (True, True), (False, True)]
    assert {e["severity"] for e in events if e["active"]} == {150}
    assert {r["outcome"] for r in recorder.rows("m1") if r["point"] == "alarms"} == {Outcome.OK}


async def test_every_event_of_a_burst_arrives_once(tmp_path: Path) -> None:
    recorder = Recorder()
    async with (
        HistoryServer(tmp_path / "served.jsonl") as server,
        proxied(server.port) as proxy,
        Running(register_of(*alarm_register(proxy.port, "all")), recorder),
    ):
        await recorder.until(lambda: is_running(recorder), "a subscription")
        await server.tell(event="批次 结束", severity=300, count=200)
        await recorder.until(lambda: len(told(recorder)) >= 200, "every event")
        assert (
            set(opcua_said(bytes(proxy.said_up))) <= OPCUA_READS
        )  # no ConditionRefresh, no Acknowledge: nothing is called
    events = told(recorder)
    assert [e["event_id"] for e in events] == [e["event_id"] for e in server.events()][-len(events) :]
    assert {(e["message"], e["severity"], e["source_name"]) for e in events} == {("批次 结束", 300, "m1")}


async def test_a_notifier_is_not_read_and_a_device_of_events_is_in_contact_while_the_server_answers(
    tmp_path: Path,
) -> None:
    points, devices, kind = alarm_register(0, "conditions")
    async with HistoryServer(tmp_path / "served.jsonl") as server:
        devices[0]["connection"]["endpoint"] = f"opc.tcp://127.0.0.1:{server.port}"
        deaf = points[0] | {"name": "deaf", "node": "nsu=urn:example:history;s=m1.ramp"}
        gone = points[0] | {"name": "gone", "node": "nsu=urn:example:nowhere;s=x"}
        async with Running(register_of([points[0], deaf, gone], devices, kind), Recorder()) as recorder:
            await recorder.until(lambda: recorder.outcomes("m1").count(Outcome.CONFIRMED) > 1, "two intervals")
        (adapter,) = build(register_of(points, devices, kind), Site(WallClock()))
        once = Recorder(batches=await adapter.read_once())
    assert {r["point"] for r in once.rows("m1")} == {"temperature"}
    bad = {(r["point"], r["quality"]) for r in recorder.rows("m1") if r["outcome"] is Outcome.OK}
    assert bad == {("deaf", BAD_NOT_SUPPORTED), ("gone", BAD_NOT_SUPPORTED)}  # nobody may think that there was no alarm


async def test_an_alarm_that_changed_while_nobody_was_connected_is_read_after_the_connect(tmp_path: Path) -> None:
    recorder = Recorder()
    async with HistoryServer(tmp_path / "served.jsonl") as server, proxied(server.port) as proxy:
        await server.tell(set="temperature", value=95)
        before = [e for e in server.events() if e["condition"]]
        async with Running(register_of(*alarm_register(proxy.port, "conditions")), recorder):
            await recorder.until(lambda: told(recorder), "the alarm that stands already")
            await proxy.refuse()
            await server.tell(set="temperature", value=20)
            during = [e for e in server.events() if e["condition"]][len(before) :]
            await proxy.listen()
            await recorder.until(lambda: len(told(recorder)) > 1, "the alarm's end")
            await server.tell(set="temperature", value=-5)
            await recorder.until(lambda: told(recorder)[-1]["active"], "the next alarm")
    events = told(recorder)
    after = [e for e in server.events() if e["condition"]][len(before) + len(during) :]
    wanted = [before[-1], during[-1], *after]
    assert [(e["event_id"], e["row_us"], e["message"]) for e in events] == [
        (e["event_id"], e["us"], e["message"]) for e in wanted
    ]
    assert [e["active"] for e in events][:3] == [True, False, True]
