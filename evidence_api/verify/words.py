"""Findings as people read them, in Chinese, always in the same nine parts and never a bare "通过".

In: `Findings`. Out: lines of text; nothing is judged here. Failures come with their steps' codes, so that a letter about a pack
can name them. Parts: 字节与签名 账本 时间 完整性 复算 来源 达标 证明等级 本核验不能证明.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator

from evidence_api.verify.findings import FAILED, HINT, OK, SKIPPED, UNKNOWN, Findings, Step
from evidence_api.verify.recount import OTHERS, TITLE_OF, shown

WORD = {OK: "通过", HINT: "提示", UNKNOWN: "无法判定", FAILED: "不通过", SKIPPED: "未检"}
_UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_WORST = (FAILED, SKIPPED, UNKNOWN, HINT, OK)
PARTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("一、字节与签名", ("A-", "B-")),
    ("二、账本", ("C-21", "C-22", "C-23", "C-25", "C-26", "C-29")),
    ("三、时间", ("D-",)),
    ("四、完整性", ("C-24", "C-27", "C-28")),
    ("五、复算", ("E-",)),
    ("六、来源", ("H-73",)),
    ("七、达标", ("H-71", "H-72")),
    ("八、证明等级", ("H-74",)),
)
VERDICTS = {"met": "达标", "short": "差距", "insufficient_data": "数据不足"}
CAUSES = {
    "planned_stop": "计划停机",
    "not_connected": "未接入",
    "collector_down": "采集停",
    "timeout": "超时",
    "refused": "拒绝连接",
    "unreachable": "网络不通",
    "disconnected": "连接中断",
    "protocol": "协议不符",
    "device_failure": "设备故障",
    "denied": "拒绝访问",
    "bad_quality": "数据质量差",
    "silent": "无数据",
}
CONCLUSIONS = {
    0: "结论  包未被改动，由您认识的公钥签名；证明等级 E0，只到上面所说为止 (exit 0)",
    6: "结论  包被改动、损坏、自相矛盾，或不是证据包 (exit 6)",
    7: "结论  无法判定：您手头缺少判断所需的东西，见标“无法判定”的各步 (exit 7)",
    8: "结论  包自身一致、未被改动，但不是实采数据，不得用于申报 (exit 8)",
}


def report_lines(findings: Findings, name: str) -> Iterator[str]:
    """The whole report, line by line. A part shows its steps; what was fine is one line each."""
    return (_visible(line) for line in _lines(findings, name))


def _visible(line: str) -> str:
    """Names come from the pack: no line end, control or direction character of theirs may write on the reader's screen."""
    return "".join(c if unicodedata.category(c) not in _UNSEEN else f"\\u{ord(c):04x}" for c in line)


def _lines(findings: Findings, name: str) -> Iterator[str]:
    facts = dict(findings.facts)
    yield f"核验 {name}"
    if facts.get("mark"):
        yield f"★ {facts['mark']} ★"
    if "plant" in facts:
        yield f"企业 {facts['plant']}（{facts['credit_code']}）  包号 {facts['pack_id']}  第 {facts['number']} 次导出"
    if facts.get("instrument_name"):
        yield f"依据 {facts['instrument_name']}（{facts['instrument']}）  申报梯次 {facts['level']}"
    if "check_code" in facts:
        yield f"校验码 {facts['check_code']}"
    if "window" in facts:
        after = f"；其后另有 {facts['hours_after']:,} 小时已封存，不计入" if facts["hours_after"] else ""
        yield f"窗口 {facts['window']}（末日不含）{after}"
    for title, codes in PARTS:
        steps = [s for s in findings.steps if s.code.startswith(codes)]
        if not steps:
            yield f"{title}  未检  前面的步骤未通过"
            continue
        yield f"{title}  {WORD[_worst(steps)]}"
        yield from (f"    {s.code} {WORD[s.outcome]}  {s.title}" + (f"：{s.found}" if s.found else "") for s in steps)
        if title == "四、完整性":
            yield from _completeness(facts)
        if title == "五、复算":
            yield from (f"    {OTHERS}  {n.metric} {TITLE_OF[n.metric]} {shown(n)}" for n in findings.not_recomputed)
            yield from (f"    未开封  {text}" for text in findings.unopened)
        if title == "七、达标":
            yield from (f"    {VERDICTS.get(v, v)}  {c}：{why}" for c, v, why in findings.verdicts)
    yield "九、本核验不能证明"
    yield from (f"    {i}. {text}" for i, text in enumerate(findings.not_proven, 1))
    yield CONCLUSIONS[findings.exit_code]


def _completeness(facts: dict[str, int | str]) -> Iterator[str]:
    owed, gap = facts.get("in_service_s"), facts.get("gap_s")
    if not isinstance(owed, int) or not isinstance(gap, int) or owed == 0:
        return
    tenths = (owed - gap) * 1000 // owed
    yield f"    在役时间覆盖率 {tenths // 10}.{tenths % 10} %；开封 {facts['opened_hours']:,} 小时，台时 {facts['device_hours']:,} 个"
    if facts["slow_devices"]:
        slow, longest = facts["slow_devices"], facts["longest_interval_s"]
        yield f"    采集周期超过 5 分钟的设备 {slow} 台，最长 {longest:,} 秒：两个周期以内的中断看不出来"
    causes = sorted(
        ((s, n.partition(".")[2]) for n, s in facts.items() if n.startswith("gap_s.") and isinstance(s, int)),
        reverse=True,
    )
    if causes:
        shown = "，".join(f"{CAUSES.get(c, c)} {s // 3600:,} h" for s, c in causes)
        yield f"    断档合计 {gap // 3600:,} 台·小时：{shown}"


def _worst(steps: Iterable[Step]) -> str:
    outcomes = {s.outcome for s in steps}
    return next(o for o in _WORST if o in outcomes)
