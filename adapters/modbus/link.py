"""One TCP connection to a Modbus device or gateway: reads only, one request at a time, each with its own time limit.

In: host and port. Out: the data bytes of a response, or `ReadError`. pymodbus connects and frames; register data is taken as bytes
(`_Raw`), not as one Python integer per register (research/protocols.md §3). No write function code is imported anywhere.
Distinguished: refused, unreachable, timeout, disconnected in the middle, a peer that is not Modbus (protocol id, function code or
length that cannot be), and an exception response of the device (`DeviceRefusal`).

Errors:
    ReadError
    └── DeviceRefusal     Modbus exception code 1-11 (Modbus Application Protocol V1.1b3 §7)
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException
from pymodbus.pdu import ExceptionResponse, ModbusPDU
from pymodbus.pdu.bit_message import ReadCoilsRequest, ReadDiscreteInputsRequest
from pymodbus.pdu.mei_message import ReadDeviceInformationRequest
from pymodbus.pdu.register_message import ReadHoldingRegistersRequest, ReadInputRegistersRequest

from adapters.batch import Outcome
from adapters.contract import Clock, ReadError
from adapters.health import Backoff
from adapters.modbus.plan import Block
from adapters.network import network_error, protocol_error, timeout_error

_TIMEOUTS_UNTIL_RECONNECT = 3  # a gateway that rebooted leaves a half-open connection behind (libmodbus #735)
_LIBRARY_TIMEOUT_S = 120.0  # ours is always shorter
_MBAP = 7  # transaction, protocol 0, length, unit
_EXCEPTIONS = {
    1: "不支持的功能码 (illegal function)",
    2: "地址不存在 (illegal data address)",
    3: "数量超出设备允许 (illegal data value)",
    4: "设备内部故障 (server device failure)",
    6: "设备忙 (server device busy)",
    10: "网关路径不可用 (gateway path unavailable)",
    11: "网关后的设备无应答 (gateway target failed to respond)",
}
_OUTCOMES = {10: Outcome.UNREACHABLE, 11: Outcome.TIMEOUT}


class DeviceRefusal(ReadError):
    """The device answered with an exception code."""

    def __init__(self, where: str, code: int) -> None:
        words = _EXCEPTIONS.get(code, f"异常码 {code}")
        super().__init__(_OUTCOMES.get(code, Outcome.DEVICE_FAILURE), f"{where}: {words}")
        self.code = code

    @property
    def is_about_the_range(self) -> bool:
        """True when a smaller range may be answered: a hole in the map, or a device that takes fewer registers."""
        return self.code in (2, 3)


class _Raw(ModbusPDU):
    """A read response whose data stay bytes. pymodbus builds `str(pdu)` for each response, so that is kept cheap."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.raw = b""

    def decode(self, data: bytes) -> None:
        self.raw = data[1 : 1 + data[0]]

    def __str__(self) -> str:
        return f"{len(self.raw)} bytes"


class _RawCoils(_Raw):
    function_code = 1


class _RawDiscreteInputs(_Raw):
    function_code = 2


class _RawHoldingRegisters(_Raw):
    function_code = 3


class _RawInputRegisters(_Raw):
    function_code = 4


_REQUEST: dict[str, type[ModbusPDU]] = {
    "coil": ReadCoilsRequest,
    "discrete_input": ReadDiscreteInputsRequest,
    "holding_register": ReadHoldingRegistersRequest,
    "input_register": ReadInputRegistersRequest,
}


