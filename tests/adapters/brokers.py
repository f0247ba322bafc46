"""MQTT brokers for tests: a real mosquitto that can be killed, certificates made on the spot, and a broker that says what it is told to."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, Self

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from adapters.mqtt import packets
from adapters.mqtt.packets import Framer, Packet
from tests.adapters.plant import free_port, program, wait_for_port
from tests.adapters.stacks import FOLDER

QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


class Mosquitto:
    """mosquitto on a free port, and a `second` for what the lines say of SECOND; `kill` is a power cut, `start` begins again."""

    def __init__(self, folder: Path, *lines: str) -> None:
        self.port, self.second = free_port(), free_port()
        self._config = folder / "mosquitto.conf"
        self._uses_second = any("SECOND" in line for line in lines)
        common = ["user root", "allow_anonymous true", f"listener {self.port} 127.0.0.1"]
        text = "\n".join([*common, *lines]).replace("SECOND", str(self.second)).replace("FOLDER", str(folder))
        self._config.write_text(text + "\n")
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        command = [program("mosquitto"), "-c", str(self._config)]
        self._process = await asyncio.to_thread(lambda: subprocess.Popen(command, **QUIET))
        await wait_for_port(self.port)
        if self._uses_second:
            await wait_for_port(self.second)

    async def kill(self) -> None:
        await self._end("kill")

    async def stop(self) -> None:
        await self._end("terminate")

    async def _end(self, how: str) -> None:
        if self._process is not None:
            getattr(self._process, how)()
            await asyncio.to_thread(self._process.wait)
            self._process = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill()


async def node(script: str, *arguments: str) -> dict[str, Any]:
    """Run a script of tests/servers to its end; the JSON it says last."""
    found = shutil.which("node")
    if found is None or not (FOLDER / "node_modules").is_dir():
        if os.environ.get("PLANTPROOF_REQUIRE") == "all":
            raise RuntimeError("expected node and tests/servers/node_modules: npm ci --prefix tests/servers")
        pytest.skip("node or tests/servers/node_modules is missing: npm ci --prefix tests/servers")
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(found, FOLDER / script, *arguments, stdout=pipe, stderr=pipe)
    try:
        async with asyncio.timeout(60):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, err.decode()[-500:]
    said: dict[str, Any] = json.loads(out.splitlines()[-1])
    return said


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key, as objects and in files `<name>.crt` and `<name>.key`."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def make_pair(folder: Path, name: str, issuer: Pair | None = None, *, days: int = 2, host: str = "127.0.0.1") -> Pair:
    """A certificate of `host`, signed by the issuer (itself without one); `days` below 0: it has expired."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=10))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address(host))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    signer = key if issuer is None else issuer.key
    certificate = builder.sign(signer, hashes.SHA256())
    pem = serialization.Encoding.PEM
    (folder / f"{name}.crt").write_bytes(certificate.public_bytes(pem))
    plain = serialization.NoEncryption()
    (folder / f"{name}.key").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    return Pair(certificate, key)


Script = Callable[[Packet], list[bytes]]


@dataclass
class ScriptedBroker:
    """Answers each packet of a client as a script says, byte by byte when asked; remembers what it was sent."""

    script: Script
    piecewise: bool = False
    received: list[Packet] = field(default_factory=list)
    connections: int = 0
    port: int = 0
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _server: asyncio.Server | None = None

    def kinds(self) -> set[int]:
        """The packet types that came."""
        return {p.kind for p in self.received}

    async def send(self, *data: bytes) -> None:
        """Say something to everybody."""
        for writer in self.writers:
            for piece in data:
                await self._say(writer, piece)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self.writers:
            writer.close()
        await self._server.wait_closed()
        await asyncio.gather(*self._tasks)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.append(writer)
        task = asyncio.current_task()
        assert task is not None
        self._tasks.append(task)
        framer = Framer(1 << 24)
        try:
            while data := await reader.read(65536):
                for packet in framer.feed(data):
                    self.received.append(packet)
                    for answer in self.script(packet):
                        if answer:
                            await self._say(writer, answer)
                        else:
                            writer.close()
                            return
        except ConnectionError:
            pass
        finally:
            self.writers.remove(writer)
            writer.close()

    async def _say(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        for piece in [data[i : i + 1] for i in range(len(data))] if self.piecewise else [data]:
            writer.write(piece)
            await writer.drain()
            if self.piecewise:
                await asyncio.sleep(0)


HANG_UP = b""
CONNACK_311 = b"\x20\x02\x00\x00"
CONNACK_5 = b"\x20\x03\x00\x00\x00"


def polite(packet: Packet, version: int = packets.V5) -> list[bytes]:
    """What any broker answers."""
    five = version == packets.V5
    mid = packet.body[:2]
    if packet.kind == packets.CONNECT:
        return [CONNACK_5 if five else CONNACK_311]
    if packet.kind == packets.SUBSCRIBE:
        codes = bytes(1 for _ in range(packet.body.count(b"\x01", 4)))
        body = mid + (b"\0" if five else b"") + (codes or b"\x01")
        return [bytes((0x90, len(body))) + body]
    if packet.kind == packets.UNSUBSCRIBE:
        body = mid + (b"\0\0" if five else b"")
        return [bytes((0xB0, len(body))) + body]
    if packet.kind == packets.PUBREC:
        return [b"\x62\x02" + mid]
    return [b"\xd0\x00"] if packet.kind == packets.PINGREQ else []
