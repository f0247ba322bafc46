"""What went wrong with an OPC UA server, in our words: library and status errors to outcomes, and how soon to try again.

In: whatever asyncua raises. Out: `ReadError` with the outcome to record; `OpenError` for a session that could not be opened, which also
says whether anybody was at home (`absent`: no OPC UA acknowledge came, so nothing was loaded and it may be tried each second) and how
long to leave the server alone at least (`wait_s`: a wrong password tried again and again locks the account).
"""

from __future__ import annotations

from asyncua import ua
from asyncua.ua.uaerrors import UaStatusCodeError
from cryptography.exceptions import InvalidSignature

from adapters.batch import Outcome
from adapters.contract import ReadError
from adapters.network import network_error, timeout_error
from adapters.opcua.said import plain
from adapters.opcua.values.responses import Fault

TOO_MUCH = {"BadTooManyOperations", "BadResponseTooLarge", "BadRequestTooLarge", "BadEncodingLimitsExceeded"}
LOGIN_REFUSED = {
    "BadUserAccessDenied",
    "BadIdentityTokenRejected",
    "BadIdentityTokenInvalid",
    "BadUserSignatureInvalid",
}
LOCKOUT_WAIT_S = 300.0  # common account policies lock after 3 to 5 failures within minutes

_OUTCOMES = {
    Outcome.DENIED: (
        "BadUserAccessDenied BadIdentityTokenInvalid BadIdentityTokenRejected BadUserSignatureInvalid "
        "BadSecurityChecksFailed BadSecurityPolicyRejected BadSecurityModeRejected BadSecurityModeInsufficient "
        "BadApplicationSignatureInvalid BadNonceInvalid"
    ),
    Outcome.TIMEOUT: "BadTimeout BadRequestTimeout",
    Outcome.DISCONNECTED: (
        "BadConnectionClosed BadServerNotConnected BadSecureChannelClosed BadSecureChannelIdInvalid BadSessionIdInvalid "
        "BadSessionClosed BadSessionNotActivated BadShutdown BadServerHalted BadCommunicationError"
    ),
    Outcome.PROTOCOL: "BadTcpMessageTypeInvalid BadTcpEndpointUrlInvalid BadProtocolVersionUnsupported BadDecodingError",
}
_BY_NAME = {name: outcome for outcome, names in _OUTCOMES.items() for name in names.split()}
_WORDS = {
    "BadTooManySessions": (
        "服务器会话数已满, 关闭多余的客户端或调大会话上限, 将逐渐放慢重试 (no free session on the server; trying less and less often)"
    ),
    "BadServerHalted": "服务器已停止服务 (the server is halted)",
}


class OpenError(ReadError):
    """A session that could not be opened."""

    def __init__(self, outcome: Outcome, message: str, *, absent: bool = False, wait_s: float = 0.0) -> None:
        super().__init__(outcome, message)
        self.absent = absent
        self.wait_s = wait_s


def denied(where: str, words: str, wait_s: float = 0.0) -> OpenError:
    """The connection must not be, or was refused, for reasons of security."""
    return OpenError(Outcome.DENIED, f"{where}: {words}", wait_s=wait_s)


def opcua_error(err: BaseException, where: str) -> ReadError:
    """Whatever asyncua raises -> the outcome to record."""
    if isinstance(err, ReadError):
        return err
    if isinstance(err, TimeoutError):
        return timeout_error(where)
    if isinstance(err, OSError):
        return network_error(err, where)
    if isinstance(err, InvalidSignature):
        return denied(
            where, "服务器证明不了证书归它所有, 可能有人冒充 (the server cannot prove that the certificate is its own)"
        )
    name = status_name(err)
    if name:
        outcome = _BY_NAME.get(name, Outcome.DENIED if name.startswith("BadCertificate") else Outcome.DEVICE_FAILURE)
        words = f": {_WORDS[name]}" if name in _WORDS else f" (the server says {name})"
        return ReadError(outcome, f"{where}: 服务器应答 {name}{words}")
    return ReadError(Outcome.PROTOCOL, f"{where}: 应答无法理解 (not understood: {type(err).__name__}: {plain(err)})")


def status_name(err: BaseException) -> str:
    """The name of a status code error, such as BadTooManySessions; empty for every other error."""
    if isinstance(err, UaStatusCodeError | Fault):
        code = err.status if isinstance(err, Fault) else err.code
        return str(ua.StatusCode(ua.UInt32(code)).name)
    return ""
