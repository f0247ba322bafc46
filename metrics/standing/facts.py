"""企业状况: titles, applications, incidents, awards and evaluations as the plant recorded them, as of one ledger size.

In: `Records` frames (config/record_kinds.py: titles, applications, incidents, awards, evaluations, profile), documents. Out: `Facts`.
All of it is declared: nothing here proves that a title was granted. What is not recorded did not happen as far as we know, and says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from config.documents import Document
from metrics.inputs import Records

LEVEL_ZH = {
    "scene": "智能制造优秀场景",
    "basic": "基础级智能工厂",
    "advanced": "先进级智能工厂",
    "excellent": "卓越级智能工厂",
    "leading": "领航级智能工厂",
    "workshop": "数字化车间",
    "factory_2022": "智能工厂（2022 办法）",
}
INCIDENT_ZH = {
    "accident": "事故",
    "changed_conditions": "条件不再符合",
    "dishonesty": "失信",
    "evaluation_failed": "评估未达标",
    "false_material": "材料造假",
    "inconsistent_with_site": "材料与现场不符",
    "major_change": "经营重大变化",
    "no_reply": "举报未回复",
    "not_operating": "丧失经营能力",
    "other_penalty": "其他处罚",
    "rename": "更名",
    "restructure": "重组",
    "tax": "偷漏税",
    "terminated": "终止",
    "violation": "违法违规",
}


@dataclass(frozen=True, slots=True)
class Title:
    """称号. valid_until: as the certificate says, None where it says nothing. ended_on: revoked or downgraded on that day."""

    id: str
    level: str
    name: str
    granted_on: date
    valid_until: date | None
    state: str
    ended_on: date | None
    scene_id: str
    document: str
    instrument: str

    def ended_by(self, day: date) -> bool:
        """Revoked or downgraded by a day. One that stands as such without a date counts as ended: the day is unknown, the loss is not."""
        if self.ended_on is not None:
            return self.ended_on <= day
        return self.state not in ("held", "filed")

    def lost_by(self, day: date) -> bool:
        """取消或降格, not merely run out."""
        return self.state in ("revoked", "downgraded") and self.ended_by(day)

    def held_on(self, day: date, last_day: date | None) -> bool:
        """Held on a day, when it is valid up to `last_day` (None: no end is stated)."""
        return self.granted_on <= day and not self.ended_by(day) and (last_day is None or day <= last_day)


@dataclass(frozen=True, slots=True)
class Application:
    """申报: filed, and what became of it."""

    id: str
    level: str
    purpose: str
    filed_on: date
    result: str
    title_id: str
    scene_id: str


@dataclass(frozen=True, slots=True)
class Incident:
    """重大事项: what happened, how severe, when it was reported."""

    id: str
    kind: str
    on: date
    severity: str
    punished: bool
    reported_on: date | None
    note: str


@dataclass(frozen=True, slots=True)
class Award:
    """奖励: money that was paid, in fen."""

    id: str
    level: str
    paid_on: date
    amount_fen: int


@dataclass(frozen=True, slots=True)
class Evaluation:
    """年度评估 of a title."""

    title_id: str
    on: date
    passed: bool


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything the procedures ask about, each in the order of its day."""

    titles: tuple[Title, ...] = ()
    applications: tuple[Application, ...] = ()
    incidents: tuple[Incident, ...] = ()
    awards: tuple[Award, ...] = ()
    evaluations: tuple[Evaluation, ...] = ()
    documents: tuple[Document, ...] = ()


def read_facts(records: Records | None, documents: tuple[Document, ...] = ()) -> Facts:
    """The facts in the accepted records; empty ones before the first import."""
    if records is None:
        return Facts(documents=documents)
    titles = _rows(
        records, "titles", "title_id level name granted_on valid_until state ended_on scene_id document instrument"
    )
    applications = _rows(records, "applications", "application_id level purpose filed_on result title_id scene_id")
    incidents = _rows(records, "incidents", "incident_id kind on severity punished reported_on note")
    awards = _rows(records, "awards", "award_id level paid_on amount")
    evaluations = _rows(records, "evaluations", "title_id on result")
    return Facts(
        tuple(sorted((Title(*row) for row in titles), key=lambda t: (t.granted_on, t.id))),
        tuple(sorted((Application(*row) for row in applications), key=lambda a: (a.filed_on, a.id))),
        tuple(sorted((Incident(*row) for row in incidents), key=lambda i: (i.on, i.id))),
        tuple(sorted((Award(*row) for row in awards), key=lambda a: (a.paid_on, a.id))),
        tuple(sorted((Evaluation(t, on, r == "passed") for t, on, r in evaluations), key=lambda e: (e.on, e.title_id))),
        documents,
    )


def _rows(records: Records, kind: str, columns: str) -> list[tuple]:  # type: ignore[type-arg]  # as many as there are columns
    return records.frame(kind).select(columns.split()).rows()
