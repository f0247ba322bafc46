"""Many OPC UA servers in one process, as cheap as they can be: each answers the services a reader needs and publishes doubles.

In: first port, number of servers, nodes of each, period in ms. Out: one JSON line when all listen. Ends with its stdin. Not a server for
anything else: every node exists, every read of a value is a double or, for the server's own limits, "nothing said". For loads that
node-opcua cannot serve on one core; the rare services are encoded with asyncua's types, the notifications as one numpy view.
"""

from __future__ import annotations

import asyncio
import json
import struct
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import uvloop
from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import nodeid_from_binary, struct_from_binary, struct_to_binary

_EPOCH_DIFF_S = 11_644_473_600  # 1601 to 1970
_ITEM = np.dtype(
    [("handle", "<u4"), ("mask", "u1"), ("type", "u1"), ("value", "<f8"), ("source", "<i8"), ("server", "<i8")]
)
_PUBLISH_RESPONSE, _DATA_CHANGE = 829, 811
REQUESTS = {
    428: ua.GetEndpointsRequest, 461: ua.CreateSessionRequest, 467: ua.ActivateSessionRequest, 473: ua.CloseSessionRequest,
    527: ua.BrowseRequest, 560: ua.RegisterNodesRequest, 631: ua.ReadRequest, 751: ua.CreateMonitoredItemsRequest,
    787: ua.CreateSubscriptionRequest, 826: ua.PublishRequest, 847: ua.DeleteSubscriptionsRequest,
}  # fmt: skip


