"""`plantproof check` 自评 and `plantproof ratio` 指标: what the numbers say today, and why.

In: a data folder, an instrument, a moment. Out: words, or the report as JSON on stdout (page and API show those same bytes).
Reads only, but for `--json-dir`. Without `--at` the moment is today's plant midnight, so a report is the same all day at one ledger size.
Exit codes: 0 the instrument binds and none of its deciding criteria is short or without data; 3 otherwise; 2 usage; 4 rules or
settings that cannot be used; else what the front door gives an error.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from collector.folder import DataFolder
    from config.ruleset import RuleSet
    from metrics.evaluate import Computed
    from metrics.report import Report
    from metrics.standing.standing_json import Standing

app = typer.Typer(help="自评与指标 (verdicts and ratios)")

BELOW_THE_BAR = 3

Data = Annotated[Path, typer.Option("--data", help="数据目录 (data folder)")]
Rules = Annotated[str, typer.Option("--rules", help="办法编号或规则文件，默认取自设置 (instrument id or rules file)")]
Config = Annotated[Path, typer.Option("--config", help="站点设置，取其 [rules] (settings file)")]
At = Annotated[str, typer.Option("--at", help="截止时刻，默认今天 0 点 (ISO 8601, plant time without offset)")]
Size = Annotated[int | None, typer.Option("--size", min=1, help="只看账本前 N 条 (as of N ledger entries)")]
AsJson = Annotated[bool, typer.Option("--json", help="以 JSON 输出 (JSON on stdout)")]
SETTINGS, FOLDER = Path("plantproof.toml"), Path("plantproof-data")


@app.command()
def check(
    level: Annotated[str, typer.Option("--level", help="只看一个梯次: scene, basic, advanced …")] = "",
    rules: Rules = "",
    at: At = "",
    size: Size = None,
    why: Annotated[
        str, typer.Option("--why", metavar="CRITERION", help="一条为什么: 从条款到名单 (why one criterion)")
    ] = "",
    member: Annotated[
        str, typer.Option("--member", metavar="ID", help="与 --why 同用: 一台的逐日台时 (its device-hours)")
    ] = "",
    all_reasons: Annotated[bool, typer.Option("--all-reasons", help="列出每条的成员与原因 (every member)")] = False,
    every: Annotated[bool, typer.Option("--all", help="各省办法都评，数字只算一次 (every instrument)")] = False,
    json_dir: Annotated[
        Path | None, typer.Option("--json-dir", help="与 --all 同用: 每部办法一个文件 (where to)")
    ] = None,
    as_json: AsJson = False,
    config: Config = SETTINGS,
    data: Data = FOLDER,
) -> None:
    """对照办法自评: 每条的判定、数字与差距 (judge every criterion)."""
    from metrics.evaluate import report_of
    from metrics.instruments import choose, default_instrument

    if member and not why:
        raise typer.BadParameter("要与 --why 同用 (needs --why CRITERION)", param_hint="--member")
    if every or json_dir is not None:
        raise typer.Exit(_check_all(data, config, at, size, json_dir, as_json=as_json))
    chosen, shelf = choose(rules or default_instrument(config))
    known_level(chosen, level)
    computed = computed_at(data, at, size)
    report = report_of(computed, chosen, shelf)
    if why:
        _say_why(report, computed, why, member)
    elif as_json:
        _write(report.at_level(level or None).to_json())
    else:
        _say_report(report.at_level(level or None), all_reasons=all_reasons)
    raise typer.Exit(0 if report.at_level(level or None).all_met else BELOW_THE_BAR)


@app.command()
def ratio(
    metric: Annotated[str, typer.Argument(help="指标编号，如 M06；不写则全部 (metric id, all by default)")] = "",
    rules: Rules = "",
    at: At = "",
    size: Size = None,
    why: Annotated[bool, typer.Option("--why", help="逐台、逐日、逐批列出原因 (members and reasons)")] = False,
    as_json: AsJson = False,
    config: Config = SETTINGS,
    data: Data = FOLDER,
) -> None:
    """看一个指标: 下限、实测、上限与成员 (one metric with its members)."""
    from config.metric_names import TITLES
    from metrics.evaluate import with_guide
    from metrics.instruments import choose, default_instrument
    from metrics.registry import METRICS

    if metric and metric not in TITLES:
        known = "、".join(f"{k} {v}" for k, v in TITLES.items())
        raise typer.BadParameter(f"没有指标 {metric!r} (unknown metric); 现有 {known}", param_hint="METRIC")
    chosen, shelf = choose(rules or default_instrument(config))
    computed = with_guide(computed_at(data, at, size), chosen, shelf)
    results = [r for r in computed.results if metric in ("", r.metric)]
    if as_json:
        _write([r.to_json() for r in results])
        return
    from metrics.printing.tables import result_table

    out = Console()
    _say(out, f"证据截止 {_day(computed)} 00:00（工厂时间），账本 {computed.inputs.ledger_size} 条")
    for result in results:
        for part in result_table(result, why=why):
            out.print(part, soft_wrap=isinstance(part, Text))
    for name in TITLES:
        if metric in ("", name) and not any(r.metric == name for r in results):
            words = "没有结果" if name in METRICS else "还没有算法"
            _say(out, f"{name} {TITLES[name]}：{words}")


def _check_all(data: Path, config: Path, at: str, size: int | None, json_dir: Path | None, *, as_json: bool) -> int:
    """Every province's instrument, and the site's own, by the same numbers; one file each where a folder is given."""
    from collector.folder import open_folder
    from metrics.evaluate import report_of
    from metrics.instruments import choose, default_instrument, provincial
    from metrics.report_files import index_of, write_reports

    own, shelf = choose(default_instrument(config))
    instruments = [r for r in provincial(shelf) if r.id != own.id]
    computed = computed_at(data, at, size)
    reports = [report_of(computed, rules, shelf) for rules in (own, *instruments)]
    if json_dir is not None:
        write_reports(json_dir, reports, *_beside(computed, reports), open_folder(data).genesis["plant"])
    if as_json:
        _write(index_of(reports))
    elif json_dir is None:
        for report in reports:
            _say_report(report, all_reasons=False)
    return 0 if all(r.all_met for r in reports if r.own.standing == "binding") else BELOW_THE_BAR


def _beside(computed: Computed, reports: Sequence[Report]) -> tuple[list[Standing], dict[str, Any]]:
    """What the page shows beside the verdicts, of the same day and ledger size: deadlines of each instrument, and the findings."""
    from metrics.findings.ask import findings
    from metrics.findings.findings_json import findings_json
    from metrics.standing.facts import read_facts
    from metrics.standing.standing_json import standing_of

    inputs, day, size = computed.inputs, reports[0].day, computed.inputs.ledger_size
    facts = read_facts(inputs.records, inputs.documents)
    standings = [standing_of(r.rules, day, facts, size) for r in reports]
    return standings, findings_json(findings(inputs, computed.results), day, size, raw_read=False)


def computed_at(data: Path, at: str, size: int | None) -> Computed:
    """The numbers asked for. Errors travel up to the front door, which gives them their exit code."""
    from collector.clock import SystemClock
    from collector.folder import open_folder
    from collector.register_revisions import registers
    from metrics.evaluate import CHINA, compute
    from metrics.window import cut_off_us

    folder = open_folder(data)
    revisions = registers(folder)
    tz = revisions[-1].register.calendar.tz if revisions else CHINA
    at_us = _moment_us(at, tz) if at else cut_off_us(SystemClock().now_us(), tz)
    return compute(folder, at_us, size, recompute=_from_raw_rows)


def known_level(rules: RuleSet, level: str) -> None:
    """Refuses, as wrong usage, a level that the instrument does not have."""
    if level and level not in {x.id for x in rules.levels}:
        known = "、".join(f"{x.id} {x.title}" for x in rules.levels)
        raise typer.BadParameter(f"没有梯次 {level!r} (unknown level); 现有 {known}", param_hint="--level")


def _from_raw_rows(folder: DataFolder, hours: Sequence[int]) -> dict[int, list[str]]:
    from collector.recompute import recompute_hours

    sealed = recompute_hours(folder, hours)
    return {hour: [line.decode() for line in found.lines] for hour, found in sealed.items()}


def _moment_us(text: str, tz: Any) -> int:
    """`--at` as microseconds; plant time where it has no offset."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        words = f"应为时间，如 2026-10-01 (expected ISO 8601), found {text!r}"
        raise typer.BadParameter(words, param_hint="--at") from None
    aware = at if at.tzinfo else at.replace(tzinfo=tz)
    return (aware - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _say_report(report: Report, *, all_reasons: bool) -> None:
    """The head, then every criterion."""
    from metrics.printing.tables import level_lists, member_lines
    from metrics.verdicts.measured import judged_results

    out = _console()
    _say(out, " ".join(x for x in (report.own.name, report.rules.doc_no) if x), style="bold")
    for reference in report.references:
        _say(out, f"引用 {reference.name}")
    _say(out, f"证据截止 {report.day} 00:00（工厂时间），账本 {report.size} 条")
    if report.own.standing != "binding":
        _say(out, "这部办法对谁都没有约束力，下列判定只供参考，梯次不会判为达标 (not in force)", style="yellow")
    if report.simulated:
        _say(out, "数据为模拟或回放，不能判为达标 (simulated or replayed data never passes)", style="yellow")
    if not report.criteria:
        _say(out, f"{report.day} 没有生效的条款 (no rule in force on that day)")
    for shown in report.rules.shown:
        _say(out, f"{shown.metric}：{shown.why}")
    for part in level_lists(report):
        out.print(part)
    if all_reasons:
        judged = {(r.metric, r.scope): r for c in report.criteria for r in judged_results(c, report.results)}
        for result in judged.values():
            _say(out, f"\n{result.metric} {result.scope}", style="bold")
            for line in member_lines(result):
                out.print(line, soft_wrap=True)


def _say_why(report: Report, computed: Computed, name: str, member: str) -> None:
    from metrics.printing.walk import find_criterion, find_members, walk, walk_member

    found = find_criterion(report, name)
    if found is None:
        known = "、".join(c.id for c in report.criteria) or "无"
        raise typer.BadParameter(f"没有条款 {name!r} (unknown criterion); 现有 {known}", param_hint="--why")
    out = Console(highlight=False)
    if not member:
        for line in walk(report, found):
            out.print(line, soft_wrap=True)
        return
    members = find_members(report, found[1], member)
    if not members:
        raise typer.BadParameter(f"{name} 的名单里没有 {member!r} (no such member)", param_hint="--member")
    for result, one in members:
        for line in walk_member(computed, result, one):
            out.print(line, soft_wrap=True)


def _console() -> Console:
    """As wide as the terminal; into a pipe or a file each line whole, so that `grep` finds it. COLUMNS decides where it is set."""
    out = Console(highlight=False)
    return out if out.is_terminal or "COLUMNS" in os.environ else Console(highlight=False, width=10_000)


def _day(computed: Computed) -> str:
    from metrics.window import local_day

    return local_day(computed.at_us, computed.inputs.tz).isoformat()


def _say(out: Console, text: str, style: str = "") -> None:
    out.print(text, markup=False, highlight=False, soft_wrap=True, style=style or None)


def _write(body: Any) -> None:
    """JSON on stdout, one line: the same bytes as a report file's."""
    from metrics.report_json import report_bytes

    sys.stdout.buffer.write(report_bytes(body))
    sys.stdout.buffer.flush()
