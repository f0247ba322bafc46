"""The demo plant's papers 材料: small files made on the fly, with what somebody states about each.

In: a story, a day of it. Out: `Paper`s entered on that day. Missing on purpose: 关键装备与软件安全可控说明, 真实性承诺书,
网络安全材料; the licences of the design tools ran out three weeks ago. Each file says in its first line that it is simulated.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from simulators.story import PAPER_DAY, Story

EXPIRED_DAY = -21  # 研发设计工具授权: its last day


@dataclass(frozen=True, slots=True)
class Paper:
    """A file and its statement (collector/documents.py). Days as text, empty: not stated."""

    id: str
    kind: str
    name: str
    issuer: str
    issued: str
    valid_until: str = ""
    level: int | None = None
    years: tuple[int, ...] = ()
    criteria: tuple[str, ...] = ()

    @property
    def raw(self) -> bytes:
        """A text file; nobody mistakes it for the real thing."""
        return f"演示材料，非真实文件 (simulated document)\n{self.id} {self.name}\n出具单位：{self.issuer}\n签发：{self.issued}\n".encode()


def papers(story: Story, day: int) -> Iterator[Paper]:
    """What is handed in on that day: the first, or the last of the story."""
    yield from _early(story) if day == PAPER_DAY else _late(story)


def _early(story: Story) -> Iterator[Paper]:
    def on(day: int) -> str:
        return story.date_of(day).isoformat()

    yield Paper("YYZZ-01", "licence", "营业执照", "某市市场监督管理局", on(-3000))
    yield Paper(
        "CSD-01", "maturity", "智能制造能力成熟度自评估报告（二级）", "国家智能制造公共服务平台", on(-200), level=2
    )
    yield Paper("ZZ-01", "organisation", "数字化转型领导小组与人员名册", "本企业", on(-180))
    yield Paper("JS-01", "technology", "5G 专网与工业互联网应用说明", "本企业", on(-170))
    yield Paper("MES-01", "mes", "MES 验收报告", "本企业", on(-880))
    yield Paper("GH-01", "plan", "智能化发展三年规划", "本企业", on(-400))
    yield Paper("ZC-01", "policy", "主导产品符合产业政策的说明", "本企业", on(-170))
    yield Paper("SQ-01", "rd_tools", "研发设计工具正版授权", "软件代理商", on(EXPIRED_DAY - 364), on(EXPIRED_DAY))
    yield Paper("RD-01", "title", "智能制造优秀场景认定文件", "省工业和信息化厅", on(-960))
    yield Paper("CJ-01", "scene", "场景 CJ-25 说明", "本企业", on(-690), criteria=("CJ-25",))
    for n in range(1, 8):
        yield Paper(f"HT-{n:02d}", "contract", f"采购合同 {n:02d}", "供应商", on(-560 + 10 * n))
        if n != 6:
            yield Paper(f"FP-{n:02d}", "invoice", f"发票 {n:02d}", "供应商", on(-520 + 10 * n))
        if n not in (5, 6):
            yield Paper(f"FK-{n:02d}", "payment", f"付款凭证 {n:02d}", "开户银行", on(-500 + 10 * n))


def _late(story: Story) -> Iterator[Paper]:
    issued = story.date_of(-1).isoformat()
    for back in (3, 2, 1):
        year = story.today.year - back
        spring = f"{year + 1}-01-20"
        day = min(spring, issued)
        yield Paper(f"CW-{year}", "financial_statements", f"{year} 年度财务报表", "会计师事务所", day, years=(year,))
    yield Paper("XG-01", "effect", "生产效率与质量月报汇总", "生产部", issued)
    yield Paper("XG-02", "effect", "单位制造成本核算表", "财务部", issued)
    yield Paper("XG-03", "effect", "能源统计报表", "设备科", issued)
    yield Paper("HY-01", "benchmark", "省阀门行业年度报告", "省阀门行业协会", issued)
    yield Paper("DF-01", "other", "电费账单", "供电公司", issued)
