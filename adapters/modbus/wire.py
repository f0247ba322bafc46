"""One open connection to a Modbus peer, TCP or serial port: one question at a time, its answer, or why there is none.

In: a connection of the register, `Question`s, a time limit. Out: the answers' data bytes, or `ReadError`. pymodbus opens sockets and
serial ports and calls back (`ModbusProtocol`, its public transport class); framing and checking are `frames.py`'s, without an object per
request and response (docs/adr/0006). What is heard and not asked for is dropped, and bounded: a peer that never stops talking, speaks
first or speaks something else is another protocol, and is cut off.
All bytes that ever leave go through `_send`, which refuses what is not a read.

Errors:
    ReadError
    ├── DeviceRefusal     Modbus exception code 1-11 (Modbus Application Protocol V1.1b3 §7)
    └── Garbled           bytes came, no sound frame among them (serial lines)
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Sequence
from typing import Any

from pymodbus.transport import CommParams, CommType, ModbusProtocol

from adapters.batch import Outcome
from adapters.contract import ReadError
from adapters.modbus.frames import (
    Heard,
    Question,
    hear_mbap,
    hear_rtu,
    refuse_writing,
    rtu_frame,
    strange,
)
from adapters.network import name_error, network_error, protocol_error, timeout_error
from config.connections import Modbus

_UNASKED_BYTES = 4096  # heard since the last answer that fitted; the longest frame has 260
_TIMER_S = 0.002  # event loops count in milliseconds
_NOISE_BYTES = 1024  # on a serial line since the question
_EXCEPTIONS = {
    1: "不支持的功能码 (illegal function)",
    2: "地址不存在 (illegal data address)",
    3: "数量超出设备允许 (illegal data value)",
    4: "设备内部故障 (server device failure)",
    5: "设备已受理、尚未完成 (acknowledge)",
    6: "设备忙 (server device busy)",
    8: "存储校验错误 (memory parity error)",
    10: "网关路径不可用 (gateway path unavailable)",
    11: "网关后的设备无应答 (gateway target failed to respond)",
}
_OUTCOMES = {10: Outcome.UNREACHABLE, 11: Outcome.TIMEOUT}


class DeviceRefusal(ReadError):
    """The device answered with an exception code."""

    def __init__(self, where: str, code: int) -> None:
        words = _EXCEPTIONS.get(code, f"异常码 {code} (exception)")
        super().__init__(_OUTCOMES.get(code, Outcome.DEVICE_FAILURE), f"{where}: {words}")
        self.code = code


class Garbled(ReadError):
    """Bytes came that are no answer: noise, wrong line settings, two devices of one number."""


class Wire(ModbusProtocol):
    """An open connection. `on_lost` is called once, when the peer ends it.

    transaction: the last one used, also on the connection before: a gateway may send on the new one what it still had.
    """

    def __init__(
        self, connection: Modbus, where: str, on_lost: Callable[[ReadError], None], transaction: int = 0
    ) -> None:
        super().__init__(_params(connection), is_server=False)
        self.where = where
        self.transaction = transaction
        self.answered = False  # it has answered anything at all
        self.silent_since = self.loop.time()  # a serial line's last byte
        self._serial = connection.transport != "tcp"
        self._is_port = connection.transport == "rtu"
        self._char_s = _char_s(connection) if self._serial else 0.0
        self._on_lost = on_lost
        self._heard = b""
        self._unasked = 0
        self._question: Question | None = None
        self._head = b""
        self._waiting: asyncio.Future[None] | None = None
        self._todo: Sequence[Question] = ()
        self._answers: list[bytes] = []
        self._failure: ReadError | None = None
        self._timeout_s = self._sent_s = self._deadline_s = self.slowest_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._late = ""  # of an answer to an earlier question, for the words of a timeout

    async def open(self, timeout_s: float) -> None:
        """Connect. Errors: `ReadError` with the system's own reason."""
        try:
            async with asyncio.timeout(timeout_s):
                self.transport, _ = await self.call_create()
        except TimeoutError:
            self.end()
            raise timeout_error(self.where) from None
        except OSError as err:
            raise (_serial_error if self._is_port else network_error)(err, self.where) from err
        except UnicodeError as err:
            raise name_error(self.where) from err

    def end(self) -> None:
        """Close without waiting for what a deaf peer has not taken."""
        abort = getattr(self.transport, "abort", None)  # uvloop's transports are no subclass of asyncio's
        self.close()
        if abort is not None:
            abort()

    async def ask(self, questions: Sequence[Question], timeout_s: float) -> tuple[list[bytes], ReadError | None]:
        """The data bytes of the answers, one question after the other, and why they end before the last: the time limit is each one's.

        One caller at a time; a connection that is over is closed.
        """
        if not self.is_active():
            return [], ReadError(Outcome.DISCONNECTED, f"{self.where}: 连接已断开 (connection lost)")
        self._waiting = self.loop.create_future()
        self._todo, self._answers, self._failure = questions, [], None
        self._timeout_s, self._late, self.slowest_s = timeout_s, "", 0.0
        self._send(questions[0])
        self._timer = self.loop.call_at(self._deadline_s, self._expired)
        try:
            await self._waiting
        finally:
            self._timer.cancel()  # the newest: `_expired` sets it anew
            self._question = self._waiting = None
            self._head = b""
        return self._answers, self._failure

    def data_received(self, data: bytes) -> None:
        """Called by the transport. The expected answer, whole and alone, is the usual case."""
        head = self._head
        if head and not self._heard and data.startswith(head) and len(data) == len(head) + head[-1]:
            self._head = b""
            self._take_answer(data[len(head) :])
            return
        self._heard += data
        self._unasked += len(data)
        self.silent_since = self.loop.time()
        while self._heard:
            heard = (
                hear_rtu(self._heard, self._question)
                if self._serial
                else hear_mbap(self._heard, self._question, self.transaction)
            )
            if heard.foreign or self._unasked > (_NOISE_BYTES if self._serial else _UNASKED_BYTES):
                self._cut(protocol_error(self.where, "Modbus", self._heard))
                return
            if not heard.used:
                return
            self._heard = self._heard[heard.used :]
            self._take(heard)

    def callback_disconnected(self, exc: Exception | None) -> None:
        """Called when the peer or the port has gone."""
        why = f"{exc}" if exc else "closed by the peer"
        self._over(ReadError(Outcome.DISCONNECTED, f"{self.where}: 连接中断 (connection lost: {why})"))

    def callback_connected(self) -> None:
        """Nothing to do: `open` returns."""

    def callback_new_connection(self) -> ModbusProtocol:
        """Never called: this is no server."""
        raise NotImplementedError

    def callback_data(self, data: bytes, addr: tuple[Any, ...] | None = None) -> int:
        """Never called: `data_received` is ours."""
        raise NotImplementedError

    def _send(self, question: Question) -> None:
        """The one place where bytes leave."""
        refuse_writing(question.pdu)
        self._question = question
        self._sent_s = self.loop.time()
        self._deadline_s = self._sent_s + self._timeout_s
        if self._serial:
            frame = rtu_frame(question)
            self._heard, self._unasked = b"", 0
            self._deadline_s += (len(frame) + question.answer_bytes) * self._char_s
        else:
            self.transaction = self.transaction % 0xFFFF + 1
            transaction = self.transaction.to_bytes(2, "big")
            frame = transaction + question.request
            self._head = transaction + question.head if question.head else b""
        self.transport.write(frame)  # type: ignore[attr-defined]

    def _take_answer(self, data: bytes) -> None:
        if self._question is None or self._failure is not None:
            return
        self.answered = True
        self._unasked = 0
        self.slowest_s = max(self.slowest_s, self.loop.time() - self._sent_s)
        self._answers.append(data)
        if len(self._answers) < len(self._todo):
            self._send(self._todo[len(self._answers)])
        else:
            self._done()

    def _take(self, heard: Heard) -> None:
        question = self._question
        if heard.data is not None:
            self._take_answer(heard.data)
        elif heard.code and question is not None:
            self._fail(DeviceRefusal(f"{self.where}: 站号 {question.unit}", heard.code))
        elif heard.passing:
            self._late = heard.wrong
        elif heard.wrong:
            self._fail(
                ReadError(Outcome.PROTOCOL, f"{self.where}: 应答与请求不符 (answer does not fit): {heard.wrong}")
            )

    def _done(self) -> None:
        self._question = None
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def _fail(self, err: ReadError) -> None:
        if self._question is None:
            return
        self._head = b""
        self._failure = err
        if isinstance(err, DeviceRefusal):
            self.answered = True
            self._unasked = 0
        self._done()

    def _expired(self) -> None:
        """The time limit: silence, or bytes that were no answer. The timer is the first question's; later ones end later."""
        if self.loop.time() < self._deadline_s - _TIMER_S:
            self._timer = self.loop.call_at(self._deadline_s, self._expired)
            return
        unit = self._question.unit if self._question is not None else 0
        silence = timeout_error(f"{self.where}: 站号 {unit}")
        if self._serial and self._heard:
            self._fail(Garbled(Outcome.PROTOCOL, f"{self.where}: 站号 {unit}: {strange(self._heard)}"))
        elif self._heard:
            words = f"{silence}; 只收到半帧 (half a frame: {self._heard[:16].hex()})"
            self._cut(ReadError(Outcome.TIMEOUT, words))
        elif self._late:
            self._fail(ReadError(Outcome.TIMEOUT, f"{silence}; 只收到早先请求的应答 (a late answer), {self._late}"))
        else:
            self._fail(silence)

    def _cut(self, err: ReadError) -> None:
        self.end()
        self._over(err)

    def _over(self, err: ReadError) -> None:
        self._heard = b""
        self._fail(err)
        self._on_lost(err)


