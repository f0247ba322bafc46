"""Hour lines (docs/format/hour-lines.md) read strictly, with the standard library only.

In: exact bytes of one line. Out: `DeviceHour`, `ParameterHour`, `LateHour`: integers, text, None for "not known".
Refuses (`LineError`): another number of fields, another spelling of a number, impossible sums.
`read_hours` groups the three files of a pack by hour.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from itertools import groupby
from typing import NamedTuple

HOUR_S = 3600
ALL_MINUTES = (1 << 60) - 1
DEVICE_FIELDS = (
    "D,device,hour,register_rev,origin,in_service_s,covered,polls_ok,polls_failed,values_bad,losses,late,gap_s,cause,"
    "run_s,stop_s,unknown_s,output_delta,auto_s,points_changed,identity_rev,presence_commit,process_commit"
)
PARAMETER_FIELDS = "P,device,hour,point,covered,ok,bad,run_ok_s,run_in_s"
LATE_FIELDS = "L,device,hour,source_hour,minutes,count,commit"
_ID = r"([A-Za-z0-9][A-Za-z0-9_.-]{0,63})"
_HOUR, _NUMBER, _MINUTES = r"(\d{4}-\d\d-\d\dT\d\dZ)", r"(0|[1-9]\d{0,15})", r"([0-9a-f]{15})"
_SIGNED, _COMMIT = r"(0|-?[1-9]\d{0,15}|)", r"([A-Za-z0-9_-]{43})"
_MAYBE = r"(0|[1-9]\d{0,15}|)"
_DEVICE = re.compile(
    ",".join(
        [
            *("D", _ID, _HOUR, _NUMBER, "(live|simulated|replay)", _NUMBER, _MINUTES),
            *(_NUMBER, _NUMBER, _NUMBER, _NUMBER, _NUMBER, _NUMBER, "([a-z_]*)"),
            *(_MAYBE, _MAYBE, _MAYBE, _SIGNED, _MAYBE, _NUMBER, _NUMBER, _COMMIT, _COMMIT),
        ]
    ),
    re.ASCII,
)
_PARAMETER = re.compile(",".join(["P", _ID, _HOUR, _ID, _MINUTES, _NUMBER, _NUMBER, _MAYBE, _MAYBE]), re.ASCII)
_LATE = re.compile(",".join(["L", _ID, _HOUR, _HOUR, _MINUTES, _NUMBER, _COMMIT]), re.ASCII)


class LineError(ValueError):
    """A line that is not what the format says."""


class DeviceHour(NamedTuple):
    """D line without its commitments. `covered`: 60 bits, minute 0 highest."""

    device: str
    hour: int
    register_rev: int
    origin: str
    in_service_s: int
    covered: int
    polls_ok: int
    polls_failed: int
    values_bad: int
    losses: int
    late: int
    gap_s: int
    cause: str
    run_s: int | None
    stop_s: int | None
    unknown_s: int | None
    output_delta: int | None
    auto_s: int | None
    points_changed: int
    identity_rev: int


class ParameterHour(NamedTuple):
    """P line. `run_ok_s`: running with a good value known; `run_in_s`: of these, inside the specification limits."""

    device: str
    hour: int
    point: str
    covered: int
    ok: int
    bad: int
    run_ok_s: int | None
    run_in_s: int | None


class LateHour(NamedTuple):
    """L line: arrived in `hour`, belongs to `source_hour`."""

    device: str
    hour: int
    source_hour: int
    minutes: int
    values: int


class Hour(NamedTuple):
    """One opened hour: its lines as hashed, in order, and read."""

    hour: int
    raw: list[bytes]
    devices: list[DeviceHour]
    parameters: list[ParameterHour]
    late: list[LateHour]


@lru_cache(maxsize=65_536)
def hour_number(text: str) -> int:
    """`2026-11-22T03Z` -> hours since 1970. Errors: `LineError` for a day or an hour that does not exist."""
    try:
        at = datetime(int(text[:4]), int(text[5:7]), int(text[8:10]), int(text[11:13]), tzinfo=UTC)
        number = int(at.timestamp()) // HOUR_S
    except ValueError as err:
        raise LineError(f"hour: expected such as 2026-11-22T03Z, found {text!r}") from err
    if hour_text(number) != text:
        raise LineError(f"hour: expected such as 2026-11-22T03Z, found {text!r}")
    return number


def hour_text(number: int) -> str:
    """Inverse of `hour_number`."""
    return datetime.fromtimestamp(number * HOUR_S, UTC).strftime("%Y-%m-%dT%HZ")


def parse_device_hour(line: bytes) -> DeviceHour:
    """A D line. Errors: `LineError`."""
    f = _fields(_DEVICE, line, DEVICE_FIELDS)
    seen, failed, bad, losses, late, gap = (int(x) for x in f[6:12])
    run, stop, unknown, output, automatic = (int(x) if x else None for x in f[13:18])
    found = DeviceHour(
        *(f[0], hour_number(f[1]), int(f[2]), f[3], int(f[4]), int(f[5], 16), seen, failed, bad, losses, late, gap),
        *(f[12], run, stop, unknown, output, automatic, int(f[18]), int(f[19])),
    )
    if found.in_service_s > HOUR_S or found.in_service_s % 60 or found.gap_s != _gap_s(found):
        raise LineError(f"{found.device} {f[1]}: expected gap_s = in_service_s - 60 x covered minutes, found {f[11]}")
    if (found.gap_s == 0) != (found.cause == ""):
        raise LineError(f"{found.device} {f[1]}: expected a cause exactly where gap_s is not 0, found {found.cause!r}")
    states = (run, stop, unknown)
    if any(s is None for s in states) and any(s is not None for s in states):
        raise LineError(f"{found.device} {f[1]}: expected run_s, stop_s, unknown_s all or none")
    if run is not None and sum(s or 0 for s in states) != found.in_service_s:
        raise LineError(f"{found.device} {f[1]}: expected run_s + stop_s + unknown_s = in_service_s")
    return found


def parse_parameter_hour(line: bytes) -> ParameterHour:
    """A P line. Errors: `LineError`."""
    f = _fields(_PARAMETER, line, PARAMETER_FIELDS)
    known, inside = (int(x) if x else None for x in f[6:8])
    if (known or 0) > HOUR_S or (inside is not None and (known is None or inside > known)):
        raise LineError(f"{f[0]} {f[1]} {f[2]}: expected run_in_s <= run_ok_s <= {HOUR_S}, found {f[7]!r}, {f[6]!r}")
    return ParameterHour(f[0], hour_number(f[1]), f[2], int(f[3], 16), int(f[4]), int(f[5]), known, inside)


def parse_late_hour(line: bytes) -> LateHour:
    """An L line. Errors: `LineError`."""
    f = _fields(_LATE, line, LATE_FIELDS)
    return LateHour(f[0], hour_number(f[1]), hour_number(f[2]), int(f[3], 16), int(f[4]))


def read_hours(devices: Iterable[bytes], parameters: Iterable[bytes], late: Iterable[bytes]) -> Iterator[Hour]:
    """The opened hours, ascending. Each iterable starts with its field names. Errors: `LineError`."""
    groups = [_by_hour(devices, DEVICE_FIELDS), _by_hour(late, LATE_FIELDS), _by_hour(parameters, PARAMETER_FIELDS)]
    heads = [next(g, None) for g in groups]
    while any(h is not None for h in heads):
        text = min(h[0] for h in heads if h is not None)
        found: list[list[bytes]] = []
        for i, head in enumerate(heads):  # D < L < P: so the three groups follow each other bytewise
            found.append(head[1] if head is not None and head[0] == text else [])
            if head is not None and head[0] == text:
                heads[i] = next(groups[i], None)
        raw = [line for group in found for line in group]
        yield Hour(
            hour_number(text),
            raw,
            [parse_device_hour(x) for x in found[0]],
            [parse_parameter_hour(x) for x in found[2]],
            [parse_late_hour(x) for x in found[1]],
        )


def _by_hour(lines: Iterable[bytes], fields: str) -> Iterator[tuple[str, list[bytes]]]:
    iterator = iter(lines)
    head = next(iterator, b"")
    if head != fields.encode():
        raise LineError(f"first line: expected {fields[:40]}…, found {head[:40]!r}")
    before = ""
    for text, group in groupby(iterator, lambda line: line.split(b",", 3)[2:3]):
        hour = text[0].decode("latin-1") if text else ""
        if hour <= before:
            raise LineError(f"expected hours ascending, found {hour!r} after {before!r}")
        before = hour
        yield hour, list(group)


def _fields(pattern: re.Pattern[str], line: bytes, names: str) -> tuple[str, ...]:
    match = pattern.fullmatch(line.decode("latin-1"))
    if match is None:
        raise LineError(f"expected {names}, found {line[:80]!r}")
    return match.groups()


def _gap_s(line: DeviceHour) -> int:
    return line.in_service_s - 60 * line.covered.bit_count()
