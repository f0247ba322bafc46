"""材料: the kinds of document an application leans on, and one document as the ledger knows it. The file itself is opaque bytes.

In: what a person states beside a file. Out: `Document`, frozen; the file is kept by its SHA-256 (`documents/<sha256>`).
A document proves that somebody holds a paper, never that the paper is true: verdicts resting on one say 仅申报.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

# kind -> what it is called
DOCUMENT_KINDS: dict[str, str] = {
    "licence": "营业执照",
    "commitment": "真实性承诺书",
    "maturity": "智能制造能力成熟度自评估报告",
    "sme_index": "中小企业数字化水平评测报告",
    "financial_statements": "财务报表",
    "accident_free": "无安全环保质量事故证明或声明",
    "credit": "信用报告",
    "controllable": "关键装备与软件安全可控说明",
    "security": "网络安全和数据安全材料",
    "organisation": "组织机制与人才材料",
    "plan": "智能化发展规划",
    "pdm": "PDM 受控文件清单",
    "mes": "MES 合同或验收材料",
    "rd_tools": "研发设计工具授权证明",
    "policy": "产业政策符合性说明",
    "title": "认定文件",
    "contract": "合同",
    "invoice": "发票",
    "payment": "付款凭证",
    "benchmark": "行业水平出处",
    "effect": "成效证明",
    "exclusion": "停机证明",
    "interface": "设备数字接口证明",
    "technology": "新一代信息技术应用证明",
    "scene": "场景说明",
    "screenshot": "系统截图",
    "other": "其他",
}


@dataclass(frozen=True, slots=True)
class Document:
    """One document. level: what it certifies (成熟度等级); years: fiscal years it covers; criteria: ids it serves, empty: by its kind."""

    doc_id: str
    sha256: str
    kind: str
    name: str
    issuer: str
    issued_on: date | None
    valid_until: date | None
    level: int | None
    years: tuple[int, ...]
    criteria: tuple[str, ...]
    size_bytes: int
    entered_us: int

    def valid_on(self, day: date) -> bool:
        """Issued on or before the day, where it says so, and not expired."""
        return (self.issued_on is None or self.issued_on <= day) and (
            self.valid_until is None or day <= self.valid_until
        )


def document_of(body: Mapping[str, Any], entered_us: int) -> Document:
    """The body of a `document` leaf (docs/format/documents.md)."""
    return Document(
        body["id"],
        body["sha256"],
        body["kind"],
        body["name"],
        body["issuer"],
        date.fromisoformat(body["issued"]) if body["issued"] else None,
        date.fromisoformat(body["valid_until"]) if body["valid_until"] else None,
        body["level"],
        tuple(body["years"]),
        tuple(body["criteria"]),
        body["size_bytes"],
        entered_us,
    )
