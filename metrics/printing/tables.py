"""自评报告 in words: what `plantproof check` and `plantproof ratio` print, readable at 80 columns.

In: `Report`. Out: rich renderables. Nothing is computed here but truncated percentages: verdict, distance and names are the report's.
Per level: what is short first, then what lacks data, then what papers and people decide, then what is met.
"""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from config.metric_names import TITLES
from config.ruleset import Criterion
from metrics.printing.hanging import Hanging
from metrics.printing.words import called as member_called
from metrics.printing.words import condition_words, facts_words, why_words
from metrics.report import LevelSummary, Report
from metrics.result import VERDICT_ZH, Bound, Member, MetricResult, Verdict, VerdictWord
from metrics.verdicts.assess import Assessment
from metrics.verdicts.distance import needs_words
from metrics.verdicts.measured import bound_words, failed_conditions, judged_results
from metrics.verdicts.rows import GATE_ZH
from metrics.verdicts.units import BY_NAME, distance_words

PROVEN_SHOWN = 30
NAMES_SHOWN = 3
MARGIN, INDENT = 13, 4  # columns
MARK: dict[VerdictWord, tuple[str, str]] = {
    "short": ("✘", "red"),
    "insufficient_data": ("…", "yellow"),
    "declared_only": ("◇", "cyan"),
    "needs_judgement": ("?", "cyan"),
    "not_applicable": ("–", "dim"),
    "met": ("✔", "green"),
}


def level_lists(report: Report) -> Iterator[RenderableType]:
    """Every criterion of every level of the report."""
    for level in report.levels:
        yield level_heading(level, report.own)
        yield from criteria_lines(report.own, level, report)


def level_heading(level: LevelSummary, assessment: Assessment) -> Text:
    """`基础级智能工厂  差距 · 共 24 条：差距 3，仅申报 8 …`."""
    verdict = assessment.verdict
    words = [verdict[c].at(level.id) for c in level.criteria]
    counted = "，".join(f"{VERDICT_ZH[w]} {words.count(w)}" for w in MARK if w in words)
    word = f"{level.title}  {VERDICT_ZH[level.verdict]}"
    return Text.assemble("\n", (word, f"bold {MARK[level.verdict][1]}"), f" · 共 {len(words)} 条：{counted}\n")


def criteria_lines(
    assessment: Assessment, level: LevelSummary, report: Report, indent: int = 0
) -> Iterator[RenderableType]:
    """The criteria of a level, the pressing ones first; those of an adopted instrument below the one that refers to it."""
    criteria = {c.id: c for c in assessment.criteria}
    order = list(MARK)
    for criterion in sorted(
        (criteria[i] for i in level.criteria), key=lambda c: order.index(assessment.verdict[c.id].at(level.id))
    ):
        verdict = assessment.verdict[criterion.id]
        yield Hanging(_margin(verdict, level.id, indent), MARGIN + indent, _criterion(criterion, verdict, report))
        if criterion.judged_by == "reference":
            yield from _referred(criterion, level, assessment, report)


def result_table(result: MetricResult, *, why: bool) -> Iterator[RenderableType]:
    """One result: its three bounds, and with `why` every member."""
    title = f"{TITLES.get(result.metric, result.metric)} {result.metric} · {result.scope}"
    table = Table(title=title, title_justify="left")
    ratio = result.unit == "ratio"
    for heading in ("", "分子 / 分母", "比例（截断）") if ratio else ("", "数额"):
        table.add_column(heading)
    rows = (("下限（可证明）", result.lower), ("实测", result.value), ("上限", result.upper), ("申报", result.declared))
    for label, bound in rows:
        if bound is not None:
            table.add_row(label, *((_fraction(bound), bound.percent) if ratio else (bound_words(bound, result.unit),)))
    yield table
    for note in result.notes:
        yield Text(f"  {note}")
    yield Text(f"  {facts_words(result.parameters)}", style="dim")
    for name, note in result.exclusions:
        yield Text(f"  {name}：{note}")
    if why:
        yield from member_lines(result)


