"""`plantproof findings` 疑点: the questions that the data itself raises, before a reviewer asks them.

In: a data folder, a moment. Out: each question with the rows that raised it, or JSON. Reads only; changes no number and no verdict.
Exit codes: 0 no question, 3 some, else what the front door gives an error.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    import polars as pl

    from collector.folder import DataFolder

app = typer.Typer()
ASKED = 3
SHOWN = 12


@app.command()
def findings(
    at: Annotated[str, typer.Option("--at", help="截止时刻，默认现在 (ISO 8601, plant time without offset)")] = "",
    size: Annotated[int | None, typer.Option("--size", min=1, help="只看账本前 N 条 (as of N ledger entries)")] = None,
    skip_raw: Annotated[bool, typer.Option("--skip-raw", help="不读原始读数，快 (leave raw readings out)")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="以 JSON 输出 (JSON on stdout)")] = False,
    data: Annotated[Path, typer.Option("--data", help="数据目录 (data folder)")] = Path("plantproof-data"),
) -> None:
    """审核员会问什么：数据自己引出的疑点及其依据 (questions the data raises by itself)."""
    from collector.folder import open_folder
    from metrics.cli import computed_at
    from metrics.findings.ask import findings as ask
    from metrics.findings.findings_json import findings_json
    from metrics.report_json import report_bytes
    from metrics.window import local_day

    folder = open_folder(data)
    computed = computed_at(data, at, size)
    inputs = computed.inputs
    found = ask(inputs, computed.results, None if skip_raw else lambda hours: raw_readings(folder, hours))
    if as_json:
        body = findings_json(found, local_day(computed.at_us, inputs.tz), inputs.ledger_size, raw_read=not skip_raw)
        sys.stdout.buffer.write(report_bytes(body))
        sys.stdout.buffer.flush()
        raise typer.Exit(ASKED if found else 0)
    out = Console()
    for f in found:
        table = Table(*f.columns, title=f"\n{f.question}", title_justify="left", caption=f.why, caption_justify="left")
        for row in f.rows[:SHOWN]:
            table.add_row(*(Text(cell) for cell in row))
        out.print(table)
        if f.count > SHOWN:
            out.print(f"  共 {f.count} 行，--json 列出前 {len(f.rows)} 行", markup=False)
    words = f"共 {len(found)} 个疑点。疑点不改变任何数字，是审核员会问的问题" if found else "没有发现疑点"
    out.print(words, markup=False)
    raise typer.Exit(ASKED if found else 0)


def raw_readings(folder: DataFolder, hours: Sequence[int]) -> pl.DataFrame:
    """device, point, source_us, value (as text) of all distinct readings whose source time lies in these hours."""
    import polars as pl

    from collector.store.scan import VALUE_COLUMNS, scan

    text = pl.coalesce(pl.col(VALUE_COLUMNS).cast(pl.String)).alias("value")
    readings = scan(folder, hours=hours).select("device", "point", "source_us", text)
    return readings.filter(pl.col("value").is_not_null()).collect()
