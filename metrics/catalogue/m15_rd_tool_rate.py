"""M15 数字化研发设计工具普及率 = projects done with licensed digital tools whose source files are in PDM / projects of 12 months.

Members and denominator: records `projects` that overlap [T - 12 months, T). Numerator: lower = a tool is named, licensed, files in PDM
and a valid document `rd_tools` (研发设计工具授权证明) is held; value = the same without the document; upper = a tool is named.
Variant by persons (使用工具人数/研发人数) in the parameters. Excluded: projects outside the window. Undetermined: no register, no project.
No official formula for one enterprise exists (catalogue §0.5: the national figure is a share of enterprises): the notes print ours.
Source: GS25 第十二条(三)2 在70%以上, (四)2 在80%以上; catalogue §4.1 M15.
"""

from __future__ import annotations

from metrics.inputs import Inputs
from metrics.members import ratio_of_members, without_register
from metrics.office.papers import Row, last_day, missing_rows, rows_of, said, undetermined, valid_documents
from metrics.result import Member, MetricResult, Pair, Window
from metrics.window import last_months, local_day

MONTHS = 12
BY_HAND = frozenset("手工 手绘 手工绘图 图板 纸质".split())  # no digital tool
FORMULA = (
    "算式：12 个月内的研发项目中，使用正版数字化工具且源文件入 PDM 的项目数 ÷ 全部研发项目数；"
    "没有官方的企业口径，全国统计是企业占比 (no official formula for one enterprise)"
)


def rd_tool_rate(inputs: Inputs) -> list[MetricResult]:
    """M15 数字化研发设计工具普及率; members are projects."""
    window = last_months(inputs.end_us, MONTHS, inputs.tz)
    if inputs.revision is None:
        return [without_register("M15", "plant", window, inputs)]
    proof = any(d.kind == "rd_tools" for d in valid_documents(inputs).values())
    rows = [r for r in rows_of(inputs, "projects") if _overlaps(r, window, inputs)]
    if not rows:
        return [undetermined("M15", "plant", window, inputs, missing_rows("projects"))]
    members = tuple(_member(r, proof=proof) for r in rows)
    parameters: tuple[Pair, ...] = (("window_months", MONTHS), ("rd_tools_document", int(proof)))
    return [
        ratio_of_members(
            "M15",
            "plant",
            window,
            inputs,
            members,
            parameters=(*parameters, *_persons(rows, members)),
            notes=(FORMULA,),
        )
    ]


def _overlaps(row: Row, window: Window, inputs: Inputs) -> bool:
    first, last = local_day(window.start_us, inputs.tz), last_day(inputs)
    return row["began"] <= last and (row["ended"] is None or row["ended"] >= first)


def _member(row: Row, *, proof: bool) -> Member:
    named = said(row["tool"]) and row["tool"] not in BY_HAND
    reasons = (
        ("no_tool", not named),
        ("not_licensed", not row["licensed"]),
        ("not_in_pdm", not row["in_pdm"]),
        ("no_rd_tools_document", not proof),
    )
    why = next((code for code, holds in reasons if holds), "ok")
    facts: tuple[Pair, ...] = (
        ("tool", row["tool"]),
        ("began", row["began"].isoformat()),
        ("ended", row["ended"].isoformat() if row["ended"] else ""),
    )
    return Member(
        row["project_id"],
        row["name"],
        why == "ok",
        why in ("ok", "no_rd_tools_document"),
        named,
        why,
        facts,
    )


def _persons(rows: list[Row], members: tuple[Member, ...]) -> tuple[Pair, ...]:
    """The variant by persons: those using tools, in projects that count, over all persons of the projects that state them."""
    stated = [(r, m) for r, m in zip(rows, members, strict=True) if r["persons"] is not None]

    def using(row: Row, unknown: int) -> int:
        given = unknown if row["persons_using"] is None else int(row["persons_using"])
        return min(given, int(row["persons"]))

    return (
        ("persons_lower", sum(using(r, 0) for r, m in stated if m.lower)),
        ("persons_value", sum(using(r, 0) for r, m in stated if m.value)),
        ("persons_upper", sum(using(r, int(r["persons"])) for r, m in stated if m.upper)),
        ("persons_denominator", sum(int(r["persons"]) for r, _ in stated)),
        ("projects_without_persons", len(rows) - len(stated)),
    )
