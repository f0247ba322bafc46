"""A recorded machine behind Modbus TCP: a block of eight holding registers that moves on by one sample per completed read.

In: samples, a port. Out: `ModbusReplay`. Registers 0-3: value (f64), 4-7: sample time (i64, milliseconds since 1970 UTC), high word first.
"Completed" means that the answer has been handed to the connection: a question that dies on the way costs no sample.
A read of a part of the block shows it and does not move on. After the last sample: exception 04.
Identity (43/14): ProductName `PlantProof replay`.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from pymodbus.constants import ExcCodes
from pymodbus.pdu import ModbusPDU
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from simulators.modbus_device import serve_modbus
from simulators.recordings import Sample

_BLOCK = 8
_NAMES = {0: "PlantProof", 1: "REPLAY", 2: "0.1", 4: "PlantProof replay"}


class ModbusReplay:
    """The NAB machine."""

    def __init__(self, samples: Sequence[Sample], *, port: int = 0) -> None:
        self._samples = samples
        self._port = port
        self._server: ModbusTcpServer | None = None
        self._whole = False
        self.position = 0  # samples read so far

    @property
    def port(self) -> int:
        """The port it listens on, once started."""
        return self._port

    @property
    def next_us(self) -> int | None:
        """Recorded time of the sample that the next read gives; None at the end."""
        return self._samples[self.position].at_us if self.position < len(self._samples) else None

    async def start(self) -> None:
        """Listen on 127.0.0.1."""
        block = SimData(0, values=[0] * _BLOCK, datatype=DataType.REGISTERS)
        bits = SimData(0, values=[False] * 16, datatype=DataType.BITS)
        device = SimDevice(id=0, simdata=([bits], [bits], [block], [block]), action=self._show)
        self._server, self._port = await serve_modbus(device, self._port, _NAMES, on_answer=self._answered)

    async def stop(self) -> None:
        """Close the port and every connection."""
        if self._server is not None:
            await self._server.shutdown()  # type: ignore[no-untyped-call]
            self._server = None

    async def _show(
        self, function: int, _start: int, address: int, count: int, registers: list[int], written: object
    ) -> ExcCodes | None:
        if written is not None or function != 3:
            return ExcCodes.ILLEGAL_FUNCTION
        if self.position >= len(self._samples):
            return ExcCodes.DEVICE_FAILURE
        sample = self._samples[self.position]
        packed = struct.pack(">dq", sample.value, sample.at_us // 1000)
        registers[:_BLOCK] = struct.unpack(">8H", packed)
        self._whole = address == 0 and count == _BLOCK
        return None

    def _answered(self, answer: ModbusPDU) -> None:
        if self._whole and not answer.isError():
            self.position += 1
        self._whole = False
