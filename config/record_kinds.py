"""记录种类: every kind of row that people and systems hand in, its columns, keys and links: one table, read by everything else.

In: nothing. Out: `KINDS`. From it follow the CSV and xlsx headers (id or Chinese name, with synonyms), the REST and MQTT keys, the
canonical CSV of accepted rows (docs/format/records.md), the typed frames of the metrics and the page docs/records.md.
Column types: text · id · time (instant) · day · integer · decimal · money (yuan, 2 places) · flag · one of some words · a link.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Type = Literal["text", "id", "time", "day", "integer", "decimal", "money", "flag", "word"]
Link = Literal["", "batch", "order", "process", "device", "line", "scene", "system", "interface", "document"]


@dataclass(frozen=True, slots=True)
class Column:
    """A column. zh: its header for people; also: other headers that mean it. words: (canonical, Chinese …) of type word.

    link: what the value must name (batches and orders may come in the same delivery). required: must not be empty.
    """

    name: str
    zh: str
    type: Type = "text"
    required: bool = False
    link: Link = ""
    words: tuple[tuple[str, ...], ...] = ()
    also: tuple[str, ...] = ()
    signed: bool = False  # a number that may be negative


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of row. key: columns that identify one. ordered: (earlier, later) pairs of times or days that must not stand the wrong way."""

    name: str
    zh: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    ordered: tuple[tuple[str, str], ...] = ()
    note: str = ""

    @property
    def column(self) -> dict[str, Column]:
        """Columns by name."""
        return {c.name: c for c in self.columns}


def _c(name: str, zh: str, type_: Type = "text", *, link: Link = "", also: tuple[str, ...] = ()) -> Column:
    return Column(name, zh, type_, required=False, link=link, also=also)


def _r(name: str, zh: str, type_: Type = "text", *, link: Link = "", also: tuple[str, ...] = ()) -> Column:
    return Column(name, zh, type_, required=True, link=link, also=also)


def _w(name: str, zh: str, *words: tuple[str, ...], required: bool = True) -> Column:
    return Column(name, zh, "word", required=required, words=words)


_BATCH = _r("batch_id", "批次号", "id", link="batch", also=("批号", "生产批号", "批次编号"))
_DEVICE = _r("device_id", "设备编号", "id", link="device", also=("设备", "机台", "机台号"))
_PROCESS = _r("process_id", "工序编号", "id", link="process", also=("工序", "工序号"))
_INDICATORS = (
    ("operating_cost", "运营成本"),
    ("development_time", "产品研制周期", "研制周期"),
    ("production_efficiency", "生产效率"),
    ("defect_rate", "不良品率", "产品不良率", "不良率"),
    ("energy_use", "能源资源利用率", "能源利用率", "单位产品综合能耗"),
    ("labour_productivity", "劳动生产率", "全员劳动生产率"),
    ("maintenance_cost", "运维成本"),
    ("oee", "设备综合利用率", "设备综合效率"),
    ("first_pass_yield", "一次合格率", "直通率"),
    ("on_time_delivery", "订单准时交付率"),
    ("inventory_turns", "库存周转率"),
    ("revenue_per_head", "人均营收"),
)
_LEVELS = (
    ("scene", "智能制造优秀场景", "优秀场景", "智能制造场景", "场景"),
    ("basic", "基础级智能工厂", "基础级"),
    ("advanced", "先进级智能工厂", "先进级"),
    ("excellent", "卓越级智能工厂", "卓越级"),
    ("leading", "领航级智能工厂", "领航级"),
    ("workshop", "数字化车间"),
    ("factory_2022", "智能工厂", "智能工厂（2022）"),
)

