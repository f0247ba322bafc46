"""Which messages are new, which are repeats, and when each is acknowledged; deadlines, windows, routes: the parts without a network."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from adapters.mqtt.deadlines import Deadlines
from adapters.mqtt.deliveries import Deliveries
from adapters.mqtt.packets import PUBACK, PUBREC, Message
from adapters.mqtt.routes import Route, Routes
from adapters.mqtt.window import Window
from adapters.registry import connections
from tests.adapters.plant import device_of, register_of


def message(mid: int, payload: bytes = b"1", qos: int = 1, *, dup: bool = False) -> Message:
    return Message("t", payload, qos, False, dup, mid, len(payload))


def test_acknowledgements_go_out_in_the_order_of_arrival() -> None:
    deliveries = Deliveries()
    sent = [message(i, qos=1 + i % 2) for i in (3, 1, 2)]
    assert all(map(deliveries.arrived, sent))
    deliveries.durable(sent[1:])
    assert deliveries.due() == []
    deliveries.durable(sent[:1])
    assert deliveries.due() == [(PUBREC, 3), (PUBREC, 1), (PUBACK, 2)]
    assert (deliveries.due(), deliveries.unacknowledged) == ([], 0)


def test_a_repeat_of_what_is_being_stored_is_acknowledged_when_it_is_stored() -> None:
    deliveries = Deliveries()
    first = message(1)
    assert deliveries.arrived(first)
    deliveries.begin(session_present=True)
    assert not deliveries.arrived(message(1, dup=True))
    assert deliveries.due() == []
    deliveries.durable([first])
    assert deliveries.due() == [(PUBACK, 1)]


def test_a_repeat_of_what_was_stored_is_acknowledged_and_not_handed_over() -> None:
    deliveries = Deliveries()
    first = message(1)
    deliveries.arrived(first)
    deliveries.durable([first])
    deliveries.due()
    deliveries.begin(session_present=True)
    assert not deliveries.arrived(message(1, dup=True))
    assert deliveries.due() == [(PUBACK, 1)]
    assert deliveries.repeated == 1


def test_a_new_message_of_an_old_identifier_is_new() -> None:
    deliveries = Deliveries()
    first = message(1)
    deliveries.arrived(first)
    deliveries.durable([first])
    deliveries.due()
    assert deliveries.arrived(message(1))  # same payload, and no DUP: the machine said it again
    deliveries.begin(session_present=True)
    assert deliveries.arrived(message(1, b"2", dup=True))  # another payload


def test_without_a_session_everything_is_new_and_the_old_does_not_acknowledge_it() -> None:
    deliveries = Deliveries()
    before = message(1)
    deliveries.arrived(before)
    deliveries.begin(session_present=False)
    after = message(1)
    assert deliveries.arrived(after)
    deliveries.durable([before])
    assert deliveries.due() == []
    deliveries.durable([after])
    assert deliveries.due() == [(PUBACK, 1)]


def test_qos_2_is_received_once_until_it_is_released() -> None:
    deliveries = Deliveries()
    first = message(1, qos=2)
    deliveries.arrived(first)
    deliveries.durable([first])
    assert deliveries.due() == [(PUBREC, 1)]
    assert not deliveries.arrived(message(1, qos=2))  # not released: whatever DUP says (§4.3.3)
    assert deliveries.due() == [(PUBREC, 1)]
    deliveries.released(1)
    assert deliveries.arrived(message(1, qos=2))


def test_a_broker_that_uses_an_identifier_twice_does_not_stop_the_others() -> None:
    deliveries = Deliveries()
    twice = [message(1, b"a"), message(1, b"b"), message(2)]
    assert all(map(deliveries.arrived, twice))
    deliveries.durable(twice)
    assert deliveries.due() == [(PUBACK, 1), (PUBACK, 2)]


@given(st.lists(st.tuples(st.integers(1, 5), st.sampled_from(["new", "store", "lose"])), max_size=60))
def test_every_message_is_handed_over_once_and_acknowledged_after_it_is_durable(steps: list[tuple[int, str]]) -> None:
    """A broker that repeats what it has not heard of, in its order, after each lost connection."""
    deliveries, held, handed, stored = Deliveries(), {}, [], set()
    count = 0
    for mid, step in steps:
        if step == "new" and mid not in held:
            count += 1
            held[mid] = message(mid, b"%d" % count)
            if deliveries.arrived(held[mid]):
                handed.append(held[mid])
        elif step == "store" and handed and len(stored) < len(handed):
            one = handed[len(stored)]
            stored.add(one.payload)
            deliveries.durable([one])
        elif step == "lose":
            deliveries.begin(session_present=True)
            for old in list(held.values()):
                if deliveries.arrived(replace(old, dup=True)):
                    handed.append(old)
        for _, done in deliveries.due():
            assert held.pop(done).payload in stored
    payloads = [m.payload for m in handed]
    assert len(set(payloads)) == len(payloads) == count


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 50), st.booleans()), max_size=60))
def test_a_device_is_over_its_deadline_exactly_when_it_passed(steps: list[tuple[str, int, bool]]) -> None:
    deadlines, plain, now = Deadlines(), {}, 0
    for device, by, ask in steps:
        if ask:
            now += by
            over = sorted(d for d, at in plain.items() if at <= now)
            assert sorted(deadlines.over(now)) == over
            plain = {d: at for d, at in plain.items() if d not in over}
        elif by % 7 == 0:
            deadlines.drop(device)
            plain.pop(device, None)
        elif by % 5 == 0:
            deadlines.hasten(device, now + by)
            plain[device] = min(plain.get(device, now + by), now + by)
        else:
            deadlines.expect(device, now + by)
            plain[device] = now + by


def test_a_window_is_believed_after_silence_and_prompt_delivery_and_for_half_a_minute() -> None:
    window = Window()
    window.arrived(20, 0)
    window.acknowledged(20, 1_000_000)
    assert not window.full(1_000_000)
    window.arrived(20, 1_050_000)
    assert window.full(1_050_000)
    assert not window.full(31_100_000)


def test_steady_traffic_has_no_window() -> None:
    window = Window()
    for at_us in range(0, 5_000_000, 50_000):
        window.arrived(50, at_us)
        if at_us % 1_000_000 == 0:
            window.acknowledged(1000, at_us + 20_000)
        assert not window.full(at_us)


def routes(*devices: dict[str, object]) -> Routes:
    points = [{"name": n, "type": "f64", "path": "$.v"} for n in ("speed", "load")]
    made = [
        device_of(f"m{i + 1}", {"protocol": "mqtt", "broker": "mqtt://h", **more}) for i, more in enumerate(devices)
    ]
    (sources,) = connections(register_of(points, made, "event"), 0).values()
    return Routes(sources)


def test_a_template_makes_a_topic_per_point_and_no_wildcard() -> None:
    found = routes({"topic": "plant/{device}/{point}", "qos": 2}, {"topic": "plant/{device}"})
    assert found.of == {
        "plant/m1/speed": [Route("m1", 0)],
        "plant/m1/load": [Route("m1", 1)],
        "plant/m2": [Route("m2")],
    }
    assert found.subscriptions == {"plant/m1/speed": 2, "plant/m1/load": 2, "plant/m2": 1}


def test_devices_of_one_topic_share_its_subscription_at_the_highest_qos() -> None:
    found = routes({"topic": "t", "qos": 0}, {"topic": "t", "qos": 2, "status_topic": "s/{device}"})
    assert found.of["t"] == [Route("m1"), Route("m2")]
    assert found.subscriptions == {"s/m2": 1, "t": 2}


def test_a_shared_subscription_is_shared_when_all_say_so() -> None:
    assert routes({"topic": "t", "share": "g"}, {"topic": "t", "share": "g"}).subscriptions == {"$share/g/t": 1}
    assert routes({"topic": "t", "share": "g"}, {"topic": "t"}).subscriptions == {"t": 1}


def test_an_identifier_taken_over_before_its_turn_acknowledges_nothing_that_is_not_durable() -> None:
    deliveries = Deliveries()
    first, older, newer = message(1), message(2, b"a"), message(2, b"b")
    assert all(map(deliveries.arrived, (first, older)))
    deliveries.durable([older])  # and waits for the first one's turn
    assert deliveries.arrived(newer)
    deliveries.durable([first])
    assert deliveries.due() == [(PUBACK, 1)]
    deliveries.durable([newer])
    assert deliveries.due() == [(PUBACK, 2)]
