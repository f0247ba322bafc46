"""Builders of what a plant recorded: titles, applications, incidents, awards, each with the fields a test is about."""

from __future__ import annotations

from datetime import date

from config.metric_names import TITLES
from config.rulebook import load_ruleset
from config.ruleset import RuleSet
from metrics.standing.facts import Application, Award, Evaluation, Facts, Incident, Title


def rules(name: str) -> RuleSet:
    """A shipped instrument."""
    return load_ruleset(name, TITLES)


def day(text: str) -> date:
    """`2026-11-22`."""
    return date.fromisoformat(text)


def title(
    level: str, granted: str, *, until: str = "", state: str = "held", ended: str = "", name: str = "一号线"
) -> Title:
    """A title, id `T-<level>-<day>`."""
    return Title(
        f"T-{level}-{granted}",
        level,
        name,
        day(granted),
        day(until) if until else None,
        state,
        day(ended) if ended else None,
        "",
        "",
        "",
    )


def applied(
    level: str, filed: str, *, purpose: str = "first", result: str = "pending", title_id: str = ""
) -> Application:
    """An application."""
    return Application(f"A-{level}-{filed}", level, purpose, day(filed), result, title_id, "")


def incident(kind: str, on: str, *, severity: str = "", reported: str = "", punished: bool = False) -> Incident:
    """Something that happened."""
    return Incident(f"I-{kind}-{on}", kind, day(on), severity, punished, day(reported) if reported else None, "")


def paid(level: str, wan: int, on: str = "2025-12-01") -> Award:
    """An award in 万元."""
    return Award(f"W-{level}-{wan}-{on}", level, day(on), wan * 1_000_000)


def evaluated(title_id: str, on: str, *, passed: bool = True) -> Evaluation:
    """A yearly evaluation."""
    return Evaluation(title_id, day(on), passed)


__all__ = ["Facts", "applied", "day", "evaluated", "incident", "paid", "rules", "title"]
