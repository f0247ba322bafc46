"""Verdicts once more, from the rules in the pack and what it holds: docs/metrics.md, Verdicts.

In: canonical JSON of the instrument and of all it adopts, `Ground`. Out: `Judged` per instrument: a `Word` for each criterion read on the
day, and what each level comes to. Adopted instruments are judged first, in the same way; one that adopts itself round a corner is left out.
Annexes and whatever people judge is needs_judgement. Nothing is met under an instrument that binds nobody.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from evidence_api.verify.instruments import Rules, Shelf, adopted, criteria_on, standing, value_of
from evidence_api.verify.measured import judge_metric
from evidence_api.verify.papers import judge_benchmark, judge_document, judge_event, judge_scene, judge_title
from evidence_api.verify.word import WORST_FIRST, Ground, Referred, Word

DECIDING = ("hard", "exclusion")  # soft, preference and definition never decide a level
EVALUATED = ("met", "short", "insufficient_data")


@dataclass(frozen=True, slots=True)
class Judged:
    """One instrument. words: by criterion, in the file's order. adopted: family -> id of the edition meant, or None."""

    rules: Rules
    words: dict[str, Word]
    levels: list[dict[str, Any]]
    adopted: dict[str, str | None]


def judge_all(own: str, shelf: Shelf, ground: Ground) -> dict[str, Judged]:
    """The instrument and all that it adopts, directly or through another. Errors: `NotOnShelf`."""
    done: dict[str, Judged] = {}
    _judge(shelf[own], shelf, ground, done, (own,))
    return done


def _judge(rules: Rules, shelf: Shelf, ground: Ground, done: dict[str, Judged], above: tuple[str, ...]) -> Judged:
    if rules["id"] in done:
        return done[rules["id"]]
    referred: dict[str, Referred | None] = {}
    for adoption in rules["adopts"]:
        edition = adopted(rules, adoption["family"], ground.day, shelf)
        if edition is None or edition["id"] in above:
            referred[adoption["family"]] = None
            continue
        found = _judge(edition, shelf, ground, done, (*above, edition["id"]))
        dead = standing(edition, ground.day) != "binding"  # what only a dead letter grants is no pass, nor left out
        levels = {
            x["id"]: "needs_judgement" if dead and x["verdict"] == "not_applicable" else x["verdict"]
            for x in found.levels
        }
        simulated = any(w.simulated for w in found.words.values())
        referred[adoption["family"]] = Referred(edition, levels, simulated)
    here = replace(ground, adopted=referred)
    words = {c["id"]: judge(c, rules, here) for c in criteria_on(rules, ground.day)}
    named = {family: r.rules["id"] if r else None for family, r in sorted(referred.items())}
    done[rules["id"]] = Judged(rules, words, _levels(rules, words, ground), named)
    return done[rules["id"]]


def judge(criterion: dict[str, Any], rules: Rules, ground: Ground) -> Word:
    """One criterion."""
    value = value_of(rules, criterion, ground.day)
    if criterion["judged_by"] == "metric":
        return judge_metric(criterion, value, ground) if value else Word("needs_judgement")
    if criterion["judged_by"] == "document":
        return judge_document(criterion, value, ground)
    if criterion["judged_by"] == "title":
        return judge_title(criterion, rules, ground)
    judges: dict[str, Callable[[dict[str, Any], Ground], Word]] = {
        "event": judge_event,
        "benchmark": judge_benchmark,
        "scene": judge_scene,
        "reference": _referred,
    }
    found = judges.get(criterion["judged_by"])
    return found(criterion, ground) if found else Word("needs_judgement")


def _referred(criterion: dict[str, Any], ground: Ground) -> Word:
    """What the adopted instrument comes to at the same level; the worst of them for all."""
    other = ground.adopted.get(criterion["adopts"] or "")
    by_level = tuple((x, other.levels[x]) for x in criterion["levels"] if x in other.levels) if other else ()
    if other is None or not by_level:
        return Word("needs_judgement")
    words = {word for _, word in by_level}
    if len(by_level) < len(criterion["levels"]):
        words.add("needs_judgement")
    worst = next(w for w in WORST_FIRST if w in words)
    return Word(worst, simulated=other.simulated, by_level=by_level)


def _levels(rules: Rules, words: dict[str, Word], ground: Ground) -> list[dict[str, Any]]:
    found = []
    for level in rules["levels"]:
        mine = [c for c in rules["criteria"] if level["id"] in c["levels"] and c["id"] in words]
        said = [words[c["id"]].at(level["id"]) for c in mine]
        deciding = {w for c, w in zip(mine, said, strict=True) if c["gate"] in DECIDING}
        worst = next((w for w in WORST_FIRST if w in deciding), "needs_judgement")
        if worst == "met" and standing(rules, ground.day) != "binding":
            worst = "not_applicable"
        counts = {"total": len(mine), "evaluated": sum(w in EVALUATED for w in said), "met": said.count("met")}
        if mine:
            summary = {"id": level["id"], "title": level["title"], "verdict": worst}
            found.append(summary | counts | {"criteria": [c["id"] for c in mine]})
    return found
