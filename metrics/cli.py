"""`plantproof check` 自评 and `plantproof ratio` 指标: what the numbers say today, and why.

In: a data folder, an instrument, a moment. Out: tables, or the report as JSON on stdout (the page shows those same bytes).
Reads only. Exit codes: 0 every criterion that numbers decide is met, 3 some are not, 2 usage, else what the front door gives an error.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from collector.folder import DataFolder
    from metrics.report import Report

app = typer.Typer(help="自评与指标 (verdicts and ratios)")

BELOW_THE_BAR = 3

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
        from metrics.tables import level_tables, member_lines, results_of

        out = Console()
        _head(out, report)
        for part in level_tables(report, why=why):
            out.print(part, soft_wrap=isinstance(part, Text))
        if why:
            shown = {id(r): r for c in report.criteria for r in results_of(report, c)}
            for result in shown.values():
                out.print(f"\n{result.metric} {result.scope}", markup=False)
                for line in member_lines(result):
                    out.print(line, soft_wrap=True)
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
        raise typer.BadParameter(f"没有指标 {metric!r} (unknown metric); 现有 {known}", param_hint="METRIC")
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
            out.print(part, soft_wrap=isinstance(part, Text))


def _report(data: Path, rules: str, at: str, level: str) -> Report:
    """The report asked for. Errors travel up to the front door, which gives them their exit code."""
    from collector.clock import SystemClock
    from collector.folder import open_folder
    from collector.revisions import registers
    from config.ruleset import load_ruleset
    from metrics.evaluate import evaluate
    from metrics.registry import METRICS

    chosen = load_ruleset(rules, METRICS)
    if level and level not in {x.id for x in chosen.levels}:
        known = "、".join(f"{x.id} {x.title}" for x in chosen.levels)
        raise typer.BadParameter(f"没有梯次 {level!r} (unknown level); 现有 {known}", param_hint="--level")
    folder = open_folder(data)
    at_us = _moment_us(at, registers(folder)) if at else SystemClock().now_us()
    return evaluate(folder, chosen, at_us, level=level or None, recompute=_from_raw_rows)


def _from_raw_rows(folder: DataFolder, hours: Sequence[int]) -> dict[int, list[str]]:
    from collector.recompute import recompute_hours

    sealed = recompute_hours(folder, hours)
    return {hour: [line.decode() for line in found.lines] for hour, found in sealed.items()}


def _moment_us(text: str, revisions: list[Any]) -> int:
    """`--at` as microseconds; plant time where it has no offset."""
    tz = revisions[-1].register.calendar.tz if revisions else UTC
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        words = f"应为时间，如 2026-10-01 (expected ISO 8601), found {text!r}"
        raise typer.BadParameter(words, param_hint="--at") from None
    aware = at if at.tzinfo else at.replace(tzinfo=tz)
    return (aware - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _head(out: Console, report: Report) -> None:
    """What was judged, by which rules, up to when."""
    _say(out, f"{report.rules.title} {report.rules.doc_no}")
    _say(out, f"证据截止 {report.day} 00:00（工厂时间），账本 {report.size} 条")
    if report.simulated:
        out.print(
            "数据为模拟或回放，不能判为达标 (simulated or replayed data never passes)", style="yellow", soft_wrap=True
        )
    if not report.criteria:
        _say(out, f"{report.day} 没有生效的条款 (no rule in force on that day)")
    for shown in report.rules.shown:
        _say(out, f"{shown.metric}：{shown.why}")


def _say(out: Console, text: str) -> None:
    out.print(text, markup=False, highlight=False, soft_wrap=True)


def _write(body: Any) -> None:
    """JSON on stdout: sorted keys, one line, so equal reports are equal bytes."""
    typer.echo(json.dumps(body, ensure_ascii=False, sort_keys=True, separators=(",", ":")))
