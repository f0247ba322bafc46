"""Modbus requests and answers as bytes, over TCP (MBAP) and over a serial line (RTU); no socket, no clock.

In: a `Question` and the bytes heard since it was asked. Out: what was heard (`Heard`): the answer's data, an exception code, what does
not fit, or nothing whole yet. An answer fits when transaction, unit, function and byte count are those that were asked.
Only reading functions can be asked (`refuse_writing`): 1-4, 17 Report Server ID, 43 / 14 Read Device Identification.
Modbus Application Protocol V1.1b3 §4-6, Messaging on TCP/IP V1.0b §3.1.3, Serial Line V1.02 §2.5.1. A serial line has no transaction:
an answer is looked for among the bytes (noise before it is passed over), by unit, function, byte count and CRC.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pymodbus.framer import FramerRTU

READ_FUNCTIONS = {"coil": 1, "discrete_input": 2, "holding_register": 3, "input_register": 4}
REPORT_SERVER_ID = 17
ENCAPSULATED = 43
READ_DEVICE_ID = 14  # the one kind of function 43 that only reads; 13 is CANopen and can write
_READING = frozenset({*READ_FUNCTIONS.values(), REPORT_SERVER_ID, ENCAPSULATED})
_MBAP = 7  # transaction, protocol 0, length, unit
_LATE = 100  # transactions back that a late or second answer may belong to
_LENGTHS = range(3, 255)  # of an MBAP answer: unit, function, at least one byte; a PDU has at most 253


class WritingRefused(RuntimeError):
    """Somebody tried to send what is not a read: a bug of ours, stopped before the first byte."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of a unit. `size`: data bytes that the answer must have, None where the answer says how many.

    request: the frame over TCP, behind the transaction. head: how the one answer that fits begins, behind the transaction; empty where
    its length is not known.
    """

    unit: int
    pdu: bytes
    size: int | None
    request: bytes = field(init=False, repr=False)
    head: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        length = (len(self.pdu) + 1).to_bytes(2, "big")
        object.__setattr__(self, "request", b"\0\0" + length + bytes([self.unit]) + self.pdu)
        head = b""
        if self.size is not None:
            head = b"\0\0" + (self.size + 3).to_bytes(2, "big") + bytes([self.unit, self.function, self.size])
        object.__setattr__(self, "head", head)

    @property
    def function(self) -> int:
        """The function code."""
        return self.pdu[0]

    @property
    def answer_bytes(self) -> int:
        """Bytes of the longest answer on a serial line."""
        return 256 if self.size is None else self.size + 5


@dataclass(frozen=True, slots=True)
class Heard:
    """What the bytes said. `used` of them are done with.

    data: the answer. code: the device's exception. wrong: a whole frame that does not fit, in words; passing: it is not the answer, but
    that may still come (a late or second answer to an earlier question). foreign: these bytes are not Modbus.
    """

    used: int = 0
    data: bytes | None = None
    code: int = 0
    wrong: str = ""
    passing: bool = False
    foreign: bool = False


NOTHING = Heard()


def reading(unit: int, table: str, address: int, count: int) -> Question:
    """Read `count` registers or bits from `address` (0-based)."""
    pdu = bytes([READ_FUNCTIONS[table]]) + address.to_bytes(2, "big") + count.to_bytes(2, "big")
    return Question(unit, pdu, (count + 7) // 8 if READ_FUNCTIONS[table] <= 2 else 2 * count)


def identification(unit: int, first: int = 0) -> Question:
    """Read Device Identification, regular level, from object `first` (§6.21)."""
    return Question(unit, bytes([ENCAPSULATED, READ_DEVICE_ID, 2, first]), None)


def server_id(unit: int) -> Question:
    """Report Server ID (§6.13)."""
    return Question(unit, bytes([REPORT_SERVER_ID]), None)


def refuse_writing(pdu: bytes) -> None:
    """Errors: `WritingRefused` for everything but a read. Called right before bytes leave (`wire.py`)."""
    if pdu[0] not in _READING or (pdu[0] == ENCAPSULATED and pdu[1:2] != bytes([READ_DEVICE_ID])):
        raise WritingRefused(f"expected a reading function {sorted(_READING)}, found {pdu[:2].hex()}: nothing was sent")


def hear_mbap(heard: bytes, question: Question | None, transaction: int) -> Heard:
    """The first frame among bytes from TCP. A whole frame of another transaction is passed over: a late or a second answer."""
    if len(heard) >= 4 and heard[2:4] != b"\0\0":
        return Heard(len(heard), foreign=True)
    if len(heard) < _MBAP + 1:
        return NOTHING
    length = int.from_bytes(heard[4:6], "big")
    if length not in _LENGTHS:
        return Heard(len(heard), foreign=True)
    end = 6 + length
    if len(heard) < end:
        return NOTHING
    found = int.from_bytes(heard[:2], "big")
    if question is None or found != transaction:
        late = question is None or (found != 0 and 0 < (transaction - found) % 0xFFFF <= _LATE)
        return Heard(end, wrong=f"事务号 (transaction): expected {transaction}, found {found}", passing=late)
    return _answer(heard[6:end], question, end)


def _answer(adu: bytes, question: Question, used: int) -> Heard:
    """A whole frame, from its unit on, held against the question."""
    unit, function = adu[0], adu[1]
    if unit != question.unit:
        return Heard(used, wrong=f"站号 (unit): expected {question.unit}, found {unit}")
    if function & 0x7F != question.function:
        return Heard(used, wrong=f"功能码 (function): expected {question.function}, found {function}")
    if function & 0x80:
        return Heard(used, code=adu[2]) if len(adu) == 3 else Heard(used, wrong=f"异常应答长度 ({len(adu)} bytes)")
    if question.size is None:
        return Heard(used, data=adu[2:])
    if adu[2] != question.size or len(adu) != 3 + question.size:
        return Heard(used, wrong=f"应答长度 (byte count): expected {question.size}, found {adu[2]} in {len(adu)} bytes")
    return Heard(used, data=adu[3:])


def rtu_frame(question: Question) -> bytes:
    """The request on a serial line."""
    adu = bytes([question.unit]) + question.pdu
    return adu + _crc(adu)


def hear_rtu(heard: bytes, question: Question | None) -> Heard:
    """The answer among bytes from a serial line; other units' frames and noise are passed over, at most a few hundred bytes."""
    if question is None:
        return Heard(len(heard))
    for start in range(len(heard) - 4):
        adu = _whole(heard[start:], question)
        if adu:
            return _answer(adu, question, len(heard))
    return NOTHING