def member_lines(result: MetricResult) -> Iterator[RenderableType]:
    """Every member: those left out of the lower bound with reason and facts, then the others by name."""
    for member in result.members:
        if not member.lower:
            bounds = "，".join(
                f"{word}{'计入' if f else '不计'}" for word, f in (("实测", member.value), ("上限", member.upper))
            )
            yield Text(f"  ✘ {called(member)}：{why_words(member.why)}（{bounds}）")
            facts = facts_words(member.facts)
            if facts:
                yield Text(f"      {facts}", style="dim")
    proven = [called(m) for m in result.members if m.lower]
    if proven:
        more = f" 等 {len(proven)} 项" if len(proven) > PROVEN_SHOWN else ""
        yield Text(f"  ✔ {'、'.join(proven[:PROVEN_SHOWN])}{more}")


def called(member: Member) -> str:
    """`CNC-07 七号车床`."""
    return member_called(member.id, member.name)


def three_words(result: MetricResult) -> str:
    """`L1：申报 8/10 (80.0 %) · 实测 … · 可证明 …`."""
    place = "" if result.scope == "plant" else f"{result.scope.partition(':')[2]}："
    pairs = (("申报", result.declared), ("实测", result.value), ("可证明", result.lower))
    return place + " · ".join(f"{label} {bound_words(b, result.unit) if b is not None else '—'}" for label, b in pairs)


def _margin(verdict: Verdict, level: str, indent: int) -> Text:
    word = verdict.at(level)
    mark, colour = MARK[word]
    label = VERDICT_ZH[word]
    if verdict.simulated and verdict.numbers == "met":
        label, colour = "数字达标", "yellow"  # what the numbers alone say; a line beside it says that it does not count
    return Text(f"{' ' * indent}{mark} {label}", style=colour)


def _criterion(criterion: Criterion, verdict: Verdict, report: Report) -> list[Text]:
    gate = f"（{GATE_ZH[criterion.gate]}）" if criterion.gate in GATE_ZH else ""
    lines = [
        Text.assemble((f"{criterion.title}{gate}", "bold"), f"  {criterion.article}  ", (criterion.id, "dim")),
        Text(f"要求：{verdict.required}"),
    ]
    to_do = _to_do(verdict)
    if criterion.judged_by == "metric":
        lines += _measured(criterion, verdict, report)
    elif not (to_do and verdict.distance_unit == "document"):  # else the line below says the same
        lines.append(Text(verdict.why))
    return [*lines, *to_do, *(Text(f"注意：{w}", style="yellow") for w in verdict.warnings)]


def _measured(criterion: Criterion, verdict: Verdict, report: Report) -> list[Text]:
    results = judged_results(criterion, report.results)
    lines = []
    for result in results:
        if result.value.denominator:
            lines.append(Text(three_words(result)))
        if result.status != "ok":
            notes = result.notes or ("没有可计的对象；没有数据不算达标",)
            place = "" if result.scope in ("plant", "line:-") else f"{result.scope.partition(':')[2]}："
            lines += [Text(place + note, style="dim") for note in notes]
        facts = dict(result.parameters)
        lines += [Text(condition_words(name, facts), style="red") for name in failed_conditions(result)]
    if not results:
        lines.append(Text(verdict.why, style="dim"))
    if verdict.simulated:
        lines.append(Text("数据非实采（模拟或回放），不能判为达标", style="yellow"))
    return lines


def _to_do(verdict: Verdict) -> list[Text]:
    """What to act on, by name: only what is not met yet."""
    if verdict.verdict not in ("short", "insufficient_data") or verdict.numbers == "met":
        return []
    words = distance_words(verdict.distance, verdict.distance_unit)
    label = f"还差 {words}" if words else "还缺" if verdict.needs else ""
    if not verdict.needs:
        return [Text(label, style="red")] if label else []
    named = needs_words(verdict.needs, NAMES_SHOWN, by_id=verdict.distance_unit not in BY_NAME)
    return [Text(f"{label}：{named}", style="red")]


def _referred(
    criterion: Criterion, level: LevelSummary, assessment: Assessment, report: Report
) -> Iterator[RenderableType]:
    """The adopted instrument's criteria at the same level."""
    named = dict(assessment.adopted).get(criterion.adopts or "")
    nested = next((a for a in report.references if a.rules.id == named), None)
    summary = next((x for x in nested.levels if x.id == level.id), None) if nested else None
    if nested is not None and summary is not None:
        yield from criteria_lines(nested, summary, report, indent=INDENT)


def _fraction(bound: Bound) -> str:
    return f"{bound.numerator}/{bound.denominator}"
