"""Responses of the services used each second -> what they say: header, values, notifications (IEC 62541-4 §7.33, §7.25).

In: the body of one response. Out: `Values` of a Read; of a Publish the subscription and its `Message`: values, events, a status change, or
nothing, which is a keep-alive. What is of no use here (diagnostics, sequence numbers still kept) is passed over.
Refuses: another response than was asked for and lengths beyond the body (`Malformed`); a ServiceFault or a bad result is a `Fault`.
"""

from __future__ import annotations

from dataclasses import dataclass

from adapters.opcua.values.binary import Malformed, Reader, extension, node_id, variant
from adapters.opcua.values.columns import Values, values_of

_SERVICE_FAULT, _READ, _PUBLISH, _REPUBLISH = "i=397", "i=634", "i=829", "i=835"
_DATA_CHANGE, _EVENTS, _STATUS_CHANGE = "i=811", "i=916", "i=820"


class Fault(Exception):
    """The server answered with a status instead of a result (ServiceFault, IEC 62541-4 §7.34)."""

    def __init__(self, status: int) -> None:
        super().__init__(f"0x{status:08X}")
        self.status = status


@dataclass(frozen=True, slots=True, eq=False)
class Message:
    """A NotificationMessage. `status`: of the subscription itself, when the server says that it changed."""

    sequence: int
    values: tuple[Values, ...] = ()
    events: tuple[tuple[int, tuple[object, ...]], ...] = ()  # handle, fields
    status: int | None = None

    @property
    def is_keep_alive(self) -> bool:
        """True when it says nothing but that the subscription lives; its number is the next one's."""
        return not self.values and not self.events and self.status is None


@dataclass(frozen=True, slots=True, eq=False)
class Published:
    """One publish response."""

    subscription: int
    more: bool
    message: Message


def read_response(body: bytes) -> Values:
    """The results of a ReadResponse, in order. Errors: `Fault`, `Malformed`."""
    read = Reader(body)
    response_header(read, _READ)
    return values_of(read, handles=False)


def publish_response(body: bytes) -> Published:
    """A PublishResponse. Errors: `Fault`, `Malformed`."""
    read = Reader(body)
    response_header(read, _PUBLISH)
    subscription = read.u32()
    read.take(4 * read.count(4))  # sequence numbers that could be asked for again
    more = read.u8() != 0
    return Published(subscription, more, _message(read))


def republish_response(body: bytes) -> Message:
    """The NotificationMessage of a RepublishResponse. Errors: `Fault`, `Malformed`."""
    read = Reader(body)
    response_header(read, _REPUBLISH)
    return _message(read)


def response_header(read: Reader, expected: str) -> None:
    """TypeId and ResponseHeader (IEC 62541-4 §7.33)."""
    found = node_id(read)
    read.take(8 + 4)
    status = read.u32()
    read.skip_diagnostic()
    for _ in range(read.count(4)):
        read.text()
    extension(read)
    if found == _SERVICE_FAULT or status >> 31:
        raise Fault(status)
    if found != expected:
        raise Malformed(f"expected a response {expected}, found {found}")


def _message(read: Reader) -> Message:
    sequence = read.u32()
    read.take(8)
    values: list[Values] = []
    events: list[tuple[int, tuple[object, ...]]] = []
    status = None
    for _ in range(read.count(3)):
        kind = node_id(read)
        if read.u8() != 1:
            raise Malformed("expected notification data with a body")
        end = read.at + 4 + read.i32()
        if not read.at <= end <= len(read.data):
            raise Malformed("expected notification data within its message")
        if kind == _DATA_CHANGE:
            values.append(values_of(read, handles=True))
        elif kind == _EVENTS:
            events += _events(read)
        elif kind == _STATUS_CHANGE:
            status = read.u32()
        read.at = end
    return Message(sequence, tuple(values), tuple(events), status)


def _events(read: Reader) -> list[tuple[int, tuple[object, ...]]]:
    found = []
    for _ in range(read.count(8)):
        handle = read.u32()
        found.append((handle, tuple(variant(read) for _ in range(read.count()))))
    return found
