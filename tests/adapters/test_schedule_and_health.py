"""Ticks, backoff and what is said about a device, on a clock that is driven."""

from __future__ import annotations

import asyncio

import structlog

from adapters.batch import Outcome
from adapters.contract import DeviceState
from adapters.health import Backoff, Health
from adapters.schedule import Schedule, next_multiple
from adapters.template import Source, source_of
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


async def test_the_first_poll_is_at_once_and_the_others_on_whole_multiples() -> None:
    clock = StepClock(MIDNIGHT_US + 12_345_678)
    schedule = Schedule(clock, [source(60)])
    times = []
    for _ in range(4):
        await schedule.next()
        times.append((clock.now_us() - MIDNIGHT_US) / 1_000_000)
    assert times == [12.345678, 60, 120, 180]


async def test_a_poll_just_before_a_multiple_is_not_repeated_on_it() -> None:
    clock = StepClock(MIDNIGHT_US + 55_000_000)
    schedule = Schedule(clock, [source(60)])
    await schedule.next()
    await schedule.next()
    assert clock.now_us() == MIDNIGHT_US + 120_000_000


async def test_a_device_not_yet_in_service_is_passed_over() -> None:
    clock = StepClock(MIDNIGHT_US)
    schedule = Schedule(clock, [source(3600, in_service_from="2026-11-23")])
    assert [s.device for s in await schedule.next()] == ["m1"]
    assert clock.now_us() == MIDNIGHT_US + 16 * 3_600_000_000  # midnight in the plant, UTC+8


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
