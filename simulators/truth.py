"""The truth log: what an honest collector must have found, worked out from the script and not from any stored row.

In: a story and a range of UTC hours. Out: JSON lines, one fact each (`write_truth`, `truth.jsonl`):
`hours`     one machine's local day: for each of its hours covered minutes (15 hex digits), polls, run and auto seconds,
            parts, cause of the gap and, where a key parameter was nonsense, that parameter's own covered minutes
`excused`   a planned stop or an exclusion that was entered in time, with its machines
`batch`     each planted flaw; `incident` each trouble, in words and times
The rules are those of docs/format/hour-lines.md, written a second time. What the ratios must then be is worked out by
tests/e2e/oracle.py, which imports nothing of ours.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from adapters.batch import Outcome
from simulators.fleet import CONNECTED, Machine
from simulators.mes import lots
from simulators.profiles import ALARM, IDLE, RUN, Profile
from simulators.script import MINUTES, Day, day_script
from simulators.story import FIRST_DAY, HOUR_US, US, Story

Fact = dict[str, object]
CAUSES = (  # docs/format/hour-lines.md, first wins a tie
    "planned_stop",
    "not_connected",
    "collector_down",
    "timeout",
    "refused",
    "unreachable",
    "disconnected",
    "protocol",
    "device_failure",
    "denied",
    "silent",
    "bad_quality",
)
_HOLD_US = 120 * US
_LOSSES = (Outcome.REJECTED, Outcome.OVERFLOW)


def write_truth(story: Story, first_hour: int, end_hour: int, path: Path) -> int:
    """Write the truth log of [first_hour, end_hour); the number of facts."""
    count = 0
    with path.open("w", encoding="utf-8") as out:
        for fact in facts(story, first_hour, end_hour):
            out.write(json.dumps(fact, ensure_ascii=False, separators=(",", ":")) + "\n")
            count += 1
    return count


def facts(story: Story, first_hour: int, end_hour: int) -> Iterator[Fact]:
    """Every fact of those hours, and of the story as a whole."""
    yield {"fact": "story", "today": story.today.isoformat(), "seed": story.seed, "hours": [first_hour, end_hour]}
    yield from _incidents(story)
    yield from _excused(story)
    for lot in lots(story):
        if lot.flaw:
            yield {"fact": "batch", "id": lot.id, "flaw": lot.flaw}
    for day in range(story.day_of(first_hour * HOUR_US), story.day_of(end_hour * HOUR_US - 1) + 1):
        for machine in story.machines(day):
            fact = _hours(story, machine, day, first_hour, end_hour)
            if fact["hours"]:
                yield fact


def _incidents(story: Story) -> Iterator[Fact]:
    for incident in story.incidents:
        yield {
            "fact": "incident",
            "kind": incident.kind,
            "cause": incident.cause,
            "devices": list(incident.machines),
            "from_us": story.at_us(*incident.start),
            "to_us": story.at_us(*incident.end),
        }


def _excused(story: Story) -> Iterator[Fact]:
    start_us, end_us = story.closure_us
    devices = [m.id for m in CONNECTED]
    yield {"fact": "excused", "why": "closure", "devices": devices, "from_us": start_us, "to_us": end_us}
    for event in story.events():
        if event.kind == "exclusion":
            yield {
                "fact": "excused",
                "why": "exclusion",
                "devices": list(event.devices),
                "from_us": event.from_us,
                "to_us": event.to_us,
            }


def _hours(story: Story, machine: Machine, day: int, first_hour: int, end_hour: int) -> Fact:
    """One machine's local day; hours outside the asked range are left out."""
    profile = machine.profile
    assert profile is not None  # noqa: S101 - connected machines have one
    script = day_script(story, machine, day)
    known = day > FIRST_DAY and machine.in_service(day - 1)  # was there a collector and a machine yesterday?
    before = day_script(story, machine, day - 1) if known else None
    covered = _covered(script.ok, before.ok if before else None)
    good = script.ok & ~script.sensor_bad
    good_covered = _covered(good, (before.ok & ~before.sensor_bad) if before else None)
    running = _state(profile, script, RUN)
    run_s, auto_s = _seconds(story, day, script, before, running, profile)
    first = story.day_start_us(day) // HOUR_US
    ok = _per_hour(script.ok)
    lost = _per_hour(np.isin(script.outcome, _LOSSES))
    bad = _per_hour(script.ok & script.sensor_bad)
    texts, key_texts = _hex(covered), _hex(good_covered)
    rows = []
    for i in range(max(first_hour - first, 0), min(end_hour - first, 24)):
        row: list[object] = [first + i, texts[i], ok[i], 60 - ok[i] - lost[i], lost[i], bad[i], int(run_s[i])]
        row += [int(auto_s[i]) if profile.has("auto") else None]
        row += [_output(script, before, i) if profile.has("output") else None]
        row += [_cause(story, script, before, i, covered[i * 60 : i * 60 + 60], day)]
        rows.append(row if key_texts[i] == texts[i] else [*row, key_texts[i]])
    columns = ["hour", "covered", "ok", "failed", "losses", "bad", "run_s", "auto_s", "output", "cause", "key_covered"]
    return {"fact": "hours", "device": machine.id, "day": day, "columns": columns, "hours": rows}


