"""自评报告 in words: the tables of `plantproof check` and `plantproof ratio` for a terminal.

In: `Report`. Out: rich renderables. Nothing is computed here but truncated percentages: verdict and distance are the report's.
"""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from config.ruleset import Criterion
from metrics.registry import TITLES
from metrics.report import EVALUATED, LevelSummary, Report
from metrics.result import VERDICT_ZH, Bound, Member, MetricResult, Verdict
from metrics.verdict import UNIT_ZH

WHY_ZH = {
    "ok": "计入",
    "not_configured": "台账没有通信地址",
    "no_obligation": "窗口内没有应采时段",
    "pending": "应采不足 7 天",
    "coverage": "覆盖率不足 90%",
    "silent": "最近 24 小时应采时段无数据",
    "no_change": "数值从未变化",
    "not_nc": "非数控",
    "no_runtime_proof": "没有数控运行数据",
    "no_controller": "台账没有写控制器型号",
    "excused": "全线免计 (不进分母)",
    "stopped": "停机",
    "unknown": "状态不明",
    "mismatch": "复算与封存不符",
    "unreadable": "原始数据没有读出",
    "no_lot": "没有物料批",
    "no_supplier_lot": "物料批没有供方批号",
    "no_operation": "没有工序记录",
    "key_process_missing": "缺关键工序",
    "open_operation": "工序没有结束",
    "no_operator": "没有操作者或班次",
    "no_program": "没有程序或配方号",
    "not_monotonic": "时间先后矛盾",
    "no_inspection": "缺检验结果",
    "no_shipment": "没有出入库单据",
    "no_key_parameter": "设备没有关键参数测点",
    "parameter_gap": "关键参数采集不足 90%",
}
PROVEN_SHOWN = 30
COLOUR = {"met": "green", "short": "red", "insufficient_data": "yellow"}


def level_tables(report: Report, *, why: bool) -> Iterator[RenderableType]:
    """One table per level: evaluated criteria; the others as a count, by name with `why`."""
    verdicts = {v.criterion: v for v in report.verdicts}
    criteria = {c.id: c for c in report.criteria}
    for level in report.levels:
        mine = [criteria[i] for i in level.criteria]
        table = Table(title=f"\n{level.title} · 已评估 {level.evaluated} / 共 {level.total}", title_justify="left")
        table.add_column("要求与条款", overflow="fold")
        table.add_column("判定", no_wrap=True)
        table.add_column("下限 · 实测 · 上限", no_wrap=True)
        table.add_column("差", no_wrap=True)
        for criterion in mine:
            verdict = verdicts[criterion.id]
            if verdict.verdict in EVALUATED:
                table.add_row(*_row(criterion, verdict, report))
        yield table
        yield Text(_rest(level, mine, verdicts))
        if why:
            for criterion in mine:
                yield Text(f"  {criterion.article} {criterion.title}：{verdicts[criterion.id].why}")
                yield Text(f"      “{criterion.quote}”", style="dim")


def result_table(result: MetricResult, *, why: bool) -> Iterator[RenderableType]:
    """One result: its three bounds, and with `why` every member."""
    title = f"{TITLES.get(result.metric, result.metric)} {result.metric} · {result.scope}"
    table = Table(title=title, title_justify="left")
    for heading in ("", "分子 / 分母", "比例 (截断)"):
        table.add_column(heading)
    rows = (("下限 (可证明)", result.lower), ("实测", result.value), ("上限", result.upper), ("申报", result.declared))
    for label, bound in rows:
        if bound is not None:
            table.add_row(label, _fraction(bound), bound.percent)
    yield table
    for note in result.notes:
        yield Text(f"  {note}")
    yield Text("  " + " ".join(f"{name}={value}" for name, value in result.parameters if value != ""), style="dim")
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
            reason = WHY_ZH.get(member.why, member.why)
            yield Text(f"  ✘ {_called(member)}：{reason}（{bounds}）")
            facts = " ".join(f"{name}={value}" for name, value in member.facts if value != "")
            if facts:
                yield Text(f"      {facts}", style="dim")
    proven = [_called(m) for m in result.members if m.lower]
    if proven:
        more = f" 等 {len(proven)} 项" if len(proven) > PROVEN_SHOWN else ""
        yield Text(f"  ✔ {'、'.join(proven[:PROVEN_SHOWN])}{more}")


def _called(member: Member) -> str:
    return member.id if member.name in ("", member.id) else f"{member.id} {member.name}"


def results_of(report: Report, criterion: Criterion) -> list[MetricResult]:
    """The results that decide a criterion."""
    return [r for r in report.results if r.metric == criterion.metric and r.scope.partition(":")[0] == criterion.scope]


def _row(criterion: Criterion, verdict: Verdict, report: Report) -> tuple[str, str, str, str]:
    wanted = criterion.value_on(report.day)
    demand = f"{criterion.title}\n{criterion.article} {wanted.as_written if wanted else ''}"
    numbers = "\n".join(_three(r) for r in results_of(report, criterion))
    distance = f"{verdict.distance} {UNIT_ZH.get(verdict.distance_unit, '')}" if verdict.distance else ""
    return escape(demand), verdict_words(verdict), numbers, distance


def _three(result: MetricResult) -> str:
    place = "" if result.scope == "plant" else f"{result.scope.partition(':')[2]}\n"
    bounds = (result.lower, result.value, result.upper)
    return f"{place}{' · '.join(_fraction(b) for b in bounds)}\n{' · '.join(b.percent for b in bounds)}"


def verdict_words(verdict: Verdict) -> str:
    """达标; of simulated data what the numbers alone say, marked as such."""
    if verdict.simulated and verdict.numbers == "met":
        return "[yellow]数字达标（模拟）[/]"
    mark = "（模拟）" if verdict.simulated else ""
    return f"[{COLOUR.get(verdict.verdict, 'default')}]{VERDICT_ZH[verdict.verdict]}{mark}[/]"


def _rest(level: LevelSummary, criteria: list[Criterion], verdicts: dict[str, Verdict]) -> str:
    counts = {
        word: sum(verdicts[c.id].verdict == word for c in criteria) for word in ("declared_only", "needs_judgement")
    }
    left = "，".join(f"{VERDICT_ZH[word]} {n} 条" for word, n in counts.items() if n)  # type: ignore[index]
    return f"  数字判定的 {level.evaluated} 条中达标 {level.met} 条" + (f"；{left}，本系统不打分" if left else "")


def _fraction(bound: Bound) -> str:
    return f"{bound.numerator}/{bound.denominator}"
