"""The whole workshop alive in one process: 8 OPC UA machines, 12 Modbus devices, 4 MQTT nodes and their broker, on loopback.

In: a story and ports (0: any). Out: `Workshop`, listening; `run` keeps its values moving until cancelled, `stop` closes all.
Values go on where the driven history ended, by the wall clock. `fail(device)` and `recover(device)` for whoever wants
to see a machine die. A clock may be handed in, so that a test decides what moment is shown.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import time
from collections.abc import Callable

from simulators.broker import Broker
from simulators.fleet import MACHINE
from simulators.modbus_device import ModbusDevice
from simulators.mqtt_node import MqttNode
from simulators.opcua_machine import OpcUaMachines
from simulators.story import Story
from simulators.workshop import Ports

REFRESH_S = 1.0
PUBLISH_EVERY = 20  # refreshes between two messages of an MQTT node: three per declared interval
ANY_PORTS = Ports(opcua=0, mqtt=0, modbus={})


def wall_us() -> int:
    """Microseconds since 1970 UTC: the live machines show the real moment."""
    return time.time_ns() // 1000


class Workshop:
    """Every server of the workshop."""

    def __init__(self, story: Story, ports: Ports, now_us: Callable[[], int], *, announce: bool) -> None:
        self._now_us = now_us
        machines = story.machines(0)
        by_protocol = {p: [m for m in machines if m.protocol == p] for p in ("opcua", "modbus", "mqtt")}
        self._opcua = OpcUaMachines(story, by_protocol["opcua"], port=ports.opcua, announce=announce)
        self._modbus = {
            m.id: ModbusDevice(story, m, now_us, port=ports.modbus.get(m.id, 0), announce=announce)
            for m in by_protocol["modbus"]
        }
        self._broker = Broker(port=ports.mqtt)
        self._mqtt = {m.id: MqttNode(story, m, announce=announce) for m in by_protocol["mqtt"]}

    @property
    def ports(self) -> Ports:
        """Where everything listens."""
        modbus = {name: d.port for name, d in self._modbus.items()}
        modbus["L2-HYD-03"] = modbus["L2-INJ-03"]  # the scrapped machine stood where the new one stands
        return Ports(self._opcua.port, self._broker.port, modbus)

    async def start(self) -> None:
        """Start every server, broker before its clients."""
        await self._opcua.start(self._now_us())
        for device in self._modbus.values():
            await device.start()
        await self._broker.start()
        for node in self._mqtt.values():
            await node.start(self._broker.port)
            node.publish(self._now_us())
        _give_back_memory()

    async def run(self) -> None:
        """Refresh values until cancelled."""
        beat = 0
        while True:
            await asyncio.sleep(REFRESH_S)
            beat += 1
            await self._opcua.show(self._now_us())
            if beat % PUBLISH_EVERY == 0:
                self.publish()

    def publish(self) -> None:
        """One message of each MQTT node, now."""
        for node in self._mqtt.values():
            node.publish(self._now_us())

    async def fail(self, device: str) -> None:
        """Make one machine fail: OPC UA bad values, Modbus exception 04, MQTT silence."""
        protocol = MACHINE[device].protocol
        if protocol == "opcua":
            await self._opcua.fail(device)
        elif protocol == "modbus":
            await self._modbus[device].fail("exception")
        else:
            self._mqtt[device].fail()

    async def recover(self, device: str) -> None:
        """End that."""
        protocol = MACHINE[device].protocol
        if protocol == "opcua":
            self._opcua.recover(device)
        elif protocol == "modbus":
            await self._modbus[device].fail("")
        else:
            self._mqtt[device].recover()

    async def stop(self) -> None:
        """Close everything, clients before their broker."""
        for node in self._mqtt.values():
            await node.stop()
        await self._broker.stop()
        for device in self._modbus.values():
            await device.stop()
        await self._opcua.stop()


async def serve(
    story: Story, ports: Ports = ANY_PORTS, *, announce: bool = True, now_us: Callable[[], int] = wall_us
) -> Workshop:
    """Start the workshop; the caller runs and stops it. Errors: OSError when a port is taken."""
    workshop = Workshop(story, ports, now_us, announce=announce)
    try:
        await workshop.start()
    except BaseException:
        await workshop.stop()
        raise
    return workshop


def _give_back_memory() -> None:
    """Building an OPC UA address space leaves 40 MB of free heap behind; glibc returns it only when asked."""
    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError):
        return  # another libc
