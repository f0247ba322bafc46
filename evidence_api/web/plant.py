"""What is true on paper and what was heard last: newest register revision, last outcome of each device.

In: `register/<rev>.json` of the newest register leaf (docs/format/register.md), `state/devices.json` (what the collector leaves for pages).
Out: `Register` with its number; `LastContact` per device. The state file may be absent or of
another version: then nothing is known, and nothing is what is shown.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from config.register import Register

# outcome word of `state/devices.json` -> words (adapters/batch.py names the outcomes; importing it would import numpy)
OUTCOME_ZH = {
    "ok": "正常",
    "confirmed": "正常",
    "timeout": "超时无应答",
    "refused": "连接被拒绝",
    "unreachable": "网络不可达",
    "disconnected": "连接中断",
    "protocol": "应答不符合协议",
    "device_failure": "设备报故障",
    "silent": "无数据上报",
    "rejected": "报文无法识别",
    "overflow": "数据溢出丢失",
    "denied": "无权读取",
}
CONTACT = ("ok", "confirmed")
FRESH_US = 30_000_000


@dataclass(frozen=True, slots=True)
class LastContact:
    """The newest outcome of one device, as the collector wrote it down."""

    outcome: str
    at_us: int
    message: str

    @property
    def good(self) -> bool:
        """True when the device answered."""
        return self.outcome in CONTACT


@dataclass(frozen=True, slots=True)
class CollectorState:
    """`running` as it said of itself at `at_us`: a killed collector cannot take it back, so readers look at the age too."""

    running: bool
    at_us: int | None
    contacts: dict[str, LastContact]

    def alive(self, now_us: int) -> bool:
        """True when it said so within the last half minute (it writes every few seconds)."""
        return self.running and self.at_us is not None and now_us - self.at_us <= FRESH_US


@dataclass(frozen=True, slots=True)
class RegisterView:
    """The newest revision; None with the reason when it cannot be read."""

    rev: int
    register: Register | None
    problem: str


class RegisterReader:
    """Revisions of one data folder; a revision never changes, so each is parsed once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._kept = RegisterView(0, None, "尚未登记设备: plantproof register apply FILE --reason …")

    def read(self, rev: int) -> RegisterView:
        """That revision; 0 means that no register was applied yet."""
        if rev != self._kept.rev:
            path = self._folder / f"{rev:06d}.json"
            try:
                self._kept = RegisterView(rev, Register.model_validate_json(path.read_bytes()), "")
            except (OSError, ValidationError) as err:
                return RegisterView(0, None, f"{path}: 台账版本读取失败: {str(err).splitlines()[0]}")
        return self._kept


def collector_state(state: Path) -> CollectorState:
    """What the collector last wrote of itself; nothing known when it has not."""
    body = _json_object(state / "devices.json")
    devices = body.get("devices")
    found = {}
    for device, seen in devices.items() if isinstance(devices, dict) else ():
        if isinstance(seen, dict) and isinstance(seen.get("at_us"), int):
            outcome = str(seen.get("outcome", "")).lower()
            found[device] = LastContact(outcome, seen["at_us"], str(seen.get("message", ""))[:200])
    at_us = body.get("at_us")
    return CollectorState(body.get("running") is True, at_us if isinstance(at_us, int) else None, found)


def _json_object(path: Path) -> dict[str, Any]:
    try:
        body = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return body if isinstance(body, dict) else {}
