"""A small plant of everything that can happen to a row, seeded: what the hour-line tests feed to the collector.

Devices over wide and event templates, one rule for running, one without a connection, one that retires, one removed and one added by
the second register; failures, bad quality, impossible values, late buffers, confirmations, clocks ahead; a collector that stops and
crashes.
"""

from __future__ import annotations

import random
import re
import struct
import tomllib
from collections.abc import Sequence

from adapters.batch import Template
from tests.builders import HOUR_US, MINUTE_US, SECOND_US, Driver, Row, Value, event, wide
from tests.collector.plain_lines import Revision, World

LATHE = """
[[points]]
id = "lathe"
state_map = { "1" = "run", "0" = "stop", "3" = "off" }
[[points.point]]
name = "state"
type = "i64"
role = "state"
node = "ns=2;s=a"
[[points.point]]
name = "count"
type = "i64"
role = "output"
node = "ns=2;s=b"
[[points.point]]
name = "auto"
type = "bool"
role = "auto"
node = "ns=2;s=c"
[[points.point]]
name = "temp"
type = "f64"
key_parameter = true
low = 0
high = 80
LIMITS_OF_TEMP
node = "ns=2;s=d"
[[points.point]]
name = "program"
type = "str"
role = "program"
key_parameter = KEY
no_value = ["UNAVAILABLE", "none"]
node = "ns=2;s=e"
[[points.point]]
name = "beat"
type = "u64"
role = "heartbeat"
node = "ns=2;s=f"
"""
MILL = """
[[points]]
id = "mill"
running_when = { point = "power", op = ">", value = "0.5" }
[[points.point]]
name = "power"
type = "f32"
key_parameter = true
high = 50
LIMITS_OF_POWER
node = "ns=2;s=a"
[[points.point]]
name = "parts"
type = "u64"
role = "output"
node = "ns=2;s=b"
"""
MAZAK = """
[[points]]
id = "mazak"
kind = "event"
state_map = { "ACTIVE" = "run", "READY" = "stop" }
[[points.point]]
name = "execution"
type = "str"
role = "state"
no_value = ["UNAVAILABLE"]
node = "ns=2;s=a"
[[points.point]]
name = "mode"
type = "str"
role = "auto"
node = "ns=2;s=b"
[[points.point]]
name = "speed"
type = "f64"
key_parameter = true
low = "0.5"
high = 9000
LIMITS_OF_SPEED
node = "ns=2;s=c"
[[points.point]]
name = "parts"
type = "i64"
role = "output"
key_parameter = true
LIMITS_OF_PARTS
node = "ns=2;s=d"
[[points.point]]
name = "door"
type = "bool"
node = "ns=2;s=e"
[[points.point]]
name = "beat"
type = "i64"
role = "heartbeat"
node = "ns=2;s=f"
"""
LATHE_1 = wide(
    ("state", "i64"), ("count", "i64"), ("auto", "bool"), ("temp", "f64", "Cel"), ("program", "str"), ("beat", "u64")
)
LATHE_2 = wide(
    ("state", "i64"), ("temp", "f64", "Cel"), ("program", "str"), ("spare", "f32")
)  # a template the register knows half of
MILL_1 = wide(("power", "f32", "kW"), ("parts", "u64"))
MAZAK_1 = event(
    ("execution", "str"), ("mode", "str"), ("speed", "f64"), ("parts", "i64"), ("door", "bool"), ("beat", "i64")
)
PLAN: dict[str, tuple[Template, ...]] = {
    "W1": (LATHE_1,),
    "W2": (LATHE_1, LATHE_2),
    "M1": (MILL_1,),
    "E1": (MAZAK_1,),
    "E2": (MAZAK_1, LATHE_2),
    "GONE": (MILL_1,),
    "NEW": (LATHE_1,),
    "OLD": (LATHE_1,),
}
FAILURES = (2, 3, 4, 5, 6, 7, 8, 9, 10, 11)
TEXTS = (
    "ACTIVE",
    "READY",
    "UNAVAILABLE",
    "unavailable|x",
    "AUTO",
    "automatic",
    "手动",
    "O1000|2",
    "",
    'a,b\n"c"',
    "none",
)


def limits(rnd: random.Random) -> str:
    """Specification limits of a point, or some of them; on the values that occur, beside them, far away."""
    numbers = [0.5, 80.0, 0.1, rnd.uniform(-5, 100), rnd.uniform(-5, 100), 2, 40, -1e300]
    low, high = sorted((rnd.choice(numbers), rnd.choice([*numbers, 1e9, 2**64])))
    kept = rnd.choice((("low", "high"), ("low", "high"), ("low",), ("high",), ()))
    return "\n".join(f'spec_{side} = "{limit!r}"' for side, limit in (("low", low), ("high", high)) if side in kept)


