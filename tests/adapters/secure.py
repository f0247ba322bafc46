"""Certificates made for one test session, and secured servers of the npm stack that use them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from adapters.opcua.security.certificates import create_own
from config.register import Register
from tests.adapters.plant import device_of, register_of
from tests.adapters.stacks import NodeServer

NOW = datetime.now(UTC)
SERVER_URI = "urn:example:secure-server"


@cache
def key(name: str, bits: int = 2048) -> rsa.RSAPrivateKey:
    """A key per name: making one takes a tenth of a second and more."""
    return rsa.generate_private_key(65537, bits)


@dataclass(frozen=True)
class Made:
    """A certificate and the key it belongs to."""

    certificate: x509.Certificate
    key: rsa.RSAPrivateKey

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def certificate(
    name: str,
    uri: str = SERVER_URI,
    *,
    issuer: Made | None = None,
    ca: bool = False,
    days: tuple[float, float] = (-1, 365),
    bits: int = 2048,
    may_issue: bool = True,
    path_length: int | None = None,
    usages: Sequence[x509.ObjectIdentifier] = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH),
) -> Made:
    """A certificate with the usages that OPC UA asks for, its time given in days from now."""
    own = key(name, bits)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    usage = x509.KeyUsage(True, True, True, True, False, may_issue and (ca or issuer is None), ca, False, False)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(own.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW + timedelta(days=days[0]))
        .not_valid_after(NOW + timedelta(days=days[1]))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=path_length), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(own.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key((issuer.key if issuer else own).public_key()),
            critical=False,
        )
    )
    if not ca:
        names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(uri)] if uri else []
        names.append(x509.DNSName("localhost"))
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return Made(builder.sign(issuer.key if issuer else own, hashes.SHA256()), own)


def own_keys(keys: Path, *, trust: Sequence[Made] = ()) -> Path:
    """A folder `keys/` with our certificate, that trusts some."""
    create_own(keys / "opcua/own", NOW)
    (keys / "opcua/trusted").mkdir(parents=True)
    for k, made in enumerate(trust):
        (keys / f"opcua/trusted/{k}.der").write_bytes(made.der)
    return keys


class SecureServer(NodeServer):
    """`opcua_secure_server.js` as `what` says it is."""

    def __init__(self, folder: Path, identity: Made, **what: Any) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "key.pem").write_bytes(identity.key_pem)
        (folder / "certificate.pem").write_bytes(identity.pem)
        files = {"key": str(folder / "key.pem"), "certificate": str(folder / "certificate.pem"), "folder": str(folder)}
        (folder / "server.json").write_text(json.dumps({"uri": SERVER_URI, **files, **what}))
        super().__init__("opcua_secure_server.js", str(folder / "server.json"))
        if "Basic128Rsa15" in what.get("policies", ()):  # node refuses RSA with PKCS#1 padding since 2024 unless told
            self.node_options = ("--security-revert=CVE-2023-46809",)

    async def say(self, **what: Any) -> dict[str, Any]:
        """Tell it something; its answer."""
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(what).encode() + b"\n")
        await self._process.stdin.drain()
        async with asyncio.timeout(30):
            line = b"-"
            while line and not line.startswith(b"{"):
                line = await self._process.stdout.readline()
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def kill(self) -> None:
        """As if the power failed."""
        if self._process is not None:
            self._process.kill()
            await self._process.communicate()
            self._process = None

    async def again(self) -> Self:
        """Start it anew on the same port."""
        return await self.__aenter__()


def secure_register(ports: Sequence[int] | int, mode: str = "poll", **more: Any) -> Register:
    """One point of the server, and of its backups."""
    first, *backups = [ports] if isinstance(ports, int) else ports
    point = {"name": "speed", "type": "f64", "node": "nsu=urn:example:machines;s={device}.speed"}
    connection = {
        "protocol": "opcua",
        "endpoint": f"opc.tcp://127.0.0.1:{first}",
        "mode": mode,
        "sampling_ms": 50,
        "timeout_ms": 10_000,
        **({"backups": [f"opc.tcp://127.0.0.1:{p}" for p in backups]} if backups else {}),
        **more,
    }
    return register_of([point], [device_of("m1", connection)], "wide" if mode == "poll" else "event")
