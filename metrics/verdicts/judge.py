"""判定: one criterion of one instrument on one day -> `Verdict`. Who decides it is in the rules (`judged_by`); here is the fork.

In: a criterion, its instrument, `Evidence`. Out: `Verdict` with the bar in words, distance, names and warnings.
Never met: anything simulated, anything that rests on a paper alone, anything without data. Judgement is never scored.
Rules in full: docs/metrics.md, Verdicts.
"""

from __future__ import annotations

from collections.abc import Callable

from config.ruleset import Criterion, Judge, RuleSet
from metrics.result import Verdict
from metrics.verdicts.adopted import judge_reference, judge_scene
from metrics.verdicts.benchmarks import judge_benchmark
from metrics.verdicts.declared import judge_document
from metrics.verdicts.events import judge_event
from metrics.verdicts.evidence import Evidence, on_paper
from metrics.verdicts.measured import judge_metric
from metrics.verdicts.required import required_words
from metrics.verdicts.titles import judge_title

DECIDING = ("hard", "exclusion")  # soft, preference and definition never decide a level


def judge(criterion: Criterion, rules: RuleSet, evidence: Evidence) -> Verdict:
    """The verdict on one criterion of `rules`."""
    value = rules.value_of(criterion, evidence.day)
    required = required_words(criterion, value, rules)
    judges: dict[Judge, Callable[[], Verdict]] = {
        "metric": lambda: judge_metric(criterion, value, evidence, required),
        "document": lambda: judge_document(criterion, value, evidence, required),
        "event": lambda: judge_event(criterion, evidence, required),
        "title": lambda: judge_title(criterion, rules, evidence, required),
        "benchmark": lambda: judge_benchmark(criterion, evidence, required),
        "scene": lambda: judge_scene(criterion, rules, evidence, required),
        "reference": lambda: judge_reference(criterion, rules, evidence, required),
    }
    found = judges.get(criterion.judged_by)
    return found() if found is not None else _for_people(criterion, required)


def _for_people(criterion: Criterion, required: str) -> Verdict:
    why = "须由评审人员判断，不打分"
    if criterion.judged_by == "annex":
        why = "办法所附的表没有公开，无从对照；须由评审人员判断"
    elif criterion.shows:
        why += f"；可参看 {'、'.join(criterion.shows)}"
    return on_paper(criterion, "needs_judgement", why, required=required)
