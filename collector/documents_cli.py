"""Commands about 材料: document add, list, check.

In: a data folder and files. Out: a table on stdout (or JSON with --json). Exit codes: 0 good, 3 `check` found expired documents, 4 a
statement cannot be taken, 6 bytes were changed or are missing.
"""

from __future__ import annotations

import getpass
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

app = typer.Typer(help="证明材料 (documents)", no_args_is_help=True)
Data = Annotated[Path, typer.Option("--data", help="数据目录 (data folder)")]
DEFAULT_DATA = Path("plantproof-data")


@app.command("add")
def add(
    file: Annotated[Path, typer.Argument(help="文件 (the file)")],
    kind: Annotated[str, typer.Option(help="材料种类，如 maturity、contract、invoice (kind)")],
    name: Annotated[str, typer.Option(help="材料名称 (name)")],
    issuer: Annotated[str, typer.Option(help="出具单位 (issuer)")] = "",
    issued: Annotated[str, typer.Option(help="签发日期 yyyy-mm-dd")] = "",
    valid_until: Annotated[str, typer.Option("--valid-until", help="有效期至 yyyy-mm-dd")] = "",
    level: Annotated[int | None, typer.Option(help="所证等级 1–5 (level)")] = None,
    year: Annotated[list[int] | None, typer.Option("--year", help="所属年度，可多次 (fiscal year, repeatable)")] = None,
    criterion: Annotated[list[str] | None, typer.Option("--criterion", help="条款编号，可多次 (criterion)")] = None,
    doc_id: Annotated[str, typer.Option("--id", help="材料编号，缺省自动 (id; default the next number)")] = "",
    data: Data = DEFAULT_DATA,
) -> None:
    """登记一份材料：文件原样保存，账本记其摘要 (keep a file, put its hash into the ledger)."""
    from collector.clock import SystemClock
    from collector.documents import Statement, add_document
    from collector.folder import open_folder

    years, criteria = tuple(year or ()), tuple(criterion or ())
    said = Statement(kind, name, issuer, issued, valid_until, level, years, criteria, doc_id)
    found = add_document(open_folder(data), file, said, clock=SystemClock(), actor=getpass.getuser())
    Console().print(f"✔ {found.doc_id} {found.name} · {found.size_bytes:,} 字节 · {found.sha256[:16]}", markup=False)


@app.command("list")
def list_(data: Data = DEFAULT_DATA, as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """列出材料 (list documents)."""
    from collector.folder import open_folder
    from collector.revisions import documents
    from config.documents import DOCUMENT_KINDS

    rows = [
        {
            "id": d.doc_id,
            "kind": d.kind,
            "name": d.name,
            "issuer": d.issuer,
            "issued": str(d.issued_on or ""),
            "valid_until": str(d.valid_until or ""),
            "level": d.level,
            "years": list(d.years),
            "criteria": list(d.criteria),
            "size_bytes": d.size_bytes,
            "sha256": d.sha256,
        }
        for d in documents(open_folder(data))
    ]
    if as_json:
        typer.echo(json.dumps(rows, ensure_ascii=False, sort_keys=True))
        return
    table = Table("编号", "种类", "名称", "出具单位", "签发", "有效期至", "等级", "摘要")
    for r in rows:
        kind = DOCUMENT_KINDS[str(r["kind"])]
        level = "" if r["level"] is None else str(r["level"])
        cells = (r["id"], kind, r["name"], r["issuer"], r["issued"], r["valid_until"], level, str(r["sha256"])[:16])
        table.add_row(*(str(c) for c in cells))
    Console().print(table)


@app.command("check")
def check(data: Data = DEFAULT_DATA) -> None:
    """核对材料：文件仍在且未改动，有没有过期 (bytes still hash; nothing expired)."""
    from collector.documents import damaged
    from collector.folder import open_folder
    from collector.revisions import documents

    folder = open_folder(data)
    held, wrong = documents(folder), damaged(folder)
    today = datetime.now(UTC).astimezone().date()
    expired = [d for d in held if d.valid_until and d.valid_until < today]
    out = Console()
    for document, why in wrong:
        out.print(f"✘ {document.doc_id} {document.name}: {why}", markup=False)
    for document in expired:
        out.print(f"! {document.doc_id} {document.name}: 已于 {document.valid_until} 过期 (expired)", markup=False)
    sound = len(held) - len(wrong)
    out.print(f"{'✘' if wrong else '✔'} {len(held)} 份材料，{sound} 份与账本一致，{len(expired)} 份过期", markup=False)
    raise typer.Exit(6 if wrong else 3 if expired else 0)
