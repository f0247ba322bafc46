"""The demo workshop on paper: its register as TOML, at revision 1 or 2, with the ports its machines listen on.

In: a `Story` (simulators/story.py), a revision, `Ports`. Out: text that `config.load.parse_register` accepts.
Revision 2 (day -40) brings one injection machine and scraps two old machines: the denominators shrink, with a reason.
The planned stop of day -53 stands in the calendar from the first revision on: known beforehand, so it excuses.
The sheets beside the machines (control plan, scenes, systems …) are in simulators/control_plan.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from simulators.control_plan import of_device, sheets
from simulators.fleet import CONNECTED, FLEET, LINES, PROCESSES, Machine
from simulators.profiles import PROFILES, PointSpec, Profile
from simulators.story import FIRST_DAY, SHIFTS, Story, local_iso

STATUS_TOPIC = "workshop/{device}/status"
TOPIC = "workshop/{device}/data"


def _default_modbus() -> dict[str, int]:
    return {m.id: 48501 + i for i, m in enumerate(m for m in CONNECTED if m.protocol == "modbus")}


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the workshop listens on 127.0.0.1: one OPC UA server, one MQTT broker, one port per Modbus device."""

    opcua: int = 48400
    mqtt: int = 48830
    modbus: Mapping[str, int] = field(default_factory=_default_modbus)

    def to_json(self) -> dict[str, object]:
        """What `simulate` prints when it is ready."""
        return {"opcua": self.opcua, "mqtt": self.mqtt, "modbus": dict(self.modbus)}


def register_toml(story: Story, revision: int, ports: Ports) -> str:
    """The register file of that revision (1, 2)."""
    parts = ['format = "plantproof-register/1"\n', _calendar(story)]
    parts += [_table("line", _line(story, x)) for x in LINES]
    parts += [_table("process", _process(x)) for x in PROCESSES]
    parts += [_point_set(p) for p in PROFILES.values()]
    parts += [_device(story, m, revision, ports) for m in FLEET if revision > 1 or m.from_day is None]
    parts += [_table(name, row) for name, row in sheets(story)]
    return "\n".join(parts)


def _calendar(story: Story) -> str:
    start_us, end_us = story.closure_us
    closure = {
        "id": "C2026-1",
        "start": local_iso(start_us),
        "end": local_iso(end_us),
        "reason": "年度检修停机 (yearly overhaul)",
        "approver": "生产部 周经理",
    }
    shifts = [{"name": n, "start": _clock(a), "end": _clock(b)} for n, a, b in SHIFTS]
    return "\n".join(
        [
            "[calendar]",
            'utc_offset = "+08:00"',
            *(_table("calendar.shifts", s) for s in shifts),
            _table("calendar.closures", closure),
        ]
    )


def _line(story: Story, line: object) -> dict[str, object]:
    body = {k: getattr(line, k) for k in ("id", "name", "workshop", "representative")}
    return body | {"commissioned": story.date_of(FIRST_DAY) - timedelta(days=500)}


def _process(process: object) -> dict[str, object]:
    return {k: getattr(process, k) for k in ("id", "name", "line", "key", "inspection")}


def _point_set(profile: Profile) -> str:
    body: dict[str, object] = {"id": profile.id, "kind": "wide"}
    if profile.state_map:
        body["state_map"] = dict(profile.state_map)
    if profile.running_when:
        point, op, value = profile.running_when
        body["running_when"] = {"point": point, "op": op, "value": value}
    return "\n".join([_table("points", body), *(_table("points.point", _point(profile, p)) for p in profile.points)])


def _point(profile: Profile, point: PointSpec) -> dict[str, object]:
    body: dict[str, object] = {"name": point.name, "type": str(point.type), "unit": point.unit, "role": point.role}
    body |= {"key_parameter": True} if point.key else {}
    body |= {k: v for k in ("low", "high", "spec_low", "spec_high") if (v := getattr(point, k))}
    if not point.table:
        return body | {"node": f"ns=2;s={{device}}.{point.name}", "path": f"$.{point.name}"}
    body |= {"table": point.table, "address": point.address, "wire": point.wire}
    if point.wire[1:] in ("32", "64"):
        body["word_order"] = profile.word_order
    return body | ({"scale": point.scale} if point.scale else {})


def _device(story: Story, machine: Machine, revision: int, ports: Ports) -> str:
    body: dict[str, object] = {
        "id": machine.id,
        "name": machine.name,
        "line": machine.line,
        "process": machine.process,
        "digital": machine.digital,
    }
    body |= {k: True for k in ("nc", "major_nc", "machining_centre") if getattr(machine, k)}
    body |= {k: getattr(machine, k) for k in ("maker", "model", "controller") if getattr(machine, k)}
    body["asset_no"] = f"SB-{FLEET.index(machine) + 1:04d}"
    body |= of_device(machine.id)
    begun = story.date_of(machine.from_day) if machine.from_day is not None else _bought(story, machine)
    body["in_service_from"] = begun
    if revision > 1 and machine.retired_day is not None:
        body["retired_at"] = story.date_of(machine.retired_day)
    if machine.profile is not None:
        body |= {"interval_s": 60, "points": machine.profile.id, "connection": _connection(machine, ports)}
    return _table("device", body)


def _bought(story: Story, machine: Machine) -> object:
    """Some years before the story, a different day for each machine."""
    return story.date_of(FIRST_DAY) - timedelta(days=400 + 97 * FLEET.index(machine))


def _connection(machine: Machine, ports: Ports) -> dict[str, object]:
    if machine.protocol == "opcua":
        return {"protocol": "opcua", "endpoint": f"opc.tcp://127.0.0.1:{ports.opcua}/plantproof", "mode": "poll"}
    if machine.protocol == "modbus":
        return {"protocol": "modbus", "host": "127.0.0.1", "port": ports.modbus[machine.id], "unit": 1}
    return {
        "protocol": "mqtt",
        "broker": f"mqtt://127.0.0.1:{ports.mqtt}",
        "version": "3.1.1",  # amqtt, the demo's broker, does not answer MQTT 5
        "topic": TOPIC.format(device=machine.id),
        "status_topic": STATUS_TOPIC.format(device=machine.id),
        "time_path": "$.ts",
    }


def _clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"


def _table(name: str, body: Mapping[str, object]) -> str:
    return "\n".join([f"[[{name}]]", *(f"{k} = {_value(v)}" for k, v in body.items()), ""])


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "[" + ", ".join(_value(v) for v in value) + "]"
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f'"{k}" = {_value(v)}' for k, v in value.items()) + " }"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
