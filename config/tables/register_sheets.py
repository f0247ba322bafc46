"""台账工作簿的各表: which sheets a register workbook has, their columns, the headers that mean them and the words their cells take.

In: nothing. Out: `SHEETS` in the order of the workbook. Every key of the register's models has a column here or, for rare connection
keys, a place in 其他参数; tests/config/test_register_page.py holds this table to the models and docs/register.md to this table.
"""

from __future__ import annotations

from config.tables.columns import CellKind, Column, Sheet

_FLAG = "是 / 否"


def _c(key: str, zh: str, kind: CellKind = "text", *also: str, link: str = "", note: str = "") -> Column:
    return Column(key, zh, kind, also, link=link, note=note)


def _r(key: str, zh: str, kind: CellKind = "text", *also: str, link: str = "", note: str = "") -> Column:
    return Column(key, zh, kind, also, required=True, link=link, note=note)


def _w(key: str, zh: str, *words: tuple[str, ...], also: tuple[str, ...] = (), required: bool = False) -> Column:
    return Column(key, zh, "word", also, required, words=words, note=" / ".join(w[1] for w in words))


def _id(zh: str, *also: str) -> Column:
    return _r("id", zh, "id", *also, note="字母、数字和 _ . -，不得重复")


PROTOCOLS = (
    ("opcua", "OPC UA", "opcua", "opc-ua"),
    ("modbus", "Modbus", "modbus tcp", "modbus rtu", "modbus rtu over tcp", "modbus rtu/tcp"),
    ("mqtt", "MQTT"),
    ("sparkplug", "Sparkplug B", "sparkplug"),
)
EQUIPMENT_CLASSES = (
    ("nc_robot", "高档数控机床与工业机器人", "高档数控机床", "工业机器人"),
    ("sensing_control", "智能传感与控制设备", "智能传感与控制装备"),
    ("inspection_assembly", "智能检测与装配装备"),
    ("logistics_storage", "智能物流与仓储装备"),
)
DEVICE = Sheet(
    "device",
    "设备",
    (
        Column(
            "id",
            "设备编号",
            "id",
            ("设备编码", "设备号", "设备ID", "编号", "机台号", "机台编号", "设备代码", "device_id"),
            required=True,
            stands_in=("资产编号", "固资编号", "固定资产编号", "资产编码", "固定资产编码", "资产号"),
            note="字母、数字和 _ . -，不得重复；没有设备编号列时取资产编号",
        ),
        _r("name", "设备名称", "text", "名称", "资产名称", "机台名称", "设备"),
        _r("line", "产线", "id", "所属产线", "生产线", "产线编号", "线体", "所在产线", link="line", note="产线表的编号或名称"),
        _c("process", "工序", "id", "所属工序", "工序编号", "工序号", link="process", note="工序表的编号或名称"),
        _c("production", "生产装备", "flag", "是否生产装备", "生产设备", "是否生产设备", note=f"{_FLAG}，空为是；计入各比例的分母"),
        _c("digital", "数字化", "flag", "是否数字化", "数字化设备", "是否数字化设备", note=f"{_FLAG}，空为否"),
        _c("nc", "数控", "flag", "是否数控", "数控装备", "数控设备", "是否数控设备", note=f"{_FLAG}，空为否"),
        _c("major_nc", "主要数控设备", "flag", "是否主要数控设备", "主要数控", note=f"{_FLAG}，空为否"),
        _c("machining_centre", "大型加工中心", "flag", "是否大型加工中心", note=f"{_FLAG}，空为否"),
        _c("maker", "制造商", "text", "生产厂家", "厂家", "制造厂", "生产厂商", "制造厂家", "品牌"),
        _c("model", "型号", "text", "设备型号", "规格型号", "型号规格"),
        _c("controller", "控制系统", "text", "数控系统", "控制器", "PLC型号", "控制器型号", note="数控装备的书面凭据"),
        _c("asset_no", "资产编号", "text", "固资编号", "固定资产编号", "资产编码", "固定资产编码", "资产号"),
        _w("equipment_class", "关键技术装备", *EQUIPMENT_CLASSES, also=("关键技术装备类别", "装备类别")),
        _c("meter", "计量介质", "id", "能源介质", "计量能源", note="能源计量表：能源系数表的介质编号"),
        _c("capacity_per_h", "小时产能", "decimal", "每小时产能", "产能", "额定产能", note="件/小时"),
        _r(
            "in_service_from", "投用日期", "day",
            "启用日期", "投产日期", "投入使用日期", "投用时间", "启用时间", "转固日期", note="2024-03-01",
        ),
        _c("retired_at", "停用日期", "day", "报废日期", "退役日期", "停用时间", note="这一天起不再计入"),
        Column(
            "interval_s", "采集间隔", "integer", ("采集周期", "采样间隔", "采集频率"), note="秒，空为 60",
            units=("seconds", "秒钟", "秒", "s"),
        ),
        _c("points", "测点模板", "id", "点表", "测点表", "模板", link="points", note="测点表的模板编号；与协议同填或同空"),
        _w("connection.protocol", "协议", *PROTOCOLS, also=("通信协议", "通讯协议", "采集协议")),
        _c(
            "connection.address", "地址", "text", "IP地址", "IP", "连接地址", "主机", "服务器地址", "通信地址",
            note="OPC UA 与 MQTT 写 URL，Modbus 写主机，串口写设备文件",
        ),
        _c("connection.port", "端口", "integer", "端口号"),
        _c("connection.unit", "站号", "integer", "从站号", "从站地址", "Modbus站号", "单元号", note="Modbus"),
        _w(
            "connection.transport", "传输方式",
            ("tcp", "TCP"), ("rtu_over_tcp", "RTU over TCP", "rtu透传"), ("rtu", "RTU", "串口"), also=("传输",),
        ),
        _c("connection.topic", "主题", "text", "MQTT主题", "数据主题", note="MQTT，{device} 代表设备编号"),
        _c("connection.status_topic", "状态主题", "text", "在线状态主题", note="MQTT"),
        _w("connection.mode", "采集方式", ("subscribe", "订阅"), ("poll", "轮询"), also=("读取方式",)),
        _c("connection.group", "组", "text", "Sparkplug组", "组号", note="Sparkplug B"),
        _c("connection.edge_node", "边缘节点", "text", "Sparkplug边缘节点", note="Sparkplug B"),
        _c("connection.device", "子设备", "text", "Sparkplug设备", note="Sparkplug B"),
        _c("connection.username", "用户名", "text", "账号"),
        _c("connection.password_env", "口令变量", "text", "密码变量", note="存放口令的环境变量名；口令不写在表里"),
        _c("connection.other", "其他参数", "pairs", "其它参数", "连接参数", note="键=值; 键=值，键见 docs/register.md"),
    ),
    ("设备台账", "设备清单", "设备表", "固定资产", "devices"),
    "一行一台。未联网的也要列入：它在分母里",
)  # fmt: skip
LINE = Sheet(
    "line",
    "产线",
    (
        _id("产线编号", "编号", "线体编号", "产线号"),
        _r("name", "产线名称", "text", "名称", "产线", "线体名称"),
        _c("workshop", "车间", "text", "所属车间", "车间名称"),
        _c("representative", "代表产线", "flag", "是否代表产线", note=f"{_FLAG}；生产装备数控化率的范围"),
        _c("commissioned", "投产日期", "day", "投用日期", "启用日期", "建成日期"),
    ),
    ("产线表", "生产线", "lines"),
)
PROCESS = Sheet(
    "process",
    "工序",
    (
        _id("工序编号", "编号", "工序号", "工序代码"),
        _r("name", "工序名称", "text", "名称", "工序"),
        _r("line", "产线", "id", "所属产线", "生产线", "产线编号", link="line"),
        _c("key", "关键工序", "flag", "是否关键工序", "关键", note=f"{_FLAG}；关键工序数控化率的分母"),
        _c("inspection", "检验工序", "flag", "是否检验工序", "检验", note=f"{_FLAG}；每批须有检验结果"),
    ),
    ("工序表", "工艺路线", "processes"),
)
_TYPES = (
    ("bool", "bool", "布尔", "开关量"), ("i64", "i64", "整数", "int"), ("u64", "u64", "计数"), ("f32", "f32", "单精度"),
    ("f64", "f64", "小数", "浮点", "double"), ("str", "str", "文本", "字符串"),
)  # fmt: skip
_ROLES = (
    ("process", "过程值", "工艺值"), ("state", "状态", "运行状态"), ("output", "产量", "产量计数"), ("auto", "自动方式", "自动"),
    ("program", "程序号", "配方号", "程序"), ("heartbeat", "心跳"), ("alarm", "报警", "告警"),
)  # fmt: skip
_WIRES = tuple((w, w) for w in "bit u8 i8 u16 i16 u32 i32 u64 i64 f16 f32 f64 bcd16 bcd32 bcd64 str".split())
_ORDERS = (("big", "big", "大端", "高位在前"), ("little", "little", "小端", "低位在前"))
_TABLES = (
    ("coil", "线圈", "0x"), ("discrete_input", "离散输入", "1x"), ("holding_register", "保持寄存器", "4x"),
    ("input_register", "输入寄存器", "3x"),
)  # fmt: skip
POINTS = Sheet(
    "points",
    "测点",
    (
        _r("set.id", "测点模板", "id", "模板", "模板编号", "点表", note="同型号设备共用一个模板，一行一个测点"),
        _w("set.kind", "存储方式", ("wide", "wide", "整行"), ("event", "event", "逐值"), also=("存储",)),
        _c("set.state_map", "状态含义", "map", "状态对照", note="1=run; 0=stop；模板内写一次即可"),
        _c("set.running_when", "运行条件", "rule", "运行判据", note="power > 0.5；模板内写一次即可"),
        _r("name", "测点", "id", "测点名", "测点名称", "测点编号", "点名", "变量名"),
        Column("type", "类型", "word", ("数据类型",), True, words=_TYPES, note="bool i64 u64 f32 f64 str"),
        _c("unit", "单位", "text", "工程单位", "计量单位", note="UCUM，如 Cel、kW.h"),
        _w("role", "角色", *_ROLES, also=("用途",)),
        _c("key_parameter", "关键工艺参数", "flag", "是否关键工艺参数", "关键参数", note=_FLAG),
        _c("low", "量程下限", "decimal", "下限"),
        _c("high", "量程上限", "decimal", "上限"),
        _c("spec_low", "规格下限", "decimal", "工艺下限"),
        _c("spec_high", "规格上限", "decimal", "工艺上限"),
        _c("no_value", "无值文本", "texts", note="表示没有值的文本，如 UNAVAILABLE"),
        _c("scale", "倍率", "decimal", "系数", "比例"),
        _c("offset", "偏移", "decimal", "偏置"),
        _c("path", "报文路径", "text", "路径", note="MQTT：$.a.b[0]"),
        _c("element", "元素路径", "text", "元素", note="OPC UA、Sparkplug"),
        _c("node", "节点", "text", "NodeId", "节点号", "节点ID", note="OPC UA：ns=2;s={device}.Speed"),
        _c("deadband_absolute", "绝对死区", "decimal", "死区", note="OPC UA"),
        _c("deadband_percent", "百分比死区", "decimal", note="OPC UA"),
        _w("events", "事件", ("conditions", "conditions", "条件"), ("all", "all", "全部")),
        _w("table", "寄存器区", *_TABLES, also=("区", "寄存器类型", "功能区")),
        _c("address", "寄存器地址", "integer", "地址", "点地址", note="Modbus"),
        _w("wire", "线上格式", *_WIRES, also=("编码", "寄存器格式")),
        _c("length", "寄存器数", "integer", "长度", note="Modbus 文本"),
        _c("bit", "位", "integer", "位号", note="0 为最低位"),
        _w("half", "字节", ("high", "高", "高字节"), ("low", "低", "低字节"), also=("高低字节",)),
        Column("word_order", "字序", "word", ("字顺序",), words=_ORDERS, note="big / little"),
        Column("byte_order", "字节序", "word", ("字节顺序",), words=_ORDERS, note="big / little"),
        _c("block", "读块", "text", "块", note="同一块一次读取"),
        _c("metric", "指标名", "text", "Metric", note="Sparkplug B"),
    ),
    ("测点表", "点表", "测点模板", "points"),
    "一行一个测点；模板的存储方式、状态含义、运行条件在模板的任意一行写一次",
)
PARAMETER = Sheet(
    "parameter",
    "控制计划",
    (
        _id("参数编号", "编号"),
        _r("name", "参数名称", "text", "名称", "工艺参数", "关键工艺参数"),
        _r("process", "工序", "id", "工序编号", "所属工序", link="process"),
        _c("device", "设备编号", "id", "设备", "机台号", link="device", note="与测点同填或同空；都空即只在纸上"),
        _c("point", "测点", "id", "测点名", "测点名称", note="须是设备测点模板里的关键工艺参数"),
        _c("source", "依据", "text", "控制计划编号", "来源", "文件编号"),
    ),
    ("关键工艺参数", "控制计划表", "parameters"),
)
ITEM = Sheet(
    "item",
    "数据项",
    (
        _id("数据项编号", "编号"),
        _r("name", "数据项名称", "text", "名称", "数据项"),
        _c("line", "产线", "id", "所属产线", "产线编号", link="line"),
        _w(
            "source", "来源",
            ("point", "测点", "自动采集"), ("scan", "扫码"), ("system", "系统", "系统接口"), ("manual", "手工", "手工录入", "人工"),
            also=("数据来源", "采集方式"), required=True,
        ),
        _c("device", "设备编号", "id", "设备", link="device", note="来源为测点时必填"),
        _c("point", "测点", "id", "测点名", "测点名称", note="来源为测点时必填"),
        _c("records", "记录种类", "text", "记录", "生产记录", note="来源为扫码、系统时必填：docs/records.md 的种类"),
    ),
    ("数据字典", "数据项表", "items"),
)  # fmt: skip
SCENE = Sheet(
    "scene",
    "场景",
    (
        _id("场景编号", "编号"),
        Column("no", "指引序号", "integer", ("典型场景序号", "场景序号"), True, note="智能制造典型场景参考指引中的序号 1-200"),
        _r("name", "场景名称", "text", "名称", "场景"),
        _c("line", "产线", "id", "所属产线", "产线编号", link="line"),
        _w(
            "status", "状态",
            ("planned", "规划"), ("building", "建设中", "在建"), ("in_production", "已投产", "投产", "运行"),
            also=("建设状态",), required=True,
        ),
        _c("since", "投产日期", "day", "上线日期", "运行日期", note="状态为已投产时必填"),
        _c("ai", "人工智能", "flag", "AI", "是否AI", "使用模型", note=_FLAG),
        _c("technologies", "所用技术", "texts", "技术", "新技术", note="5G、人工智能、区块链、数字孪生…"),
    ),
    ("场景实例", "场景表", "scenes"),
)  # fmt: skip
_SYSTEM_KINDS = (
    *((k, k.upper()) for k in "erp mes plm pdm wms qms scada aps crm srm ems".split()),
    ("hr", "HR", "人力资源"), ("fin", "FIN", "财务"), ("other", "其他", "其它"),
)  # fmt: skip
SYSTEM = Sheet(
    "system",
    "系统",
    (
        _id("系统编号", "编号"),
        _r("name", "系统名称", "text", "名称", "系统"),
        _w("kind", "系统类型", *_SYSTEM_KINDS, also=("类型",), required=True),
        _c("domains", "覆盖领域", "texts", "领域", "业务领域", note="用顿号隔开"),
        _c("live_since", "上线日期", "day", "启用日期", "投用日期"),
    ),
    ("信息系统", "系统表", "systems"),
)
INTERFACE = Sheet(
    "interface",
    "接口",
    (
        _id("接口编号", "编号"),
        _r("source", "源系统", "id", "来源系统", "发送方", link="system"),
        _r("target", "目标系统", "id", "接收系统", "接收方", link="system"),
        _c("domains", "服务领域", "texts", "领域", "业务领域", note="用顿号隔开"),
    ),
    ("系统接口", "接口表", "interfaces"),
)
ENERGY = Sheet(
    "energy",
    "能源系数",
    (
        _r("medium", "介质编号", "id", "介质", "能源编号"),
        _r("name", "介质名称", "text", "名称", "能源名称", "能源"),
        _r("unit", "计量单位", "text", "单位"),
        _r("kgce_per_unit", "折标系数", "decimal", "折标准煤系数", "系数", note="kgce / 单位"),
        _r("source", "依据", "text", "来源", "标准"),
    ),
    ("折标系数", "能源系数表", "energy"),
)
SHIFT = Sheet(
    "calendar.shifts",
    "班次",
    (
        _r("name", "班次", "text", "班次名称", "名称"),
        _r("start", "开始", "clock", "开始时间", "上班时间", note="08:00"),
        _r("end", "结束", "clock", "结束时间", "下班时间", note="20:00；24:00 为当日终了"),
    ),
    ("班次表", "shifts"),
    "没有班次则按 24 小时要求",
)
CLOSURE = Sheet(
    "calendar.closures",
    "停机",
    (
        _id("停机编号", "编号"),
        _r("start", "开始", "moment", "开始时间", "停机开始", note="2026-10-01 00:00，按厂区时区"),
        _r("end", "结束", "moment", "结束时间", "停机结束"),
        _r("reason", "原因", "text", "停机原因", "事由"),
        _r("approver", "批准人", "text", "审批人", "批准"),
        _c("lines", "产线", "ids", "所属产线", "产线编号", link="line", note="空为全厂"),
    ),
    ("计划停机", "停机表", "停机计划", "closures"),
    "须事前或开始后 72 小时内登记才扣除",
)
CALENDAR = Sheet(
    "calendar",
    "日历",
    (_c("utc_offset", "时区", "text", "UTC偏移", "时差", note="+08:00"),),
    ("工厂日历", "calendar"),
)
SHEETS: tuple[Sheet, ...] = (
    DEVICE, LINE, PROCESS, POINTS, PARAMETER, ITEM, SCENE, SYSTEM, INTERFACE, CALENDAR, SHIFT, CLOSURE, ENERGY,
)  # fmt: skip
GUIDE = "填写说明"
RESULT = "检查结果"
# columns that a ledger of fixed assets usually has and that mean nothing here
HARMLESS = frozenset(
    "序号 备注 说明 责任人 保管人 使用部门 部门 存放地点 安装地点 位置 原值 净值 数量 出厂编号 出厂日期 购置日期 设备类别 类别 规格 "
    "图号 设备图号 设备状态 使用状态 折旧年限 供应商 合同号 功率 重量".split()
)
