"""信任列表: which server certificates this plant trusts: `keys/opcua/trusted/` and `keys/opcua/rejected/`, DER or PEM files.

In: a server's certificate with the issuers it sent. Out: why it is not trusted, or nothing. Trusted is a certificate that lies in
`trusted/`, and one that an authority lying there issued, directly or through at most four others, each checked for signature, validity
and the right to issue (IEC 62541-4 §6.1.3), to a certificate that may be a server's: a user's of the same authority is none. Revocation
lists `trusted/*.crl` are honoured; an issuer without one is not refused.
What is unknown is put into `rejected/` (at most 100 files) and waits for a person; nothing is ever trusted by itself.
Refuses (`CertificateError`): a name that fits none or several files.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from adapters.opcua.security.certificates import (
    CertificateError,
    common_name,
    file_name,
    load_certificate,
    sha256,
    thumbprint,
    validity,
    write_file,
)

_ISSUERS_MOST = 5
_REJECTED_MOST = 100
_THUMB_LEAST = 8  # hex digits that name a certificate on the command line
_WEAK = {"md5", "sha1"}


@dataclass(frozen=True, slots=True)
class Listed:
    """A certificate and the file it lies in."""

    path: Path
    certificate: x509.Certificate


class TrustList:
    """The two folders, read anew for each question: a file that a person copies in counts at the next connect."""

    def __init__(self, folder: Path) -> None:
        self.trusted_folder = folder / "trusted"
        self.rejected_folder = folder / "rejected"

    def trusted(self) -> list[Listed]:
        """Certificates that are trusted; files that cannot be read are left out (`unreadable`)."""
        return _listed(self.trusted_folder)[0]

    def rejected(self) -> list[Listed]:
        """Certificates that wait for a person."""
        return _listed(self.rejected_folder)[0]

    def unreadable(self) -> list[str]:
        """Words for each file of the two folders that is not a certificate."""
        return [*_listed(self.trusted_folder)[1], *_listed(self.rejected_folder)[1]]

    def why_not(self, chain: Sequence[x509.Certificate], now: datetime) -> str:
        """Why the first certificate is not trusted, its issuers behind it; empty when it is."""
        trusted = {sha256(e.certificate): e.certificate for e in self.trusted()}
        if sha256(chain[0]) in trusted:
            return ""
        current, problem = chain[0], ""
        for between in range(_ISSUERS_MOST):
            issuers = [c for c in (*trusted.values(), *chain[1:]) if _issued(c, current)]
            if not issuers:
                return problem or "不在信任列表里 (not in the trust list)"
            # an authority that was renewed with its old key lies there twice: the sound one counts
            faults = [self._fault(c, current, now, between) for c in issuers]
            fault, issuer = min(zip(faults, issuers, strict=True), key=lambda pair: bool(pair[0]))
            problem = problem or fault
            if sha256(issuer) in trusted:
                return problem or _no_server(chain[0])
            current = issuer
        return "签发链过长 (too many issuers)"

    def reject(self, certificate: x509.Certificate) -> Path:
        """Put an unknown certificate where a person finds it; the oldest ones make room."""
        path = self.rejected_folder / file_name(certificate)
        if not path.exists():
            self.rejected_folder.mkdir(parents=True, exist_ok=True)
            others = sorted(self.rejected_folder.glob("*.der"), key=lambda p: p.stat().st_mtime)
            for old in others[: max(0, len(others) - _REJECTED_MOST + 1)]:
                old.unlink(missing_ok=True)
            write_file(path, certificate.public_bytes(Encoding.DER), 0o644)
        return path

    def trust(self, name: str) -> Listed:
        """Move a certificate from rejected to trusted. Errors: `CertificateError`."""
        return _move(_named(self.rejected(), name, self.rejected_folder), self.trusted_folder)

    def add(self, file: Path) -> Listed:
        """Trust a certificate from a file, such as one brought on a stick. Errors: `CertificateError`."""
        certificate = load_certificate(file)
        return _write(Listed(file, certificate), self.trusted_folder)

    def distrust(self, name: str) -> Listed:
        """Move a certificate, every copy of it, from trusted to rejected. Errors: `CertificateError`."""
        return _move(_named(self.trusted(), name, self.trusted_folder), self.rejected_folder)

    def _fault(self, issuer: x509.Certificate, issued: x509.Certificate, now: datetime, between: int) -> str:
        """What is wrong with a link of the chain whose signature is right; `between` issuers stand below it."""
        name = common_name(issuer)
        if words := validity(issuer, now):
            return f"签发者 {name} 的证书{words}"
        if not _may_issue(issuer, between):
            return f"签发者 {name} 无权签发证书 (not a certificate authority)"
        algorithm = issued.signature_hash_algorithm
        if algorithm is None or algorithm.name in _WEAK:
            return f"签发者 {name} 的签名算法过弱 (weak signature: {algorithm.name if algorithm else 'none'})"
        if _revoked(issuer, issued, self.trusted_folder):
            return f"已被签发者 {name} 吊销 (revoked)"
        return ""


def _issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    if issuer == certificate:
        return False
    try:
        certificate.verify_directly_issued_by(issuer)
    except Exception:  # another name, a wrong signature, an algorithm nobody knows: not by this one
        return False
    return True


def _may_issue(issuer: x509.Certificate, between: int) -> bool:
    try:
        basic = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value
        if not basic.ca or (basic.path_length is not None and between > basic.path_length):  # RFC 5280 §4.2.1.9
            return False
        return issuer.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    except (x509.ExtensionNotFound, ValueError):
        return False


def _no_server(certificate: x509.Certificate) -> str:
    """Why what an authority issued is not a server's certificate (IEC 62541-6 §6.2.2: serverAuth); empty when it may be one."""
    try:
        usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return ""
    fitting = {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
    return "" if fitting & set(usages) else "证书用途里没有服务器身份 (expected serverAuth in ExtendedKeyUsage)"


def _revoked(issuer: x509.Certificate, certificate: x509.Certificate, folder: Path) -> bool:
    for path in sorted(folder.glob("*.crl")):
        try:
            raw = path.read_bytes()
            crl = x509.load_pem_x509_crl(raw) if raw.lstrip().startswith(b"-----") else x509.load_der_x509_crl(raw)
            ours = crl.issuer == issuer.subject and crl.is_signature_valid(issuer.public_key())  # type: ignore[arg-type]
        except (OSError, ValueError, TypeError):
            continue
        if ours and crl.get_revoked_certificate_by_serial_number(certificate.serial_number) is not None:
            return True
    return False


def _listed(folder: Path) -> tuple[list[Listed], list[str]]:
    found, problems = [], []
    for path in sorted([*folder.glob("*.der"), *folder.glob("*.pem"), *folder.glob("*.crt"), *folder.glob("*.cer")]):
        try:
            found.append(Listed(path, load_certificate(path)))
        except CertificateError as err:
            problems.append(str(err))
    return found, problems


def _named(entries: Iterable[Listed], name: str, folder: Path) -> list[Listed]:
    """Every file of the one certificate that is meant: a copy left behind would go on being trusted."""
    entries = list(entries)
    wanted = name.replace(":", "").replace(" ", "").lower()
    long_enough = len(wanted) >= _THUMB_LEAST
    fitting = [
        e
        for e in entries
        if e.path.name == name
        or (long_enough and (thumbprint(e.certificate).startswith(wanted) or sha256(e.certificate).startswith(wanted)))
    ]
    meant = {sha256(e.certificate) for e in fitting}
    if len(meant) == 1:
        return [e for e in entries if sha256(e.certificate) in meant]
    if fitting:
        raise CertificateError(f"{name}: 在 {folder} 里符合的有 {len(meant)} 张, 请多写几位指纹 (ambiguous)")
    raise CertificateError(
        f"{name}: {folder} 里没有这张证书; 写文件名或指纹前 {_THUMB_LEAST} 位以上 (no such certificate; give its file name or thumbprint)"
    )


def _move(copies: list[Listed], folder: Path) -> Listed:
    moved = _write(copies[0], folder)
    for entry in copies:
        entry.path.unlink()
    return moved


def _write(entry: Listed, folder: Path) -> Listed:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / file_name(entry.certificate)
    write_file(path, entry.certificate.public_bytes(Encoding.DER), 0o644)
    return Listed(path, entry.certificate)
