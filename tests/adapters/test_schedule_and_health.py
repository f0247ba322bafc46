"""Ticks, backoff and what is said about a device, on a clock that is driven."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest
import structlog

from adapters.batch import Outcome
from adapters.contract import DeviceState
from adapters.health import Backoff, Health
from adapters.schedule import Schedule, next_multiple
from adapters.template import Source, source_of
from collector.clock import DrivenClock
from tests.adapters.plant import ModbusWire, register_of

MIDNIGHT_US = 1_795_305_600_000_000


class StepClock:
    """Time stands until somebody sleeps; then it is later."""

    def __init__(self, now_us: int) -> None:
        self._now_us = now_us

    def now_us(self) -> int:
        return self._now_us

    async def sleep(self, seconds: float) -> None:
        self._now_us += round(seconds * 1_000_000)
        await asyncio.sleep(0)


def source(interval_s: int, **device: object) -> Source:
    wire = ModbusWire()
    register = register_of(wire.points(), [{**wire.device("m1", 502, interval_s), **device}])
    return source_of(register, register.devices[0])


async def test_the_first_poll_is_at_once_and_the_others_in_the_slot_after_whole_multiples() -> None:
    clock = StepClock(MIDNIGHT_US + 12_345_678)
    schedule = Schedule(clock, [source(60)])
    times = []
    for _ in range(4):
        await schedule.next()
        times.append((clock.now_us() - MIDNIGHT_US) / 1_000_000)
    slot_s = (times[1] - 60) % 60
    assert 0 <= slot_s < 1
    assert times == [12.345678, *(pytest.approx(slot_s + 60 * k) for k in (1, 2, 3))]


async def test_a_poll_just_before_a_multiple_is_not_repeated_on_it() -> None:
    clock = StepClock(MIDNIGHT_US + 55_000_000)
    schedule = Schedule(clock, [source(60)])
    await schedule.next()
    await schedule.next()
    assert 0 <= clock.now_us() - MIDNIGHT_US - 120_000_000 < 1_000_000


async def test_the_slots_of_a_plant_spread_over_the_second_and_each_device_keeps_its_own() -> None:
    clock = StepClock(MIDNIGHT_US)
    wire = ModbusWire()
    devices = [wire.device(f"m{k}", 502) for k in range(200)]
    register = register_of(wire.points(), devices)
    schedule = Schedule(clock, [source_of(register, d) for d in register.devices])
    assert len(await schedule.next()) == 200
    seen: dict[str, list[int]] = {}
    wake_ups = 0
    while clock.now_us() < MIDNIGHT_US + 4_000_000:
        wake_ups += 1
        for s in await schedule.next():
            seen.setdefault(s.device, []).append(clock.now_us() % 1_000_000)
    assert all(len(set(slots)) == 1 for slots in seen.values())
    assert {slots[0] for slots in seen.values()} == {50_000 * k for k in range(20)}
    assert wake_ups <= 4 * 20 + 1


async def test_a_newer_list_leaves_the_times_of_unchanged_devices_alone_and_wakes_the_sleeper() -> None:
    clock = DrivenClock(MIDNIGHT_US)
    old = source(60)
    schedule = Schedule(clock, [old])
    assert [s.device for s in await schedule.next()] == ["m1"]
    waiting = asyncio.create_task(schedule.next())
    await asyncio.sleep(0)
    new = dataclasses.replace(old, device="m2")
    schedule.apply([old, new])
    assert [s.device for s in await waiting] == ["m2"]
    waiting = asyncio.create_task(schedule.next())
    await asyncio.sleep(0)
    clock.advance_to(MIDNIGHT_US + 59_999_999)
    await asyncio.sleep(0.01)
    assert not waiting.done()
    clock.advance_to(MIDNIGHT_US + 61_000_000)
    assert await waiting


async def test_an_absent_server_is_knocked_at_each_second() -> None:
    clock = StepClock(MIDNIGHT_US)
    backoff = Backoff(clock, jitter=lambda low, high: high)
    for _ in range(10):
        backoff.failed(absent=True)
        assert backoff.remaining_s == 0.9
    backoff.failed()
    assert backoff.remaining_s == 0.9
    backoff.failed()
    assert backoff.remaining_s == 1.8


async def test_a_device_not_yet_in_service_is_passed_over() -> None:
    clock = StepClock(MIDNIGHT_US)
    schedule = Schedule(clock, [source(3600, in_service_from="2026-11-23")])
    assert [s.device for s in await schedule.next()] == ["m1"]
    assert 0 <= clock.now_us() - MIDNIGHT_US - 16 * 3_600_000_000 < 1_000_000  # midnight in the plant, UTC+8


def test_a_multiple_is_its_own_next_one() -> None:
    assert next_multiple(120_000_000, 60) == 120_000_000
    assert next_multiple(120_000_001, 60) == 180_000_000


def test_backoff_doubles_to_a_minute_with_jitter_and_forgets() -> None:
    clock = StepClock(MIDNIGHT_US)
    backoff = Backoff(clock, jitter=lambda low, high: high)
    waits = []
    for _ in range(8):
        backoff.failed()
        waits.append(round(backoff.remaining_s, 3))
    assert waits == [0.9, 1.8, 3.6, 7.2, 14.4, 28.8, 54.0, 54.0]
    backoff.succeeded()
    assert backoff.remaining_s == 0


def test_a_device_is_logged_once_down_and_once_back() -> None:
    clock, states = StepClock(MIDNIGHT_US), list[DeviceState]()
    with structlog.testing.capture_logs() as lines:
        health = Health("m1", clock, structlog.get_logger(), states.append)
        health.contact()
        for _ in range(3):
            health.failed(Outcome.TIMEOUT, "no answer")
        clock._now_us += 90_000_000
        health.contact()
        health.contact()
    assert [(x["log_level"], x.get("outcome"), x.get("down_s")) for x in lines] == [
        ("warning", "timeout", None),
        ("info", None, 90),
    ]
    assert [s.outcome for s in states] == [Outcome.OK, Outcome.TIMEOUT, Outcome.OK]


async def test_a_clock_that_was_set_back_leaves_nobody_waiting_until_it_is_that_time_again() -> None:
    clock = StepClock(MIDNIGHT_US)
    schedule = Schedule(clock, [source(60)])
    backoff = Backoff(clock, jitter=lambda low, high: high)
    await schedule.next()
    await schedule.next()
    backoff.failed()
    clock._now_us = MIDNIGHT_US - 86_400_000_000
    assert backoff.remaining_s == 0
    await schedule.next()
    assert clock.now_us() <= MIDNIGHT_US - 86_400_000_000 + 2 * 61_000_000
