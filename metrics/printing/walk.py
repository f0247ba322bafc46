"""为什么: from a criterion to the words of its article, to the formula, to the bounds, to the members, to the device-hours of one of them.

In: a report, a criterion's id, perhaps a member's. Out: rich renderables, each step named. Reads what was computed; counts nothing anew
but minutes of device-hours (`metrics/machines/device_hours.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from itertools import groupby

from rich.console import RenderableType
from rich.text import Text

from config.metric_formulas import FORMULAS
from config.rule_text import article_text
from config.ruleset import Criterion
from metrics.evaluate import Computed
from metrics.inputs import Inputs
from metrics.machines.device_hours import DeviceDay, DeviceHour, device_days_of
from metrics.printing.tables import called, member_lines
from metrics.printing.words import CAUSE_ZH, facts_words, metric_words, why_words
from metrics.report import Report
from metrics.result import VERDICT_ZH, Bound, Member, MetricResult, Verdict, Window
from metrics.verdicts.assess import Assessment
from metrics.verdicts.measured import bound_words, judged_results
from metrics.verdicts.units import distance_words
from metrics.window import DAY_US, local_day, midnight_us


def find_criterion(report: Report, name: str) -> tuple[Assessment, Criterion, Verdict] | None:
    """A criterion of the report's instrument or of one it adopts."""
    for assessment in (report.own, *report.references):
        for criterion in assessment.criteria:
            if criterion.id == name:
                return assessment, criterion, assessment.verdict[name]
    return None


def walk(report: Report, found: tuple[Assessment, Criterion, Verdict]) -> Iterator[RenderableType]:
    """Article -> words -> formula -> bounds -> members."""
    assessment, criterion, verdict = found
    yield Text(f"{criterion.id}  {criterion.title}", style="bold")
    yield Text(f"一、条款  {assessment.name} {criterion.article}（依据等级 {criterion.grade}）")
    text = _article(assessment.rules.id, criterion.article)
    if text:
        yield Text(f"    {text}", style="dim")
    yield Text(f"二、原文  “{criterion.quote}”")
    if criterion.note:
        yield Text(f"    说明：{criterion.note}", style="dim")
    yield Text(f"三、要求  {verdict.required}")
    value = assessment.rules.value_of(criterion, assessment.day)
    if value is not None and value.threshold_by == "definition":
        yield Text("    这个数是本产品的定义，不是办法里的数", style="dim")
    if criterion.judged_by == "metric":
        yield from _formula(criterion)
        for result in judged_results(criterion, report.results):
            yield from _bounds(result)
            yield from member_lines(result)
    yield Text(f"结论  {VERDICT_ZH[verdict.verdict]}：{verdict.why}", style="bold")
    words = distance_words(verdict.distance, verdict.distance_unit)
    if words:
        yield Text(f"还差  {words}")
    for name, title, why in verdict.needs if criterion.judged_by != "metric" else ():
        yield Text(f"  ✘ {name} {title}：{why}")
    for warning in verdict.warnings:
        yield Text(f"注意  {warning}", style="yellow")


def find_members(report: Report, criterion: Criterion, member: str) -> list[tuple[MetricResult, Member]]:
    """The member of that id in the results that decide a criterion."""
    chosen = judged_results(criterion, report.results)
    return [(r, m) for r in chosen for m in r.members if member in (m.id, m.name)]


def walk_member(computed: Computed, result: MetricResult, member: Member) -> Iterator[RenderableType]:
    """The device-hours behind one member, day by day."""
    yield Text(f"{called(member)}：{'计入可证明' if member.lower else why_words(member.why)}", style="bold")
    facts = facts_words(member.facts)
    if facts:
        yield Text(f"  {facts}", style="dim")
    devices = devices_of(computed.inputs, result, member)
    if not devices:
        yield Text("  这一项不由台时构成，依据是上面的事实和记录")
    for device, window in devices:
        yield Text(f"  设备 {device}（分钟：应采 · 已采 · 迟到 · 无人看守）")
        for day in device_days_of(computed.inputs, device, window):
            yield from _day(day)


