"""What the offices of the demo plant hand in: projects, systems' traffic, effects, investments, titles, declarations …

In: a story. Out: `office_rows(story)`, each with the moment from which it is known. What each is there to show stands in docs/demo.md:
one business domain silent for four weeks, one interface that fails, a model that rests on Sundays, an effect and an investment without
their paper, a renewal ahead, a rename nobody has reported, a number on the form that is above the computed one.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from simulators.control_plan import WMS_DAY
from simulators.record_row import RecordRow, row
from simulators.story import FIRST_DAY, PAPER_DAY, Story, local_iso

Cells = dict[str, object]

SILENT_DAYS = range(-45, -17)  # 设备资产: four weeks without a document in the system
OVERRIDDEN_DAY = -21  # the schedule of that day was changed back by hand
TITLE_DAY = -960  # the scene's title; three years: it ends 135 days ahead
RENAME_DAY = -20
_DOMAINS = {
    "采购": ("ERP", 14),
    "库存": ("ERP", 60),
    "销售": ("ERP", 9),
    "财务": ("ERP", 21),
    "人力资源": ("ERP", 3),
    "生产计划": ("ERP", 6),
    "产品质量": ("MES", 48),
    "设备资产": ("MES", 5),
}
_PROJECTS = (  # name, began, ended (days), tool, licensed, in PDM, persons, of whom use the tool
    ("VB-20 阀体轻量化", -700, -200, "SolidWorks", True, True, 6, 6),
    ("HS-08 壳体模流优化", -300, -40, "Moldflow", True, True, 3, 3),
    ("VB-25 新阀体", -150, None, "SolidWorks", True, True, 5, 5),
    ("高温密封结构", -90, None, "ANSYS", True, True, 2, 2),
    ("夹具快换改造", -60, None, "AutoCAD", True, False, 2, 1),  # its drawings are on somebody's computer
)
_DRAWINGS = (  # id, released, version, approver, approved
    ("TZ-VB20-001", -300, "C", "赵工", -300),
    ("TZ-VB20-002", -280, "B", "赵工", -281),
    ("TZ-HS08-001", -200, "A", "赵工", -200),
    ("TZ-VB25-001", -120, "A", "赵工", -121),
    ("TZ-VB25-002", -100, "A", "", None),  # nobody signed it
    ("TZ-VB25-003", -30, "A", "赵工", -25),  # signed after it was released
)
_EFFECTS = (  # indicator, scope, before, after (numerator, denominator), formula, document
    ("production_efficiency", "plant", (46, 10), (53, 10), "合格产量 ÷ 生产工时", "XG-01"),
    ("operating_cost", "plant", (186, 1), (171, 1), "单位产品制造成本（元）", "XG-02"),
    ("defect_rate", "plant", (32, 1000), (21, 1000), "不合格数 ÷ 检验数", "XG-01"),
    ("energy_use", "plant", (52000, 100000), (47000, 100000), "综合能耗(kgce) ÷ 产量(件)", "XG-03"),
    ("development_time", "plant", (118, 1), (96, 1), "立项到定型的平均天数", ""),  # without proof
    ("production_efficiency", "L1", (38, 10), (45, 10), "合格产量 ÷ 生产工时", "XG-01"),
    ("defect_rate", "L1", (28, 1000), (19, 1000), "不合格数 ÷ 检验数", "XG-01"),
)
_INVESTMENTS = (  # category, name, yuan, contract, invoice, payment, asset number
    ("equipment", "五轴加工中心 KMC1200", 4_200_000, "HT-01", "FP-01", "FK-01", "SB-0007"),
    ("equipment", "立式加工中心 VMC850E 两台", 1_860_000, "HT-02", "FP-02", "FK-02", "SB-0005"),
    ("equipment", "数控车床 CK6150 四台", 1_680_000, "HT-03", "FP-03", "FK-03", "SB-0001"),
    ("software", "制造执行系统", 1_280_000, "HT-04", "FP-04", "FK-04", "RJ-0003"),
    ("equipment", "可控气氛热处理炉", 1_500_000, "HT-05", "FP-05", "", "SB-0010"),  # the voucher is missing
    ("integration", "设备联网改造", 660_000, "HT-06", "", "", "RJ-0004"),  # no invoice yet
    ("civil", "1#车间厂房", 8_000_000, "HT-07", "FP-07", "FK-07", "TJ-0001"),  # buildings do not count
)


def office_rows(story: Story) -> Iterator[RecordRow]:
    """Every row that is not the MES's."""
    yield from _research(story)
    for day in range(FIRST_DAY, 0):
        yield from _traffic(story, day)
    yield from _adjustments(story)
    yield from _results(story)
    yield from _money(story)
    yield from _standing(story)
    yield from _forms(story)


