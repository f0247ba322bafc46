"""总览: the values of the first page: are we there, what is short, what was sealed last.

In: a `Snapshot` and the days. Out: a dict for `overview.html`. Verdicts and integers are the report's; this module words and orders them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from evidence_api.web.clauses import headline, level_cards
from evidence_api.web.days import Day
from evidence_api.web.questions import question_values
from evidence_api.web.ratios import ratio_rows
from evidence_api.web.rule_book import instruments, rule_book
from evidence_api.web.sources import STRIP_DAYS, Snapshot, last_day
from evidence_api.web.standing import standing_values
from evidence_api.web.strips import KIND_RULE, KIND_ZH, gaps_of, line_groups, month_ticks
from evidence_api.web.wording import file_size, local_hour, local_minute, local_time, short_time

GAPS_SHOWN = 60
ROOT_DIGITS = 16


def overview_values(at: Snapshot, days: Mapping[str, Sequence[Day]], unreadable_lines: int) -> dict[str, Any]:
    """Everything `overview.html` names beyond `base.html`."""
    body = at.report.body
    lines = {line.id: line.name for line in at.register.register.lines} if at.register.register else {}
    book = rule_book(body) if body else None
    levels = level_cards(body, lines)
    ratios, other_ratios = ratio_rows(body, lines, at.offset_h) if body else ([], [])
    return {
        "rules": book,
        "instruments": instruments(at.report.instruments, book.instrument if book else ""),
        "headline": headline(levels),
        "as_of": _as_of(at),
        "report_state": _report_state(at),
        "standing": book.problem if book else "",
        "problems": _problems(at, unreadable_lines),
        "levels": levels,
        "open_level": next((x.id for x in levels if x.verdict == "short"), levels[0].id if levels else ""),
        "ratios": ratios,
        "other_ratios": other_ratios,
        "due": standing_values(at.report.deadlines, today(at)),
        "asked": question_values(at.report.findings),
        **_strip_values(at, days),
        "seal": _seal(at),
        "ledger_size": at.ledger.size,
        "checkpoint": _checkpoint(at),
        "collector": _collector(at),
        "packs": [
            {
                "name": p.name,
                "size": file_size(p.size_bytes),
                "built": local_minute(p.built_ms, at.offset_h),
                "demo": p.demo,
            }
            for p in at.packs
        ],
    }


def _strip_values(at: Snapshot, days: Mapping[str, Sequence[Day]]) -> dict[str, Any]:
    register, last = at.register.register, last_day(at)
    if register is None or last is None:
        return {"groups": [], "gaps": [], "gaps_shown": [], "gaps_left_off": 0}
    first = next((row[0].day for row in days.values() if row), last)
    groups = line_groups(register, days, at.collector, at.offset_h, at.now_ms)
    gaps = gaps_of(groups)
    kinds = {d.kind for row in days.values() for d in row}
    return {
        "groups": groups,
        "ticks": month_ticks(first, STRIP_DAYS),
        "legend": [{"kind": k, "name": KIND_ZH[k], "rule": KIND_RULE[k]} for k in KIND_ZH if k != "none" or k in kinds],
        "kind_zh": KIND_ZH,
        "first_day": first,
        "last_day": last,
        "day_count": STRIP_DAYS,
        "gaps": gaps,
        "gaps_shown": gaps[:GAPS_SHOWN],
        "gaps_left_off": max(0, len(gaps) - GAPS_SHOWN),
    }


def today(at: Snapshot) -> date:
    """The plant's day now."""
    return local_time(at.now_ms, at.offset_h).date()


def _as_of(at: Snapshot) -> str:
    """T, the plant midnight at which the numbers end, and the part of the ledger they were made from."""
    if at.report.body is None:
        return ""
    end = local_time(at.report.body["end_us"] // 1000, at.offset_h)
    return f"{end:%Y-%m-%d %H:%M}（账本前 {at.report.size} 条）"


def _report_state(at: Snapshot) -> str:
    if at.report.running:
        return "正在重算，片刻后刷新" if at.report.body else "首次计算中，本页会自动刷新"
    if at.report.body and at.report.older_than(at.ledger.newest):
        return "已有更新的封存或记录，稍后重算"
    return ""


def _problems(at: Snapshot, unreadable_lines: int) -> list[str]:
    found = [at.ledger.problem, at.register.problem]
    if at.report.problem:
        found.append(f"{at.report.problem}。可在命令行运行 plantproof check 查看原因")
    if unreadable_lines:
        found.append(f"有 {unreadable_lines} 行小时记录无法识别，未计入下方日带；请运行 plantproof ledger verify")
    return [p for p in found if p]


def _seal(at: Snapshot) -> dict[str, Any] | None:
    seal = at.ledger.seal
    if seal is None:
        return None
    return {
        "hour": local_hour(seal.hour, at.offset_h),
        "root": seal.root,
        "root_short": seal.root[:ROOT_DIGITS],
        "lines": seal.lines,
    }


def _collector(at: Snapshot) -> dict[str, str]:
    """Whether data is coming in now; what was collected before stays as it is either way."""
    state = at.collector
    if state.alive(at.now_ms * 1000):
        bad = sum(not c.good for c in state.contacts.values())
        words = f"采集运行中，{len(state.contacts) - bad} 台正常" + (f"，{bad} 台异常" if bad else "")
        return {"key": "bad" if bad else "good", "words": words}
    since = f"，最后写入 {short_time(state.at_us // 1000, at.now_ms, at.offset_h)}" if state.at_us else ""
    return {"key": "unknown", "words": f"采集未运行{since}"}


def _checkpoint(at: Snapshot) -> dict[str, str] | None:
    checkpoint = at.ledger.checkpoint
    if checkpoint is None:
        return None
    return {"origin": checkpoint.origin, "root_short": checkpoint.root.hex()[:ROOT_DIGITS]}
