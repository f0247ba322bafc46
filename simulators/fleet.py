"""The machines of the demo workshop: 24 connected at any time, one of them new, plus old ones that no network reaches.

In: nothing. Out: `LINES`, `PROCESSES`, `FLEET`. The numbers the demo tells follow from this table and from the story
(docs/demo.md): 关键工序数控化率 11/20 measured against 12/20 on paper, one machine short of 60 %; 生产装备数控化率 of the
representative line 12/17, just above 70 %. Days count from the story's today; None means before the story and for ever.
"""

from __future__ import annotations

from dataclasses import dataclass

from simulators.profiles import CNC, INJECTION, PLC, RETROFIT, STATION, Profile

SWAP_DAY = -40  # first day of the new injection machine, and the first without the one it replaces


@dataclass(frozen=True, slots=True)
class LineSpec:
    """产线."""

    id: str
    name: str
    workshop: str
    representative: bool = False


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """工序; `inspection` asks for a result per batch."""

    id: str
    name: str
    line: str
    key: bool = False
    inspection: bool = False


@dataclass(frozen=True, slots=True)
class Machine:
    """One row of the equipment ledger. `protocol` empty: not connected. `cycle_min`: minutes per part."""

    id: str
    name: str
    line: str
    process: str
    protocol: str = ""
    profile: Profile | None = None
    nc: bool = False
    major_nc: bool = False
    machining_centre: bool = False
    digital: bool = True
    maker: str = ""
    model: str = ""
    controller: str = ""
    cycle_min: float = 5.0
    from_day: int | None = None
    retired_day: int | None = None

    def in_service(self, day: int) -> bool:
        """True when the machine stands in the workshop on that day of the story."""
        return (self.from_day is None or day >= self.from_day) and (self.retired_day is None or day < self.retired_day)


LINES = (
    LineSpec("L1", "阀体精密机加线", "1#车间", representative=True),
    LineSpec("L2", "壳体注塑线", "2#车间"),
    LineSpec("L3", "装配检测线", "3#车间"),
)
PROCESSES = (
    ProcessSpec("L1-P05", "下料", "L1"),
    ProcessSpec("L1-P10", "粗车", "L1"),
    ProcessSpec("L1-P20", "精车", "L1", key=True, inspection=True),
    ProcessSpec("L1-P30", "铣削加工", "L1", key=True, inspection=True),
    ProcessSpec("L1-P40", "热处理", "L1", key=True, inspection=True),
    ProcessSpec("L1-P50", "磨削", "L1", key=True, inspection=True),
    ProcessSpec("L1-P60", "清洗打标", "L1"),
    ProcessSpec("L2-P10", "原料干燥", "L2"),
    ProcessSpec("L2-P20", "注塑成型", "L2", key=True, inspection=True),
    ProcessSpec("L3-P10", "自动装配", "L3", key=True, inspection=True),
    ProcessSpec("L3-P20", "气密检测", "L3", key=True, inspection=True),
    ProcessSpec("L3-P30", "包装码垛", "L3"),
)


def _lathe(n: int, process: str, cycle: float) -> Machine:
    return Machine(
        f"L1-CNC-{n:02d}",
        f"1#车间 数控车床 CK6150-{n:02d}",
        "L1",
        process,
        "opcua",
        CNC,
        nc=True,
        major_nc=True,
        maker="沈阳机床",
        model="CK6150",
        controller="FANUC 0i-TF Plus",
        cycle_min=cycle,
    )


def _centre(n: int) -> Machine:
    return Machine(
        f"L1-VMC-{n:02d}",
        f"1#车间 立式加工中心 VMC850-{n:02d}",
        "L1",
        "L1-P30",
        "opcua",
        CNC,
        nc=True,
        major_nc=True,
        machining_centre=True,
        maker="大连机床",
        model="VMC850E",
        controller="SIEMENS 828D",
        cycle_min=9.0,
    )


def _injection(n: int, name: str, from_day: int | None = None) -> Machine:
    return Machine(
        f"L2-INJ-{n:02d}",
        f"2#车间 注塑机 {name}-{n:02d}",
        "L2",
        "L2-P20",
        "modbus",
        INJECTION,
        nc=True,
        maker="海天",
        model=name,
        controller="KEBA 2880",
        cycle_min=0.7,
        from_day=from_day,
    )


def _retrofit(id_: str, name: str, process: str, model: str, retired_day: int | None = None) -> Machine:
    line = id_[:2]
    return Machine(
        id_, name, line, process, "modbus", RETROFIT, model=model, maker="", cycle_min=3.0, retired_day=retired_day
    )