def register(revision: int, first_hour: int, seed: int = 0) -> str:
    """The first register, or the second: NEW comes, GONE goes, W2 is asked more often, temp may be hotter, a closure is known."""
    rnd = random.Random(f"{seed} {revision}")
    devices = [
        ("W1", "L1", "lathe", 60),
        ("W2", "L2", "lathe", 60 if revision == 1 else 10),
        ("M1", "L2", "mill", 30),
        ("E1", "L1", "mazak", 60),
        ("E2", "L1", "mazak", 45),
        ("GONE", "L1", "mill", 60) if revision == 1 else ("NEW", "L2", "lathe", 60),
        ("OLD", "L2", "lathe", 60),
        ("BARE", "L1", "", 60),
    ]
    start = first_hour * 3600 + 5400
    text = 'format = "plantproof-register/1"\n[calendar]\nutc_offset = "+08:00"\n'
    for name, a, b, lines in (("C1", start, start + 2700, '["L2"]'), ("C2", start + 7230, start + 9000, "[]"))[
        :revision
    ]:
        text += f"[[calendar.closures]]\nid = {name!r}\nstart = {_iso(a)}\nend = {_iso(b)}\nreason = '检修'\n"
        text += f"approver = '王'\nlines = {lines}\n"
    text += '[[line]]\nid = "L1"\nname = "一"\n[[line]]\nid = "L2"\nname = "二"\n'
    lathe = LATHE.replace("KEY", "false" if revision == 1 else "true").replace(
        "high = 80", f"high = {70 + 10 * revision}"
    )
    sets = lathe + (MILL if revision == 1 else MILL.replace('"0.5"', '"1.5"')) + MAZAK
    text += re.sub(r"LIMITS_OF_\w+", lambda _: limits(rnd), sets)
    for device, line, points, interval in devices:
        text += f'[[device]]\nid = "{device}"\nname = "{device}"\nline = "{line}"\nin_service_from = 2026-01-01\ninterval_s = {interval}\n'
        if device == "OLD":  # midnight in the plant, 16:00 UTC: in the middle of the run
            text += "retired_at = 2026-11-20\n"
        if points:
            text += (
                f'points = "{points}"\nconnection = {{ protocol = "opcua", endpoint = "opc.tcp://127.0.0.1:4840" }}\n'
            )
    return text


