"""Read, Publish and Republish without an object per node or value: prepared requests out, the body of the response in.

In: an asyncua client with a session. Out: the response's bytes, for columns.py. asyncua keeps connection, secure channel, session and
request headers: `protocol.send_request` is its public way to send anything that serialises and to get the body back.
A `PreparedRead` is encoded once and sent every second. Its body travels as one ByteString, whose length prefix falls on the lower half
of MaxAge (a Double, IEC 62541-4 §5.11.2): a denormal number of milliseconds, 1e-320, which no clock can tell from 0, "a new value".
Refuses nothing; errors are asyncua's (`UaStatusCodeError`, `ConnectionError`, `TimeoutError`) and columns.py's.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

from asyncua import ua
from asyncua.client.client import Client
from asyncua.common.utils import Buffer
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.ua_binary import nodeid_to_binary, struct_from_binary

from adapters.opcua.values.binary import Malformed
from adapters.opcua.values.columns import Values
from adapters.opcua.values.responses import Message, Published, publish_response, read_response, republish_response

BOTH = 2  # TimestampsToReturn.Both
NO_STAMPS = 3
_NO_RANGE_OR_ENCODING = struct.pack("<iHi", -1, 0, -1)


@dataclass(slots=True)
class PreparedRead:
    """A ReadRequest whose parameters are already bytes."""

    TypeId: ua.NodeId = field(default_factory=lambda: ua.NodeId(ua.Int32(ObjectIds.ReadRequest_Encoding_DefaultBinary)))
    RequestHeader: ua.RequestHeader = field(default_factory=ua.RequestHeader)
    Parameters: ua.ByteString = b""  # type: ignore[assignment]
    count = 0


def prepared_read(nodes: Sequence[ua.NodeId], attribute: int = int(AttributeIds.Value), stamps: int = BOTH) -> bytes:
    """The parameters of a Read of one attribute of these nodes, as `PreparedRead` carries them."""
    tail = struct.pack("<I", attribute) + _NO_RANGE_OR_ENCODING
    asked = b"".join(nodeid_to_binary(node) + tail for node in nodes)
    return struct.pack("<iii", 0, stamps, len(nodes)) + asked


async def read(client: Client, prepared: bytes, count: int) -> Values:
    """Send a prepared read; `count` results are expected. Errors: asyncua's, `Fault`, `Malformed`."""
    values = read_response(await _send(client, PreparedRead(Parameters=ua.ByteString(prepared))))
    if len(values) != count:
        raise Malformed(f"应答个数不符 (expected {count} results, found {len(values)})")
    return values


async def publish(client: Client, acknowledged: Sequence[tuple[int, int]]) -> Published:
    """One publish request; waits as long as the server has nothing to say. `acknowledged`: (subscription, sequence number)."""
    request = ua.PublishRequest()
    request.Parameters.SubscriptionAcknowledgements = [
        ua.SubscriptionAcknowledgement(SubscriptionId=ua.IntegerId(sub), SequenceNumber=ua.Counter(number))
        for sub, number in acknowledged
    ]
    return publish_response(await _send(client, request, timeout_s=0.0))


async def create_subscription(
    client: Client, parameters: ua.CreateSubscriptionParameters
) -> ua.CreateSubscriptionResult:
    """A subscription without asyncua's publish loop, which would send one request at a time for all of them."""
    request = ua.CreateSubscriptionRequest()
    request.Parameters = parameters
    response = struct_from_binary(ua.CreateSubscriptionResponse, Buffer(await _send(client, request)))
    response.ResponseHeader.ServiceResult.check()
    made: ua.CreateSubscriptionResult = response.Parameters
    return made


async def republish(client: Client, subscription: int, sequence: int) -> Message:
    """A notification once more, while the server still has it."""
    request = ua.RepublishRequest()
    request.Parameters.SubscriptionId = ua.IntegerId(subscription)
    request.Parameters.RetransmitSequenceNumber = ua.Counter(sequence)
    return republish_response(await _send(client, request))


async def _send(client: Client, request: object, timeout_s: float | None = None) -> bytes:
    protocol = client.uaclient.protocol
    if protocol is None:
        raise ConnectionError("not connected")
    return bytes(await protocol.send_request(request, timeout_s))
