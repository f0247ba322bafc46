"""`/api/v1`: the page's facts for programs (docs/api.md). GET and HEAD only.

In: `Sources`. Out: JSON of pydantic models; results, verdicts and integers exactly as `plantproof check --json` gave them.
Refuses pack names that are not the name of a pack here (404).
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi import Path as PathValue
from fastapi.responses import FileResponse, Response

from evidence_api.web.chosen import NAME_MOST, chosen
from evidence_api.web.days import Day
from evidence_api.web.packs import find_pack
from evidence_api.web.problems import ApiError, ProblemBody
from evidence_api.web.report import parse_report
from evidence_api.web.schema import (
    AsOf,
    Contact,
    Criteria,
    DayRow,
    DeviceRow,
    Devices,
    Health,
    InstrumentRow,
    Instruments,
    PackRow,
    Packs,
    Ratios,
)
from evidence_api.web.sources import Snapshot, Sources
from evidence_api.web.wording import local_time
from metrics.report_json import only_level, report_bytes


def routes(sources: Sources) -> APIRouter:
    """The router of `/api/v1`. Handlers are plain functions: they run on a worker thread, since they read files."""
    router = APIRouter(prefix="/api/v1", responses={404: {"model": ProblemBody}, 421: {"model": ProblemBody}})

    @router.head("/health", include_in_schema=False)
    @router.get("/health")
    def health() -> Health:
        return _health(sources.snapshot())

    @router.head("/devices", include_in_schema=False)
    @router.get("/devices")
    def devices() -> Devices:
        at = sources.snapshot()
        return Devices(as_of=_as_of(at), register_rev=at.register.rev, devices=_devices(at, sources.days(at)))

    _report_routes(router, sources)
    _deadline_routes(router, sources)
    _pack_routes(router, sources)
    return router


def _report_routes(router: APIRouter, sources: Sources) -> None:
    @router.head("/instruments", include_in_schema=False)
    @router.get("/instruments")
    def instruments() -> Instruments:
        at = sources.snapshot()
        rows = [_instrument(i) for i in at.report.instruments]
        return Instruments(as_of=_as_of(at), instruments=rows)

    @router.head("/reports/{province}/{instrument}", include_in_schema=False)
    @router.get("/reports/{province}/{instrument}", response_class=Response)
    def report(
        province: Annotated[str, PathValue(max_length=32)],
        instrument: Annotated[str, PathValue(max_length=64)],
        level: Annotated[str, Query(max_length=32)] = "",
    ) -> Response:
        return Response(_report(sources, f"{province}/{instrument}", level), media_type="application/json")

    @router.head("/criteria", include_in_schema=False)
    @router.get("/criteria")
    def criteria(rules: Annotated[str, Query(max_length=NAME_MOST)] = "") -> Criteria:
        at = chosen(sources, rules)
        body = at.report.body
        if body is None:
            return Criteria(as_of=_as_of(at), instrument="", name="", standing="", criteria=[])
        verdicts = {v["criterion"]: v for v in body["verdicts"]}
        own = body["instrument"]
        rows = [c | {"verdict": verdicts[c["id"]]} for c in body["criteria"]]
        return Criteria(
            as_of=_as_of(at), instrument=own["id"], name=own["name"], standing=own["standing"], criteria=rows
        )

    @router.head("/ratios", include_in_schema=False)
    @router.get("/ratios")
    def ratios(rules: Annotated[str, Query(max_length=NAME_MOST)] = "") -> Ratios:
        at = chosen(sources, rules)
        return Ratios(as_of=_as_of(at), ratios=at.report.body["results"] if at.report.body else [])


def _deadline_routes(router: APIRouter, sources: Sources) -> None:
    """What the child wrote beside the reports, byte for byte."""

    @router.head("/deadlines", include_in_schema=False)
    @router.get("/deadlines", response_class=Response)
    def deadlines(rules: Annotated[str, Query(max_length=NAME_MOST)] = "") -> Response:
        return Response(_deadlines(sources, rules, "json")[1], media_type="application/json")

    @router.head("/deadlines.ics", include_in_schema=False)
    @router.get("/deadlines.ics", response_class=Response)
    def calendar(rules: Annotated[str, Query(max_length=NAME_MOST)] = "") -> Response:
        instrument, raw = _deadlines(sources, rules, "ics")
        name = f"deadlines-{instrument.replace('/', '-')}.ics"
        said = {"content-disposition": f'attachment; filename="{name}"'}
        return Response(raw, media_type="text/calendar", headers=said)

    @router.head("/findings", include_in_schema=False)
    @router.get("/findings", response_class=Response)
    def findings() -> Response:
        try:
            return Response(sources.raw_findings(), media_type="application/json")
        except OSError as err:
            raise _not_yet("findings") from err


def _deadlines(sources: Sources, rules: str, ending: str) -> tuple[str, bytes]:
    """(instrument, bytes) of its deadlines. Errors: `ApiError`."""
    instrument = chosen(sources, rules).report.find(rules)
    if instrument is None:
        raise _not_yet("deadlines")
    try:
        return instrument, sources.raw_deadlines(instrument, ending)
    except (OSError, ValueError) as err:
        raise _not_yet("deadlines", instrument) from err


def _not_yet(what: str, where: str = "") -> ApiError:
    words = "还没有算出 (not computed yet)"
    return ApiError(404, "no_report", words, where or what, f"等首次计算结束，或运行 plantproof {what}")


def _report(sources: Sources, instrument: str, level: str) -> bytes:
    """The bytes of `plantproof check --json --rules …`, of one level with `--level`. Errors: `ApiError`."""
    at = sources.snapshot()
    if instrument not in [i["id"] for i in at.report.instruments]:
        known = "/api/v1/instruments"
        raise ApiError(404, "no_such_instrument", "没有这部办法 (no such instrument)", instrument, f"清单见 {known}")
    try:
        raw = sources.raw_report(instrument)
        if not level:
            return raw
        body = parse_report(raw)
    except (OSError, ValueError) as err:
        raise ApiError(404, "no_report", f"报告读不出 (report not readable): {err}", instrument) from err
    if level not in [x["id"] for x in body["instrument"]["levels"]]:
        raise ApiError(404, "no_such_level", "没有这个梯次 (no such level)", level, "梯次见 /api/v1/instruments")
    return report_bytes(only_level(body, level))


def _instrument(listed: dict[str, Any]) -> InstrumentRow:
    return InstrumentRow(
        id=listed["id"],
        name=listed["name"],
        title=listed["title"],
        standing=listed["standing"],
        doc_no=listed["doc_no"],
        sha256=listed["sha256"],
        levels=listed["levels"],
        verdicts=listed["verdicts"],
        href=f"/api/v1/reports/{listed['id']}",
    )


def _pack_routes(router: APIRouter, sources: Sources) -> None:
    @router.head("/packs", include_in_schema=False)
    @router.get("/packs")
    def packs() -> Packs:
        found = sources.snapshot().packs
        return Packs(
            packs=[
                PackRow(
                    name=p.name,
                    size_bytes=p.size_bytes,
                    built_ms=p.built_ms,
                    demo=p.demo,
                    href=f"/api/v1/packs/{p.name}",
                )
                for p in found
            ]
        )

    @router.head("/packs/{name}", include_in_schema=False)
    @router.get("/packs/{name}", response_class=FileResponse)
    def pack(name: Annotated[str, PathValue(max_length=125)]) -> FileResponse:
        path = find_pack(sources.folder.packs, name)
        if path is None:
            raise ApiError(404, "no_such_pack", "没有这个证据包 (no such pack)", name, "清单见 /api/v1/packs")
        return FileResponse(path, media_type="application/zip", filename=path.name)


def hour_text(hour: int) -> str:
    """Hours since 1970 -> `2026-11-22T03Z`."""
    return f"{local_time(hour * 3_600_000, 0):%Y-%m-%dT%HZ}"


def _as_of(at: Snapshot) -> AsOf:
    seal = at.ledger.seal
    return AsOf(
        origin=at.origin,
        ledger_size=at.ledger.size,
        newest_seal_hour=hour_text(seal.hour) if seal else None,
        report_size=at.report.size,
        behind=at.report.older_than(at.ledger.newest),
        running=at.report.running,
        problem=at.report.problem,
    )


def _health(at: Snapshot) -> Health:
    problems = [p for p in (at.ledger.problem, at.register.problem, at.report.problem) if p]
    seal, alive = at.ledger.seal, at.collector.alive(at.now_ms * 1000)
    return Health(
        status="problem" if problems else "ok" if alive else "collector_stopped",
        origin=at.origin,
        now_ms=at.now_ms,
        collector_running=alive,
        collector_at_us=at.collector.at_us,
        last_contact_us=max((c.at_us for c in at.collector.contacts.values()), default=None),
        newest_seal_hour=hour_text(seal.hour) if seal else None,
        ledger_size=at.ledger.size,
        checkpoint_origin=at.ledger.checkpoint.origin if at.ledger.checkpoint else None,
        register_rev=at.register.rev,
        disk_free_bytes=at.disk_free_bytes,
        problems=problems,
    )


def _devices(at: Snapshot, days: dict[str, list[Day]]) -> list[DeviceRow]:
    if at.register.register is None:
        return []
    rows = []
    for device in at.register.register.devices:
        last = at.collector.contacts.get(device.id)
        rows.append(
            DeviceRow(
                id=device.id,
                name=device.name,
                line=device.line,
                protocol=device.connection.protocol if device.connection else None,
                last=Contact(outcome=last.outcome, at_us=last.at_us, message=last.message) if last else None,
                days=[DayRow(**asdict(d) | {"day": d.day.isoformat()}) for d in days.get(device.id, [])],
            )
        )
    return rows
