"""申报附表的内容: every number and list an application asks for, each with where it comes from.

In: the report as JSON (what `plantproof check --json` prints), register, record frames, documents, exclusions, genesis.
Out: `Content`: scalar fields and tables of `Cell`s. Nothing is computed here: numbers are the report's lower bounds
(可证明) beside what was seen and declared.
What the plant never entered is absent, so a form can list it as still to be filled in. Names of fields: docs/forms.md.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timezone
from typing import Any

from config.documents import Document
from config.metric_names import TITLES, WHY
from config.register import Register
from metrics.inputs import Excusing, Records
from metrics.result import VERDICT_ZH

Value = str | int | date
UNPRINTABLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
SIZE_ZH = {"large": "大型", "medium": "中型", "small": "小型", "micro": "微型"}
Row = Mapping[str, "Cell"]


@dataclass(frozen=True, slots=True)
class Cell:
    """A value and its source in words (指标、条款、台账版次、账本); an empty source: typed on paper by the plant itself."""

    value: Value
    source: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Content:
    """fields: name -> cell. tables: name -> rows."""

    fields: Mapping[str, Cell]
    tables: Mapping[str, Sequence[Row]]


@dataclass(frozen=True, slots=True, eq=False)
class Basis:
    """What the content is made from."""

    report: Mapping[str, Any]
    level: str
    genesis: Mapping[str, Any]
    register: Register
    revision: int
    records: Records | None
    documents: Sequence[Document]
    excusing: Sequence[Excusing]

    @property
    def tz(self) -> timezone:
        """The plant's offset."""
        return self.register.calendar.tz

    @property
    def ledger(self) -> str:
        """`账本 2290 条 根 ab12…`: which ledger the numbers are those of."""
        return f"账本 {self.report['size']} 条 根 {self.report['root'][:16]}…"

    def result(self, metric: str, scope: str = "plant") -> Mapping[str, Any] | None:
        """One result of the report."""
        return next((r for r in self.report["results"] if (r["metric"], r["scope"]) == (metric, scope)), None)

    def source_of(self, result: Mapping[str, Any]) -> str:
        """Where a number of this result comes from."""
        first, last = (day_of(result["window"][k], self.tz) for k in ("start_us", "end_us"))
        return (
            f"{result['metric']} {TITLES[result['metric']]} {result['scope']}，窗口 {first} 至 {last} (不含)，"
            f"台账第 {self.revision} 版，{self.ledger}"
        )


def fields_of(basis: Basis) -> dict[str, Cell]:
    report, genesis = basis.report, basis.genesis
    instrument = report["instrument"]
    level = next((x["title"] for x in instrument["levels"] if x["id"] == basis.level), basis.level)
    fields = {
        "plant_name": Cell(genesis["plant"], "创世条目"),
        "credit_code": Cell(genesis["credit_code"], "创世条目"),
        "site": Cell(genesis["site"], "创世条目"),
        "instrument": Cell(instrument["name"], f"规则 {instrument['id']} {instrument['sha256'][:16]}"),
        "doc_no": Cell(instrument["doc_no"] or "—", f"规则 {instrument['id']}"),
        "level": Cell(level, f"规则 {instrument['id']}"),
        "cut_off": Cell(day_of(report["end_us"], basis.tz), "证据截止（不含当日）"),
        "ledger": Cell(basis.ledger, "检查点"),
        "mark": Cell("模拟或回放，不得用于申报" if report["simulated"] else "设备实采", "数据来源"),
        "register_revision": Cell(basis.revision, "设备台账"),
    }
    for result in report["results"]:
        if result["scope"] == "plant" or result["scope"].startswith("line:"):
            fields |= _numbers(basis, result)
    if basis.records is not None:
        rows = basis.records.frame("profile").select("name", "value").rows()
        fields |= {
            name: Cell(SIZE_ZH.get(value, value), "企业概况（自行登记）") for name, value in rows if name not in fields
        }
        for year, revenue, profit in (
            basis.records.frame("finance").sort("year").select("year", "revenue", "profit").rows()
        ):
            fields[f"revenue_{year}"] = Cell(yuan(revenue), "财务（自行登记）")
            if profit is not None:
                fields[f"profit_{year}"] = Cell(yuan(profit), "财务（自行登记）")
    for document in basis.documents:
        if document.level is not None:
            fields[f"{document.kind}_level"] = Cell(
                document.level, f"{document.name} {document.sha256[:16]}（自行登记）"
            )
    return {name: cell for name, cell in fields.items() if cell.value != ""}


