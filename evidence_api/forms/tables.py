"""申报附表的各张表: criteria, devices, key processes, stops, effects, papers: rows of `Cell`s, each with its source.

In: `Basis`. Out: table name -> rows. The columns are those docs/forms.md lists; a template names them as `{{ table.column }}`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from config.documents import DOCUMENT_KINDS
from config.metric_names import TITLES, WHY
from evidence_api.forms.content import (
    Basis,
    Cell,
    Content,
    Row,
    day_of,
    fields_of,
    member_source,
    members_of,
    micro,
    moment_of,
    percent_of,
    shown,
    verdict_words,
    yes_words,
    yuan,
)

NEEDS_SHOWN = 8


def content_of(basis: Basis) -> Content:
    """Everything a form may name."""
    tables: dict[str, Sequence[Row]] = {
        "criteria": _criteria(basis),
        "metrics": _metrics(basis),
        "devices": _devices(basis),
        "nc_devices": _nc_devices(basis),
        "networked_devices": _networked(basis),
        "key_processes": _key_processes(basis),
        "stops": _stops(basis),
        "effects": _effects(basis),
        "batches_open": _batch_gaps(basis),
        "investments": _investments(basis),
        "documents": _documents(basis),
        "scenes": _scenes(basis),
        "systems": _systems(basis),
    }
    return Content(fields_of(basis), tables)


def _criteria(basis: Basis) -> list[Row]:
    criteria = [c for c in basis.report["criteria"] if basis.level in c["levels"]]
    verdicts = {v["criterion"]: v for v in basis.report["verdicts"]}
    rows: list[Row] = []
    for c in criteria:
        v = verdicts[c["id"]]
        results = [
            r
            for r in basis.report["results"]
            if r["metric"] == c["metric"] and r["scope"].partition(":")[0] == c["scope"]
        ]
        source = "；".join(basis.source_of(r) for r in results) or f"{c['id']}，{basis.ledger}"
        rows.append(
            {
                "article": Cell(c["article"], c["id"]),
                "title": Cell(c["title"], c["id"]),
                "quote": Cell(c["quote"], c["article"]),
                "required": Cell(c["required"] or "—", c["quote"]),
                "declared": Cell("、".join(shown(r, "declared") for r in results if r["declared"]) or "—", "台账所写"),
                "seen": Cell("、".join(shown(r, "value") for r in results) or "—", source),
                "proven": Cell("、".join(shown(r, "lower") for r in results) or "—", source),
                "verdict": Cell(verdict_words(v), source),
                "why": Cell(v["why"] or "—", source),
                "needs": Cell(_needs(v["needs"]), source),
            }
        )
    return rows


def _needs(needs: Sequence[Sequence[str]]) -> str:
    """What is missing, as much as a cell can show; the rest is one command away."""
    words = "；".join(f"{name or i}：{why}" for i, name, why in needs[:NEEDS_SHOWN]) or "—"
    left = len(needs) - NEEDS_SHOWN
    return f"{words}；……共 {len(needs)} 项，全部见 plantproof check --why" if left > 0 else words


def _metrics(basis: Basis) -> list[Row]:
    return [
        {
            "metric": Cell(f"{r['metric']} {TITLES[r['metric']]}"),
            "scope": Cell("全厂" if r["scope"] == "plant" else r["scope"].removeprefix("line:")),
            "declared": Cell(shown(r, "declared"), "台账所写"),
            "seen": Cell(shown(r, "value"), basis.source_of(r)),
            "proven": Cell(shown(r, "lower"), basis.source_of(r)),
            "percent": Cell(percent_of(r), f"{basis.source_of(r)}；截断不进位"),
            "upper": Cell(shown(r, "upper"), basis.source_of(r)),
        }
        for r in basis.report["results"]
    ]


def _devices(basis: Basis) -> list[Row]:
    networked = members_of(basis, "M01")
    paper = f"设备台账第 {basis.revision} 版"
    rows: list[Row] = []
    for d in basis.register.devices:
        if not d.production or (d.retired_at is not None and d.retired_at <= day_of(basis.report["end_us"], basis.tz)):
            continue
        member = networked.get(d.id)
        rows.append(
            {
                "asset_no": Cell(d.asset_no or "—", paper),
                "id": Cell(d.id, paper),
                "name": Cell(d.name, paper),
                "maker": Cell(d.maker or "—", paper),
                "model": Cell(d.model or "—", paper),
                "line": Cell(d.line, paper),
                "process": Cell(d.process or "—", paper),
                "digital": Cell("是" if d.digital else "否", paper),
                "nc": Cell("是" if d.nc else "否", paper),
                "major_nc": Cell("是" if d.major_nc or d.machining_centre else "否", paper),
                "protocol": Cell(d.connection.protocol if d.connection else "未联网", paper),
                "in_service": Cell(d.in_service_from, paper),
                "networked": Cell(yes_words(member), member_source(basis, "M01", member)),
            }
        )
    return rows


def _nc_devices(basis: Basis) -> list[Row]:
    found: dict[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {}
    for result in basis.report["results"]:
        if result["metric"] in ("M05", "M06"):
            found |= {m["id"]: (m, result) for m in result["members"] if m["upper"] and m["id"] not in found}
    devices = basis.register.device
    return [
        {
            "id": Cell(i, f"设备台账第 {basis.revision} 版"),
            "name": Cell(m["name"], f"设备台账第 {basis.revision} 版"),
            "line": Cell(devices[i].line if i in devices else "—", f"设备台账第 {basis.revision} 版"),
            "controller": Cell(
                (devices[i].controller if i in devices else "") or "—", f"设备台账第 {basis.revision} 版"
            ),
            "runtime": Cell("有" if m["value"] else "无", basis.source_of(r)),
            "proven": Cell("计入" if m["lower"] else WHY.get(m["why"], m["why"]), basis.source_of(r)),
        }
        for i, (m, r) in sorted(found.items())
    ]


def _networked(basis: Basis) -> list[Row]:
    result = basis.result("M01")
    if result is None:
        return []
    rows: list[Row] = []
    for m in result["members"]:
        facts = dict(m["facts"])
        minutes = f"{facts.get('covered_min', 0)}/{facts.get('obligated_min', 0)}"
        rows.append(
            {
                "id": Cell(m["id"], basis.source_of(result)),
                "name": Cell(m["name"], basis.source_of(result)),
                "minutes": Cell(minutes, f"{basis.source_of(result)}；已覆盖分钟/应采分钟"),
                "proven": Cell("计入" if m["lower"] else WHY.get(m["why"], m["why"]), basis.source_of(result)),
            }
        )
    return rows


def _key_processes(basis: Basis) -> list[Row]:
    paper = f"设备台账第 {basis.revision} 版"
    inspected, automatic = members_of(basis, "M14"), members_of(basis, "M22")
    rows: list[Row] = []
    for p in basis.register.processes:
        if p.key:
            machines = [d for d in basis.register.devices if d.process == p.id and d.production]
            rows.append(
                {
                    "id": Cell(p.id, paper),
                    "name": Cell(p.name, paper),
                    "line": Cell(p.line, paper),
                    "machines": Cell(len(machines), paper),
                    "nc_machines": Cell(sum(d.nc for d in machines), paper),
                    "automatic": Cell(yes_words(automatic.get(p.id)), member_source(basis, "M22", automatic.get(p.id))),
                    "inspected": Cell(yes_words(inspected.get(p.id)), member_source(basis, "M14", inspected.get(p.id))),
                }
            )
    return rows


def _stops(basis: Basis) -> list[Row]:
    return [
        {
            "id": Cell(e.id, basis.ledger),
            "devices": Cell(
                "、".join(sorted(e.devices)[:8]) + (f" 等 {len(e.devices)} 台" if len(e.devices) > 8 else ""),
                basis.ledger,
            ),
            "start": Cell(moment_of(e.from_us, basis.tz), basis.ledger),
            "end": Cell(moment_of(e.to_us, basis.tz), basis.ledger),
            "entered": Cell(moment_of(e.entered_us, basis.tz), "登记时刻，见账本"),
            "counts": Cell("扣除" if e.counts else "迟报，不扣除", "开始后 72 小时内登记的才扣除"),
            "reason": Cell(e.reason, basis.ledger),
        }
        for e in basis.excusing
    ]


def _effects(basis: Basis) -> list[Row]:
    if basis.records is None:
        return []
    members = members_of(basis, "M18")
    frame = basis.records.frame("effects").sort("indicator", "scope", "period", descending=[False, False, True])
    names = "indicator scope period first_day last_day numerator denominator formula source source_row".split()
    rows: list[Row] = []
    for r in (dict(zip(names, row, strict=True)) for row in frame.select(names).rows()):
        member = members.get(r["indicator"])
        origin = f"成效记录 {r['source']} 第 {r['source_row']} 行"
        rows.append(
            {
                "indicator": Cell(member["name"] if member else r["indicator"], origin),
                "scope": Cell("全厂" if r["scope"] == "plant" else r["scope"], origin),
                "period": Cell("改造前" if r["period"] == "before" else "改造后", origin),
                "first_day": Cell(r["first_day"], origin),
                "last_day": Cell(r["last_day"], origin),
                "figure": Cell(f"{micro(r['numerator'])} ÷ {micro(r['denominator'])}", origin),
                "formula": Cell(r["formula"], origin),
                "proven": Cell(yes_words(member), member_source(basis, "M18", member)),
            }
        )
    return rows


def _batch_gaps(basis: Basis) -> list[Row]:
    result = basis.result("M13")
    members = result["members"] if result else []
    return [
        {
            "id": Cell(m["id"], basis.source_of(result) if result else ""),
            "product": Cell(m["name"]),
            "why": Cell(
                "；".join(f"{WHY.get(code, code)} {subject}".strip() for code, subject in m["facts"]) or m["why"]
            ),
        }
        for m in members
        if not m["lower"]
    ]


def _investments(basis: Basis) -> list[Row]:
    if basis.records is None:
        return []
    names = "item_id line_id category name amount contract invoice payment source source_row".split()
    words = {"equipment": "设备", "software": "软件", "integration": "集成", "civil": "土建（不计）"}
    rows: list[Row] = []
    for r in (
        dict(zip(names, row, strict=True))
        for row in basis.records.frame("investments").sort("item_id").select(names).rows()
    ):
        origin = f"投资记录 {r['source']} 第 {r['source_row']} 行"
        rows.append(
            {
                "id": Cell(r["item_id"], origin),
                "line": Cell(r["line_id"], origin),
                "category": Cell(words.get(r["category"], r["category"]), origin),
                "name": Cell(r["name"], origin),
                "amount": Cell(yuan(r["amount"]), origin),
                "papers": Cell(
                    "、".join(r[k] for k in ("contract", "invoice", "payment") if r[k]) or "—",
                    "附件编号：合同、发票、付款",
                ),
            }
        )
    return rows


def _documents(basis: Basis) -> list[Row]:
    day = day_of(basis.report["end_us"], basis.tz)
    return [
        {
            "id": Cell(d.doc_id, d.sha256),
            "kind": Cell(DOCUMENT_KINDS.get(d.kind, d.kind), d.sha256),
            "name": Cell(d.name, d.sha256),
            "issuer": Cell(d.issuer or "—", "自行登记"),
            "valid_until": Cell(d.valid_until or "—", "自行登记"),
            "state": Cell("有效" if d.valid_on(day) else "已过期或尚未签发", "按证据截止日"),
            "sha256": Cell(d.sha256, "文件的 SHA-256"),
        }
        for d in basis.documents
    ]


def _scenes(basis: Basis) -> list[Row]:
    words = {"planned": "规划", "building": "建设中", "in_production": "已投产"}
    paper = f"设备台账第 {basis.revision} 版"
    return [
        {
            "no": Cell(s.no, paper),
            "name": Cell(s.name, paper),
            "line": Cell(s.line or "—", paper),
            "status": Cell(words[s.status], paper),
            "since": Cell(s.since or "—", paper),
            "technologies": Cell("、".join(s.technologies) or "—", paper),
        }
        for s in basis.register.scenes
    ]


def _systems(basis: Basis) -> list[Row]:
    paper = f"设备台账第 {basis.revision} 版"
    return [
        {
            "id": Cell(s.id, paper),
            "name": Cell(s.name, paper),
            "domains": Cell("、".join(s.domains) or "—", paper),
            "live_since": Cell(s.live_since or "—", paper),
        }
        for s in basis.register.systems
    ]
