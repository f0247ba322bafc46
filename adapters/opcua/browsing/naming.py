"""Names for points and devices that the register accepts, out of what a server calls its nodes (Chinese included).

In: browse paths and identifiers. Out: ids of the register (`config.model.Id`), unique within one set.
A name in ASCII is kept as it is. Chinese is put into English word by word when every word is known; otherwise the node's identifier
gives the name, at last its number. Equal names get as much of their path in front as makes them differ: `X.ActLoad`, `Y.ActLoad`.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence, Set

_MOST = 64  # characters of an id
_NOT_ALLOWED = re.compile(r"[^A-Za-z0-9_.-]+")
_SEPARATORS = re.compile(r"[./\\|:;\"'\[\]]+")
_DEPTH = 6  # how much of a path may go into a name

# words of a workshop; the longest match wins
_WORDS = {
    "主轴": "spindle", "转速": "speed", "速度": "speed", "进给": "feed", "倍率": "override", "温度": "temperature", "压力": "pressure",
    "电流": "current", "电压": "voltage", "功率": "power", "能耗": "energy", "电量": "energy", "电能": "energy", "负载": "load",
    "负荷": "load", "扭矩": "torque", "转矩": "torque", "位置": "position", "坐标": "position", "状态": "state", "模式": "mode",
    "方式": "mode", "运行": "running", "停止": "stopped", "停机": "stopped", "待机": "idle", "报警": "alarm", "故障": "fault",
    "产量": "part_count", "件数": "part_count", "计数": "count", "数量": "count", "合格": "good", "不合格": "rejected", "废品": "scrap",
    "程序号": "program_no", "程序": "program", "刀具": "tool", "刀号": "tool_no", "工件": "workpiece", "批次": "batch", "订单": "order",
    "时间": "time", "节拍": "cycle_time", "周期": "cycle", "开机": "power_on", "累计": "total", "当前": "actual", "实际": "actual",
    "设定": "set", "目标": "target", "最大": "max", "最小": "min", "平均": "average", "液位": "level", "流量": "flow", "湿度": "humidity",
    "振动": "vibration", "频率": "frequency", "阀": "valve", "泵": "pump", "电机": "motor", "冷却": "coolant", "液压": "hydraulic",
    "气压": "air_pressure", "油": "oil", "水": "water", "轴": "axis", "炉": "furnace", "门": "door", "急停": "emergency_stop",
    "就绪": "ready", "自动": "auto", "手动": "manual", "值": "value", "号": "no", "上限": "high", "下限": "low", "机床": "machine",
    "设备": "device", "车床": "lathe", "压力机": "press", "机器人": "robot", "左": "left", "右": "right", "上": "upper", "下": "lower",
    "车间": "workshop", "产线": "line",
}  # fmt: skip
_LONGEST = max(map(len, _WORDS))


def slug(text: str) -> str:
    """The text as an id; empty when it cannot be written so (Chinese words that are not known)."""
    plain = unicodedata.normalize("NFKD", _in_english(text))
    if any(ord(c) > 0x2E7F for c in plain):  # CJK and the like: dropping them would leave a name that says nothing
        return ""
    ascii_only = plain.encode("ascii", "ignore").decode()
    return re.sub("_{2,}", "_", _NOT_ALLOWED.sub("_", ascii_only)).strip("_.-")[:_MOST].rstrip("_.-")


def point_names(paths: Sequence[Sequence[str]], identifiers: Sequence[object], taken: Sequence[str] = ()) -> list[str]:
    """A distinct name for each path (names from the top down, at least one); `taken` are in use already."""
    segments = [_segments(path, identifier) for path, identifier in zip(paths, identifiers, strict=True)]
    names = [parts[-1] for parts in segments]
    for width in range(2, _DEPTH + 1):
        count = Counter([*names, *taken])
        if max(count.values(), default=0) < 2:
            break
        names = [
            _joined(parts[-width:]) if count[name] > 1 else name for parts, name in zip(segments, names, strict=True)
        ]
    return _numbered(names, set(taken))


def distinct(names: Sequence[str], taken: Set[str] = frozenset()) -> list[str]:
    """The same names; the second of equals, and what is taken, becomes `name_2`."""
    return _numbered(list(names), set(taken))


def _segments(path: Sequence[str], identifier: object) -> list[str]:
    above = [s for s in (slug(p) for p in path[:-1]) if s]
    return [*above, slug(path[-1]) or _from_identifier(identifier)]


def _from_identifier(identifier: object) -> str:
    if isinstance(identifier, int):
        return f"n{identifier}"
    if isinstance(identifier, str):
        last = [s for part in _SEPARATORS.split(identifier) if (s := slug(part))]
        return last[-1] if last else "point"
    return "point"


def _joined(parts: Sequence[str]) -> str:
    """The parts with dots; what is too long loses its beginning, which many names share."""
    return ".".join(parts)[-_MOST:].lstrip("_.-")


def _numbered(names: list[str], used: set[str]) -> list[str]:
    found: list[str] = []
    counter: Counter[str] = Counter()
    for name in names:
        unique = name
        while unique in used:
            counter[name] += 1
            end = f"_{counter[name] + 1}"
            unique = name[: _MOST - len(end)] + end
        used.add(unique)
        found.append(unique)
    return found


def _in_english(text: str) -> str:
    """Known Chinese words put into English, with `_` between; everything else as it stands."""
    out: list[str] = []
    i = 0
    while i < len(text):
        for length in range(min(_LONGEST, len(text) - i), 0, -1):
            word = _WORDS.get(text[i : i + length])
            if word is not None:
                out.append(f"_{word}_")
                i += length
                break
        else:
            out.append(text[i])
            i += 1
    return "".join(out)
