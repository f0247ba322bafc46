"""`plantproof check` 自评 and `plantproof ratio` 指标: what the numbers say today, and why.

In: a data folder, an instrument, a moment. Out: tables, or the report as JSON on stdout (the page shows those same bytes).
Reads only. Exit codes: 0 every criterion that numbers decide is met, 3 some are not, 2 usage, 4 rules or records invalid, 5 no folder.
"""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

if TYPE_CHECKING:
    from metrics.report import Report

app = typer.Typer(help="自评与指标 (verdicts and ratios)")

BELOW_THE_BAR = 3
LEDGER_BROKEN = 5

Data = Annotated[Path, typer.Option("--data", help="数据目录 (data folder)")]
Rules = Annotated[str, typer.Option("--rules", help="办法编号或规则文件 (instrument id or rules file)")]
At = Annotated[str, typer.Option("--at", help="截止时刻，默认现在 (ISO 8601, plant time without offset)")]
Why = Annotated[bool, typer.Option("--why", help="逐台、逐日、逐批列出原因 (members and reasons)")]
AsJson = Annotated[bool, typer.Option("--json", help="以 JSON 输出 (JSON on stdout)")]


@app.command()
def check(
    level: Annotated[str, typer.Option("--level", help="只看一个梯次: scene, basic, advanced")] = "",
    rules: Rules = "GS25",
    at: At = "",
    why: Why = False,
    as_json: AsJson = False,
    data: Data = Path("plantproof-data"),
) -> None:
    """对照办法自评: 每条的判定、数字与差距 (judge every criterion)."""
    report = _report(data, rules, at, level)
    if as_json:
        _write(report.to_json())
    else:
        from metrics.tables import level_tables, members_table, results_of

        out = Console()
        _head(out, report)
        for part in level_tables(report, why=why):
            out.print(part)
        if why:
            shown = {id(r): r for c in report.criteria for r in results_of(report, c)}
            for result in shown.values():
                out.print(f"\n{result.metric} {result.scope}", markup=False)
                out.print(members_table(result))
    raise typer.Exit(0 if report.all_met else BELOW_THE_BAR)


@app.command()
def ratio(
    metric: Annotated[str, typer.Argument(help="指标编号，如 M06；不写则全部 (metric id, all by default)")] = "",
    rules: Rules = "GS25",
    at: At = "",
    why: Why = False,
    as_json: AsJson = False,
    data: Data = Path("plantproof-data"),
) -> None:
    """看一个指标: 下限、实测、上限与成员 (one metric with its members)."""
    from metrics.registry import METRICS, TITLES

    if metric and metric not in METRICS:
        known = "、".join(f"{k} {TITLES[k]}" for k in METRICS)
        Console(stderr=True).print(f"没有指标 {metric!r} (unknown metric); 现有 {known}", markup=False)
        raise typer.Exit(2)
    report = _report(data, rules, at, "")
    results = [r for r in report.results if metric in ("", r.metric)]
    if as_json:
        _write([r.to_json() for r in results])
        return
    from metrics.tables import result_table

    out = Console()
    _head(out, report)
    for result in results:
        for part in result_table(result, why=why):
            out.print(part)


def _report(data: Path, rules: str, at: str, level: str) -> Report:
    """The report asked for. Anything that cannot be used ends the command with its words and its exit code."""
    from collector.clock import SystemClock
    from collector.folder import FolderError, open_folder
    from collector.ledger.entry import LedgerError
    from collector.recompute import recompute_hour
    from collector.revisions import registers
    from config.errors import ConfigError
    from config.ruleset import load_ruleset
    from metrics.evaluate import evaluate
    from metrics.registry import METRICS

    talk = Console(stderr=True)
    try:
        chosen = load_ruleset(rules, METRICS)
        if level and level not in {x.id for x in chosen.levels}:
            known = "、".join(f"{x.id} {x.title}" for x in chosen.levels)
            talk.print(f"--level: 没有梯次 {level!r} (unknown level); 现有 {known}", markup=False)
            raise typer.Exit(2)
        folder = open_folder(data)
        at_us = _moment_us(at, registers(folder)) if at else SystemClock().now_us()
        return evaluate(folder, chosen, at_us, level=level or None, recompute=recompute_hour)
    except ConfigError as err:
        talk.print(str(err), markup=False)
        raise typer.Exit(4) from err
    except FolderError as err:
        talk.print(str(err), markup=False)
        raise typer.Exit(err.exit_code) from err
    except LedgerError as err:
        talk.print(f"{data}: 账本不可用 (ledger not usable): {err}", markup=False)
        raise typer.Exit(LEDGER_BROKEN) from err


def _moment_us(text: str, revisions: list[Any]) -> int:
    """`--at` as microseconds; plant time where it has no offset."""
    tz = revisions[-1].register.calendar.tz if revisions else UTC
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        example = date(2026, 10, 1).isoformat()
        Console(stderr=True).print(f"--at: 应为时间，如 {example} (expected ISO 8601), found {text!r}", markup=False)
        raise typer.Exit(2) from None
    aware = at if at.tzinfo else at.replace(tzinfo=tz)
    return (aware - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _head(out: Console, report: Report) -> None:
    end = datetime.fromtimestamp(report.end_us / 1_000_000, UTC).isoformat()
    out.print(f"{report.rules.title} {report.rules.doc_no}，截止 {end}，账本 {report.size} 条", markup=False)
    if report.simulated:
        out.print(
            "数据为模拟或回放，任何条款都不能判为达标 (simulated or replayed data never passes)", style="bold yellow"
        )
    if not report.criteria:
        out.print("该日期没有生效的条款 (no rule in force on that day)", markup=False)
    for shown in report.rules.shown:
        out.print(f"{shown.metric}：{shown.why}", markup=False)


def _write(body: Any) -> None:
    """JSON on stdout: sorted keys, one line, so equal reports are equal bytes."""
    typer.echo(json.dumps(body, ensure_ascii=False, sort_keys=True, separators=(",", ":")))
