"""What the office hands in and when: files of records, one per kind, with what became known since the last time.

In: a story, an event of kind records. Out: file name -> CSV text, UTF-8 with header row (docs/records.md), as collector/intake reads it.
`records(story)` is everything at once, without the rows that are wrong: what a second program needs to work the ratios out again.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from functools import lru_cache

from simulators.mes_export import production_rows
from simulators.office import office_rows
from simulators.record_row import RecordRow
from simulators.story import Event, Story


def delivery(story: Story, event: Event) -> dict[str, str]:
    """The files of one delivery: every row that became known after the delivery before it."""
    since = max((e.at_us for e in story.events() if e.kind == "records" and e.at_us < event.at_us), default=0)
    return _files(r for r in _all(story) if since < r.known_us <= event.at_us)


def records(story: Story) -> dict[str, str]:
    """Every row that is right, as the last delivery leaves it."""
    return _files(r for r in _all(story) if not r.wrong)


@lru_cache(maxsize=2)
def _all(story: Story) -> tuple[RecordRow, ...]:
    return tuple(sorted((*production_rows(story), *office_rows(story)), key=lambda r: (r.kind, r.known_us, r.key)))


def _files(rows: Iterable[RecordRow]) -> dict[str, str]:
    kinds: dict[str, dict[tuple[str, ...], dict[str, str]]] = {}
    for r in rows:
        kinds.setdefault(r.kind, {}).setdefault(r.key, {}).update(r.cells)
    return {f"{kind}.csv": _csv(list(found.values())) for kind, found in kinds.items()}


def _csv(body: list[dict[str, str]]) -> str:
    header = list(dict.fromkeys(name for cells in body for name in cells))
    out = io.StringIO()
    writer = csv.DictWriter(out, header, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(body)
    return out.getvalue()
