"""Which adapter speaks which protocol, and the adapters of a register: one per connection, whatever stands behind it.

In: a `Register` and the clock. Out: adapters for every device with a connection whose service has not ended (one per OPC UA server,
per Modbus host and port, per MQTT broker). A newcomer adds a module, a line in `ADAPTERS` and one in CHECKLIST.yaml.
The register has been cross-checked (config/register.py): nothing is refused here.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from adapters.contract import Adapter, Clock, OnState
from adapters.modbus.adapter import ModbusAdapter
from adapters.mqtt.adapter import MqttAdapter
from adapters.opcua.adapter import OpcUaAdapter
from adapters.template import Source, source_of
from config.register import Modbus, Mqtt, OpcUa, Register

Factory = Callable[[Sequence[Source], Clock, OnState | None], Adapter]

ADAPTERS: dict[str, Factory] = {
    "modbus": ModbusAdapter,
    "mqtt": MqttAdapter,
    "opcua": OpcUaAdapter,
}

_LIBRARIES = ("pymodbus", "asyncua", "paho")


def build(register: Register, clock: Clock, *, on_state: OnState | None = None) -> list[Adapter]:
    """The adapters of a register. Needs a running event loop."""
    quiet_libraries()
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


def quiet_libraries() -> None:
    """The libraries log each failed attempt; we log a device once down and once back (adapters/health.py)."""
    for name in _LIBRARIES:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