def _covered(ok: NDArray[np.bool_], before: NDArray[np.bool_] | None) -> NDArray[np.bool_]:
    """A minute is covered when its own poll or the one before answered: 120 s reach over exactly two polls."""
    last = bool(before[-1]) if before is not None else False
    return ok | np.concatenate(([last], ok[:-1]))


def _state(profile: Profile, script: Day, wanted: int) -> NDArray[np.bool_]:
    """Minutes whose poll told that state; a retrofit tells it by its current, which only rises above 2 A in a run."""
    if not profile.state_map and profile.running_when is None:
        return np.zeros(MINUTES, np.bool_)
    return np.equal(script.state, wanted)


def _seconds(
    story: Story, day: int, script: Day, before: Day | None, running: NDArray[np.bool_], profile: Profile
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Seconds of each hour in a run, and in automatic mode: an answer holds until the next poll, failed or not, or 120 s."""
    starts = story.day_start_us(day) + np.arange(25) * HOUR_US
    at = script.poll_us
    ends = np.minimum(np.append(_next_poll(script), starts[-1]), at + _HOLD_US)
    auto = np.isin(script.state, (RUN, IDLE, ALARM))
    result = []
    for said, yesterday in (
        (running, before is not None and bool(_state(profile, before, RUN)[-1])),
        (auto, before is not None and int(before.state[-1]) in (RUN, IDLE, ALARM)),
    ):
        held = script.ok & said
        total = np.zeros(24, np.int64)
        minute_hour = np.arange(MINUTES) // 60
        edge = starts[minute_hour + 1]
        np.add.at(total, minute_hour, np.where(held, np.minimum(ends, edge) - at, 0))
        spill = np.where(held, np.maximum(ends - edge, 0), 0)[
            59::60
        ]  # the last answer of an hour reaches into the next
        total[1:] += spill[:-1]
        if before is not None and yesterday and bool(before.ok[-1]):
            total[0] += at[0] - starts[0]
        result.append(total // US)
    return result[0], result[1]


def _next_poll(script: Day) -> NDArray[np.int64]:
    """When each minute's successor was polled; a loss (a rejected message) says nothing and is passed over."""
    times = np.where(np.isin(script.outcome, _LOSSES), np.iinfo(np.int64).max, script.poll_us)
    return np.minimum.accumulate(times[::-1])[::-1][1:]


def _output(script: Day, before: Day | None, i: int) -> int:
    """Parts between the answers of an hour and the last answer of the hour before; a counter that fell began at zero."""
    span = slice(i * 60, i * 60 + 60)
    seen = script.counter[span][script.ok[span]]
    earlier = slice(i * 60 - 60, i * 60) if i else slice(MINUTES - 60, MINUTES)
    source = script if i else before
    if source is not None:
        seen = np.concatenate((source.counter[earlier][source.ok[earlier]][-1:], seen))
    steps = np.diff(seen)
    return int(np.where(steps < 0, seen[1:], steps).sum())


def _cause(story: Story, script: Day, before: Day | None, i: int, covered: NDArray[np.bool_], day: int) -> str:
    if covered.all():
        return ""
    closed = story.closure_us
    last = int(before.outcome[-1]) if i == 0 and before is not None else int(script.outcome[i * 60 - 1]) if i else 0
    newest = last if _failed(last) else -1
    votes: dict[str, int] = {}
    for k in range(60):  # the few hours with a gap only
        outcome = int(script.outcome[i * 60 + k])
        newest = outcome if _failed(outcome) else newest
        if covered[k]:
            continue
        at = story.at_us(day, i * 60 + k)
        word = (
            "planned_stop" if closed[0] <= at < closed[1] else Outcome(newest).name.lower() if newest >= 0 else "silent"
        )
        votes[word] = votes.get(word, 0) + 1
    return max(votes, key=lambda w: (votes[w], -CAUSES.index(w)))


def _failed(outcome: int) -> bool:
    return not Outcome(outcome).is_contact and not Outcome(outcome).is_loss


def _per_hour(minutes: NDArray[np.bool_]) -> list[int]:
    return [int(n) for n in minutes.reshape(24, 60).sum(axis=1)]


def _hex(minutes: NDArray[np.bool_]) -> list[str]:
    """Per hour 60 bits as 15 hex digits, minute 0 first."""
    padded = np.zeros((24, 64), np.bool_)
    padded[:, :60] = minutes.reshape(24, 60)
    return [row.tobytes().hex()[:15] for row in np.packbits(padded, axis=1)]
