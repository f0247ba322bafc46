"""The demo workshop's other sheets of the register: control plan, data dictionary, scenes, systems, interfaces, an energy factor.

In: a `Story` for the dates. Out: rows as the register's TOML has them (config/plan.py), and two columns of the device sheet.
What each is for (docs/demo.md): one parameter is on paper only, one item is typed in by hand, one scene of each state and two with a
model, one system that is new, one interface that fails too often. Numbers follow from these tables and from the story alone.
"""

from __future__ import annotations

from collections.abc import Iterator

from simulators.story import Story

Row = dict[str, object]
WMS_DAY = -60  # the warehouse system went live inside the last three months: too new to prove anything

EQUIPMENT_CLASS = {  # 关键技术装备; nobody has an instrument of class sensing_control
    "L1-VMC-01": "nc_robot",
    "L1-VMC-02": "nc_robot",
    "L1-5AX-01": "nc_robot",
    "L3-ASM-01": "nc_robot",
    "L3-LKT-01": "inspection_assembly",
    "L3-PAL-01": "logistics_storage",
}
CAPACITY_PER_H = {
    "L1-CNC-03": 12,
    "L1-CNC-04": 12,
    "L2-INJ-01": 110,
    "L2-INJ-02": 110,
    "L2-INJ-03": 110,
    "L3-ASM-01": 130,
}

_PARAMETERS = (  # 控制计划 KZ-VB20、KZ-HS08
    ("KP-01", "精车主轴温度 3#", "L1-P20", "L1-CNC-03", "spindle_temp"),
    ("KP-02", "精车主轴温度 4#", "L1-P20", "L1-CNC-04", "spindle_temp"),
    ("KP-03", "铣削主轴温度 立加 1#", "L1-P30", "L1-VMC-01", "spindle_temp"),
    ("KP-04", "铣削主轴温度 五轴", "L1-P30", "L1-5AX-01", "spindle_temp"),
    ("KP-05", "热处理炉温", "L1-P40", "L1-FUR-01", "process_temp"),
    ("KP-06", "磨削振动", "L1-P50", "L1-GRD-02", "vibration"),
    ("KP-07", "淬火介质浓度", "L1-P40", "", ""),  # on paper only
    ("KP-08", "料筒温度", "L2-P20", "L2-INJ-02", "barrel_temp"),
    ("KP-09", "注射压力", "L2-P20", "L2-INJ-01", "pressure"),
    ("KP-10", "气密测试压力", "L3-P20", "L3-LKT-01", "pressure"),
)
_ITEMS = (  # id, name, source, (device, point) or the kind of record it arrives in
    ("DI-01", "主轴温度", "point", "L1-CNC-03", "spindle_temp"),
    ("DI-02", "加工件数", "point", "L1-CNC-03", "parts"),
    ("DI-03", "热处理炉温", "point", "L1-FUR-01", "process_temp"),
    ("DI-04", "注射压力", "point", "L2-INJ-01", "pressure"),
    ("DI-05", "气密测试压力", "point", "L3-LKT-01", "pressure"),
    ("DI-06", "五轴主轴温度", "point", "L1-5AX-01", "spindle_temp"),
    ("DI-07", "物料批号", "scan", "lots", ""),
    ("DI-08", "检验结果", "system", "inspections", ""),
    ("DI-09", "生产工单", "system", "orders", ""),
    ("DI-10", "淬火介质浓度", "manual", "", ""),
)
_SCENES = (  # id, no. of the guide, name, line, status, since (day of the story), ai, technologies
    ("CJ-09", 9, "机加车间智能排产", "L1", "in_production", -400, True, ("人工智能", "工业互联网")),
    ("CJ-24", 24, "气密曲线在线智能检测", "L3", "in_production", -300, True, ("人工智能",)),
    ("CJ-25", 25, "阀体质量精准追溯", "", "in_production", -700, False, ("工业互联网",)),
    ("CJ-27", 27, "机加设备运行监控", "L1", "in_production", -600, False, ("5G", "工业互联网")),
    ("CJ-38", 38, "采购计划优化协同", "", "building", None, False, ()),
    ("CJ-06", 6, "阀体工艺数字化设计", "", "planned", None, False, ()),
)
_SYSTEMS = (
    ("ERP", "企业资源计划系统", "erp", "采购 库存 销售 财务 人力资源 生产计划 物料需求 产品销售", -1500),
    ("MES", "制造执行系统", "mes", "产品质量 设备资产 计划排产 生产监控", -900),
    ("WMS", "仓储管理系统", "wms", "仓储物流", WMS_DAY),
    ("PDM", "产品数据管理系统", "pdm", "", -1200),
    ("SCADA", "设备数据采集系统", "scada", "", -800),
)
_INTERFACES = (
    ("ERP-MES", "ERP", "MES", "物料需求 计划排产"),
    ("MES-SCADA", "MES", "SCADA", "生产监控"),
    ("WMS-MES", "WMS", "MES", "仓储物流"),
    ("PDM-MES", "PDM", "MES", ""),
)


def sheets(story: Story) -> Iterator[tuple[str, Row]]:
    """(table, row) of every sheet beside the machines."""
    for id_, name, process, device, point in _PARAMETERS:
        row: Row = {
            "id": id_,
            "name": name,
            "process": process,
            "source": "KZ-HS08" if process[1] != "1" else "KZ-VB20",
        }
        yield "parameter", row | _given(device=device, point=point)
    for id_, name, source, what, point in _ITEMS:
        row = {"id": id_, "name": name, "source": source}
        yield "item", row | _from(source, what, point)
    for id_, no, name, line, status, since, ai, technologies in _SCENES:
        row = {"id": id_, "no": no, "name": name, "status": status, "ai": ai, "technologies": list(technologies)}
        yield "scene", row | _given(line=line, since=story.date_of(since) if since else "")
    for id_, name, kind, domains, since in _SYSTEMS:
        row = {"id": id_, "name": name, "kind": kind, "domains": domains.split()}
        yield "system", row | {"live_since": story.date_of(since)}
    for id_, source, target, domains in _INTERFACES:
        yield "interface", {"id": id_, "source": source, "target": target, "domains": domains.split()}
    factor: Row = {"medium": "electricity", "name": "电力", "unit": "kW.h", "kgce_per_unit": "0.1229"}
    yield "energy", factor | {"source": "GB/T 2589-2020 附录 A（当量值）"}


def of_device(device: str) -> Row:
    """Columns of the device sheet that only some machines have."""
    return _given(equipment_class=EQUIPMENT_CLASS.get(device, ""), capacity_per_h=CAPACITY_PER_H.get(device, ""))


def _from(source: str, what: str, point: str) -> Row:
    return _given(device=what, point=point) if source == "point" else _given(records=what)


def _given(**cells: object) -> Row:
    return {k: v for k, v in cells.items() if v != ""}