def _manual(id_: str, name: str, process: str, model: str, retired_day: int | None = None) -> Machine:
    return Machine(id_, name, id_[:2], process, digital=False, model=model, retired_day=retired_day)


def _plc(id_: str, name: str, process: str, model: str, cycle: float) -> Machine:
    return Machine(
        id_,
        name,
        id_[:2],
        process,
        "modbus",
        PLC,
        nc=True,
        model=model,
        controller="SIEMENS S7-1200",
        cycle_min=cycle,
    )


def _station(id_: str, name: str, process: str, protocol: str, nc: bool, model: str) -> Machine:
    controller = "汇川 H5U" if nc else ""
    return Machine(
        id_, name, "L3", process, protocol, STATION, nc=nc, model=model, controller=controller, cycle_min=0.6
    )


FLEET: tuple[Machine, ...] = (
    _lathe(1, "L1-P10", 4.0),
    _lathe(2, "L1-P10", 4.0),
    _lathe(3, "L1-P20", 6.5),
    _lathe(4, "L1-P20", 6.5),
    _centre(1),
    _centre(2),
    Machine(
        "L1-5AX-01",
        "1#车间 五轴加工中心 GMC1200-01",
        "L1",
        "L1-P30",
        "mqtt",
        CNC,
        nc=True,
        major_nc=True,
        machining_centre=True,
        maker="科德数控",
        model="KMC1200",
        controller="GNC62",
        cycle_min=14.0,
    ),
    Machine(
        "L1-MRK-01",
        "1#车间 激光打标机-01",
        "L1",
        "L1-P60",
        "opcua",
        STATION,
        nc=True,
        maker="大族激光",
        model="YLP-20",
        controller="大族 HanMark",
        cycle_min=0.8,
    ),
    _plc("L1-SAW-01", "1#车间 数控带锯床-01", "L1-P05", "GZ4240", 3.0),
    _plc("L1-FUR-01", "1#车间 可控气氛热处理炉-01", "L1-P40", "UBE-600", 18.0),
    _plc("L1-GRD-01", "1#车间 数控外圆磨床 MK1332-01", "L1-P50", "MK1332", 5.0),
    _retrofit("L1-GRD-02", "1#车间 外圆磨床 M1432-02（加装传感器）", "L1-P50", "M1432B"),
    _retrofit("L1-GRD-03", "1#车间 平面磨床 M7130-03（加装传感器）", "L1-P50", "M7130"),
    _plc("L1-WSH-01", "1#车间 通过式清洗机-01", "L1-P60", "TQX-500", 2.0),
    _plc("L2-DRY-01", "2#车间 集中除湿干燥机-01", "L2-P10", "DH-400", 10.0),
    _injection(1, "MA1600"),
    _injection(2, "MA1600"),
    _injection(3, "MA2500", from_day=SWAP_DAY),
    _retrofit("L2-HYD-01", "2#车间 液压注塑机 HTF120-01（加装传感器）", "L2-P20", "HTF120"),
    _retrofit("L2-HYD-02", "2#车间 液压注塑机 HTF120-02（加装传感器）", "L2-P20", "HTF120"),
    _retrofit("L2-HYD-03", "2#车间 液压注塑机 HTF86-03（加装传感器）", "L2-P20", "HTF86", retired_day=SWAP_DAY),
    _station("L3-ASM-01", "3#车间 装配机器人单元-01", "L3-P10", "opcua", True, "IRB1200"),
    _station("L3-LKT-01", "3#车间 气密检测台-01", "L3-P20", "mqtt", False, "ATEQ F620"),
    _station("L3-PCK-01", "3#车间 自动包装机-01", "L3-P30", "mqtt", True, "KPX-60"),
    _station("L3-PAL-01", "3#车间 码垛机器人-01", "L3-P30", "mqtt", True, "KR180"),
    Machine(
        "L1-CNC-05",
        "1#车间 数控车床 CK6140-05（未联网）",
        "L1",
        "L1-P20",
        nc=True,
        maker="云南机床",
        model="CK6140",
        controller="广州数控 GSK 980TDb",
    ),
    _manual("L1-LTH-01", "1#车间 普通车床 CA6140-01", "L1-P20", "CA6140"),
    _manual("L1-LTH-02", "1#车间 普通车床 CA6140-02", "L1-P20", "CA6140"),
    _manual("L1-LTH-03", "1#车间 普通车床 C620-03", "L1-P10", "C620", retired_day=SWAP_DAY),
    _manual("L3-PRS-01", "3#车间 手动压装机-01", "L3-P10", "JB04"),
)
MACHINE = {m.id: m for m in FLEET}
CONNECTED = tuple(m for m in FLEET if m.protocol)
