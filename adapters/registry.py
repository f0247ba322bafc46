"""Which adapter speaks which protocol, and the adapters of a register: one per connection, whatever stands behind it.

In: a `Register` and the clock. Out: adapters for every device with a connection whose service has not ended (one per OPC UA server,
per Modbus host and port, per MQTT broker). A newcomer adds a module, a line in `ADAPTERS` and one in CHECKLIST.yaml.
Refuses (`ConfigError`): a point set whose kind does not fit the connection; every one at once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from adapters.contract import Adapter, Clock, OnState
from adapters.modbus.adapter import ModbusAdapter
from adapters.mqtt.adapter import MqttAdapter
from adapters.opcua.adapter import OpcUaAdapter
from adapters.template import Source, check_kind, source_of
from config.errors import ConfigError, Problem
from config.register import Device, Modbus, Mqtt, OpcUa, Register

Factory = Callable[[Sequence[Source], Clock, OnState | None], Adapter]

ADAPTERS: dict[str, Factory] = {
    "modbus": ModbusAdapter,
    "mqtt": MqttAdapter,
    "opcua": OpcUaAdapter,
}

_LIBRARIES = ("pymodbus", "asyncua", "paho")


def build(register: Register, clock: Clock, *, on_state: OnState | None = None) -> list[Adapter]:
    """The adapters of a register. Needs a running event loop. Errors: `ConfigError`."""
    quiet_libraries()
    problems = kind_problems(register)
    if problems:
        raise ConfigError(problems)
    now = clock.now_us()
    connections: dict[tuple[str, str], list[Source]] = {}
    for device in register.devices:
        if device.connection is not None and register.in_service_us(device)[1] > now:
            key = (device.connection.protocol, connection_key(device.connection))
            connections.setdefault(key, []).append(source_of(register, device))
    return [ADAPTERS[protocol](sources, clock, on_state) for (protocol, _), sources in connections.items()]


def connection_key(connection: OpcUa | Modbus | Mqtt) -> str:
    """What devices must share to share a connection."""
    if isinstance(connection, OpcUa):
        return connection.endpoint
    if isinstance(connection, Modbus):
        return f"{connection.host}:{connection.port}"
    return f"{connection.broker} {connection.username} {connection.password_env} {connection.client_id}"


def kind_problems(register: Register) -> list[Problem]:
    """Devices whose point set makes rows of a kind that their connection cannot fill."""
    found = []
    for i, device in enumerate(register.devices):
        message = _kind_problem(register, device)
        if message:
            found.append(
                Problem("register", f"device[{i}].points", message, "改 points 的 kind 或连接方式 (change kind)")
            )
    return found


def quiet_libraries() -> None:
    """The libraries log each failed attempt; we log a device once down and once back (adapters/health.py)."""
    for name in _LIBRARIES:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)


def _kind_problem(register: Register, device: Device) -> str:
    if device.points is None or device.connection is None:
        return ""
    return check_kind(register.point_set[device.points], device.connection)
