"""How a connection proves who we are and chooses how to speak: policy, mode, our certificate, user (IEC 62541-4 §5.5, §5.6).

In: the connection of the register, the folder `keys/`, the clock. Out: a client that is ready to connect. The steps:
1 our certificate and key, within their time; 2 the server's endpoints, and the one with policy and mode as the register says: nothing
weaker is ever taken; 3 the server's certificate (`peer.py`); 4 the user (`login.py`); 5 before the session is activated: the
server takes that kind of user, and its nonce is long enough. What fails is DENIED with what to do.
Trap: with policy None nothing of the server is checked, and a password may go out in plain text, which is logged.
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path

import structlog
from asyncua import ua
from asyncua.crypto import security_policies, uacrypto
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from adapters.contract import Clock
from adapters.opcua.faults import LOGIN_REFUSED, OpenError, denied, status_name
from adapters.opcua.said import plain
from adapters.opcua.security.certificates import (
    WARN_DAYS,
    CertificateError,
    Own,
    application_uri,
    days_left,
    load_own,
    now_utc,
    sha256,
    thumbprint,
    validity,
)
from adapters.opcua.security.login import Login
from adapters.opcua.security.peer import PeerRules, check_pinned, check_server
from adapters.opcua.transport import BoundedClient
from config.connections import OpcUa

log = structlog.get_logger(__name__)

_POLICIES: dict[str, type[security_policies.SecurityPolicy]] = {
    "None": security_policies.SecurityPolicyNone,
    "Basic128Rsa15": security_policies.SecurityPolicyBasic128Rsa15,
    "Basic256": security_policies.SecurityPolicyBasic256,
    "Basic256Sha256": security_policies.SecurityPolicyBasic256Sha256,
    "Aes128_Sha256_RsaOaep": security_policies.SecurityPolicyAes128Sha256RsaOaep,
    "Aes256_Sha256_RsaPss": security_policies.SecurityPolicyAes256Sha256RsaPss,
}
_DEPRECATED = {"Basic128Rsa15", "Basic256"}  # OPC 10000-7 §6.6.161, §6.6.162
_KEY_BITS = {"Basic128Rsa15": 1024, "Basic256": 1024}  # else 2048
_NONCE_BYTES = 32  # IEC 62541-4 §5.6.2.2
_POLICY_MOST = 60  # characters of a policy's name, and how many endpoints, in a message
_OFFERS = 20
_ASK_S = 2.0
_POLICY_REFUSED = {"BadSecurityPolicyRejected", "BadSecurityModeRejected", "BadSecurityModeInsufficient"}


class Security:
    """The security of one register connection."""

    def __init__(self, connection: OpcUa, keys: Path | None, clock: Clock) -> None:
        self.policy = connection.policy
        self._connection = connection
        self._login = Login(connection, frozenset(p.URI for p in _POLICIES.values()))
        self._mode = ua.MessageSecurityMode.None_
        if self.policy != "None":
            self._mode = ua.MessageSecurityMode[connection.security_mode]
        self._keys = keys
        self._clock = clock
        self._own: Own | None = None
        self._warned: set[str] = set()
        self.server: x509.Certificate | None = None

    @property
    def facts(self) -> tuple[tuple[str, str], ...]:
        """What the identity of the server says of security: policy, mode, whose certificate."""
        if self.server is None:
            return ()
        return (("security", f"{self.policy} {self._mode.name}"), ("server_certificate_sha256", sha256(self.server)))

    async def prepare(self, client: BoundedClient, where: str) -> None:
        """Steps 1 to 4 on a client that has not connected yet. Errors: `OpenError`, and what the network raises."""
        if self.policy != "None":
            own = self._load_own(where)
            endpoints = await client.connect_and_get_server_endpoints()
            self.server, warnings = check_server(
                self._endpoint(endpoints, where), self._rules(where), self._now(), where
            )
            for words in warnings:
                self._warn(where, words)
            client.application_uri = own.application_uri
            await client.set_security(
                _POLICIES[self.policy],
                uacrypto.CertProperties(own.certificate.public_bytes(Encoding.DER), "der"),
                uacrypto.CertProperties(_der(own.key), "der"),
                server_certificate=uacrypto.CertProperties(self.server.public_bytes(Encoding.DER), "der"),
                mode=self._mode,
            )
        self._warn(where, self._login.prepare(client, self._keys, self._now(), where))

    def check_offer(self, offer: ua.CreateSessionResult, where: str) -> None:
        """Step 5, between CreateSession and ActivateSession. Errors: `OpenError`."""
        nonce = offer.ServerNonce or b""
        if self.policy != "None" and len(nonce) < _NONCE_BYTES:
            raise denied(where, f"服务器随机数过短 (expected a nonce of {_NONCE_BYTES} bytes, found {len(nonce)})")
        uri = _POLICIES[self.policy].URI
        if (
            self.policy == "None" and self._connection.server_certificate
        ):  # a password is encrypted for this certificate
            check_pinned(offer.ServerCertificate or b"", self._rules(where), where)
        tokens = BoundedClient.find_endpoint(offer.ServerEndpoints, self._mode, uri).UserIdentityTokens or []
        plain = self._login.check(tokens, uri, where)
        if plain and self._mode != ua.MessageSecurityMode.SignAndEncrypt:
            self._warn(where, "密码在网上是明文, 请改用加密 the password goes out in plain text")

    async def explain(self, err: BaseException, client: BoundedClient, where: str) -> OpenError | None:
        """Words for a refusal that has to do with security; None for every other error."""
        name = status_name(err)
        if name in _POLICY_REFUSED or "No matching endpoints" in str(err):
            return self._no_endpoint(await _endpoints_of(client, where), where)
        if name in LOGIN_REFUSED:
            return self._login.refused(name, where)
        if self._own is not None and (name.startswith("BadCertificate") or name == "BadSecurityChecksFailed"):
            return denied(where, _own_refused(name, self._own))
        if self._own is not None and client.proving and isinstance(err, ConnectionError):
            return denied(where, _own_refused("", self._own))
        return None

    def _offers(self, endpoints: list[ua.EndpointDescription]) -> str:
        """The policies and modes of a server's endpoints, as the register writes them."""
        pairs = {(_policy_name(e.SecurityPolicyUri), e.SecurityMode.name.rstrip("_")) for e in endpoints}
        shown = [p if p == "None" else f"{p} {m}" for p, m in sorted(pairs)]
        return ", ".join(shown[:_OFFERS]) + (" …" if len(shown) > _OFFERS else "") or "无 none"

    def _no_endpoint(self, endpoints: list[ua.EndpointDescription], where: str) -> OpenError:
        """The server has no endpoint with the register's policy and mode."""
        wanted = "None" if self.policy == "None" else f"{self.policy} {self._mode.name}"
        return denied(
            where,
            f"服务器没有安全策略 {wanted}, 它提供: {self._offers(endpoints)}; 改台账的 policy、security_mode 或服务器设置 "
            "(expected this policy, found the ones listed)",
        )

    def _load_own(self, where: str) -> Own:
        keys = self._folder(where)
        try:
            own = load_own(keys / "own")
        except CertificateError as err:
            raise denied(where, str(err)) from err
        if own is None:
            raise denied(
                where,
                f"还没有本机证书, 执行 plantproof opcua cert create --keys {keys.parent} (no certificate of our own)",
            )
        self._own = own
        now = self._now()
        if words := validity(own.certificate, now):
            raise denied(
                where,
                f"本机证书 {own.path} {words}; 移走旧文件后执行 plantproof opcua cert create --keys {keys.parent}",
            )
        if not own.application_uri:
            raise denied(where, f"本机证书 {own.path} 里没有应用 URI (expected a URI in SubjectAltName, found none)")
        if (days := days_left(own.certificate, now)) < WARN_DAYS:
            self._warn(where, f"本机证书 {own.path} {days} 天后到期 our certificate expires soon")
        if self.policy in _DEPRECATED:
            self._warn(where, f"安全策略 {self.policy} 已不安全, 请换 Basic256Sha256 或更新 this policy is deprecated")
        return own

    def _endpoint(self, endpoints: list[ua.EndpointDescription], where: str) -> ua.EndpointDescription:
        uri = _POLICIES[self.policy].URI
        fitting = [
            e
            for e in endpoints
            if e.SecurityPolicyUri == uri
            and e.SecurityMode == self._mode
            and str(e.EndpointUrl).startswith("opc.tcp://")
        ]
        if not fitting:
            raise self._no_endpoint(endpoints, where)
        return max(fitting, key=lambda e: int(e.SecurityLevel))

    def _rules(self, where: str) -> PeerRules:
        keys, pin = self._folder(where), self._connection.server_certificate
        return PeerRules(keys, keys.parent / pin if pin else None, self.policy, _KEY_BITS.get(self.policy, 2048))

    def _folder(self, where: str) -> Path:
        if self._keys is None:
            raise denied(
                where,
                "没有数据目录, 找不到证书和私钥; 加上 --data (expected the folder of the certificates, found none)",
            )
        return self._keys / "opcua"

    def _now(self) -> datetime:
        return now_utc(self._clock.now_us())

    def _warn(self, where: str, words: str) -> None:
        if words and words not in self._warned:
            self._warned.add(words)
            log.warning(words, server=where)


