"""`plantproof deadlines` 期限: what is due when, whether one may apply today, and at most how much award is left.

In: a data folder, an instrument, a day. Out: three tables, JSON, or an iCalendar file (--ics). Reads only.
Exit codes: 0 nothing overdue, 3 something is overdue or was done late, 2 usage, 4 rules or records that cannot be used.
"""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from config.ruleset import RuleSet
    from metrics.standing.deadlines import Deadline
    from metrics.standing.facts import Facts

app = typer.Typer()
OVERDUE = 3
Data = Annotated[Path, typer.Option("--data", help="数据目录 (data folder)")]
Rules = Annotated[str, typer.Option("--rules", help="办法编号或规则文件 (instrument id or rules file)")]


@app.command()
def deadlines(
    rules: Rules = "CN-GS/GS25",
    at: Annotated[str, typer.Option("--at", help="以哪一天为今天，如 2027-03-01 (the day to judge from)")] = "",
    ics: Annotated[Path | None, typer.Option("--ics", help="写出 iCalendar 文件，含提前 180/120/90/30 天提醒")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="以 JSON 输出 (JSON on stdout)")] = False,
    data: Data = Path("plantproof-data"),
) -> None:
    """期限、能否申报、奖励测算 (what is due when; may we apply; awards)."""
    from collector.clock import SystemClock
    from collector.durable import write_durably
    from collector.folder import open_folder
    from collector.revisions import documents, record_frames, registers
    from config.metric_names import TITLES
    from config.rulebook import load_ruleset
    from metrics.standing import deadlines as due
    from metrics.standing.calendar_file import calendar_of
    from metrics.standing.facts import read_facts

    chosen = load_ruleset(rules, TITLES)
    folder = open_folder(data)
    revisions = registers(folder)
    now_us = SystemClock().now_us()
    zone = revisions[-1].register.calendar.tz if revisions else UTC
    day = _day(at) if at else datetime.fromtimestamp(now_us // 1_000_000, UTC).astimezone(zone).date()
    facts = read_facts(record_frames(folder), documents(folder))
    found = due.deadlines(chosen, day, facts)
    if ics is not None:
        moment = datetime(day.year, day.month, day.day, tzinfo=UTC)
        write_durably(ics, calendar_of(found, chosen.name_on(day), folder.genesis["plant"], moment))
    if as_json:
        typer.echo(json.dumps(_json(chosen, day, facts, found), ensure_ascii=False, sort_keys=True))
    else:
        _print(chosen, day, facts, found, ics)
    raise typer.Exit(OVERDUE if any(d.state in ("overdue", "late") for d in found) else 0)


def _print(rules: RuleSet, day: date, facts: Facts, found: tuple[Deadline, ...], ics: Path | None) -> None:
    from metrics.standing.awards import award_ceiling
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
        amount = "—" if ceiling.fen is None else f"至多 {ceiling.fen // 1_000_000} 万元"
        _say(out, f"  奖励  {amount}（{steps}）")
    missing = [LEVEL_ZH.get(t.level, t.level) for t in facts.titles if not t.document]
    if missing:
        _say(out, f"\n没有附认定文件的称号：{'、'.join(missing)}")
    if ics is not None:
        _say(out, f"\n✔ 已写出 {ics}，可导入任何日历程序")


def _json(rules: RuleSet, day: date, facts: Facts, found: tuple[Deadline, ...]) -> dict[str, Any]:
    from metrics.standing.awards import award_ceiling
    from metrics.standing.eligibility import may_apply

    levels = []
    for level in rules.levels:
        ceiling = award_ceiling(rules, level.id, day, facts)
        answers = [
            {
                "rule": a.rule,
                "article": a.article,
                "state": a.state,
                "why": a.why,
                "until": a.until and a.until.isoformat(),
            }
            for a in may_apply(rules, level.id, day, facts)
        ]
        award = {"fen": ceiling.fen, "steps": [list(s) for s in ceiling.steps]}
        levels.append({"id": level.id, "title": level.title, "may_apply": answers, "award": award})
    return {
        "instrument": {
            "id": rules.id,
            "name": rules.name_on(day),
            "standing": rules.standing(day),
            "sha256": rules.sha256,
        },
        "day": day.isoformat(),
        "deadlines": [_row(d) for d in found],
        "levels": levels,
    }


def _row(d: Deadline) -> dict[str, Any]:
    return {
        "id": d.id,
        "due": d.due.isoformat(),
        "title": d.title,
        "subject": d.subject,
        "state": d.state,
        "rule": d.rule,
        "article": d.article,
        "words": d.words,
        "readings": [[words, last.isoformat()] for words, last in d.readings],
        "own": d.own,
        "note": d.note,
        "alarms": [x.isoformat() for x in d.alarms],
    }


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"应为日期，如 2027-03-01 (expected a day), found {text!r}", param_hint="--at"
        ) from None


def _say(out: Console, text: str) -> None:
    out.print(Text(text), soft_wrap=True)