def _iso(epoch_s: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(epoch_s, UTC).strftime("%Y-%m-%dT%H:%M:%S+00:00")


class RandomPlant:
    """Drives a collector through a few hours of everything."""

    def __init__(self, driver: Driver, seed: int) -> None:
        self.driver = driver
        self.seed = seed
        self.random = random.Random(seed)
        self.revisions: list[Revision] = []
        self.identities: list[tuple[int, str, int, str]] = []
        self.first_hour = driver.clock.now_us() // HOUR_US
        self.counts = dict.fromkeys(PLAN, 0)
        self.stamps = random.Random(seed + 1)  # server times: apart, so that a seed's rows stay what they are

    def world(self) -> World:
        """What the plain lines are computed from."""
        d = self.driver
        return World(d.rows, self.revisions, d.down, d.folder.origin_class, self.identities, b"\x02" * 32)

    def apply(self, revision: int) -> None:
        """The next register, in force from now."""
        text = register(revision, self.first_hour, self.seed)
        rev = self.driver.register(text)
        at_us = self.driver.clock.now_us() // 1000 * 1000
        self.revisions.append(Revision(rev, at_us, tomllib.loads(text)))

    async def run(self, hours: int) -> None:
        """From the clock's time on; ends stopped, every hour but the last one closed."""
        clock, rnd = self.driver.clock, self.random
        end_us = (self.first_hour + hours) * HOUR_US + 1
        change_us = (self.first_hour + 2) * HOUR_US + rnd.randrange(HOUR_US)
        quiet = {d: rnd.randrange(self.first_hour, self.first_hour + hours) for d in PLAN}  # an hour without a word
        dead_hour = rnd.randrange(self.first_hour + 1, self.first_hour + hours)  # nobody says anything
        self.apply(1)
        await self.driver.start()
        while clock.now_us() < end_us:
            clock.advance_to(clock.now_us() + rnd.randrange(5 * SECOND_US, 110 * SECOND_US))
            if rnd.random() < 0.3:  # exactly at the end of a minute
                clock.advance_to(-(-clock.now_us() // MINUTE_US) * MINUTE_US)
            now_us = clock.now_us()
            if len(self.revisions) == 1 and now_us >= change_us:
                self.apply(2)
            hour = now_us // HOUR_US
            talking = [d for d in PLAN if rnd.random() < 0.6 and quiet[d] != hour and hour != dead_hour]
            batches = [b for d in talking for b in self._batches(d, now_us)]
            if batches:
                await self.driver.emit(batches)
            else:
                await self.driver.tick()
            if rnd.random() < 0.01:
                await self._interrupt(rnd.choice((30 * SECOND_US, 10 * MINUTE_US, 50 * MINUTE_US, 130 * MINUTE_US)))
        await self.driver.stop()
        await self.driver.start()  # a new file: the one before it is closed now
        await self.driver.stop()

    async def _interrupt(self, length_us: int) -> None:
        if self.random.random() < 0.5:
            await self.driver.stop()
        else:
            self.driver.crash()
        self.driver.clock.advance_to(self.driver.clock.now_us() + self.random.randrange(length_us))
        await self.driver.start()

    def _batches(self, device: str, now_us: int) -> list[list[Row]]:
        rnd = self.random
        templates = [
            rnd.choice(PLAN[device]) for _ in range(rnd.choice((1, 1, 1, 2, 3)))
        ]  # several batches may share a frame
        return [[self._row(device, t, now_us) for _ in range(rnd.choice((1, 1, 1, 2, 5)))] for t in templates]

    def _row(self, device: str, template: Template, now_us: int) -> Row:
        rnd = self.random
        source_us, lag_us, outcome, quality = now_us - rnd.choice((0, rnd.randrange(5 * SECOND_US))), 0, 0, 0
        lag_us = now_us - source_us
        kind = rnd.random()
        if kind < 0.12:
            return Row(device, template, now_us, 0, rnd.choice(FAILURES), 0x800A_0000)
        if kind < 0.2:  # a confirming read of an old value
            source_us, outcome = now_us - rnd.randrange(40 * HOUR_US), 1
            lag_us = now_us - source_us
        elif kind < 0.26:  # a buffer delivered late
            source_us = now_us - rnd.randrange(3 * HOUR_US)
            lag_us = now_us - source_us
            quality = rnd.choice((0, 0, 0x8000_0000))
        elif kind < 0.32:  # a source whose clock is ahead
            lag_us = -rnd.randrange(4 * SECOND_US)
            source_us = now_us - lag_us
        elif kind < 0.36:
            quality = rnd.choice((0x8000_0000, 0x8005_0000))
        elif kind < 0.4:
            quality = 0x4000_0000
        if template.kind == "wide":
            values = {n: self._value(device, n, str(k)) for n, k in template.columns}
            bad = {n: 0x808B_0000 if rnd.random() < 0.7 else 0x4009_0000 for n in values if rnd.random() < 0.08}
        else:
            index = rnd.randrange(len(template.points))
            point = template.points[index]
            column = f"v_{point.type}"
            values = {"point": index, column: self._value(device, point.name, str(point.type))}
            bad = {column: 0x808B_0000} if rnd.random() < 0.08 else {}
        kept = {n: v for n, v in values.items() if v is not None}
        bad = {} if quality else bad
        return Row(
            device, template, source_us, lag_us, outcome, quality, kept, bad, self._server_us(template, source_us)
        )

    def _server_us(self, template: Template, source_us: int) -> int | None:
        """Server times of event rows, mostly; a batch, a frame and a file may have them in some rows only."""
        if self.stamps.random() > (0.7 if template.kind == "event" else 0.01):
            return None
        return source_us + self.stamps.choice((0, 0, 17, -40, 2_500_000, -3 * HOUR_US))

    def _value(self, device: str, name: str, kind: str) -> Value:
        rnd = self.random
        if rnd.random() < 0.05:
            return None
        if name in ("count", "parts"):
            self.counts[device] = 0 if rnd.random() < 0.03 else self.counts[device] + rnd.randrange(3)
            return self.counts[device]
        if name in ("state", "beat"):
            return rnd.choice((0, 1, 1, 3, 7)) if name == "state" else rnd.randrange(2**63)
        if kind in ("bool", "str"):
            return rnd.random() < 0.5 if kind == "bool" else rnd.choice(TEXTS)
        number = rnd.choice(
            (rnd.uniform(-5, 100), rnd.uniform(-5, 100), 0.5, 0.0, -0.0, float("nan"), float("inf"), 80.0, 1e9)
        )
        return float(struct.unpack("<f", struct.pack("<f", number))[0]) if kind == "f32" else number


def differences(expected: Sequence[str], found: Sequence[str]) -> list[str]:
    """Lines that only one side has, for a message one can read."""
    return sorted(
        [f"expected {line}" for line in set(expected) - set(found)]
        + [f"found    {line}" for line in set(found) - set(expected)],
        key=lambda x: x[9:],
    )