_ALL: tuple[Kind, ...] = (
    Kind(
        "batches",
        "批次",
        (
            _r("batch_id", "批次号", "id", also=("批号", "生产批号", "批次编号")),
            _r("product", "产品", also=("产品名称", "品名")),
            _c("quantity", "数量", "decimal", also=("产量",)),
            _c("closed_at", "完工时间", "time", also=("关闭时间", "完成时间")),
            _r("trial", "试制", "flag", also=("试制批", "是否试制")),
            _c("order_id", "工单号", "id", link="order", also=("生产订单", "订单号")),
        ),
        ("batch_id",),
        note="完工时间空着即未完工，以后再导入一次补上即可；试制须事先标明",
    ),
    Kind(
        "operations",
        "工序执行",
        (
            _BATCH,
            _PROCESS,
            _DEVICE,
            _r("start", "开始时间", "time", also=("开工时间",)),
            _c("end", "结束时间", "time", also=("完工时间",)),
            _c("operator", "操作者", also=("班次", "操作工", "操作者/班次")),
            _c("program", "程序号", also=("配方号", "程序/配方号", "NC程序")),
            _c("good", "合格数", "integer"),
            _c("scrap", "不合格数", "integer", also=("报废数", "废品数")),
        ),
        ("batch_id", "process_id", "device_id", "start"),
        (("start", "end"),),
    ),
    Kind(
        "lots",
        "物料批",
        (
            _BATCH,
            _r("item", "物料", also=("物料编码", "物料名称")),
            _r("lot_id", "物料批号", also=("批号（物料）",)),
            _c("supplier_lot", "供方批号", also=("供应商批号", "炉号", "来料批号")),
            _c("supplier", "供方", also=("供应商",)),
        ),
        ("batch_id", "item", "lot_id"),
    ),
    Kind(
        "inspections",
        "检验",
        (
            _BATCH,
            _PROCESS,
            _r("at", "检验时间", "time"),
            _w("result", "结果", ("pass", "合格", "OK"), ("fail", "不合格", "NG")),
            _c("device_id", "检测设备", "id", link="device"),
            _c("automatic", "自动检测", "flag", also=("在线检测", "是否自动")),
        ),
        ("batch_id", "process_id", "at"),
    ),
    Kind(
        "shipments",
        "出入库",
        (
            _BATCH,
            _r("at", "时间", "time", also=("出入库时间",)),
            _w("kind", "类别", ("pack", "包装"), ("stock", "入库"), ("ship", "发货", "出库")),
            _c("document", "单据号", also=("单号",)),
        ),
        ("batch_id", "at", "kind"),
    ),
    Kind(
        "links",
        "批次关系",
        (
            _r("parent", "来源批次", "id", link="batch", also=("母批",)),
            _r("child", "去向批次", "id", link="batch", also=("子批",)),
            _w("kind", "关系", ("split", "分批"), ("merge", "合批"), ("rework", "返工")),
            _r("at", "时间", "time"),
        ),
        ("parent", "child", "kind"),
        note="返工批次的产品档案由来源批次与返工批次共同组成",
    ),
    Kind(
        "orders",
        "工单",
        (
            _r("order_id", "工单号", "id", also=("生产订单", "订单号")),
            _r("product", "产品"),
            _c("quantity", "数量", "decimal"),
            _c("released_at", "下达时间", "time"),
            _c("due_on", "要求交期", "day"),
            _c("finished_at", "完成时间", "time"),
        ),
        ("order_id",),
        (("released_at", "finished_at"),),
    ),
    Kind(
        "dispatches",
        "指令下发",
        (
            _r("job_id", "任务号", "id", also=("作业号", "派工单号")),
            _BATCH,
            _PROCESS,
            _DEVICE,
            _r("at", "下发时间", "time"),
            _w(
                "method",
                "方式",
                ("network", "网络"),
                ("usb", "U盘", "存储卡"),
                ("paper", "纸质"),
                ("manual", "手工输入"),
            ),
            _c("program", "程序号", also=("配方号",)),
            _c("acked_at", "设备确认时间", "time", also=("确认时间",)),
        ),
        ("job_id",),
        (("at", "acked_at"),),
    ),
    Kind(
        "alarms",
        "报警处置",
        (
            _r("alarm_id", "报警号", "id"),
            _r("process_id", "工序编号", "id", link="process", also=("工序",)),
            _c("device_id", "设备编号", "id", link="device"),
            _r("raised_at", "发生时间", "time"),
            _c("diagnosis", "诊断", also=("原因",)),
            _c("diagnosed_at", "诊断时间", "time"),
            _c("closed_at", "关闭时间", "time"),
            _c("tested", "演练", "flag", also=("测试报警",)),
            _c("batch_id", "批次号", "id", link="batch"),
        ),
        ("alarm_id",),
        (("raised_at", "diagnosed_at"), ("diagnosed_at", "closed_at")),
    ),
    Kind(
        "projects",
        "研发项目",
        (
            _r("project_id", "项目编号", "id"),
            _r("name", "项目名称"),
            _r("began", "开始日期", "day"),
            _c("ended", "结束日期", "day"),
            _c("tool", "数字化工具", also=("研发设计工具", "软件")),
            _c("licensed", "正版授权", "flag", also=("授权",)),
            _c("in_pdm", "源文件入PDM", "flag", also=("PDM归档",)),
            _c("persons", "研发人数", "integer"),
            _c("persons_using", "使用工具人数", "integer"),
        ),
        ("project_id",),
        (("began", "ended"),),
    ),
    Kind(
        "drawings",
        "技术文件",
        (
            _r("drawing_id", "文件号", "id", also=("图号",)),
            _r("released", "发布日期", "day"),
            _c("version", "版本"),
            _c("approver", "批准人"),
            _c("approved", "批准日期", "day"),
            _c("in_pdm", "在PDM中", "flag"),
        ),
        ("drawing_id", "version"),
    ),
    Kind(
        "transactions",
        "业务单据",
        (
            _r("domain", "业务领域", also=("领域",)),
            _r("day", "日期", "day"),
            _r("count", "单据数", "integer", also=("笔数",)),
            _c("system_id", "系统", "id", link="system"),
        ),
        ("domain", "day"),
        note="每个领域每天在系统中发生的单据数；领域名照办法原文（采购、库存、销售……）",
    ),
    Kind(
        "exchanges",
        "接口交换",
        (
            _r("interface_id", "接口", "id", link="interface"),
            _r("day", "日期", "day"),
            _r("ok", "成功次数", "integer"),
            _c("failed", "失败次数", "integer"),
        ),
        ("interface_id", "day"),
    ),
    Kind(
        "changes",
        "自动调整",
        (
            _r("change_id", "编号", "id"),
            _r("at", "时间", "time"),
            _w("subject", "内容", ("setpoint", "参数设定"), ("schedule", "排产"), ("recipe", "配方", "程序")),
            _w("actor", "由谁", ("algorithm", "系统", "算法"), ("person", "人工")),
            _c("reason", "依据"),
            _c("device_id", "设备编号", "id", link="device"),
            _c("scene_id", "场景", "id", link="scene"),
            _c("domain", "业务领域", also=("领域",)),
            _c("overridden", "被人工改回", "flag"),
        ),
        ("change_id",),
    ),
    Kind(
        "inferences",
        "模型推理",
        (_r("scene_id", "场景", "id", link="scene"), _r("day", "日期", "day"), _r("count", "推理次数", "integer")),
        ("scene_id", "day"),
    ),
    Kind(
        "effects",
        "成效",
        (
            _w("indicator", "指标", *_INDICATORS),
            _r("scope", "范围", also=("产线", "全厂")),
            _w("period", "时期", ("before", "改造前"), ("after", "改造后")),
            _r("first_day", "起", "day"),
            _r("last_day", "止", "day"),
            _r("numerator", "分子", "decimal"),
            _r("denominator", "分母", "decimal"),
            _r("formula", "算法"),
            _c("data_source", "数据来源"),
            _c("document", "附件", "id", link="document"),
        ),
        ("indicator", "scope", "period"),
        (("first_day", "last_day"),),
        note="范围写产线编号，全厂写 plant",
    ),
    Kind(
        "benchmarks",
        "行业水平",
        (
            _w("indicator", "指标", *_INDICATORS),
            _w(
                "reach",
                "口径",
                ("province_mean", "省内平均"),
                ("province_lead", "省内领先"),
                ("national_lead", "国内领先"),
                ("global_lead", "全球领先"),
                ("industry_lead", "同行业领先"),
            ),
            _r("year", "年份", "integer"),
            _r("numerator", "分子", "decimal"),
            _r("denominator", "分母", "decimal"),
            _r("data_source", "出处"),
            _c("document", "附件", "id", link="document"),
        ),
        ("indicator", "reach", "year"),
    ),
    Kind(
        "investments",
        "投资",
        (
            _r("item_id", "编号", "id"),
            _r("line_id", "产线", "id", link="line"),
            _w(
                "category",
                "类别",
                ("equipment", "设备"),
                ("software", "软件"),
                ("integration", "集成"),
                ("civil", "土建", "土地"),
            ),
            _r("name", "名称"),
            _r("amount", "金额（元）", "money", also=("金额",)),
            _w("tax", "含税", ("included", "含税"), ("excluded", "不含税"), required=False),
            _c("contract", "合同附件", "id", link="document"),
            _c("invoice", "发票附件", "id", link="document"),
            _c("payment", "付款附件", "id", link="document"),
            _c("asset_no", "资产编号"),
            _c("paid_on", "付款日期", "day"),
        ),
        ("item_id",),
    ),
    Kind(
        "finance",
        "财务",
        (
            _r("year", "年份", "integer"),
            _r("revenue", "营业收入（元）", "money", also=("营业收入", "主营业务收入")),
            Column("profit", "利润总额（元）", "money", also=("利润总额",), signed=True),
            _c("document", "附件", "id", link="document"),
        ),
        ("year",),
    ),
    Kind(
        "energy",
        "能耗抄表",
        (
            _r("meter", "表计或账单", "id"),
            _r("medium", "能源种类", "id"),
            _r("first_day", "起", "day"),
            _r("last_day", "止", "day"),
            _r("quantity", "数量", "decimal"),
            _c("document", "附件", "id", link="document"),
        ),
        ("meter", "first_day"),
        (("first_day", "last_day"),),
        note="仅用于没有联网计量的能源；联网表计由测点累计",
    ),
    Kind(
        "titles",
        "称号",
        (
            _r("title_id", "编号", "id"),
            _w("level", "梯次", *_LEVELS),
            _r("name", "名称"),
            _r("granted_on", "认定日期", "day"),
            _c("valid_until", "有效期至", "day"),
            _w(
                "state",
                "状态",
                ("held", "有效"),
                ("downgraded", "降格"),
                ("revoked", "取消", "撤销"),
                ("filed", "备案"),
            ),
            _c("ended_on", "终止日期", "day"),
            _c("scene_id", "场景", "id", link="scene"),
            _c("document", "附件", "id", link="document"),
            _c("instrument", "依据办法"),
        ),
        ("title_id",),
        (("granted_on", "valid_until"), ("granted_on", "ended_on")),
    ),
    Kind(
        "applications",
        "申报",
        (
            _r("application_id", "编号", "id"),
            _w("level", "梯次", *_LEVELS),
            _w("purpose", "类型", ("first", "首次", "新申报"), ("renewal", "复核", "复审")),
            _r("filed_on", "申报日期", "day"),
            _w(
                "result",
                "结果",
                ("pending", "评审中"),
                ("granted", "通过"),
                ("refused", "未通过"),
                ("withdrawn", "撤回"),
            ),
            _c("title_id", "称号编号", "id"),
            _c("scene_id", "场景", "id", link="scene"),
        ),
        ("application_id",),
    ),
    Kind(
        "incidents",
        "重大事项",
        (
            _r("incident_id", "编号", "id"),
            _w(
                "kind",
                "事项",
                ("accident", "事故"),
                ("false_material", "材料造假"),
                ("inconsistent_with_site", "材料与现场不符"),
                ("dishonesty", "失信"),
                ("tax", "偷漏税"),
                ("violation", "违法违规"),
                ("rename", "更名"),
                ("restructure", "重组"),
                ("major_change", "经营重大变化"),
                ("terminated", "终止"),
                ("evaluation_failed", "评估未达标"),
                ("not_operating", "丧失经营能力"),
                ("no_reply", "举报未回复"),
                ("changed_conditions", "条件不再符合"),
                ("other_penalty", "其他处罚"),
            ),
            _r("on", "发生日期", "day"),
            _w(
                "severity",
                "等级",
                ("一般", "一般事故"),
                ("较大", "较大事故"),
                ("重大", "重大事故"),
                ("特别重大", "特别重大事故"),
                required=False,
            ),
            _c("punished", "受到处罚", "flag"),
            _c("reported_on", "报备日期", "day"),
            _c("note", "说明"),
        ),
        ("incident_id",),
    ),
    Kind(
        "awards",
        "奖励",
        (
            _r("award_id", "编号", "id"),
            _w("level", "梯次", *_LEVELS),
            _r("paid_on", "到账日期", "day"),
            _r("amount", "金额（元）", "money", also=("金额",)),
        ),
        ("award_id",),
    ),
    Kind(
        "evaluations",
        "年度评估",
        (
            _r("title_id", "称号编号", "id"),
            _r("on", "评估日期", "day"),
            _w("result", "结果", ("passed", "达标", "通过"), ("failed", "未达标", "未通过")),
        ),
        ("title_id", "on"),
    ),
    Kind(
        "declarations",
        "申报数",
        (
            _r("metric", "指标"),
            _r("scope", "范围", also=("产线",)),
            _r("numerator", "分子", "integer"),
            _r("denominator", "分母", "integer"),
            _c("form", "所在表格"),
        ),
        ("metric", "scope"),
        note="申报书上写的数，与计算结果对照；范围写 plant 或 line:产线编号",
    ),
    Kind(
        "index_scores",
        "评测得分",
        (
            _r("index", "评测指标"),
            _w("part", "部分", ("base", "基础得分"), ("scene", "场景等级")),
            _r("name", "名称"),
            _r("score", "得分或等级", "decimal"),
        ),
        ("index", "part", "name"),
        note="中小企业数字化水平评测的自评答案：基础得分一行（名称写 合计），每个场景一行",
    ),
    Kind(
        "profile",
        "企业概况",
        (_r("name", "项目"), _r("value", "内容")),
        ("name",),
        note="name: size（large、medium、small、micro 之一）、industry（GB/T 4754 代码）、province",
    ),
)

KINDS: dict[str, Kind] = {kind.name: kind for kind in _ALL}