def _numbers(basis: Basis, result: Mapping[str, Any]) -> dict[str, Cell]:
    """`M05_L1_lower`, `M01_numerator` …: names without a scope are the plant's."""
    scope = "" if result["scope"] == "plant" else f"_{result['scope'].removeprefix('line:')}"
    prefix, source = f"{result['metric']}{scope}".replace("-", "_"), basis.source_of(result)
    found = {
        f"{prefix}_numerator": Cell(result["lower"][0], f"{source}；可证明（下限）"),
        f"{prefix}_denominator": Cell(result["lower"][1], source),
        f"{prefix}_percent": Cell(percent_of(result), f"{source}；可证明（下限），截断不进位"),
        f"{prefix}_seen": Cell(shown(result, "value"), f"{source}；实测"),
    }
    if result["declared"]:
        found[f"{prefix}_declared"] = Cell(shown(result, "declared"), "台账所写")
    return found


def verdict_words(verdict: Mapping[str, Any]) -> str:
    """达标, or what the numbers alone say of simulated data, marked as such."""
    if verdict["simulated"] and verdict["numbers"] == "met":
        return "数字达标（模拟，不能判为达标）"
    return VERDICT_ZH[verdict["verdict"]]


def printable(text: str) -> str:
    """Without the control characters that neither a workbook nor a Word file can hold (XML 1.0 §2.2)."""
    return UNPRINTABLE.sub("", text)


def fraction(pair: Sequence[int]) -> str:
    """`12/17`."""
    return f"{pair[0]}/{pair[1]}"


def shown(result: Mapping[str, Any], which: str) -> str:
    """One number of a result as people read it: `12/17`, an amount in yuan, kilograms of coal per part; nothing to divide by is none."""
    pair = result[which]
    if pair is None:
        return "—"
    if result["unit"] == "ratio":
        return fraction(pair)
    if pair[1] == 0:
        return "—"
    if result["unit"] == "CNY":
        return yuan(pair[0] * 100 // pair[1])
    return f"{micro(pair[0] * 1_000_000 // pair[1])} 千克标准煤"


def percent_of(result: Mapping[str, Any]) -> str:
    """The proven percentage; an amount has none."""
    return percent(result["lower"]) if result["unit"] == "ratio" else "—"


def percent(pair: Sequence[int]) -> str:
    """Truncated, never rounded up; nothing to divide by has none."""
    if pair[1] == 0:
        return "—"
    tenths = pair[0] * 1000 // pair[1]
    return f"{tenths // 10}.{tenths % 10} %"


def members_of(basis: Basis, metric: str) -> dict[str, Mapping[str, Any]]:
    return {m["id"]: m for r in basis.report["results"] if r["metric"] == metric for m in r["members"]}


def member_source(basis: Basis, metric: str, member: Mapping[str, Any] | None) -> str:
    result = next((r for r in basis.report["results"] if r["metric"] == metric), None)
    if result is None or member is None:
        return ""
    return f"{basis.source_of(result)}；{WHY.get(member['why'], member['why'])}"


def yes_words(member: Mapping[str, Any] | None) -> str:
    if member is None:
        return "—"
    return "是（可证明）" if member["lower"] else "见到，未能证明" if member["value"] else "否"


def day_of(us: int, tz: timezone) -> date:
    return datetime.fromtimestamp(us // 1_000_000, UTC).astimezone(tz).date()


def moment_of(us: int, tz: timezone) -> str:
    return f"{datetime.fromtimestamp(us // 1_000_000, UTC).astimezone(tz):%Y-%m-%d %H:%M}"


def yuan(fen: int) -> str:
    return f"{fen // 100:,}.{fen % 100:02d} 元"


def micro(value: int) -> str:
    whole, rest = divmod(abs(value), 1_000_000)
    sign = "-" if value < 0 else ""
    return f"{sign}{whole}" + (f".{rest:06d}".rstrip("0") if rest else "")
