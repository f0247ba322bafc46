"""期限日历: deadlines as an iCalendar file (RFC 5545) with alarms 180, 120, 90 and 30 days ahead, for any calendar program.

In: `Deadline`s, the instrument, the moment of the report. Out: bytes, the same for the same input: UIDs are stable, so that a
second import replaces the first. Whole-day events; done ones are left out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta

from icalendar import Alarm, Calendar, Event

from config.ruleset import RuleSet
from metrics.standing.dates import ALARM_DAYS, day_after
from metrics.standing.deadlines import STATE_ZH, Deadline

PRODUCT = "-//PlantProof//deadlines//ZH"


def calendar_of(found: Sequence[Deadline], rules: RuleSet, plant: str, at: datetime) -> bytes:
    """An iCalendar file. `at`: aware, when the list was made (DTSTAMP)."""
    calendar = Calendar()
    calendar.add("prodid", PRODUCT)
    calendar.add("version", "2.0")
    calendar.add("method", "PUBLISH")
    calendar.add("x-wr-calname", f"{plant} 智能工厂期限")
    for deadline in found:
        if deadline.state != "done":
            calendar.add_component(_event(deadline, rules, plant, at))
    return bytes(calendar.to_ical())


def _event(deadline: Deadline, rules: RuleSet, plant: str, at: datetime) -> Event:
    event = Event()
    key = f"{plant}/{rules.id}/{deadline.id}"  # not the name, which says 失效 one day
    event.add("uid", f"{hashlib.sha256(key.encode()).hexdigest()[:32]}@plantproof")
    event.add("dtstamp", at)
    event.add("dtstart", deadline.due)
    if (after := day_after(deadline.due)) > deadline.due:
        event.add("dtend", after)
    event.add("summary", f"{deadline.title}：{deadline.subject}")
    event.add("description", _description(deadline, rules.name_on(at.date())))
    event.add("transp", "TRANSPARENT")
    for days in ALARM_DAYS:
        alarm = Alarm()
        alarm.add("action", "DISPLAY")
        alarm.add("description", f"还有 {days} 天：{deadline.title} {deadline.subject}")
        alarm.add("trigger", timedelta(days=-days))
        event.add_component(alarm)
    return event


def _description(deadline: Deadline, instrument: str) -> str:
    lines = [f"{instrument} {deadline.article}".strip(), f"原文：{deadline.words}" if deadline.words else ""]
    lines += [f"{reading}：{day}" for reading, day in deadline.readings]
    lines += [deadline.note, f"状态：{STATE_ZH[deadline.state]}"]
    return "\n".join(line for line in lines if line)
