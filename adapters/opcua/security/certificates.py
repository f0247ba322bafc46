"""应用证书: our own application instance certificate (IEC 62541-6 §6.2.2), and what a certificate says of itself.

In: the folder `keys/opcua/own/`. Out: `certificate.der` and `private_key.pem` (mode 0600), self-signed, RSA; one that the plant's own
authority issued may lie there instead. ApplicationUri: what the certificate says, so that certificate and application never differ.
Times come from outside. Refuses (`CertificateError`): a file that is not a certificate, a key that does not fit.
"""

from __future__ import annotations

import os
import re
import socket
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from adapters.opcua.said import plain

CERTIFICATE = "certificate.der"
PRIVATE_KEY = "private_key.pem"
DAYS = 1825
WARN_DAYS = 30
_FILE_BYTES = 65_536


class CertificateError(Exception):
    """A certificate or key that cannot be used; the words say which file, and why."""


@dataclass(frozen=True, slots=True)
class Own:
    """Our certificate, its key, and where they lie."""

    path: Path
    certificate: x509.Certificate
    key_path: Path
    key: rsa.RSAPrivateKey

    @property
    def application_uri(self) -> str:
        """The ApplicationUri of the certificate; empty when it has none."""
        return application_uri(self.certificate)


def create_own(folder: Path, now: datetime, *, days: int = DAYS, bits: int = 2048, host: str = "") -> Own:
    """A new key and a self-signed certificate in `folder` (`keys/opcua/own`). Errors: `CertificateError` when there is one."""
    path, key_path = folder / CERTIFICATE, folder / PRIVATE_KEY
    for file in (path, key_path):
        if file.exists():
            raise CertificateError(
                f"{file}: 已有文件, 不覆盖; 换新证书请先移走 (exists; move it away to make a new one)"
            )
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = rsa.generate_private_key(65537, bits)
    certificate = _self_signed(key, _ascii(host) or host_name(), now, days)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_file(key_path, pem, 0o600)
    write_file(path, certificate.public_bytes(Encoding.DER), 0o644)
    return Own(path, certificate, key_path, key)


def load_own(folder: Path) -> Own | None:
    """Our certificate and key; None when neither is there. Errors: `CertificateError`."""
    path, key_path = folder / CERTIFICATE, folder / PRIVATE_KEY
    if not path.exists() and not key_path.exists():
        return None
    return load_pair(path, key_path)


def load_pair(path: Path, key_path: Path) -> Own:
    """A certificate and its private key, DER or PEM. Errors: `CertificateError`."""
    certificate, key = load_certificate(path), _load_key(key_path)
    if certificate.public_key() != key.public_key():
        raise CertificateError(f"{key_path}: 私钥与证书 {path.name} 不是一对 (this key does not belong to {path.name})")
    return Own(path, certificate, key_path, key)


def load_certificate(path: Path) -> x509.Certificate:
    """The certificate of a DER or PEM file. Errors: `CertificateError`."""
    raw = _read(path, "证书")
    try:
        found = (
            x509.load_pem_x509_certificate(raw)
            if raw.lstrip().startswith(b"-----")
            else x509.load_der_x509_certificate(raw)
        )
        found.public_key(), found.extensions  # parsed lazily; a broken one is to be refused here
    except Exception as err:  # the parser raises many kinds on hostile bytes
        raise CertificateError(
            f"{path}: 不是可用的证书 (expected a DER or PEM certificate, found {type(err).__name__})"
        ) from err
    return found


def thumbprint(certificate: x509.Certificate) -> str:
    """SHA-1 of the DER bytes, as OPC UA tools show it (IEC 62541-4 §7.2): a name of a certificate, not a proof."""
    return certificate.fingerprint(hashes.SHA1()).hex()  # noqa: S303


def sha256(certificate: x509.Certificate) -> str:
    """SHA-256 of the DER bytes."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def application_uri(certificate: x509.Certificate) -> str:
    """The URI in SubjectAltName; empty when there is none."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return ""
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    return uris[0] if uris else ""


def common_name(certificate: x509.Certificate) -> str:
    """CN of the subject, fit to be shown; empty when there is none."""
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return plain(names[0].value) if names else ""


def validity(certificate: x509.Certificate, now: datetime) -> str:
    """Why the certificate does not hold at `now`; empty when it does."""
    first, last = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now > last:
        return f"已于 {last:%Y-%m-%d %H:%M} UTC 过期 (expired)"
    if now < first:
        return f"要到 {first:%Y-%m-%d %H:%M} UTC 才生效, 检查本机时钟 (not yet valid, check the clock)"
    return ""


def days_left(certificate: x509.Certificate, now: datetime) -> int:
    """Whole days until it expires; negative afterwards."""
    return (certificate.not_valid_after_utc - now).days


def file_name(certificate: x509.Certificate) -> str:
    """A name for a certificate's file: what it calls itself, and its thumbprint."""
    plain = re.sub(r"[^\w.-]+", "_", common_name(certificate))[:40].strip("._") or "certificate"
    return f"{plain}_{thumbprint(certificate)}.der"


def write_file(path: Path, content: bytes, mode: int) -> None:
    """Write so that a reader sees all of it or nothing; never readable by others in between."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)  # of a process that died: its mode would be kept
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        temporary.chmod(mode)  # whatever the umask: the service reads what an administrator wrote
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def host_name() -> str:
    """This machine's name, in letters that a certificate can carry."""
    return _ascii(socket.gethostname())


def now_utc(now_us: int) -> datetime:
    """Microseconds of a clock as a time."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=now_us)


def _self_signed(key: rsa.RSAPrivateKey, host: str, now: datetime, days: int) -> x509.Certificate:
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, f"PlantProof@{host}"[:64]),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "PlantProof"),
        ]
    )
    usage = x509.KeyUsage(
        digital_signature=True, content_commitment=True, key_encipherment=True, data_encipherment=True,
        key_agreement=False, key_cert_sign=True, crl_sign=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    uri = f"urn:{host}:plantproof:collector"
    names = [x509.UniformResourceIdentifier(uri), x509.DNSName(host)]
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=24))  # a server whose clock is late by hours shall take it
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _ascii(name: str) -> str:
    try:
        return name if name.isascii() else name.encode("idna").decode()
    except UnicodeError:  # no host name, yet a machine may be called so
        return name.encode("ascii", "replace").decode().replace("?", "-")


def _load_key(path: Path) -> rsa.RSAPrivateKey:
    raw = _read(path, "私钥")
    try:
        key = (load_pem_private_key if raw.lstrip().startswith(b"-----") else load_der_private_key)(raw, None)
    except Exception as err:  # as above
        raise CertificateError(
            f"{path}: 不是可用的私钥, 不能有口令 (expected a private key without a pass phrase, found {type(err).__name__})"
        ) from err
    if not isinstance(key, rsa.RSAPrivateKey):
        raise CertificateError(f"{path}: 需要 RSA 私钥 (expected an RSA key, found {type(key).__name__})")
    return key


def _read(path: Path, what: str) -> bytes:
    try:
        if path.stat().st_size > _FILE_BYTES:
            raise CertificateError(f"{path}: {what}文件过大 (expected at most {_FILE_BYTES} bytes)")
        return path.read_bytes()
    except OSError as err:
        raise CertificateError(f"{path}: 读不到{what} (cannot be read: {err.strerror})") from err
