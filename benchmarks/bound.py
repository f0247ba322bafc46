"""Information bound of the workloads: how few bytes a point could take, by simple conditional models fitted to the same data.

In: a `Workload`, or rows of a recording. Out: bits and bytes. For each point the cheapest of: its change; its change given whether it
changed just before; its value given the machine state; its value given the value before (few values only). Stamps: differential
entropy of the jitter (Gaussian) and of the lag (log-normal) at 1 µs. An estimate, not a proof: a better model could go below it.
Recordings have few rows for many values and repeat whole programs: there each model also pays for its own table (two-part code
length), and LZMA over each stream alone is another model.
"""

from __future__ import annotations

import lzma
from collections.abc import Sequence
from dataclasses import dataclass
from math import e, log2, pi, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.workload import SECOND_US, WIDE, Workload

SCALE = {"temp": 10, "power_kw": 100}  # the last digit a machine gives
FEW_VALUES = 80
MOST_DIGITS = 9
TABLE_BITS = 16.0  # what one line of a model's own table costs
Codes = NDArray[np.int64]
_LZMA = [{"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": 1 << 26}]


@dataclass(frozen=True, slots=True)
class Bound:
    """Bits by part; per point unless said otherwise."""

    values: dict[str, float]
    jitter_per_poll: float
    lag_per_poll: float
    quality_per_poll: float

    @property
    def value_bits(self) -> float:
        """Mean over the points."""
        return sum(self.values.values()) / len(self.values)

    @property
    def wide_bytes(self) -> float:
        """Bytes a point when a poll's points share its stamps."""
        stamps = self.jitter_per_poll + self.lag_per_poll + self.quality_per_poll
        return (self.value_bits + stamps / len(self.values)) / 8

    @property
    def event_bytes(self) -> float:
        """Bytes a point when each has stamps of its own."""
        return (self.value_bits + self.jitter_per_poll + self.lag_per_poll + self.quality_per_poll) / 8


def bound_of(work: Workload) -> Bound:
    """The bound of a workload: mean over its devices."""
    devices = range(len(work.devices))
    state = work.values["state"]
    values = {}
    for point in WIDE.points:
        codes = np.rint(work.values[point.name].astype(np.float64) * SCALE.get(point.name, 1)).astype(np.int64)
        values[point.name] = _cheapest([_models(codes[d], state[d], itself=point.name == "state") for d in devices])
    grid_us = work.start_us + np.arange(work.seconds, dtype=np.int64) * SECOND_US
    jitter_us = work.source_us - grid_us
    sigma_us = float(np.mean(jitter_us.std(axis=1)))
    logs = np.log(work.lag_us)
    quality = np.mean([conditional(work.quality[d, 1:].astype(np.int64), work.quality[d, :-1]) for d in devices])
    return Bound(
        values,
        _gaussian_bits(sigma_us),
        float(logs.mean()) * log2(e) + _gaussian_bits(float(np.mean(logs.std(axis=1)))),
        float(quality),
    )


def entropy(codes: NDArray[Any]) -> float:
    """Empirical entropy in bits a value."""
    return _entropy_of(np.unique(codes, return_counts=True)[1])


def conditional(codes: NDArray[Any], given: NDArray[Any]) -> float:
    """Empirical entropy of `codes` given `given`, in bits a value."""
    one, other = np.unique(codes, return_inverse=True)[1], np.unique(given, return_inverse=True)[1]
    pairs = one.astype(np.int64) * (int(other.max(initial=0)) + 1) + other
    return max(0.0, entropy(pairs) - entropy(other))


