"""A proposal as JSON, for other programs: the same as the TOML of `pointlist.py`, with the samples beside.

In: a `Survey` and its `Proposal`. Out: plain dicts and lists.
"""

from __future__ import annotations

from typing import Any

from adapters.opcua.browsing.pointlist import number
from adapters.opcua.browsing.proposal import Proposal, ProposedPoint, Sheet, type_of
from adapters.opcua.browsing.survey import Survey


def proposal_json(found: Survey, proposal: Proposal, endpoint: str) -> dict[str, Any]:
    """Everything that was found and proposed."""
    space = found.space
    return {
        "endpoint": endpoint,
        "server": found.facts,
        "complete": found.is_complete,
        "nodes": len(space.nodes),
        "refused": space.problems,
        "left_out": proposal.left_out,
        "machines": [
            {"path": space.path(m.node), "model": m.model, "identification": m.facts, "notes": m.notes}
            for m in found.machines
        ],
        "points": [_sheet(found, sheet) for sheet in proposal.sheets],
    }


def _sheet(found: Survey, sheet: Sheet) -> dict[str, Any]:
    return {
        "id": sheet.id,
        "state_map": sheet.state_map,
        "notes": sheet.notes,
        "devices": [
            {"id": d.id, "name": d.name, "maker": d.maker, "model": d.model, "serial": d.serial} for d in sheet.devices
        ],
        "point": [_point(found, point) for point in sheet.points],
    }


def _point(found: Survey, point: ProposedPoint) -> dict[str, Any]:
    detail, role = found.known.get(point.candidate.node), point.candidate.role
    node = found.space.nodes[point.candidate.node]
    body: dict[str, Any] = {
        "name": point.name,
        "type": str(type_of(detail, role)),
        "role": role.role if role is not None else "process",
        "node": point.node,
        "path": found.space.path(point.candidate.node),
        "display": node.display,
    }
    if role is not None:
        body |= {"why": role.why, "events": "conditions" if role.events else None, "offset": role.offset}
    if detail is not None:
        body |= {
            "data_type": detail.wire,
            "array": detail.is_array,
            "unit": detail.unit,
            "unit_symbol": detail.unit_symbol,
            "low": None if detail.low is None else number(detail.low),
            "high": None if detail.high is None else number(detail.high),
            "value": detail.text,
            "status": detail.status,
            "description": detail.description,
            "historizing": detail.historizing,
            "labels": dict(detail.labels),
        }
    return body
