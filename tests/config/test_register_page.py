"""docs/register.md names every key of the register's points and connections, and lists the sheets' columns as the code has them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from config.connections import Modbus, Mqtt, OpcUa, Sparkplug
from config.points import Point, PointSet
from config.register_check import TABLES
from config.tables.columns import plain
from config.tables.register_sheets import DEVICE, POINTS, SHEETS

PATH = Path(__file__).parents[2] / "docs/register.md"
PAGE = PATH.read_text(encoding="utf-8")
BEGIN, END = "<!-- columns -->\n", "<!-- /columns -->"


def columns_of_sheets() -> str:
    """The generated part of the page."""
    lines = []
    for sheet in SHEETS:
        also = f"（也认 {'、'.join(sheet.also)}）" if sheet.also else ""
        lines += [
            f"### {sheet.zh} `{sheet.table}`{also}",
            "",
            "| 列 | 键 | 必填 | 怎么填 | 也认 |",
            "|---|---|---|---|---|",
        ]
        for c in sheet.columns:
            names = "、".join((*c.also, *c.stands_in))
            lines.append(
                f"| {c.zh} | `{c.key}` | {'是' if c.required else ''} | {c.note.replace('|', '/')} | {names} |"
            )
        lines.append("")
    return "\n".join(lines)


@pytest.mark.parametrize("model", [Point, PointSet, OpcUa, Modbus, Mqtt, Sparkplug])
def test_the_page_names_every_key(model: type[BaseModel]) -> None:
    assert [k for k in model.model_fields if k not in ("protocol", "points") and f"`{k}`" not in PAGE] == []


def test_the_page_lists_the_columns_as_they_are() -> None:
    before, _, rest = PAGE.partition(BEGIN)
    found, _, after = rest.partition(END)
    if os.environ.get("PLANTPROOF_WRITE_PAGES"):
        PATH.write_text(f"{before}{BEGIN}{columns_of_sheets()}{END}{after}", encoding="utf-8")
        return
    assert found == columns_of_sheets()


@pytest.mark.parametrize("sheet", [s for s in SHEETS if s.table in TABLES], ids=lambda s: s.zh)
def test_every_key_of_a_table_has_its_column(sheet: Any) -> None:
    model: Any = TABLES[sheet.table][0]
    keys = {c.key.split(".")[0] for c in sheet.columns}
    if sheet is POINTS:
        keys = {c.key.removeprefix("set.") for c in sheet.columns if c.key.startswith("set.")} | {"points"}
        assert set(Point.model_fields) == {c.key for c in sheet.columns if "." not in c.key}
    assert keys == set(model.model_fields)
    required = {c.key for c in sheet.columns if c.required}
    needed = {k for k, f in model.model_fields.items() if f.is_required() and k not in ("points",)}
    assert sheet is POINTS or required == needed


@pytest.mark.parametrize("sheet", SHEETS, ids=lambda s: s.zh)
def test_no_header_means_two_columns(sheet: Any) -> None:
    names = [plain(n) for c in sheet.columns for n in {c.zh, c.key, *c.also}]
    assert (
        sorted(
            {
                n
                for n in names
                if names.count(n) > 1 and len([c for c in sheet.columns if n in map(plain, (c.zh, *c.also))]) > 1
            }
        )
        == []
    )


def test_every_connection_column_is_a_key_of_some_protocol() -> None:
    named = {c.key.removeprefix("connection.") for c in DEVICE.columns if c.key.startswith("connection.")}
    keys = {k for model in (OpcUa, Modbus, Mqtt, Sparkplug) for k in model.model_fields}
    assert named - keys == {"address", "other"}  # other: every key that has no column
