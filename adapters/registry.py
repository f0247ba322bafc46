"""Which adapter speaks which protocol, and the adapters of a register: one per connection, whatever stands behind it.

In: a `Register` and the site. Out: the devices of each connection (`connections`), for every device with a connection whose service
has not ended, and their adapters (`build`): one per OPC UA server, per Modbus host and port or serial line, per MQTT broker and session.
A newcomer adds a module, a line in `ADAPTERS` and a section in CHECKLIST.yaml. The register has been cross-checked: nothing is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from adapters.contract import Adapter, Site
from adapters.modbus.adapter import ModbusAdapter
from adapters.mqtt.adapter import MqttAdapter
from adapters.mqtt.sparkplug.adapter import SparkplugAdapter
from adapters.opcua.adapter import OpcUaAdapter
from adapters.quiet import quiet_libraries
from adapters.template import Source, source_of
from config.register import Register

Factory = Callable[[Sequence[Source], Site], Adapter]
Link = tuple[object, ...]  # what the devices of one connection have in common; begins with the protocol

ADAPTERS: dict[str, Factory] = {
    "modbus": ModbusAdapter,
    "mqtt": MqttAdapter,
    "opcua": OpcUaAdapter,
    "sparkplug": SparkplugAdapter,
}


def connections(register: Register, now_us: int) -> dict[Link, list[Source]]:
    """The devices of each connection, in the register's order."""
    found: dict[Link, list[Source]] = {}
    for device in register.devices:
        if device.connection is not None and register.in_service_us(device)[1] > now_us:
            found.setdefault(device.connection.link, []).append(source_of(register, device))
    return found


def adapter_of(sources: Sequence[Source], site: Site) -> Adapter:
    """The adapter of one connection. Needs a running event loop."""
    quiet_libraries()
    return ADAPTERS[sources[0].connection.protocol](sources, site)


def build(register: Register, site: Site) -> list[Adapter]:
    """The adapters of a register. Needs a running event loop."""
    return [adapter_of(sources, site) for sources in connections(register, site.clock.now_us()).values()]