async def _endpoints_of(client: BoundedClient, where: str) -> list[ua.EndpointDescription]:
    """What a server offers, asked once more without security, for the words; nothing when it does not say."""
    again = BoundedClient(client.server_url.geturl(), where, _ASK_S, _ASK_S)
    try:
        async with asyncio.timeout(2 * _ASK_S):
            return await again.connect_and_get_server_endpoints()
    except Exception:  # the refusal stands without it
        return []


def _own_refused(name: str, own: Own) -> str:
    """Words for a server that does not take our certificate."""
    if name == "BadCertificateUriInvalid":
        uri = application_uri(own.certificate)
        return f"服务器认为应用 URI 与证书不符: 应用 {own.application_uri}, 证书 {uri} (application and certificate URI differ: {name})"
    if name == "BadCertificateTimeInvalid":
        first, last = own.certificate.not_valid_before_utc, own.certificate.not_valid_after_utc
        return f"服务器认为本机证书不在有效期内, 检查服务器时钟; 有效期 {first:%Y-%m-%d} 至 {last:%Y-%m-%d} (our certificate, {name})"
    if not name:
        return (
            f"安全通道没有建成, 服务器没说原因; 多半要在服务器上信任 {own.path} (指纹 {thumbprint(own.certificate)}), "
            "若已信任, 查服务器的私钥与证书是否成对 (no secure channel, and no reason given)"
        )
    return (
        f"服务器不信任本机证书: 在服务器上信任 {own.path} (指纹 {thumbprint(own.certificate)}) "
        f"(the server does not trust our certificate: {name})"
    )


def _policy_name(uri: object) -> str:
    return plain(str(uri or "").rpartition("#")[2], _POLICY_MOST) or "?"


def _der(key: rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
