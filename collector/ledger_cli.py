"""`plantproof ledger`: verify and show.

In: a data folder. Out: steps or entries on stdout (or JSON with --json). `verify` ends with 6 when something was changed.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from collector.cli import DEFAULT_DATA, AsJson, Data

app = typer.Typer(help="台账链 (the ledger)", no_args_is_help=True)


@app.command("verify")
def ledger_verify(data: Data = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """核对账本：逐条、树根、签名、每小时的行 (entries, root, signature, the lines of every hour)."""
    from collector.audit import audit

    report = audit(data)
    if as_json:
        typer.echo(json.dumps(report.to_json(), ensure_ascii=False, sort_keys=True))
    else:
        out = Console()
        for ok, text in report.steps:
            out.print(f"{'✔' if ok else '✘'} {text}", markup=False, soft_wrap=True)
        out.print(
            "本机核对不能证明外部锚定之前未被重写 (a local check cannot show what happened before an external anchor)",
            markup=False,
        )
    raise typer.Exit(0 if report.sound else 6)


@app.command("show")
def ledger_show(
    first: Annotated[int | None, typer.Option("--from", min=0, help="从第几条起，缺省看末尾 (first index)")] = None,
    count: Annotated[int, typer.Option("--count", min=1, help="条数 (how many)")] = 10,
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """看账本条目，按工厂时间；原文用 --json (show entries in plant time; exactly with --json)."""
    from collector.folder import open_folder
    from collector.ledger import log
    from collector.ledger_words import described, plant_time
    from collector.revisions import registers

    folder = open_folder(data)
    entries = log.read_entries(folder.ledger)
    start = max(0, len(entries) - count) if first is None else first
    shown = list(enumerate(entries[start : start + count], start))
    if as_json:
        rows = [{"index": i, "t": e.t, "at": _iso(e.at_ms), "actor": e.actor, "body": e.body} for i, e in shown]
        typer.echo(json.dumps(rows, ensure_ascii=False, sort_keys=True))
        return
    revisions = registers(folder)
    zone = revisions[-1].register.calendar.tz if revisions else UTC
    table = Table("条", "时间", "类别", "登记人", "内容")
    for i, entry in shown:
        kind, text = described(entry, zone)
        table.add_row(str(i), plant_time(entry.at_ms, zone), kind, escape(entry.actor), escape(text))
    Console().print(table)


def _iso(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