def _serial_error(err: OSError, where: str) -> ReadError:
    if err.errno in (errno.EACCES, errno.EPERM):
        return ReadError(
            Outcome.DENIED,
            f"{where}: 没有串口权限, 把运行用户加入 dialout 组后重启服务 (permission denied on the port)",
        )
    if err.errno in (errno.EAGAIN, errno.EBUSY):
        return ReadError(Outcome.REFUSED, f"{where}: 串口正被其他程序占用 (port in use)")
    return ReadError(
        Outcome.UNREACHABLE, f"{where}: 打不开串口, 检查转接器是否插好、设备名是否变了 (cannot open the port: {err})"
    )


def _char_s(connection: Modbus) -> float:
    """Seconds of one character: start, data, parity and stop bits (Serial Line V1.02 §2.5.1)."""
    return (1 + connection.bytesize + (connection.parity != "N") + connection.stopbits) / connection.baudrate


def silence_s(connection: Modbus) -> float:
    """The silence before a request on a serial line: 3.5 characters, 1.75 ms above 19200 baud (§2.5.1.1)."""
    if connection.transport == "tcp":
        return 0.0
    return 0.00175 if connection.baudrate > 19200 else 3.5 * _char_s(connection)


def _params(connection: Modbus) -> CommParams:
    if connection.transport == "rtu":
        return CommParams(
            comm_type=CommType.SERIAL,
            comm_name="modbus",
            host=connection.serial,
            baudrate=connection.baudrate,
            bytesize=connection.bytesize,
            parity=connection.parity,
            stopbits=connection.stopbits,
            reconnect_delay=0,
        )
    return CommParams(
        comm_type=CommType.TCP, comm_name="modbus", host=connection.host, port=connection.port, reconnect_delay=0
    )
