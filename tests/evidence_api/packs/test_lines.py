"""Hour lines: one spelling, read back as it was written; everything else refused. Held to tests/vectors/lines."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.ledger import merkle
from evidence_api.verify.lines import (
    DEVICE_FIELDS,
    LATE_FIELDS,
    PARAMETER_FIELDS,
    LineError,
    hour_number,
    hour_text,
    parse_device_hour,
    parse_late_hour,
    parse_parameter_hour,
    read_hours,
)

VECTORS = Path(__file__).parents[2] / "vectors" / "lines"
HOUR: dict[str, Any] = json.loads((VECTORS / "hour.json").read_text(encoding="utf-8"))
REFUSED: list[dict[str, str]] = json.loads((VECTORS / "refused.json").read_text(encoding="utf-8"))
PARSE: dict[str, Callable[[bytes], Any]] = {"D": parse_device_hour, "P": parse_parameter_hour, "L": parse_late_hour}


def test_the_root_of_the_vectors_hour_follows_from_its_lines() -> None:
    lines = [x.encode() for x in HOUR["lines"]]
    assert lines == sorted(lines)
    assert merkle.root([merkle.leaf_hash(x) for x in lines]).hex() == HOUR["root"]


def test_lines_are_read_as_the_vector_says() -> None:
    for text, expected in zip(HOUR["lines"], HOUR["read"], strict=True):
        assert PARSE[text[0]](text.encode())._asdict() == expected


@pytest.mark.parametrize("case", REFUSED, ids=lambda c: c["why"])
def test_another_spelling_is_refused(case: dict[str, str]) -> None:
    with pytest.raises(LineError):
        PARSE[case["line"][0]](case["line"].encode())


@given(st.integers(min_value=0, max_value=2_000_000))
def test_an_hour_is_written_one_way(hour: int) -> None:
    assert hour_number(hour_text(hour)) == hour


@given(
    st.integers(min_value=0, max_value=(1 << 60) - 1),
    st.lists(st.integers(min_value=0, max_value=10**9), min_size=5, max_size=5),
    st.integers(min_value=-(10**6), max_value=10**9) | st.none(),
    st.sampled_from(["live", "simulated", "replay"]),
)
def test_a_device_hour_is_read_as_it_was_written(mask: int, counts: list[int], output: int | None, origin: str) -> None:
    gap = 3600 - 60 * mask.bit_count()
    fields = ["D", "CNC-01", "2026-11-21T15Z", 3, origin, 3600, f"{mask:015x}", *counts, gap, "timeout" if gap else ""]
    fields += [3600, 0, 0, "" if output is None else output, "", 2, 1, "A" * 43, "_" * 43]
    found = parse_device_hour(",".join(str(f) for f in fields).encode())
    assert (found.covered, found.gap_s, found.output_delta, found.origin) == (mask, gap, output, origin)
    assert [found.polls_ok, found.polls_failed, found.values_bad, found.losses, found.late] == counts


@given(st.binary(max_size=60))
def test_no_bytes_make_the_reader_stumble(raw: bytes) -> None:
    for kind, parse in PARSE.items():
        for line in (raw, kind.encode() + b"," + raw):
            try:
                parse(line)
            except LineError:
                continue
            raise AssertionError(f"read {line!r}")


def test_hours_out_of_order_and_missing_headers_are_refused() -> None:
    def lines(*texts: str) -> list[bytes]:
        return [t.encode() for t in texts]

    heads = (DEVICE_FIELDS, PARAMETER_FIELDS, LATE_FIELDS)
    late = "P,A1,2026-11-21T15Z,x,000000000000000,0,0,,"
    early = "P,A1,2026-11-21T14Z,x,000000000000000,0,0,,"
    with pytest.raises(LineError, match="ascending"):
        list(read_hours(lines(heads[0]), lines(heads[1], late, early), lines(heads[2])))
    with pytest.raises(LineError, match="first line"):
        list(read_hours(lines(late), lines(heads[1]), lines(heads[2])))
    with pytest.raises(LineError, match="ascending"):
        list(read_hours(lines(heads[0], "nonsense"), lines(heads[1]), lines(heads[2])))
