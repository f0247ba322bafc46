"""From socket errors to outcomes: the one place that says what "refused", "unreachable" and "disconnected" mean.

In: an `OSError` or `TimeoutError` and what was being done to which address. Out: `ReadError` with the outcome to record and words
that a plant engineer can act on.
"""

from __future__ import annotations

import errno
import re
import socket

from adapters.batch import Outcome
from adapters.contract import ReadError

_UNREACHABLE = {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN, errno.EADDRNOTAVAIL}
_LOST = {errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED, errno.ENOTCONN}
_ERRNO_IN_TEXT = re.compile(r"\[Errno (\d+)\]")


def network_error(err: OSError | TimeoutError, where: str) -> ReadError:
    """The outcome of a failed connection or exchange with `where` (host:port)."""
    if isinstance(err, socket.gaierror):
        return ReadError(Outcome.UNREACHABLE, f"{where}: 主机名无法解析, 检查地址或 DNS (name not found)")
    codes = {err.errno} if err.errno is not None else {int(n) for n in _ERRNO_IN_TEXT.findall(str(err))}
    if errno.ECONNREFUSED in codes:
        return ReadError(
            Outcome.REFUSED, f"{where}: 连接被拒绝, 检查设备是否上电、服务是否启动、端口是否正确 (connection refused)"
        )
    if codes & _LOST or isinstance(err, ConnectionError):
        return ReadError(Outcome.DISCONNECTED, f"{where}: 连接中断 (connection lost)")
    if isinstance(err, TimeoutError) or errno.ETIMEDOUT in codes:
        return timeout_error(where)
    if codes & _UNREACHABLE:
        return ReadError(Outcome.UNREACHABLE, f"{where}: 网络不可达, 检查网线、网段和防火墙 (unreachable)")
    return ReadError(Outcome.UNREACHABLE, f"{where}: {err.strerror or err} (unreachable)")


def name_error(where: str) -> ReadError:
    """A host that can be no name: an empty part, or one of more than 63 characters (RFC 1035 §2.3.4); Python raises UnicodeError."""
    return ReadError(Outcome.UNREACHABLE, f"{where}: 主机名写法不对, 检查台账里的地址 (no valid host name)")


def timeout_error(where: str) -> ReadError:
    """No answer in time."""
    return ReadError(Outcome.TIMEOUT, f"{where}: 限时内没有应答 (no answer in time)")


def protocol_error(where: str, expected: str, found: bytes) -> ReadError:
    """Something answered, in another language."""
    shown = found[:24].decode("ascii", "backslashreplace")
    return ReadError(
        Outcome.PROTOCOL,
        f"{where}: 该端口不是 {expected} 服务, 收到 {shown!r}, 检查端口 (expected {expected}, found other bytes)",
    )
