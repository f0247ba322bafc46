"""An OPC UA server (IEC 62541) with several machines: one folder each, one variable per point, values from the story.

In: machines, a port (0: any), whether it says that it is a simulator. Out: `OpcUaMachines`, started and stopped by its owner.
Node ids are `ns=2;s=<device>.<point>`. Each update stamps all variables of a machine with one SourceTimestamp, as a CNC does.
`fail` makes one machine's variables bad (Bad_DeviceFailure) while the server goes on, `recover` ends that.
A simulator says so in BuildInfo (ProductUri `urn:plantproof:simulator`), unless told not to announce itself.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from asyncua import ua
from asyncua.server.server import Server
from asyncua.ua.status_codes import StatusCodes

from adapters.batch import ValueType
from simulators.fleet import Machine
from simulators.history import values_at
from simulators.story import US, Story

NAMESPACE = "urn:plantproof:workshop"
SIMULATOR_URI = "urn:plantproof:simulator"
PLAIN_URI = "urn:example:machine-tools"
VARIANT = {
    ValueType.BOOL: ua.VariantType.Boolean,
    ValueType.I64: ua.VariantType.Int64,
    ValueType.U64: ua.VariantType.UInt64,
    ValueType.F32: ua.VariantType.Float,
    ValueType.F64: ua.VariantType.Double,
    ValueType.STR: ua.VariantType.String,
}


_BAD = ua.DataValue(StatusCode=ua.StatusCode(ua.UInt32(StatusCodes.BadDeviceFailure)))


class OpcUaMachines:
    """Several machines behind one endpoint."""

    def __init__(self, story: Story, machines: Sequence[Machine], *, port: int = 0, announce: bool = True) -> None:
        self._story = story
        self._machines = machines
        self._port = port
        self._announce = announce
        self._server = Server()
        self._nodes: dict[str, list[ua.NodeId]] = {}
        self._failed: set[str] = set()

    @property
    def port(self) -> int:
        """The port it listens on, once started."""
        return self._port

    async def start(self, at_us: int) -> None:
        """Build the address space, show the values of that moment, listen."""
        self._server = await new_server("PlantProof workshop", SIMULATOR_URI if self._announce else PLAIN_URI)
        index = await self._server.register_namespace(NAMESPACE)
        for machine in self._machines:
            await self._add(index, machine)
        await self.show(at_us)
        self._port = await listen(self._server, self._port)

    async def stop(self) -> None:
        """Close every session."""
        await self._server.stop()

    async def show(self, at_us: int) -> None:
        """Every machine's values of that moment, stamped with it."""
        at = datetime.fromtimestamp(at_us / US, UTC)
        for machine in self._machines:
            if machine.id in self._failed or machine.profile is None:
                continue
            values = values_at(self._story, machine, at_us)
            for node, point, value in zip(self._nodes[machine.id], machine.profile.points, values, strict=True):
                await self._server.write_attribute_value(node, data_value(value, VARIANT[point.type], at))

    async def fail(self, device: str) -> None:
        """The machine's variables turn bad and stay so."""
        self._failed.add(device)
        for node in self._nodes[device]:
            await self._server.write_attribute_value(node, _BAD)

    def recover(self, device: str) -> None:
        """The next `show` brings values again."""
        self._failed.discard(device)

    async def _add(self, index: int, machine: Machine) -> None:
        assert machine.profile is not None  # noqa: S101 - connected machines have one
        folder = await self._server.nodes.objects.add_folder(
            node_id(machine.id, index), ua.QualifiedName(machine.id, ua.UInt16(index))
        )
        values = values_at(self._story, machine, self._story.day_start_us(0))
        nodes = []
        for point, value in zip(machine.profile.points, values, strict=True):
            node = await folder.add_variable(
                node_id(f"{machine.id}.{point.name}", index),
                ua.QualifiedName(point.name, ua.UInt16(index)),
                value,
                VARIANT[point.type],
            )
            nodes.append(node.nodeid)
        self._nodes[machine.id] = nodes


def node_id(name: str, index: int) -> ua.NodeId:
    """`ns=<index>;s=<name>`."""
    return ua.NodeId(ua.String(name), ua.Int16(index))


async def new_server(name: str, product_uri: str) -> Server:
    """An asyncua server that says who it is and offers no security (loopback only)."""
    logging.getLogger("asyncua").setLevel(logging.ERROR)  # it warns about missing certificates at each start
    server = Server()
    await server.init()
    server.set_server_name(name)
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    await server.set_application_uri(f"{product_uri}:server")
    await server.set_build_info(product_uri, "PlantProof", name, "0.1.0", "1", datetime(2026, 11, 22, tzinfo=UTC))
    return server


async def listen(server: Server, port: int) -> int:
    """Start on 127.0.0.1; the port, also where 0 was asked."""
    server.set_endpoint(f"opc.tcp://127.0.0.1:{port}/plantproof")
    await server.start()
    if port:
        return port
    listener: Any = server.bserver  # asyncua names no public way to the ephemeral port
    return int(listener._server.sockets[0].getsockname()[1])


def data_value(value: object, variant: ua.VariantType, at: datetime) -> ua.DataValue:
    """A good value with the source's time; the server's own time is left to it."""
    stamp: Any = at  # asyncua's DateTime is a datetime that only its decoder makes
    return ua.DataValue(ua.Variant(value, variant), SourceTimestamp=stamp)