class Connection(asyncio.Protocol):
    """One client of one server."""

    def __init__(self, url: str, nodes: int, period_s: float) -> None:
        self._url, self._nodes, self._period_s = url, nodes, period_s
        self._held = b""
        self._sequence = 0
        self._handles: list[int] = []
        self._waiting: list[tuple[int, int]] = []  # request id, request handle
        self._gathered = 0  # samples of each node that wait in its queue
        self._notification = 0
        self._subscription = 0
        self._due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def connection_lost(self, _exc: Exception | None) -> None:
        if self._due is not None:
            self._due.cancel()

    def data_received(self, data: bytes) -> None:
        raw = self._held + data
        while len(raw) >= 8 and len(raw) >= int.from_bytes(raw[4:8], "little"):
            end = int.from_bytes(raw[4:8], "little")
            self._chunk(raw[:3], raw[8:end])
            raw = raw[end:]
        self._held = raw

    def _chunk(self, kind: bytes, body: bytes) -> None:
        if kind == b"HEL":
            self._transport.write(b"ACKF" + struct.pack("<6I", 28, 0, 65_535, 65_535, 0, 0))
        elif kind == b"OPN":
            self._open(body)
        elif kind == b"MSG":
            request_id = int.from_bytes(body[12:16], "little")
            type_id = int.from_bytes(body[18:20], "little")
            self._request(request_id, type_id, body[20:])

    def _open(self, body: bytes) -> None:
        """An asymmetric header without security, then OpenSecureChannelRequest."""
        buffer = Buffer(body)
        buffer.read(4)
        header = struct_from_binary(ua.AsymmetricAlgorithmHeader, buffer)
        sequence = struct_from_binary(ua.SequenceHeader, buffer)
        nodeid_from_binary(buffer)
        head = struct_from_binary(ua.RequestHeader, buffer)
        response = ua.OpenSecureChannelResponse()
        response.ResponseHeader = _header(head.RequestHandle)
        response.Parameters.SecurityToken.ChannelId = ua.UInt32(1)
        response.Parameters.SecurityToken.TokenId = ua.UInt32(1)
        response.Parameters.SecurityToken.CreatedAt = datetime.now(UTC)
        response.Parameters.SecurityToken.RevisedLifetime = ua.UInt32(3_600_000)
        self._sequence += 1
        parts = struct.pack("<I", 1) + struct_to_binary(header)
        parts += struct.pack("<II", self._sequence, sequence.RequestId) + struct_to_binary(response)
        self._transport.write(b"OPNF" + struct.pack("<I", len(parts) + 8) + parts)

    def _send(self, request_id: int, body: bytes) -> None:
        """A message in chunks of at most 60,000 bytes (IEC 62541-6 §6.7.2)."""
        parts = [body[i : i + 60_000] for i in range(0, len(body), 60_000)]
        for part in parts:
            self._sequence += 1
            kind = b"MSGF" if part is parts[-1] else b"MSGC"
            head = struct.pack("<IIIII", len(part) + 24, 1, 1, self._sequence, request_id)
            self._transport.write(kind + head + part)

    def _request(self, request_id: int, type_id: int, body: bytes) -> None:
        if type_id == 631:
            head, count = _read_head(body)
            self._send(request_id, _read_response(head, count))
            return
        buffer = Buffer(body)
        head = struct_from_binary(ua.RequestHeader, buffer)
        if type_id == 826:
            self._waiting.append((request_id, head.RequestHandle))
            if self._gathered:
                self._notify()
            return
        answer = _ANSWERS.get(type_id)
        if answer is None:
            fault = ua.ServiceFault()
            fault.ResponseHeader = _header(head.RequestHandle, ua.StatusCodes.BadServiceUnsupported)
            self._send(request_id, struct_to_binary(fault))
            return
        kind = REQUESTS[type_id]
        parameters = struct_from_binary(type(kind().Parameters), buffer) if hasattr(kind(), "Parameters") else None
        response = answer(self, parameters)
        response.ResponseHeader = _header(head.RequestHandle)
        self._send(request_id, struct_to_binary(response))

    def endpoints(self, _: Any) -> Any:
        """One endpoint without security."""
        response = ua.GetEndpointsResponse()
        response.Endpoints = [_endpoint(self._url)]
        return response

    def create_session(self, _: Any) -> Any:
        """Any client may have a session."""
        response = ua.CreateSessionResponse()
        response.Parameters.SessionId = ua.NodeId(ua.Int32(1), ua.Int16(1))
        response.Parameters.AuthenticationToken = ua.NodeId(ua.Int32(2), ua.Int16(1))
        response.Parameters.RevisedSessionTimeout = ua.Double(60_000.0)
        response.Parameters.ServerNonce = b"\0" * 32
        response.Parameters.ServerEndpoints = [_endpoint(self._url)]
        response.Parameters.MaxRequestMessageSize = ua.UInt32(0)
        return response

    def activate_session(self, _: Any) -> Any:
        """Anonymous."""
        response = ua.ActivateSessionResponse()
        response.Parameters.ServerNonce = b"\0" * 32
        return response

    def create_subscription(self, asked: Any) -> Any:
        """Publishes at the interval that was asked for, and what was sampled meanwhile."""
        self._subscription += 1
        self._publishing_s = max(self._period_s, asked.RequestedPublishingInterval / 1000)
        response = ua.CreateSubscriptionResponse()
        response.Parameters.SubscriptionId = ua.UInt32(self._subscription)
        response.Parameters.RevisedPublishingInterval = ua.Double(self._publishing_s * 1000)
        response.Parameters.RevisedLifetimeCount = asked.RequestedLifetimeCount
        response.Parameters.RevisedMaxKeepAliveCount = asked.RequestedMaxKeepAliveCount
        return response

    def create_items(self, asked: Any) -> Any:
        """Every node exists."""
        results = []
        for item in asked.ItemsToCreate:
            self._handles.append(int(item.RequestedParameters.ClientHandle))
            result = ua.MonitoredItemCreateResult()
            result.MonitoredItemId = ua.UInt32(len(self._handles))
            result.RevisedSamplingInterval = item.RequestedParameters.SamplingInterval
            result.RevisedQueueSize = item.RequestedParameters.QueueSize
            results.append(result)
        response = ua.CreateMonitoredItemsResponse()
        response.Results = results
        loop = asyncio.get_running_loop()
        if self._due is None:
            self._next = loop.time() + self._publishing_s
            self._due = loop.call_at(self._next, self._publish)
        return response

    def _publish(self) -> None:
        """One notification of every node's samples; it waits when the client has not asked for one."""
        loop = asyncio.get_running_loop()
        self._next += self._publishing_s
        self._due = loop.call_at(self._next, self._publish)
        self._gathered += round(self._publishing_s / self._period_s)
        if self._waiting:
            self._notify()

    def _notify(self) -> None:
        request_id, handle = self._waiting.pop(0)
        self._notification += 1
        now, samples, nodes = time.time(), self._gathered, len(self._handles)
        self._gathered = 0
        ticks = int((now + _EPOCH_DIFF_S) * 1e7)
        items = np.zeros(samples * nodes, _ITEM)
        items["handle"], items["mask"], items["type"] = np.tile(np.array(self._handles, "<u4"), samples), 0x0D, 11
        ages = np.repeat(np.arange(samples)[::-1] * int(self._period_s * 1e7), nodes)
        items["value"], items["source"] = now + np.arange(len(items)), ticks - ages
        items["server"] = items["source"]
        change = struct.pack("<i", len(items)) + items.tobytes() + struct.pack("<i", -1)
        head = struct.pack("<qII", ticks, handle, 0) + b"\0" + struct.pack("<i", -1) + b"\0\0\0"
        body = (
            b"\x01\x00"
            + struct.pack("<H", _PUBLISH_RESPONSE)
            + head
            + struct.pack("<Ii", self._subscription, -1)
            + b"\0"
        )
        body += struct.pack("<Iqi", self._notification, ticks, 1)
        body += b"\x01\x00" + struct.pack("<H", _DATA_CHANGE) + b"\x01" + struct.pack("<i", len(change)) + change
        self._send(request_id, body + struct.pack("<ii", -1, -1))


