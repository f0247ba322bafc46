"""生产记录的种类: what MES, shop floor and laboratory hand in: batches, operations, lots, inspections, shipments, orders, alarms.

In: nothing. Out: `PRODUCTION`, in the order of docs/records.md.
"""

from __future__ import annotations

from config.record_kind import Kind, optional, required, word

_BATCH = required("batch_id", "批次号", "id", link="batch", also=("批号", "生产批号", "批次编号"))
_DEVICE = required("device_id", "设备编号", "id", link="device", also=("设备", "机台", "机台号"))
_PROCESS = required("process_id", "工序编号", "id", link="process", also=("工序", "工序号"))

PRODUCTION: tuple[Kind, ...] = (
    Kind(
        "batches",
        "批次",
        (
            required("batch_id", "批次号", "id", also=("批号", "生产批号", "批次编号")),
            required("product", "产品", also=("产品名称", "品名")),
            optional("quantity", "数量", "decimal", also=("产量",)),
            optional("closed_at", "完工时间", "time", also=("关闭时间", "完成时间")),
            required("trial", "试制", "flag", also=("试制批", "是否试制")),
            optional("order_id", "工单号", "id", link="order", also=("生产订单", "订单号")),
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
            required("start", "开始时间", "time", also=("开工时间",)),
            optional("end", "结束时间", "time", also=("完工时间",)),
            optional("operator", "操作者", also=("班次", "操作工", "操作者/班次")),
            optional("program", "程序号", also=("配方号", "程序/配方号", "NC程序")),
            optional("good", "合格数", "integer"),
            optional("scrap", "不合格数", "integer", also=("报废数", "废品数")),
        ),
        ("batch_id", "process_id", "device_id", "start"),
        (("start", "end"),),
    ),
    Kind(
        "lots",
        "物料批",
        (
            _BATCH,
            required("item", "物料", also=("物料编码", "物料名称")),
            required("lot_id", "物料批号", also=("批号（物料）",)),
            optional("supplier_lot", "供方批号", also=("供应商批号", "炉号", "来料批号")),
            optional("supplier", "供方", also=("供应商",)),
        ),
        ("batch_id", "item", "lot_id"),
    ),
    Kind(
        "inspections",
        "检验",
        (
            _BATCH,
            _PROCESS,
            required("at", "检验时间", "time"),
            word("result", "结果", ("pass", "合格", "OK"), ("fail", "不合格", "NG")),
            optional("device_id", "检测设备", "id", link="device"),
            optional("automatic", "自动检测", "flag", also=("在线检测", "是否自动")),
        ),
        ("batch_id", "process_id", "at"),
    ),
    Kind(
        "shipments",
        "出入库",
        (
            _BATCH,
            required("at", "时间", "time", also=("出入库时间",)),
            word("kind", "类别", ("pack", "包装"), ("stock", "入库"), ("ship", "发货", "出库")),
            optional("document", "单据号", also=("单号",)),
        ),
        ("batch_id", "at", "kind"),
    ),
    Kind(
        "links",
        "批次关系",
        (
            required("parent", "来源批次", "id", link="batch", also=("母批",)),
            required("child", "去向批次", "id", link="batch", also=("子批",)),
            word("kind", "关系", ("split", "分批"), ("merge", "合批"), ("rework", "返工")),
            required("at", "时间", "time"),
        ),
        ("parent", "child", "kind"),
        note="返工批次的产品档案由来源批次与返工批次共同组成",
    ),
    Kind(
        "orders",
        "工单",
        (
            required("order_id", "工单号", "id", also=("生产订单", "订单号")),
            required("product", "产品"),
            optional("quantity", "数量", "decimal"),
            optional("released_at", "下达时间", "time"),
            optional("due_on", "要求交期", "day"),
            optional("finished_at", "完成时间", "time"),
        ),
        ("order_id",),
        (("released_at", "finished_at"),),
    ),
    Kind(
        "dispatches",
        "指令下发",
        (
            required("job_id", "任务号", "id", also=("作业号", "派工单号")),
            _BATCH,
            _PROCESS,
            _DEVICE,
            required("at", "下发时间", "time"),
            word(
                "method",
                "方式",
                ("network", "网络"),
                ("usb", "U盘", "存储卡"),
                ("paper", "纸质"),
                ("manual", "手工输入"),
            ),
            optional("program", "程序号", also=("配方号",)),
            optional("acked_at", "设备确认时间", "time", also=("确认时间",)),
        ),
        ("job_id",),
        (("at", "acked_at"),),
    ),
    Kind(
        "alarms",
        "报警处置",
        (
            required("alarm_id", "报警号", "id"),
            required("process_id", "工序编号", "id", link="process", also=("工序",)),
            optional("device_id", "设备编号", "id", link="device"),
            required("raised_at", "发生时间", "time"),
            optional("diagnosis", "诊断", also=("原因",)),
            optional("diagnosed_at", "诊断时间", "time"),
            optional("closed_at", "关闭时间", "time"),
            optional("tested", "演练", "flag", also=("测试报警",)),
            optional("batch_id", "批次号", "id", link="batch"),
        ),
        ("alarm_id",),
        (("raised_at", "diagnosed_at"), ("diagnosed_at", "closed_at")),
    ),
)