def _research(story: Story) -> Iterator[RecordRow]:
    known = story.at_us(PAPER_DAY, 590)
    for n, (name, began, ended, tool, licensed, in_pdm, persons, using) in enumerate(_PROJECTS, 1):
        cells: Cells = {"began": story.date_of(began), "ended": story.date_of(ended) if ended else "", "tool": tool}
        cells |= {"licensed": licensed, "in_pdm": in_pdm, "persons": persons, "persons_using": using}
        yield row("projects", 1, max(known, story.at_us(began, 600)), project_id=f"XM-{n:02d}", name=name, **cells)
    for drawing, released, version, approver, approved in _DRAWINGS:
        at = max(known, story.at_us(max(released, approved or released), 600))
        cells = {"approver": approver, "approved": story.date_of(approved) if approved else "", "in_pdm": True}
        day = story.date_of(released)
        yield row("drawings", 1, at, drawing_id=drawing, released=day, version=version, **cells)


def _traffic(story: Story, day: int) -> Iterator[RecordRow]:
    """What systems did on one day: documents per domain, exchanges, inferences."""
    on, known = story.date_of(day), story.at_us(day, 1400)
    for domain, (system, count) in _DOMAINS.items():
        if not (domain == "设备资产" and day in SILENT_DAYS):
            yield row("transactions", 2, known, domain=domain, day=on, count=count + day % 3, system_id=system)
    exchanged = {"ERP-MES": (24, 0), "MES-SCADA": (288, 0), "PDM-MES": (0, 4) if day % 9 == 0 else (4, 0)}
    if day >= WMS_DAY:
        exchanged["WMS-MES"] = (96, 0)
    for interface, (ok, failed) in exchanged.items():
        yield row("exchanges", 2, known, interface_id=interface, day=on, ok=ok, failed=failed)
    yield row("inferences", 2, known, scene_id="CJ-24", day=on, count=900 + day % 7)
    if on.isoweekday() != 7:
        yield row("inferences", 2, known, scene_id="CJ-09", day=on, count=24)


def _adjustments(story: Story) -> Iterator[RecordRow]:
    """Each week the scheduler's plan and the material plan; now and then a person turns the furnace."""
    for week, day in enumerate(range(-91, 0, 7), 1):
        at = story.at_us(day, 450)
        plan = {"at": local_iso(at), "subject": "schedule", "actor": "algorithm"}
        again = {"overridden": day == OVERRIDDEN_DAY}
        why = {"reason": "插单与设备故障后的重排"}
        yield row(
            "changes", 1, at, change_id=f"TZ-P{week:02d}", **plan, **why, scene_id="CJ-09", domain="计划排产", **again
        )
        why = {"reason": "库存低于安全线"}
        yield row("changes", 1, at, change_id=f"TZ-M{week:02d}", **plan, **why, domain="物料需求")
        if week % 4 == 0:
            turned = {"at": local_iso(at), "subject": "setpoint", "actor": "person", "device_id": "L1-FUR-01"}
            yield row("changes", 1, at, change_id=f"TZ-F{week:02d}", **turned)


def _results(story: Story) -> Iterator[RecordRow]:
    known = story.at_us(-1, 1404)
    spans = {"before": (-465, -367), "after": (-100, -2)}
    for indicator, scope, before, after, formula, document in _EFFECTS:
        for (period, (first, last)), (top, bottom) in zip(spans.items(), (before, after), strict=True):
            cells: Cells = {"first_day": story.date_of(first), "last_day": story.date_of(last), "numerator": top}
            cells |= {"denominator": bottom, "formula": formula, "data_source": "MES、ERP 月报", "document": document}
            yield row("effects", 3, known, indicator=indicator, scope=scope, period=period, **cells)
    year = story.today.year - 1
    for indicator, top, bottom in (("production_efficiency", 50, 10), ("defect_rate", 25, 1000)):
        source = {"data_source": "省阀门行业协会年报", "document": "HY-01"}
        cells = {"year": year, "numerator": top, "denominator": bottom}
        yield row("benchmarks", 3, known, indicator=indicator, reach="province_mean", **cells, **source)
    for begin, end in _whole_months(story):
        read = {"meter": "GD-0931", "first_day": begin}
        bill = {"medium": "electricity", "last_day": end, "quantity": 61_000 + 400 * end.month, "document": "DF-01"}
        yield row("energy", 2, known, **read, **bill)