def _read_head(body: bytes) -> tuple[int, int]:
    """(request handle, how many nodes) of a ReadRequest: the count stands behind MaxAge and TimestampsToReturn."""
    buffer = Buffer(body)
    head = struct_from_binary(ua.RequestHeader, buffer)
    rest = bytes(buffer.read(16))
    return int(head.RequestHandle), int.from_bytes(rest[12:16], "little")


def _read_response(handle: int, count: int) -> bytes:
    """Doubles with both times."""
    now = time.time()
    ticks = int((now + _EPOCH_DIFF_S) * 1e7)
    value = b"\x0d\x0b" + struct.pack("<dqq", 0.0, ticks, ticks)
    head = struct.pack("<qII", ticks, handle, 0) + b"\0" + struct.pack("<i", -1) + b"\0\0\0"
    return (
        b"\x01\x00" + struct.pack("<H", 634) + head + struct.pack("<i", count) + value * count + struct.pack("<i", -1)
    )


def _header(handle: int, status: int = 0) -> ua.ResponseHeader:
    header = ua.ResponseHeader()
    header.Timestamp = datetime.now(UTC)
    header.RequestHandle = handle
    header.ServiceResult = ua.StatusCode(ua.UInt32(status))
    return header


def _endpoint(url: str) -> ua.EndpointDescription:
    endpoint = ua.EndpointDescription()
    endpoint.EndpointUrl = url
    endpoint.Server.ApplicationUri = "urn:example:fleet"
    endpoint.Server.ProductUri = "urn:example:fleet"
    endpoint.SecurityMode = ua.MessageSecurityMode.None_
    endpoint.SecurityPolicyUri = "http://opcfoundation.org/UA/SecurityPolicy#None"
    token = ua.UserTokenPolicy()
    token.PolicyId = "anonymous"
    endpoint.UserIdentityTokens = [token]
    endpoint.TransportProfileUri = "http://opcfoundation.org/UA-Profile/Transport/uatcp-uasc-uabinary"
    return endpoint


_ANSWERS: dict[int, Callable[[Connection, Any], Any]] = {
    428: Connection.endpoints,
    461: Connection.create_session,
    467: Connection.activate_session,
    473: lambda _c, _p: ua.CloseSessionResponse(),
    751: Connection.create_items,
    787: Connection.create_subscription,
}


async def main(first_port: int, count: int, nodes: int, period_ms: int) -> None:
    """Listen until stdin ends."""
    loop = asyncio.get_running_loop()
    for i in range(count):
        url = f"opc.tcp://127.0.0.1:{first_port + i}"
        await loop.create_server(lambda url=url: Connection(url, nodes, period_ms / 1000), "127.0.0.1", first_port + i)  # type: ignore[misc]
    sys.stdout.write(json.dumps({"listening": count}) + "\n")
    sys.stdout.flush()
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    uvloop.run(main(*(int(a) for a in sys.argv[1:5])))
