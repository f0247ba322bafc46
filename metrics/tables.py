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
from metrics.result import VERDICT_ZH, Bound, MetricResult, Verdict
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
COLOUR = {"met": "green", "short": "red", "insufficient_data": "yellow"}


def level_tables(report: Report, *, why: bool) -> Iterator[RenderableType]:
    """One table per level: evaluated criteria; the others as a count, by name with `why`."""
    verdicts = {v.criterion: v for v in report.verdicts}
    criteria = {c.id: c for c in report.criteria}
    for level in report.levels:
        mine = [criteria[i] for i in level.criteria]
        table = Table(title=f"{level.title} · 已评估 {level.evaluated} / 共 {level.total}", title_justify="left")
        for heading in ("条款", "要求", "判定", "下限 / 实测 / 上限", "差"):
            table.add_column(heading, overflow="fold")
        for criterion in mine:
            verdict = verdicts[criterion.id]
            if verdict.verdict in EVALUATED:
                table.add_row(*_row(criterion, verdict, report))
        yield table
        yield Text(_rest(level, mine, verdicts))
        if why:
            for criterion in mine:
                yield Text(f"  {criterion.article} {criterion.title}：{verdicts[criterion.id].why}")


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
    yield Text("  " + "，".join(f"{name} {value}" for name, value in result.parameters if value != ""))
    for name, note in result.exclusions:
        yield Text(f"  {name}：{note}")
    if why:
        yield members_table(result)


def members_table(result: MetricResult) -> Table:
    """Every member, those left out of the lower bound first."""
    table = Table(show_edge=False)
    for heading in ("编号", "名称", "下限", "实测", "上限", "原因", "依据"):
        table.add_column(heading, overflow="fold")
    for member in sorted(result.members, key=lambda m: m.lower):
        marks = ("是" if flag else "否" for flag in (member.lower, member.value, member.upper))
        facts = " ".join(f"{name}={value}" for name, value in member.facts if value != "")
        table.add_row(escape(member.id), escape(member.name), *marks, WHY_ZH.get(member.why, member.why), escape(facts))
    return table


def results_of(report: Report, criterion: Criterion) -> list[MetricResult]:
    """The results that decide a criterion."""
    return [r for r in report.results if r.metric == criterion.metric and r.scope.partition(":")[0] == criterion.scope]


def _row(criterion: Criterion, verdict: Verdict, report: Report) -> tuple[str, str, str, str, str]:
    numbers = "\n".join(
        f"{r.scope.partition(':')[2] + '  ' if r.scope != 'plant' else ''}"
        f"{_fraction(r.lower)} / {_fraction(r.value)} / {_fraction(r.upper)}  ({r.lower.percent})"
        for r in results_of(report, criterion)
    )
    distance = f"{verdict.distance} {UNIT_ZH.get(verdict.distance_unit, '')}" if verdict.distance else ""
    return criterion.article, escape(criterion.quote), verdict_words(verdict), numbers, distance


def verdict_words(verdict: Verdict) -> str:
    """达标, or 数据不足 with what the numbers alone would say."""
    colour = COLOUR.get(verdict.verdict, "default")
    words = f"[{colour}]{VERDICT_ZH[verdict.verdict]}[/]"
    if verdict.simulated:
        words += f"\n模拟数据，数字{VERDICT_ZH[verdict.numbers]}"
    return words


def _rest(level: LevelSummary, criteria: list[Criterion], verdicts: dict[str, Verdict]) -> str:
    counts = {
        word: sum(verdicts[c.id].verdict == word for c in criteria) for word in ("declared_only", "needs_judgement")
    }
    left = "，".join(f"{VERDICT_ZH[word]} {n} 条" for word, n in counts.items() if n)  # type: ignore[index]
    return f"  数字判定的 {level.evaluated} 条中达标 {level.met} 条" + (f"；{left}，本系统不打分" if left else "")


def _fraction(bound: Bound) -> str:
    return f"{bound.numerator}/{bound.denominator}"