def devices_of(inputs: Inputs, result: MetricResult, member: Member) -> list[tuple[str, Window]]:
    """The devices whose hours a member rests on, and over which window."""
    if inputs.revision is None:
        return []
    register = inputs.register
    if member.id in register.device:
        return [(member.id, result.window)]
    parameter = next((p for p in register.parameters if p.id == member.id and p.device), None)
    if parameter is not None and parameter.device:
        return [(parameter.device, result.window)]
    line = result.scope.partition(":")[2]
    days = {local_day(result.window.start_us + i * DAY_US, inputs.tz).isoformat() for i in range(_days(result.window))}
    if member.id in days:
        start = midnight_us(date.fromisoformat(member.id), inputs.tz)
        window = Window(start, start + DAY_US)
        return [(d.id, window) for d in register.devices if d.production and d.line == line]
    if any(p.id == member.id for p in register.processes):
        return [(d.id, result.window) for d in register.devices if d.production and d.process == member.id]
    return _of_batch(inputs, member)


def _of_batch(inputs: Inputs, member: Member) -> list[tuple[str, Window]]:
    rows = inputs.records.frame("operations").iter_rows(named=True) if inputs.records is not None else []
    found: dict[str, Window] = {}
    for row in rows:
        if row["batch_id"] == member.id and row["end"] is not None and row["end"] > row["start"]:
            start, end = row["start"] // DAY_US * DAY_US, -(-row["end"] // DAY_US) * DAY_US
            before = found.get(row["device_id"])
            found[row["device_id"]] = Window(
                min(start, before.start_us) if before else start, max(end, before.end_us) if before else end
            )
    return [(d, w) for d, w in found.items() if w.end_us > inputs.reading.start_us and w.start_us < inputs.end_us]


def _formula(criterion: Criterion) -> Iterator[Text]:
    metric = criterion.metric or ""
    formula, proven = FORMULAS.get(metric, ("这个指标还没有算法", ""))
    yield Text(f"四、指标  {metric_words(metric)}")
    yield Text(f"    算法：{formula}")
    if proven:
        yield Text(f"    可证明（下限）要求：{proven}")
    yield Text("    逐项定义见 docs/metrics.md", style="dim")


def _bounds(result: MetricResult) -> Iterator[Text]:
    place = "全厂" if result.scope == "plant" else result.scope.partition(":")[2]
    yield Text(f"五、数字  {place}")
    bounds: tuple[tuple[str, Bound | None], ...] = (
        ("申报", result.declared),
        ("上限", result.upper),
        ("实测", result.value),
        ("下限（可证明，判定用）", result.lower),
    )
    for label, bound in bounds:
        if bound is not None:
            yield Text(f"    {label} {bound_words(bound, result.unit)}")
    for note in result.notes:
        yield Text(f"    {note}", style="dim")


def _day(day: DeviceDay) -> Iterator[Text]:
    owed, covered, late, unseen = day.sums
    cause = f"  主因 {CAUSE_ZH.get(day.cause, day.cause)}" if day.cause else ""
    unsealed = sum(not h.sealed for h in day.hours)
    named = f"{day.hours[0].name} … {day.hours[-1].name}" if day.hours else "没有小时"
    sealed = f"封存小时 {named}" + (f"，其中 {unsealed} 小时没有行" if unsealed else "")
    mark = "✔" if covered >= owed else "✘"
    yield Text(f"    {mark} {day.day}  {owed:>4} · {covered:>4} · {late:>3} · {unseen:>3}{cause}  {sealed}")
    for (owed, covered, late, cause), alike in groupby((h for h in day.hours if not h.full), _alike):
        hours = list(alike)
        name = hours[0].name if len(hours) == 1 else f"{hours[0].name} … {hours[-1].name} 每小时"
        yield Text(f"        {name}  应采 {owed} 已采 {covered} 迟到 {late}  {cause}", style="dim")


def _alike(hour: DeviceHour) -> tuple[int, int, int, str]:
    return hour.owed, hour.covered, hour.late, CAUSE_ZH.get(hour.cause, hour.cause) if hour.sealed else "没有行"


def _article(rules_id: str, article: str) -> str:
    """The article's whole text; empty where no official copy is at hand."""
    try:
        return article_text(rules_id, article)
    except KeyError:
        return ""


def _days(window: Window) -> int:
    return -(-(window.end_us - window.start_us) // DAY_US)
