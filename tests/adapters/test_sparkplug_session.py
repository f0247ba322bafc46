"""The session of an edge node without a broker: births, deaths, sequence numbers, repeats, and any disorder hypothesis can think of."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.mqtt.sparkplug.host import Throttle
from adapters.mqtt.sparkplug.metric import DataType
from adapters.mqtt.sparkplug.payload import Message, Verb, decode
from adapters.mqtt.sparkplug.session import REORDER_US, EdgeSession, Kind, State, Step
from adapters.mqtt.sparkplug.wire import PayloadMessage

S = 1_000_000


def message(
    verb: str, seq: int | None = None, device: str = "", *, bd: int | None = None, mark: int = 0, at: int = 0
) -> Message:
    payload = PayloadMessage(timestamp=1000 + mark)
    if seq is not None:
        payload.seq = seq
    if bd is not None:
        payload.metrics.add(name="bdSeq", datatype=DataType.INT64, long_value=bd)
    raw = payload.SerializeToString()
    return decode(Verb(verb), device, raw, len(raw), at)


def born(*devices: str, bd: int | None = 0) -> EdgeSession:
    session = EdgeSession()
    session.take(message("NBIRTH", 0, bd=bd))
    for i, device in enumerate(devices):
        session.take(message("DBIRTH", i + 1, device))
    return session


def kinds(steps: list[Step]) -> list[tuple[Kind, bool]]:
    return [(s.kind, s.trusted) for s in steps]


def test_births_then_data_in_order_are_trusted() -> None:
    session = born("m1")
    assert kinds(session.take(message("DDATA", 2, "m1"))) == [(Kind.DATA, True)]
    assert kinds(session.take(message("NDATA", 3))) == [(Kind.DATA, True)]
    assert session.wanted == ""


def test_the_sequence_goes_on_from_255_to_0() -> None:
    session = born()
    for seq in range(1, 600):
        assert kinds(session.take(message("NDATA", seq % 256, mark=seq))) == [(Kind.DATA, True)]


def test_data_before_a_birth_is_not_trusted_and_wants_a_rebirth() -> None:
    session = EdgeSession()
    assert kinds(session.take(message("DDATA", 7, "m1"))) == [(Kind.DATA, False)]
    assert session.wanted
    session.take(message("NBIRTH", 0))
    assert session.wanted == ""
    assert kinds(session.take(message("DDATA", 1, "m1"))) == [(Kind.DATA, False)]  # no DBIRTH yet
    assert "m1" in session.wanted


def test_a_late_message_is_waited_for_and_put_in_its_place() -> None:
    session = born("m1")
    late, early = message("DDATA", 2, "m1", mark=1), message("DDATA", 3, "m1", mark=2)
    assert session.take(early) == []
    assert session.pass_time(REORDER_US - 1) == []
    assert [s.message for s in session.take(late)] == [late, early]
    assert session.pass_time(10 * S) == []
    assert session.wanted == ""


def test_a_message_that_never_comes_is_a_loss_and_the_aliases_are_not_trusted_any_more() -> None:
    session = born("m1")
    session.take(message("DDATA", 4, "m1", at=S))
    steps = session.pass_time(S + REORDER_US)
    assert kinds(steps) == [(Kind.LOST, False), (Kind.DATA, False)]
    assert "2" in steps[0].words
    assert session.wanted
    assert kinds(session.take(message("DDATA", 5, "m1"))) == [(Kind.DATA, False)]
    session.take(message("NBIRTH", 0))
    session.take(message("DBIRTH", 1, "m1"))
    assert kinds(session.take(message("DDATA", 2, "m1"))) == [(Kind.DATA, True)]


def test_too_many_messages_out_of_order_are_not_hoarded() -> None:
    session = born("m1")
    steps = [s for seq in range(3, 80) for s in session.take(message("DDATA", seq, "m1", mark=seq))]
    assert [s.kind for s in steps].count(Kind.LOST) == 1
    assert [s.kind for s in steps].count(Kind.DATA) == 77


def test_a_repeated_message_is_ignored() -> None:
    session = born("m1")
    one, two = message("DDATA", 2, "m1", mark=1), message("DDATA", 3, "m1", mark=2)
    assert len(session.take(one)) == 1
    assert len(session.take(two)) == 1
    assert session.take(one) == []
    assert session.take(two) == []
    assert session.pass_time(10 * S) == []
    assert session.ignored == 2


def test_a_repeated_birth_is_ignored_and_a_rebirth_is_not() -> None:
    session = EdgeSession()
    first = message("NBIRTH", 0, bd=4, mark=1)
    assert kinds(session.take(first)) == [(Kind.BIRTH, True)]
    assert session.take(first) == []
    assert kinds(session.take(message("NBIRTH", 0, bd=4, mark=2))) == [(Kind.BIRTH, True)]


def test_a_death_of_an_earlier_session_is_ignored() -> None:
    session = born("m1", bd=5)
    assert session.take(message("NDEATH", bd=4)) == []
    assert session.state is State.ONLINE
    assert kinds(session.take(message("NDEATH", bd=5))) == [(Kind.DEATH, False)]
    assert session.state is State.OFFLINE
    assert session.take(message("NDEATH", bd=5)) == []


@pytest.mark.parametrize(("birth", "death"), [(None, 3), (3, None), (None, None), (0, 0)])
def test_a_death_counts_where_nobody_can_tell_and_where_the_number_never_changes(birth: Any, death: Any) -> None:
    session = born("m1", bd=birth)
    assert kinds(session.take(message("NDEATH", bd=death))) == [(Kind.DEATH, False)]


def test_data_after_a_death_means_it_lives_and_its_births_are_wanted() -> None:
    session = born("m1")
    session.take(message("NDEATH", bd=0))
    assert kinds(session.take(message("DDATA", 2, "m1"))) == [(Kind.DATA, False)]
    assert session.state is State.UNKNOWN
    assert session.wanted


def test_a_devices_death_ends_its_birth_only() -> None:
    session = born("m1", "m2")
    assert kinds(session.take(message("DDEATH", 3, "m1"))) == [(Kind.DEATH, False)]
    assert not session.born("m1")
    assert session.born("m2")


def test_births_that_do_not_begin_with_0_and_messages_without_a_number_are_tolerated_and_noted() -> None:
    session = EdgeSession()
    session.take(message("NBIRTH", 9))
    assert kinds(session.take(message("NDATA", 10))) == [(Kind.DATA, True)]
    assert kinds(session.take(message("NDATA"))) == [(Kind.DATA, True)]
    assert kinds(session.take(message("NDATA", 77))) == [(Kind.DATA, True)]  # whatever comes after one without a number
    assert len(session.notes) == 2


def test_after_our_own_absence_nothing_is_trusted() -> None:
    session = born("m1", bd=5)
    session.take(message("DDATA", 5, "m1"))
    assert [s.kind for s in session.disconnect(9 * S)] == [Kind.LOST, Kind.DATA]
    assert not session.born("m1")
    assert kinds(session.take(message("DDATA", 2, "m1"))) == [(Kind.DATA, False)]
    assert kinds(session.take(message("NDEATH", bd=6))) == [(Kind.DEATH, False)]  # a session whose birth we did not see


def test_messages_held_when_a_birth_comes_are_a_loss_and_never_read_by_the_new_aliases() -> None:
    session = born("m1")
    session.take(message("DDATA", 5, "m1"))
    assert kinds(session.take(message("NBIRTH", 0, mark=1))) == [(Kind.LOST, False), (Kind.BIRTH, True)]
    assert session.pass_time(10 * S) == []


def test_two_edge_nodes_of_one_name_are_a_loss_not_a_riddle() -> None:
    session = born("m1")
    session.take(message("DDATA", 9, "m1", mark=1))
    steps = session.take(message("DDATA", 9, "m1", mark=2))
    assert [s.kind for s in steps] == [Kind.LOST, Kind.DATA, Kind.DATA]


def test_a_rebirth_is_asked_for_at_once_then_ever_more_rarely_then_at_once_again() -> None:
    throttle = Throttle(jitter=lambda _low, _high: 1.0)
    asked = [t for t in range(1, 1000) if throttle.may_ask(t * S)]
    assert asked == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]
    assert throttle.may_ask(5000 * S)
    assert not throttle.may_ask(5000 * S + S // 2)
    assert throttle.may_ask(5001 * S)


@st.composite
def streams(draw: st.DrawFn) -> list[tuple[Message, int]]:
    """What an edge node sent: (message, generation of its aliases). Restarts announce themselves by a death."""
    sent, seq, generation = [], 0, 0
    devices = ["a", "b"]

    def send(verb: str, device: str = "", bd: int | None = None) -> None:
        nonlocal seq
        numbered = verb != "NDEATH"
        sent.append((message(verb, seq % 256 if numbered else None, device, bd=bd, mark=len(sent)), generation))
        seq += numbered

    def births() -> None:
        nonlocal seq
        seq = 0
        send("NBIRTH", bd=generation)
        for device in devices:
            send("DBIRTH", device)

    births()
    for what in draw(st.lists(st.sampled_from(["data"] * 6 + ["node", "death", "restart"]), max_size=40)):
        if what == "data":
            send("DDATA", draw(st.sampled_from(devices)))
        elif what == "node":
            send("NDATA")
        elif what == "death":
            device = draw(st.sampled_from(devices))
            send("DDEATH", device)
            send("DBIRTH", device)
        else:
            send("NDEATH", bd=generation)
            generation += 1
            births()
    return sent


@given(streams(), st.data())
def test_small_disorder_and_repeats_change_nothing(sent: list[tuple[Message, int]], data: Any) -> None:
    arriving = [m for m, _ in sent]
    for i in range(1, len(arriving) - 1):  # neighbours change places, births and deaths of the edge node apart
        pair = arriving[i], arriving[i + 1]
        if all(m.verb not in (Verb.NBIRTH, Verb.NDEATH) for m in pair) and data.draw(st.booleans()):
            arriving[i], arriving[i + 1] = pair[1], pair[0]
    repeated = [m for m in arriving for _ in range(1 + (m.verb is not Verb.NDEATH and data.draw(st.booleans())))]
    session = EdgeSession()
    steps = [s for m in repeated for s in session.take(m)]
    assert [s.message for s in steps] == [m for m, _ in sent]
    assert all(s.trusted for s in steps if s.kind in (Kind.BIRTH, Kind.DATA))


@given(streams(), st.data())
def test_whatever_is_lost_nothing_is_delivered_twice_and_no_alias_outlives_its_birth(
    sent: list[tuple[Message, int]], data: Any
) -> None:
    generation = {id(m): g for m, g in sent}
    session, steps, learned, now = EdgeSession(), [], {}, 0
    for m, _ in sent:
        now += data.draw(st.sampled_from([0, 0, 0, REORDER_US]))
        steps += session.pass_time(now)
        if m.verb is Verb.NDEATH or data.draw(st.integers(0, 9)) > 1:
            steps += session.take(m)
    steps += session.pass_time(now + 10 * REORDER_US)
    delivered = [id(s.message) for s in steps if s.message is not None]
    assert len(set(delivered)) == len(delivered)
    for step in steps:
        if step.message is None or not step.trusted:
            continue
        if step.kind is Kind.BIRTH:
            learned[step.message.device] = generation[id(step.message)]
        elif step.kind is Kind.DATA:
            assert learned[step.message.device] == generation[id(step.message)]


@given(
    st.lists(
        st.tuples(st.sampled_from(list(Verb)), st.integers(0, 3) | st.none(), st.sampled_from(["", "a"]), st.booleans())
    )
)
def test_any_messages_in_any_order_never_raise(told: list[tuple[Verb, int | None, str, bool]]) -> None:
    session = EdgeSession()
    for i, (verb, seq, device, wait) in enumerate(told):
        for step in session.take(message(verb, seq, device if verb.of_device else "", mark=i, at=i * S)):
            assert isinstance(step.kind, Kind)
        if wait:
            session.pass_time(i * S + REORDER_US)


def test_a_clock_that_was_set_back_holds_no_message_and_no_rebirth_until_it_is_that_time_again() -> None:
    session = born("a")
    session.take(message("DDATA", 5, "a"))
    day_us = 86_400_000_000
    assert session.pass_time(-day_us)
    throttle = Throttle()
    assert throttle.may_ask(day_us)
    assert throttle.may_ask(0)
