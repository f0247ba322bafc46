"""docs/records.md and docs/documents.md say what the code says; `python -m tests.config.test_record_pages` rewrites them."""

from __future__ import annotations

from pathlib import Path

from config.documents import DOCUMENT_KINDS
from config.record_kinds import KINDS, Column, Kind

DOCS = Path(__file__).parents[2] / "docs"
BEGIN, END = "<!-- generated: begin -->\n", "<!-- generated: end -->\n"
TYPES = {
    "text": "文字",
    "id": "编号",
    "time": "日期加时刻",
    "day": "日期",
    "integer": "整数",
    "decimal": "数",
    "money": "元",
    "flag": "是/否",
}


def kinds_page() -> str:
    """Every kind with its columns."""
    return "\n".join(_kind(kind) for kind in KINDS.values())


def documents_page() -> str:
    """Every kind of document."""
    rows = [f"| `{kind}` | {zh} |" for kind, zh in DOCUMENT_KINDS.items()]
    return "\n".join(["| `--kind` | 材料 |", "|---|---|", *rows]) + "\n"


def _kind(kind: Kind) -> str:
    lines = [
        f"### `{kind.name}` {kind.zh}",
        "",
        f"键 (key): {'、'.join(kind.column[k].zh for k in kind.key)}。{kind.note}",
        "",
    ]
    lines += ["| 列 | id | 填什么 | 须填 | 也可写作 |", "|---|---|---|---|---|"]
    lines += [
        f"| {c.zh} | `{c.name}` | {_type(c)} | {'是' if c.required else ''} | {'、'.join(c.also)} |"
        for c in kind.columns
    ]
    return "\n".join(lines) + "\n"


def _type(column: Column) -> str:
    if column.words:
        return " · ".join("/".join(dict.fromkeys((*word[1:], word[0]))) for word in column.words)
    link = f"，须在 {column.link} 中" if column.link else ""
    return TYPES[column.type] + link


def _generated(page: Path) -> str:
    return page.read_text(encoding="utf-8").split(BEGIN)[1].split(END)[0]


def test_the_page_of_records_lists_every_kind_and_column() -> None:
    assert _generated(DOCS / "records.md") == kinds_page()


def test_the_page_of_documents_lists_every_kind() -> None:
    assert _generated(DOCS / "documents.md") == documents_page()


def test_every_reason_for_quarantine_has_its_line_on_the_page() -> None:
    page = (DOCS / "records.md").read_text(encoding="utf-8")
    for code in (
        "cells value empty contradiction conflict order future past link after_close closed_early before_batch".split()
    ):
        assert f"| `{code}` |" in page, code


def test_headers_of_a_kind_never_mean_two_columns() -> None:
    for kind in KINDS.values():
        heads = [h for c in kind.columns for h in (c.name, c.zh, *c.also)]
        assert len(heads) == len(set(heads)), kind.name
        assert set(kind.key) <= set(kind.column), kind.name


if __name__ == "__main__":
    for name, text in (("records.md", kinds_page()), ("documents.md", documents_page())):
        path = DOCS / name
        before, rest = path.read_text(encoding="utf-8").split(BEGIN)
        path.write_text(before + BEGIN + text + END + rest.split(END)[1], encoding="utf-8")
