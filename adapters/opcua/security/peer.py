"""Is this the server it says it is? The certificate of an endpoint, checked before anything is sent under it (IEC 62541-4 §6.1.3).

In: the endpoint that was chosen, the plant's rules (pinned certificate or trust list), the time. Out: the certificate, and warnings.
Steps: 1 it can be read; 2 it is the pinned one, or in the trust list; 3 within its time; 4 it has a URI, the server's ApplicationUri (a
pinned certificate may differ, with a warning: its key proves more than its name); 5 its key is long enough for the policy.
Refuses (`OpenError`, DENIED) each with what to do; an unknown certificate is put into `rejected/`. Host names are not compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from asyncua import ua
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from adapters.opcua.faults import denied
from adapters.opcua.said import plain
from adapters.opcua.security.certificates import (
    WARN_DAYS,
    CertificateError,
    application_uri,
    common_name,
    days_left,
    load_certificate,
    sha256,
    thumbprint,
    validity,
)
from adapters.opcua.security.trust import TrustList

_CHAIN_MOST = 10


@dataclass(frozen=True, slots=True)
class PeerRules:
    """What this connection demands of a server's certificate. `keys`: the folder `keys/opcua`; `pinned`: a file, or None."""

    keys: Path
    pinned: Path | None
    policy: str
    key_bits: int


def check_server(
    endpoint: ua.EndpointDescription, rules: PeerRules, now: datetime, where: str
) -> tuple[x509.Certificate, list[str]]:
    """The server's certificate and warnings, after steps 1 to 5. Errors: `OpenError`."""
    chain = _chain(endpoint.ServerCertificate or b"", where)
    certificate, warnings = chain[0], []
    label = f"服务器证书 {common_name(certificate)} (指纹 {thumbprint(certificate)})"
    if rules.pinned is not None:
        _check_pin(rules.pinned, certificate, where)
    else:
        _check_trust(rules.keys, chain, now, where)
    if words := validity(certificate, now):
        raise denied(where, f"{label} {words}; 请在服务器上换证书 (renew the server's certificate)")
    if words := _uris_differ(endpoint, certificate):
        if rules.pinned is None:
            remedy = "在服务器上重建证书, 或核对后在台账 server_certificate 里指定它"
            raise denied(where, f"{words}; {remedy} (ApplicationUri of server and certificate differ)")
        warnings.append(f"{words} ApplicationUri of server and certificate differ, the certificate is pinned")
    if words := _short_key(certificate, rules):
        raise denied(where, f"{label} {words}")
    if days_left(certificate, now) < WARN_DAYS:
        warnings.append(f"{label} {days_left(certificate, now)} 天后到期 the server's certificate expires soon")
    return certificate, warnings


def check_pinned(der: bytes, rules: PeerRules, where: str) -> None:
    """Step 2 alone, for a connection without security whose password is encrypted for this certificate. Errors: `OpenError`."""
    if rules.pinned is not None:
        _check_pin(rules.pinned, _chain(der, where)[0], where)


def _check_pin(path: Path, found: x509.Certificate, where: str) -> None:
    try:
        pinned = load_certificate(path)
    except CertificateError as err:
        raise denied(where, str(err)) from err
    if sha256(pinned) != sha256(found):
        raise denied(
            where,
            f"服务器证书不是台账指定的那张: 应为 {path.name} 指纹 {thumbprint(pinned)}, 实为 {thumbprint(found)}; "
            "查清是换了证书还是换了服务器 (not the certificate that the register names)",
        )


def _check_trust(keys: Path, chain: list[x509.Certificate], now: datetime, where: str) -> None:
    store = TrustList(keys)
    problem = store.why_not(chain, now)
    if not problem:
        return
    thumb = thumbprint(chain[0])
    try:
        kept = f"已存为 {store.reject(chain[0])}"
    except OSError as err:
        kept = f"未能存入 {store.rejected_folder}: {err.strerror}"
    raise denied(
        where,
        f"不信任服务器证书 {common_name(chain[0])}: {problem}; {kept}; 与服务器上的指纹 {thumb} 核对无误后执行 "
        f"plantproof opcua cert trust {thumb[:16]} --keys {keys.parent} (server certificate not trusted)",
    )


def _uris_differ(endpoint: ua.EndpointDescription, certificate: x509.Certificate) -> str:
    said, found = str(endpoint.Server.ApplicationUri or ""), application_uri(certificate)
    if found and said == found:
        return ""
    return f"服务器自称 {plain(said) or '(无 none)'}, 证书上的应用 URI 是 {plain(found) or '(无 none)'}"


def _short_key(certificate: x509.Certificate, rules: PeerRules) -> str:
    key = certificate.public_key()
    bits = key.key_size if isinstance(key, rsa.RSAPublicKey) else 0
    if bits >= rules.key_bits:
        return ""
    found = bits or type(key).__name__
    return f"的密钥不合 {rules.policy} (expected RSA of {rules.key_bits} bits or more, found {found})"


def _chain(der: bytes, where: str) -> list[x509.Certificate]:
    """The server's own certificate, then its issuers, one behind the other (IEC 62541-6 §6.2.6)."""
    found: list[x509.Certificate] = []
    rest = bytes(der)
    try:
        while rest and len(found) < _CHAIN_MOST:
            size = 4 + int.from_bytes(rest[2:4], "big") if rest[1:2] == b"\x82" else len(rest)
            certificate = x509.load_der_x509_certificate(rest[:size])
            certificate.public_key(), certificate.extensions  # parsed lazily: hostile ones are refused here
            found.append(certificate)
            rest = rest[size:]
    except Exception as err:  # the parser raises many kinds on hostile bytes
        raise denied(where, f"服务器证书无法理解 (expected an X.509 certificate, found {type(err).__name__})") from err
    if not found:
        raise denied(where, "服务器没有给出证书 (expected a server certificate, found none)")
    return found