def strange(heard: bytes) -> str:
    """What bytes on a serial line were, when no answer came of them: another unit's frame, or noise."""
    if len(heard) >= 5 and _sound(heard):
        return f"应答来自别的站号或功能 (unit {heard[0]}, function {heard[1]})"
    return f"收到 {len(heard)} 字节, 校验不符: 检查波特率、校验位、接线和终端电阻 (bad CRC, {heard[:16].hex()} …)"


def _whole(heard: bytes, question: Question) -> bytes:
    """The frame of the question's unit and function that begins here, without its CRC; empty when there is none."""
    if heard[0] != question.unit or heard[1] & 0x7F != question.function:
        return b""
    end = 5 if heard[1] & 0x80 else _declared_end(heard) if question.size is None else question.size + 5
    return heard[: end - 2] if 0 < end <= len(heard) and _sound(heard[:end]) else b""


def _declared_end(heard: bytes) -> int:
    """Where a frame that says its own length ends (function 17: byte count; 43: a list of objects); 0 while that is not known."""
    if heard[1] == REPORT_SERVER_ID:
        return heard[2] + 5
    at = 8  # unit, function, MEI type, code, conformity, more follows, next object, number of objects
    if len(heard) < at:
        return 0
    for _ in range(heard[7]):
        if len(heard) < at + 2:
            return 0
        at += 2 + heard[at + 1]
    return at + 2


def _sound(frame: bytes) -> bool:
    return frame[-2:] == _crc(frame[:-2])


def _crc(adu: bytes) -> bytes:
    return FramerRTU.compute_CRC(adu).to_bytes(2, "big")
