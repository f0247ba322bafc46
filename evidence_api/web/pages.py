"""The HTML pages, rendered on the server with Jinja (autoescape on, undefined names are errors); no script is needed or allowed.

In: `Sources`. Out: `/` 总览, of another instrument with `?rules=`. Every page of this module gets the mark of simulated or replayed
data from `base_values`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from evidence_api.web.chosen import NAME_MOST, chosen
from evidence_api.web.overview import overview_values
from evidence_api.web.sources import Snapshot, Sources
from evidence_api.web.wording import local_second

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True, slots=True)
class Mark:
    """What every page of a folder that is not live says, loudly."""

    short: str
    words: str
    why: str


MARKS = {
    "simulated": Mark(
        "模拟", "模拟数据 · 不得用于申报", "数据来自模拟设备（simulated, not evidence）；任何结论都不是达标结论"
    ),
    "replay": Mark(
        "回放", "回放数据 · 不得用于申报", "数据来自历史记录的重放（replay, not evidence）；任何结论都不是达标结论"
    ),
}


def routes(sources: Sources) -> APIRouter:
    """The router of the pages."""
    router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
    loader = FileSystemLoader(TEMPLATES)
    # nosemgrep: autoescape is on for every template
    jinja = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )

    @router.head("/")
    @router.get("/")
    def overview(rules: Annotated[str, Query(max_length=NAME_MOST)] = "") -> HTMLResponse:
        at = chosen(sources, rules)
        values = overview_values(at, sources.days(at), sources.unreadable_lines)
        return HTMLResponse(jinja.get_template("overview.html").render(base_values(at) | values))

    return router


def base_values(at: Snapshot) -> dict[str, Any]:
    """What `base.html` needs on every page."""
    genesis = at.ledger.genesis.body if at.ledger.genesis else {}
    sign = "+" if at.offset_h >= 0 else "-"
    return {
        "mark": MARKS.get(at.origin),
        "plant": {
            "name": genesis.get("plant", ""),
            "site": genesis.get("site", ""),
            "credit_code": genesis.get("credit_code", ""),
        },
        "now": local_second(at.now_ms, at.offset_h),
        "zone": f"UTC{sign}{abs(at.offset_h)}",
        "refresh_s": 5 if at.report.running and at.report.body is None else 0,
    }