def recording_bits(stamps_us: Codes, tags: Codes, values: Sequence[str]) -> dict[str, float]:
    """Total bits of a recording's rows in delivered order: which tag, when, what; two-part code lengths."""
    n = len(tags)
    found = {"tag": n * conditional(tags[1:], tags[:-1]) + TABLE_BITS * _pairs(tags[1:], tags[:-1])}
    unit = 1000 if not np.any(stamps_us % 1000) else 1
    step = np.diff(stamps_us // unit, prepend=stamps_us[:1] // unit)
    found["time"] = min(_exact_bits(step, tags), _bucket_bits(step, tags))
    found["tag"] = min(found["tag"], _lzma_bits(tags.astype("<u2").tobytes()))
    found["time"] = min(found["time"], _lzma_bits(step.astype("<i8").tobytes()))
    mine = [[values[i] for i in np.flatnonzero(tags == tag).tolist()] for tag in np.unique(tags)]
    found["value"] = sum(min(_text_bits(v), _lzma_bits("\n".join(v).encode())) for v in mine)
    return found


def _models(codes: Codes, state: Codes, *, itself: bool) -> dict[str, float]:
    change = np.diff(codes)
    found = {
        "change": entropy(change),
        "change | changed before": conditional(change[1:], change[:-1] == 0),
    }
    if not itself:
        found["value | state"] = conditional(codes, state)
    if len(np.unique(codes)) < FEW_VALUES:
        found["value | value before"] = conditional(codes[1:], codes[:-1])
    return found


def _cheapest(models: list[dict[str, float]]) -> float:
    """The model that is cheapest on average over the devices."""
    names = set.intersection(*(set(m) for m in models))
    return min(float(np.mean([m[name] for m in models])) for name in names)


def _gaussian_bits(sigma: float) -> float:
    return log2(max(sigma, 1e-9) * sqrt(2 * pi * e))


def _entropy_of(counts: NDArray[Any]) -> float:
    share = counts / counts.sum()
    return float(-(share * np.log2(share)).sum())


def _pairs(codes: NDArray[Any], given: NDArray[Any]) -> int:
    return len(np.unique(np.stack([codes, given.astype(np.int64)]), axis=1).T)


def _exact_bits(step: Codes, tags: Codes) -> float:
    """Each step as one of a list of steps, given the tag."""
    return len(step) * conditional(step, tags) + TABLE_BITS * _pairs(step, tags)


def _bucket_bits(step: Codes, tags: Codes) -> float:
    """The number of binary digits of a step given the tag, then those digits."""
    digits = np.where(step == 0, 0, np.floor(np.log2(np.abs(step) + 0.5)) + 1)
    signed = (digits * np.sign(step)).astype(np.int64)
    return len(step) * conditional(signed, tags) + float(np.clip(digits - 1, 0, None).sum())


def _text_bits(values: list[str]) -> float:
    """Texts of one tag: the value given the one before, or each as it is, or the numeric change; with the texts themselves."""
    words, codes = np.unique(np.array(values, dtype=object).astype(str), return_inverse=True)
    spelled = 8.0 * sum(len(w.encode()) for w in words)
    n = len(codes)
    found = [spelled + n * entropy(codes)]
    if n > 1:
        found.append(spelled + n * conditional(codes[1:], codes[:-1]) + TABLE_BITS * _pairs(codes[1:], codes[:-1]))
        numbers, others = _numbers(values)
        if len(numbers) > 1:
            change: Codes = np.array(numbers[1:], np.int64) - np.array(numbers[:-1], np.int64)
            which: Codes = np.array([w != "" for w in others], np.int64)
            besides = 8.0 * sum(len(w) for w in set(others)) + n * conditional(which[1:], which[:-1])
            found.append(besides + len(change) * entropy(change) + TABLE_BITS * len(np.unique(change)))
            found.append(besides + _bucket_bits(change, change * 0))
    return min(found)


def _lzma_bits(data: bytes) -> float:
    """A strong general compressor over one stream alone: it finds what repeats over hours."""
    return 8.0 * len(lzma.compress(data, format=lzma.FORMAT_RAW, filters=_LZMA))


def _numbers(values: list[str]) -> tuple[list[int], list[str]]:
    """Texts that are numbers, as integers of the last digit that any of them has; and every text, "" where it is a number."""
    found, words, digits = [], [], 0
    for value in values:
        try:
            found.append(float(value))
        except ValueError:
            words.append(value)
        else:
            words.append("")
            digits = max(digits, len(value.partition(".")[2]))
    return ([round(v * 10**digits) for v in found] if digits <= MOST_DIGITS else []), words
