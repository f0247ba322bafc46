"""A Modbus TCP device on a port of its own: registers from the story, identity, and ways to fail.

In: a machine of the fleet, a port (0: any). Out: `ModbusDevice`. Input registers and one discrete input, laid out as the
machine's profile says. Registers are refreshed at each read, so values are never older than the question.
Fails on request (`fail`): `exception` answers 04 slave device failure, `silent` takes the request and says nothing,
`refuse` closes the port. Function 43/14 names the product `PlantProof simulator`, unless told not to announce itself.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Literal

from pymodbus.constants import ExcCodes
from pymodbus.pdu import ModbusPDU
from pymodbus.pdu.mei_message import ReadDeviceInformationResponse
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from simulators.fleet import Machine
from simulators.history import values_at
from simulators.profiles import PointSpec, Profile
from simulators.story import Story

PRODUCT = "PlantProof simulator"
Failure = Literal["", "exception", "silent", "refuse"]
_WIRE = {"u16": ">H", "i16": ">h", "u32": ">I", "i32": ">i", "f32": ">f", "u64": ">Q", "f64": ">d"}
_SIZE = 64  # input registers shown; what no point uses reads 0


class ModbusDevice:
    """One device. `now_us` gives the moment whose values are shown."""

    def __init__(
        self, story: Story, machine: Machine, now_us: Callable[[], int], *, port: int = 0, announce: bool = True
    ) -> None:
        assert machine.profile is not None  # noqa: S101 - connected machines have one
        self._story, self._machine, self._profile, self._now_us = story, machine, machine.profile, now_us
        self._port = port
        self._names = (
            {0: "PlantProof", 1: "SIM", 2: "0.1", 4: PRODUCT} if announce else {0: machine.maker, 1: machine.model}
        )
        self._failure: Failure = ""
        self._server: ModbusTcpServer | None = None

    @property
    def port(self) -> int:
        """The port it listens on, once started."""
        return self._port

    async def start(self) -> None:
        """Listen on 127.0.0.1."""
        empty = SimData(0, values=[0] * _SIZE, datatype=DataType.REGISTERS)
        bits = SimData(0, values=[False] * 16, datatype=DataType.BITS)
        device = SimDevice(id=0, simdata=([bits], [bits], [empty], [empty]), action=self._refresh)
        self._server, self._port = await serve_modbus(device, self._port, self._names, failure=lambda: self._failure)

    async def stop(self) -> None:
        """Close the port and every connection."""
        if self._server is not None:
            await self._server.shutdown()  # type: ignore[no-untyped-call]
            self._server = None

    async def fail(self, how: Failure) -> None:
        """Fail from now on; "" recovers."""
        self._failure = how
        if how == "refuse":
            await self.stop()
        elif self._server is None:
            await self.start()

    async def _refresh(
        self, function: int, _start: int, _address: int, _count: int, registers: list[int], written: object
    ) -> ExcCodes | None:
        if self._failure == "exception":
            return ExcCodes.DEVICE_FAILURE
        if written is not None:
            return ExcCodes.ILLEGAL_FUNCTION
        values = values_at(self._story, self._machine, self._now_us())
        bits, words = encode(self._profile, values)
        if function in (1, 2):
            registers[0] = sum(bit << i for i, bit in enumerate(bits))
        else:
            registers[: len(words)] = words
        return None


def encode(profile: Profile, values: tuple[object, ...]) -> tuple[list[int], list[int]]:
    """(discrete inputs, input registers) of one moment's values."""
    bits, words = [0] * 16, [0] * _SIZE
    for point, value in zip(profile.points, values, strict=True):
        if point.wire == "bit":
            bits[point.address] = int(bool(value))
        else:
            raw = _words(point, profile.word_order, value)
            words[point.address : point.address + len(raw)] = raw
    return bits, words


def _words(point: PointSpec, order: str, value: object) -> list[int]:
    number = float(str(value))
    if point.wire[0] in "ui":
        number = round(number / float(point.scale or 1))
    packed = struct.pack(_WIRE[point.wire], number)
    words = [int.from_bytes(packed[i : i + 2], "big") for i in range(0, len(packed), 2)]
    return words if order == "big" else words[::-1]


async def serve_modbus(
    device: SimDevice,
    port: int,
    names: dict[int, str],
    *,
    failure: Callable[[], str] = str,
    on_answer: Callable[[ModbusPDU], None] | None = None,
) -> tuple[ModbusTcpServer, int]:
    """A listening server on 127.0.0.1 and its port. `names`: its 43/14 objects; while `failure()` is "silent" it says nothing.

    pymodbus keeps one identity for the whole process, so each answer gets the objects of its own device here.
    """

    def answer(sending: bool, pdu: ModbusPDU) -> ModbusPDU:
        if sending and isinstance(pdu, ReadDeviceInformationResponse):
            pdu.information = dict(names)
        elif sending and on_answer is not None:
            on_answer(pdu)
        return pdu

    def cut(sending: bool, data: bytes) -> bytes:
        return b"" if sending and failure() == "silent" else data

    server = ModbusTcpServer(device, address=("127.0.0.1", port), trace_packet=cut, trace_pdu=answer)
    await server.serve_forever(background=True)
    listener: Any = server.transport
    return server, int(listener.sockets[0].getsockname()[1])