def _whole_months(story: Story) -> Iterator[tuple[date, date]]:
    """First and last day of the three whole calendar months before today."""
    first = story.today.replace(day=1)
    for _ in range(3):
        last = date.fromordinal(first.toordinal() - 1)
        first = last.replace(day=1)
        yield first, last


def _money(story: Story) -> Iterator[RecordRow]:
    known = story.at_us(PAPER_DAY, 590)
    for n, (category, name, yuan, contract, invoice, payment, asset) in enumerate(_INVESTMENTS, 1):
        cells: Cells = {
            "category": category,
            "name": name,
            "amount": f"{yuan}.00",
            "tax": "included",
            "contract": contract,
        }
        cells |= {"invoice": invoice, "payment": payment, "asset_no": asset}
        cells["paid_on"] = story.date_of(-500 + 10 * n) if payment else ""
        yield row("investments", 1, known, item_id=f"TZ-{n:02d}", line_id="L1", **cells)
    for back, revenue, profit in ((3, 79_600_000, 5_210_000), (2, 83_100_000, 5_640_000), (1, 86_400_000, 6_020_000)):
        year = story.today.year - back
        cells = {"revenue": f"{revenue}.00", "profit": f"{profit}.00", "document": f"CW-{year}"}
        yield row("finance", 1, story.at_us(-1, 1404), year=year, **cells)


def _standing(story: Story) -> Iterator[RecordRow]:
    known, granted = story.at_us(PAPER_DAY, 590), story.date_of(TITLE_DAY)
    until = date.fromordinal(_three_years_on(granted).toordinal() - 1)
    title = {"granted_on": granted, "valid_until": until, "state": "held", "scene_id": "CJ-25", "document": "RD-01"}
    name = "阀体质量精准追溯"
    yield row("titles", 1, known, title_id="CH-01", level="scene", name=name, **title)
    filed = {"filed_on": story.date_of(TITLE_DAY - 90), "result": "granted", "title_id": "CH-01", "scene_id": "CJ-25"}
    yield row("applications", 1, known, application_id="SB-01", level="scene", purpose="first", **filed)
    filed = {"filed_on": story.date_of(-10), "result": "pending"}
    yield row("applications", 1, story.at_us(-10, 900), application_id="SB-02", level="basic", purpose="first", **filed)
    yield row("awards", 1, known, award_id="JL-01", level="scene", paid_on=story.date_of(-840), amount="300000.00")
    hurt = {"on": story.date_of(-420), "severity": "一般", "punished": False, "note": "叉车剐蹭，无人受伤"}
    yield row("incidents", 1, known, incident_id="SX-01", kind="accident", **hurt, reported_on=story.date_of(-419))
    named = {"on": story.date_of(RENAME_DAY), "note": "公司名称变更，尚未报告初审部门"}
    yield row("incidents", 1, story.at_us(RENAME_DAY, 900), incident_id="SX-02", kind="rename", **named)


def _three_years_on(day: date) -> date:
    return day.replace(year=day.year + 3, day=28 if (day.month, day.day) == (2, 29) else day.day)


def _forms(story: Story) -> Iterator[RecordRow]:
    known = story.at_us(-1, 1404)
    declared = (("M01", "plant", 24, 28), ("M06", "plant", 12, 20), ("M05", "line:L1", 12, 17))
    for metric, scope, top, bottom in declared:
        cells: Cells = {"numerator": top, "denominator": bottom, "form": "申报书 表三"}
        yield row("declarations", 2, known, metric=metric, scope=scope, **cells)
    index = {"index": "CN/SMEINDEX24"}
    yield row("index_scores", 3, known, **index, part="base", name="合计", score="46.5")
    for name, grade in (
        ("产品设计", 2),
        ("生产管控", 2),
        ("质量管理", 3),
        ("设备管理", 2),
        ("采购管理", 2),
        ("财务管理", 2),
    ):
        yield row("index_scores", 3, known, **index, part="scene", name=name, score=grade)
    for name, value in (("size", "medium"), ("industry", "3443"), ("province", "甘肃省")):
        yield row("profile", 1, known, name=name, value=value)
