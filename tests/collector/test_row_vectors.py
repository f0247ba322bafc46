"""Golden vectors of rows (tests/vectors/rows): template, rows and salt seed to canonical bytes and commitment; lines to root.

The product and the plain encoder of the tests must both give what the files say; the files change only with the format.
"""

from __future__ import annotations

import base64
import json
import struct
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from adapters.batch import Template
from collector import canonical
from collector.ledger import merkle
from collector.store.schema import tables_of
from tests.builders import Row, Value, batch_of
from tests.collector import plain_rows

FOLDER = Path(__file__).parents[1] / "vectors/rows"
CASES = sorted(p.stem for p in FOLDER.glob("*.json"))
FLOATS = {"f32": ("<I", "<f"), "f64": ("<Q", "<d")}


def value_of(kind: str, text: Any) -> Value:
    """A value as the vectors write it: integers as decimal text, floats as the hex digits of their bits."""
    found: Value = text
    if text is None or kind in ("bool", "str"):
        return found
    if kind in FLOATS:
        bits, number = FLOATS[kind]
        (found,) = struct.unpack(number, struct.pack(bits, int(text, 16)))
        return found
    return int(text)


def rows_of(case: dict[str, Any], part: dict[str, Any], which: str) -> list[Row]:
    """Rows of one template section."""
    template = Template.from_json(part["template"].encode())
    kinds = dict(template.columns)
    return [
        Row(
            case["device"],
            template,
            int(r["source_us"]),
            int(r["lag_us"]),
            r["outcome"],
            r["quality"],
            {n: value_of(kinds[n], v) for n, v in r["values"].items()},
            r.get("qualities", {}),
            int(r["server_us"]) if "server_us" in r else None,
        )
        for r in part[which]
    ]


def load(name: str) -> dict[str, Any]:
    """One vector file."""
    found: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return found


def frame_of(rows: list[Row]) -> pl.DataFrame:
    """Rows as the store gives them back, through a journal frame's blocks."""
    from collector import frame

    body, _ = frame.rows_body([batch_of([r]) for r in rows], set())
    raw = frame.pack_frame(frame.ROWS, 1, 1, 1, frame.NO_FRAME, body)
    (table,) = tables_of(list(frame.read_frames(raw))).values()
    found = pl.from_arrow(table)
    assert isinstance(found, pl.DataFrame)
    return found


@pytest.mark.parametrize("name", [c for c in CASES if c != "lines"])
def test_rows_give_the_canonical_bytes_and_the_commitment_of_their_vector(name: str) -> None:
    case = load(name)
    for row_class, expected in case["classes"].items():
        sections = []
        own, carried = [], []
        for part in case["templates"]:
            before, rows = rows_of(case, part, "carried"), rows_of(case, part, "rows")
            own += rows
            carried += before
            template = Template.from_json(part["template"].encode())
            assert template.to_json().decode() == part["template"]
            data = frame_of([*before, *rows])
            found = canonical.presence_rows(data) if row_class == "presence" else canonical.process_rows(data, template)
            sections.append((template.digest, canonical.section(template.digest, len(before), len(rows), found.data)))
        parts = [canonical.header(row_class, case["device"], case["hour"]), *(s for _, s in sorted(sections))]
        salt = canonical.salt(bytes.fromhex(case["salt_seed"]), case["device"], case["hour"], row_class)
        assert b"".join(parts).hex() == expected["canonical"]
        assert salt.hex() == expected["salt"]
        digest = canonical.commitment(salt, parts)
        assert base64.urlsafe_b64encode(digest).decode().rstrip("=") == expected["commitment"]
        plain = plain_rows.canonical_hour(case["device"], case["hour"], row_class, own, carried)
        assert plain.hex() == expected["canonical"]


def test_lines_give_the_root_of_their_vector() -> None:
    for case in load("lines")["cases"]:
        hashes = [merkle.leaf_hash(line.encode("ascii")) for line in case["lines"]]
        assert merkle.root(hashes).hex() == case["root"]


def test_there_is_a_vector_for_each_thing_a_row_can_be() -> None:
    assert CASES == ["empty", "event", "late", "lines", "two-templates", "wide"]