class ModbusLink:
    """The connection. Opened at the first use, opened again after a loss, never faster than its backoff allows."""

    def __init__(self, host: str, port: int, clock: Clock) -> None:
        self.where = f"{host}:{port}"
        self.backoff = Backoff(clock)
        self._host, self._port = host, port
        self._client: AsyncModbusTcpClient | None = None
        self._lock = asyncio.Lock()
        self._pending: ModbusPDU | None = None
        self._timeouts = 0
        self._heard = b""
        self._why: ReadError | None = None

    @property
    def connected(self) -> bool:
        """True while the socket is open."""
        return self._client is not None and self._client.connected

    async def read(self, unit: int, block: Block, timeout_s: float) -> bytes:
        """The block's data bytes. Errors: `ReadError`."""
        request = _REQUEST[block.table](address=block.address, count=block.count, dev_id=unit)
        response = await self._exchange(request, timeout_s)
        expected = (block.count + 7) // 8 if block.is_bits else 2 * block.count
        if not isinstance(response, _Raw) or len(response.raw) != expected:
            raise ReadError(
                Outcome.PROTOCOL,
                f"{self.where}: 站号 {unit}: 应答长度不符 (expected {expected} bytes, found {response})",
            )
        return response.raw

    async def identity(self, unit: int, timeout_s: float) -> dict[int, str]:
        """Objects of Read Device Identification (function 43 / 14), regular level. Errors: `ReadError` when not answered."""
        response = await self._exchange(ReadDeviceInformationRequest(read_code=2, dev_id=unit), timeout_s)
        objects: dict[int, Any] = getattr(response, "information", {})
        return {i: _text(o) for i, o in sorted(objects.items())}

    async def close(self) -> None:
        """Close the socket."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    async def _exchange(self, request: ModbusPDU, timeout_s: float) -> ModbusPDU:
        async with self._lock:
            client = await self._open(timeout_s)
            self._pending = request
            try:
                async with asyncio.timeout(timeout_s):
                    response: ModbusPDU = await client.execute(False, request)
            except TimeoutError:
                await self._count_timeout()
                self._raise_if_foreign()
                raise timeout_error(f"{self.where}: 站号 {request.dev_id}") from None
            except OSError as err:
                await self.close()
                raise network_error(err, self.where) from err
            except ReadError:
                await self.close()
                raise
            except ModbusException as err:
                await self.close()
                raise ReadError(Outcome.DISCONNECTED, f"{self.where}: 连接中断 (connection lost: {err})") from err
            finally:
                self._pending = None
        self._timeouts = 0
        if isinstance(response, ExceptionResponse):
            raise DeviceRefusal(f"{self.where}: 站号 {request.dev_id}", response.exception_code)
        return response

    async def _count_timeout(self) -> None:
        self._timeouts += 1
        if self._timeouts >= _TIMEOUTS_UNTIL_RECONNECT:
            self._timeouts = 0
            await self.close()

    def _raise_if_foreign(self) -> None:
        if self._heard:
            raise protocol_error(self.where, "Modbus TCP", self._heard)

    async def _open(self, timeout_s: float) -> AsyncModbusTcpClient:
        if self._client is not None and self._client.connected:
            return self._client
        if self._why is not None and self.backoff.remaining_s > 0:
            raise ReadError(self._why.outcome, str(self._why))
        await self.close()
        self._heard = b""
        try:
            self._client = await self._connect(timeout_s)
        except ReadError as err:
            self._why = err
            self.backoff.failed()
            raise
        self._why = None
        self.backoff.succeeded()
        return self._client

    async def _connect(self, timeout_s: float) -> AsyncModbusTcpClient:
        """Connect once. pymodbus only says True or False, so the socket's own error is noted on its way."""
        client = AsyncModbusTcpClient(
            self._host,
            port=self._port,
            timeout=_LIBRARY_TIMEOUT_S,
            retries=0,
            reconnect_delay=0,
            trace_packet=self._on_bytes,
            trace_connect=self._on_connection,
        )
        for response in (_RawCoils, _RawDiscreteInputs, _RawHoldingRegisters, _RawInputRegisters):
            client.register(response)
        noted: list[OSError] = []
        client.ctx.call_create = _noting(client.ctx.call_create, noted)
        try:
            async with asyncio.timeout(timeout_s):
                opened = await client.connect()
        except TimeoutError:
            client.close()
            raise timeout_error(self.where) from None
        if not opened:
            client.close()
            raise network_error(noted[0], self.where) if noted else timeout_error(self.where)
        return client

    def _on_bytes(self, sending: bool, data: bytes) -> bytes:
        """Look at what arrives before pymodbus does: a peer that is not Modbus is told at once, not after the timeout."""
        if sending:
            return data
        if self._pending is None:
            self._heard = data  # a Modbus server never speaks first; an SSH or FTP server does
            return data
        foreign = len(data) >= 4 and data[2:4] != b"\0\0"
        if not foreign and len(data) > _MBAP:
            length = int.from_bytes(data[4:6], "big")
            answers = int.from_bytes(data[0:2], "big") == self._pending.transaction_id
            foreign = not 3 <= length <= 254 or (answers and data[_MBAP] & 0x7F != self._pending.function_code)
        if not foreign:
            return data
        self._fail_pending(protocol_error(self.where, "Modbus TCP", data))
        return b""

    def _on_connection(self, connected: bool) -> None:
        if not connected:
            lost = ReadError(Outcome.DISCONNECTED, f"{self.where}: 连接被对方断开 (connection lost)")
            self._fail_pending(protocol_error(self.where, "Modbus TCP", self._heard) if self._heard else lost)

    def _fail_pending(self, err: ReadError) -> None:
        client = self._client
        if self._pending is not None and client is not None and not client.ctx.response_future.done():
            client.ctx.response_future.set_exception(err)


def _noting(create: Callable[[], Awaitable[Any]], noted: list[OSError]) -> Callable[[], Any]:
    async def noting() -> Any:
        try:
            return await create()
        except OSError as err:
            noted.append(err)
            raise

    return noting


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
