"""`plantproof deadlines` 期限: what is due when, whether one may apply today, and at most how much award is left.

In: a data folder, an instrument, a day. Out: three tables, JSON, or an iCalendar file (--ics). Reads only.
Exit codes: 0 nothing overdue, 3 something is overdue or was done late, 2 usage, 4 rules or records that cannot be used.
"""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from metrics.report_json import report_bytes

if TYPE_CHECKING:
    from collector.folder import DataFolder
    from config.ruleset import RuleSet
    from metrics.standing.deadlines import Deadline
    from metrics.standing.facts import Facts
    from metrics.standing.standing_json import Standing

app = typer.Typer()
OVERDUE = 3
Data = Annotated[Path, typer.Option("--data", help="数据目录 (data folder)")]
Rules = Annotated[str, typer.Option("--rules", help="办法编号或规则文件 (instrument id or rules file)")]


@app.command()
def deadlines(
    rules: Rules = "CN-GS/GS25",
    at: Annotated[str, typer.Option("--at", help="以哪一天为今天，如 2027-03-01 (the day to judge from)")] = "",
    ics: Annotated[Path | None, typer.Option("--ics", help="写出 iCalendar 文件，含提前 180/120/90/30 天提醒")] = None,
    size: Annotated[int | None, typer.Option("--size", min=1, help="只看账本前 N 条 (as of N ledger entries)")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="以 JSON 输出 (JSON on stdout)")] = False,
    data: Data = Path("plantproof-data"),
) -> None:
    """期限、能否申报、奖励测算 (what is due when; may we apply; awards)."""
    from collector.durable import write_durably
    from collector.folder import open_folder
    from config.metric_names import TITLES
    from config.rulebook import load_ruleset

    chosen = load_ruleset(rules, TITLES)
    folder = open_folder(data)
    standing = _standing(folder, chosen, at, size)
    if ics is not None:
        write_durably(ics, standing.calendar(folder.genesis["plant"]))
    if as_json:
        sys.stdout.buffer.write(report_bytes(standing.to_json()))
        sys.stdout.buffer.flush()
    else:
        _print(chosen, standing.day, standing.facts, standing.found, ics)
    raise typer.Exit(OVERDUE if standing.overdue else 0)


def _standing(folder: DataFolder, rules: RuleSet, at: str, size: int | None) -> Standing:
    """As of a ledger size, the newest by default, so that the page's bytes can be made again."""
    from collector.clock import SystemClock
    from collector.ledger.log import read_lines
    from collector.revisions import documents, record_frames, registers
    from metrics.evaluate import CHINA
    from metrics.standing.facts import read_facts
    from metrics.standing.standing_json import standing_of
    from metrics.window import local_day

    size = len(read_lines(folder.ledger)[:size])
    revisions = registers(folder, size)
    zone = revisions[-1].register.calendar.tz if revisions else CHINA
    day = _day(at) if at else local_day(SystemClock().now_us(), zone)
    return standing_of(rules, day, read_facts(record_frames(folder, size), documents(folder, size)), size)


def _print(rules: RuleSet, day: date, facts: Facts, found: tuple[Deadline, ...], ics: Path | None) -> None:
    from metrics.standing.awards import award_ceiling, wan_words
    from metrics.standing.deadlines import STATE_ZH
    from metrics.standing.eligibility import STATE_ZH as ANSWER_ZH
    from metrics.standing.eligibility import may_apply
    from metrics.standing.facts import LEVEL_ZH

    out = Console()
    _say(out, f"{rules.name_on(day)}  {rules.doc_no or ''}".rstrip())
    _say(out, f"以 {day} 为今天；称号、申报、事项都是企业自行登记的，本系统不核实")
    table = Table(title="\n期限", title_justify="left")
    for head in ("期限", "事项", "状态", "依据"):
        table.add_column(head, no_wrap=head in ("期限", "状态"), overflow="fold")
    for d in found:
        readings = "".join(f"\n{words}：{last}" for words, last in d.readings)
        table.add_row(
            str(d.due),
            f"{d.title}：{d.subject}\n{d.note}{readings}".strip(),
            STATE_ZH[d.state],
            f"{d.article}\n{d.words}".strip(),
        )
    out.print(table) if found else _say(
        out, "\n没有期限：未登记称号、申报或重大事项 (records import 导入 titles、applications、incidents)"
    )
    for level in rules.levels:
        _say(out, f"\n{level.title}：现在能否申报")
        for a in may_apply(rules, level.id, day, facts):
            _say(out, f"  {ANSWER_ZH[a.state]}  {a.article} {a.why}".rstrip())
        ceiling = award_ceiling(rules, level.id, day, facts)
        steps = "；".join(f"{article} {words}".strip() for article, words in ceiling.steps)
        amount = "—" if ceiling.fen is None else f"至多 {wan_words(ceiling.fen)}"
        _say(out, f"  奖励  {amount}（{steps}）")
    missing = [LEVEL_ZH.get(t.level, t.level) for t in facts.titles if not t.document]
    if missing:
        _say(out, f"\n没有附认定文件的称号：{'、'.join(missing)}")
    if ics is not None:
        _say(out, f"\n✔ 已写出 {ics}，可导入任何日历程序")


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"应为日期，如 2027-03-01 (expected a day), found {text!r}", param_hint="--at"
        ) from None


def _say(out: Console, text: str) -> None:
    out.print(Text(text), soft_wrap=True)
