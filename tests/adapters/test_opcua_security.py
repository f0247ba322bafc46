"""OPC UA security against node-opcua: every policy and mode, users, trust, limits; and what a weak or hostile server does to us."""

from __future__ import annotations

import asyncio
import logging
import re
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import structlog
from asyncua import ua
from asyncua.server.internal_session import InternalSession
from asyncua.server.uaprocessor import UaProcessor

from adapters.batch import Outcome
from adapters.contract import ReadError, Site
from adapters.opcua import session as session_module
from adapters.opcua.redundancy import Servers
from adapters.opcua.security.certificates import create_own, load_own, thumbprint
from adapters.opcua.security.login import Login
from adapters.opcua.security.trust import TrustList
from adapters.opcua.session import Session
from adapters.opcua.transport import MESSAGE_BYTES, BoundedClient
from config.connections import OpcUa
from tests.adapters.plant import OpcUaWire, Recorder, Running, WallClock, free_port
from tests.adapters.secure import NOW, SecureServer, certificate, own_keys, secure_register

POLICIES = ["Basic128Rsa15", "Basic256", "Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss"]
STRONG = {"policies": ["None", "Basic256Sha256"], "modes": ["None", "SignAndEncrypt"]}
SECRET = "geheim-42"


class Ahead(WallClock):
    """A clock that a test moves."""

    ahead_s = 0.0

    def now_us(self) -> int:
        return super().now_us() + int(self.ahead_s * 1_000_000)


def servers(port: int, keys: Path | None, clock: WallClock | None = None, **more: Any) -> Servers:
    connection = secure_register(port, **more).devices[0].connection
    assert isinstance(connection, OpcUa)
    return Servers(connection, 10, Site(clock or WallClock(), None, keys))


@asynccontextmanager
async def opened(made: Servers) -> AsyncIterator[Session]:
    session = await made.open(lambda: None)
    try:
        yield session
    finally:
        await session.close()


async def refusal(made: Servers) -> ReadError:
    with pytest.raises(ReadError) as refused:
        async with opened(made):
            pass
    return refused.value


async def speed(session: Session) -> object:
    (reading,) = await session.read([session.resolve("nsu=urn:example:machines;s=m1.speed")])
    return reading.raw


async def test_every_policy_and_mode_reads_and_leaves_no_session_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPC_PASSWORD", SECRET)
    identity, user = certificate("server"), {"username": "collector", "password_env": "OPC_PASSWORD"}
    keys = own_keys(tmp_path / "keys", trust=[identity])
    what = {
        "policies": ["None", *POLICIES],
        "modes": ["None", "Sign", "SignAndEncrypt"],
        "users": {"collector": SECRET},
    }
    async with SecureServer(tmp_path / "server", identity, **what) as server:
        for policy in ("None", *POLICIES):
            for mode, login in (("Sign", {}), ("SignAndEncrypt", user)):
                made = servers(server.port, keys, policy=policy, security_mode=mode, **login)
                async with opened(made) as session:
                    assert await speed(session) == 1.5
                    facts = dict(session.facts)
                assert facts.get("security", "None") == ("None" if policy == "None" else f"{policy} {mode}")
                assert ("server_certificate_sha256" in facts) == (policy != "None")
        answer = await server.say(ask="sessions")
    assert answer == {"sessions": 0, "created": 12, "logins": 6}


async def test_a_server_without_the_wanted_policy_is_denied_and_its_offers_are_listed(tmp_path: Path) -> None:
    identity = certificate("server")
    keys = own_keys(tmp_path / "keys", trust=[identity])
    what = {"policies": ["Basic256Sha256", "Aes256_Sha256_RsaPss"], "modes": ["SignAndEncrypt"]}
    async with SecureServer(tmp_path / "server", identity, **what) as server:
        for wanted in ({}, {"policy": "Basic256Sha256", "security_mode": "Sign"}, {"policy": "Aes128_Sha256_RsaOaep"}):
            err = await refusal(servers(server.port, keys, **wanted))
            assert err.outcome is Outcome.DENIED
            assert "Aes256_Sha256_RsaPss SignAndEncrypt, Basic256Sha256 SignAndEncrypt" in str(err)


async def test_without_a_certificate_of_our_own_the_words_say_how_to_make_one(tmp_path: Path) -> None:
    port = free_port()
    err = await refusal(servers(port, tmp_path, policy="Basic256Sha256"))
    assert err.outcome is Outcome.DENIED
    assert f"plantproof opcua cert create --keys {tmp_path}" in str(err)
    assert "--data" in str(await refusal(servers(port, None, policy="Basic256Sha256")))
    create_own(tmp_path / "opcua/own", NOW - timedelta(days=40), days=20)
    assert "过期" in str(await refusal(servers(port, tmp_path, policy="Basic256Sha256")))


async def test_an_unknown_server_stays_denied_until_a_person_trusts_it(tmp_path: Path) -> None:
    identity = certificate("server")
    keys = own_keys(tmp_path / "keys")
    clock = Ahead()
    async with SecureServer(tmp_path / "server", identity, **STRONG) as server:
        register = secure_register(server.port, policy="Basic256Sha256")
        async with Running(register, Recorder(), clock, keys=keys) as recorder:
            await recorder.until(lambda: recorder.outcomes("m1").count(Outcome.DENIED) >= 2, "two denied intervals")
            assert thumbprint(identity.certificate) in recorder.states[0].words
            TrustList(keys / "opcua").trust(thumbprint(identity.certificate))
            clock.ahead_s += 60
            await recorder.until(lambda: Outcome.OK in recorder.outcomes("m1"), "values")
        answer = await server.say(ask="sessions")
        assert (answer["created"], answer["sessions"]) == (1, 0)  # one for all devices, and closed at the stop


async def test_a_server_that_does_not_trust_us_names_our_certificate(tmp_path: Path) -> None:
    identity = certificate("server")
    keys = own_keys(tmp_path / "keys", trust=[identity])
    own = load_own(keys / "opcua/own")
    assert own is not None
    async with SecureServer(tmp_path / "server", identity, clients=[], **STRONG) as server:
        err = await refusal(servers(server.port, keys, policy="Basic256Sha256"))
    assert err.outcome is Outcome.DENIED
    assert str(own.path) in str(err)
    assert thumbprint(own.certificate) in str(err)


async def test_a_users_certificate_opens_the_session_and_another_does_not(tmp_path: Path) -> None:
    identity, user, stranger = certificate("server"), certificate("user", "urn:u"), certificate("stranger", "urn:s")
    keys = own_keys(tmp_path / "keys", trust=[identity])
    for name, made in (("user", user), ("stranger", stranger)):
        (keys / f"{name}.der").write_bytes(made.der)
        (keys / f"{name}.pem").write_bytes(made.key_pem)
    (tmp_path / "user.der").write_bytes(user.der)
    what = {**STRONG, "userCertificates": [str(tmp_path / "user.der")], "anonymous": False}
    async with SecureServer(tmp_path / "server", identity, **what) as server:
        for policy in ("None", "Basic256Sha256"):
            good = {"user_certificate": "user.der", "user_key": "user.pem", "policy": policy}
            async with opened(servers(server.port, keys, **good)) as session:
                assert await speed(session) == 1.5
        bad = {"user_certificate": "stranger.der", "user_key": "stranger.pem", "policy": "Basic256Sha256"}
        err = await refusal(servers(server.port, keys, **bad))
        assert (err.outcome, "stranger.der" in str(err)) == (Outcome.DENIED, True)
        pinned = {"server_certificate": "stranger.der", "username": "x"}  # its password would be encrypted for another
        assert "不是台账指定的那张" in str(await refusal(servers(server.port, keys, **pinned)))
        err = await refusal(servers(server.port, keys))
        assert (err.outcome, "用户名" in str(err)) == (Outcome.DENIED, True)
        assert (await server.say(ask="sessions"))["sessions"] == 0


async def test_a_wrong_password_is_tried_rarely_and_stands_in_no_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OPC_PASSWORD", SECRET)
    caplog.set_level(logging.DEBUG)
    identity, clock = certificate("server"), Ahead()
    keys = own_keys(tmp_path / "keys", trust=[identity])
    login = {"username": "collector", "password_env": "OPC_PASSWORD"}
    with structlog.testing.capture_logs() as logs:
        async with SecureServer(tmp_path / "server", identity, users={"collector": "another"}, **STRONG) as server:
            for policy in ("None", "Basic256Sha256"):
                register = secure_register(server.port, policy=policy, **login)
                async with Running(register, Recorder(), clock, keys=keys) as recorder:
                    await recorder.until(lambda: len(recorder.outcomes("m1")) >= 2, "denied intervals")
                    clock.ahead_s += 200
                    await recorder.until(lambda: len(recorder.outcomes("m1")) >= 4, "more of them")
                late = {Outcome.TIMEOUT}  # a busy machine: an interval that passed while the attempt was under way
                assert set(recorder.outcomes("m1")) - late == {Outcome.DENIED}
                assert "OPC_PASSWORD" in recorder.states[0].words
            assert (await server.say(ask="sessions"))["logins"] == 2
        monkeypatch.delenv("OPC_PASSWORD")
        assert "OPC_PASSWORD" in str(await refusal(servers(server.port, keys, **login)))
    said = f"{logs} {caplog.text} {[s.words for s in recorder.states]}"
    assert SECRET not in said
    assert "collector" in said


async def test_values_go_on_when_the_channel_is_renewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "_CHANNEL_LIFETIME_MS", 2500)
    identity = certificate("server")
    keys = own_keys(tmp_path / "keys", trust=[identity])
    async with (
        SecureServer(tmp_path / "server", identity, **STRONG) as server,
        opened(servers(server.port, keys, policy="Basic256Sha256")) as session,
    ):
        assert session.client.secure_channel_timeout == 2500
        for _ in range(50):
            assert await speed(session) == 1.5
            await asyncio.sleep(0.1)
        assert session.alive


async def test_too_many_sessions_is_tried_less_and_less_often_and_says_so(tmp_path: Path) -> None:
    clock = Ahead()
    async with SecureServer(tmp_path / "server", certificate("server"), sessions=1) as server:
        async with opened(servers(server.port, None)) as taken:
            made, waits = servers(server.port, None, clock), []
            for _ in range(5):
                err = await refusal(made)
                waits.append(made.remaining_s)
                clock.ahead_s += made.remaining_s
            assert err.outcome is Outcome.DEVICE_FAILURE
            assert "会话数已满" in str(err)
            assert all(0.4 * 2**k <= wait <= 0.9 * 2**k for k, wait in enumerate(waits))
            assert await speed(taken) == 1.5
        async with opened(made) as session:
            assert await speed(session) == 1.5


async def test_a_session_timeout_that_the_server_cuts_is_kept_alive_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    create, asked = InternalSession.create_session, []
    process = UaProcessor._process_message

    async def short(self: Any, *arguments: Any, **named: Any) -> Any:
        result = await create(self, *arguments, **named)
        result.RevisedSessionTimeout = 600
        return result

    async def noting(self: Any, *arguments: Any) -> Any:
        asked.append(arguments[0])
        return await process(self, *arguments)

    monkeypatch.setattr(InternalSession, "create_session", short)
    monkeypatch.setattr(UaProcessor, "_process_message", noting)
    wire, port = OpcUaWire(), free_port()
    await wire.start(port)
    try:
        session = await Session.open(f"opc.tcp://127.0.0.1:{port}/x", 5, lambda: None)
        before = len(asked)
        await asyncio.sleep(2)
        assert session.alive
        await session.close()
    finally:
        await wire.stop()
    assert len(asked) - before >= 4  # 600 ms were granted: without this nobody would ask for 30 s


async def test_a_server_that_never_ends_its_message_is_cut_off_and_named() -> None:
    sent = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.read(1)
        writer.write(b"ACKF" + b"".join(n.to_bytes(4, "little") for n in (28, 0, 65_535, 65_535, 0, 0)))
        try:
            for number in count():
                writer.write(b"MSGC" + struct.pack("<6I", 60_024, 0, 0, number, 2, 0)[:20] + bytes(60_000))
                await writer.drain()
                sent += 60_000
        except OSError:
            writer.close()

    hostile = await asyncio.start_server(talk, "127.0.0.1", 0)
    err = await refusal(servers(hostile.sockets[0].getsockname()[1], None))
    hostile.close()
    assert err.outcome is Outcome.PROTOCOL
    assert str(MESSAGE_BYTES) in str(err)
    assert sent < 4 * MESSAGE_BYTES


async def test_a_server_with_small_buffers_may_answer_with_more_than_it_takes(tmp_path: Path) -> None:
    """asyncua takes the acknowledge's limits for its own; node-opcua behind a proxy that says it takes 8 KiB."""

    async def through(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up, out = await asyncio.open_connection("127.0.0.1", server.port)

        async def back() -> None:
            ack = await up.readexactly(28)
            limits = b"".join(n.to_bytes(4, "little") for n in (8192, 65_536, 8192, 1))
            writer.write(ack[:12] + limits)
            while data := await up.read(65_536):
                writer.write(data)
                await writer.drain()
            writer.close()

        task = asyncio.create_task(back())
        while data := await reader.read(65_536):
            out.write(data)
            await out.drain()
        out.close()
        await task

    async with SecureServer(tmp_path / "server", certificate("server")) as server:
        proxy = await asyncio.start_server(through, "127.0.0.1", 0)
        async with opened(servers(proxy.sockets[0].getsockname()[1], None)) as session:
            node = session.resolve("nsu=urn:example:machines;s=m1.speed")
            assert {r.raw for r in await session.read([node] * 900)} == {1.5}
            assert {r.raw for r in await session.read([node] * 120)} == {1.5}
        proxy.close()
        await proxy.wait_closed()


@pytest.mark.parametrize(
    ("offered", "plain", "first"),
    [(["None", "Basic256Sha256"], False, "Basic256Sha256"), (["None"], True, "None"), (["ECC", "None"], True, "None")],
)
def test_of_several_ways_to_send_a_password_one_that_hides_it_is_taken(
    offered: list[str], plain: bool, first: str
) -> None:
    connection = secure_register(1, username="collector").devices[0].connection
    assert isinstance(connection, OpcUa)
    space = "http://opcfoundation.org/UA/SecurityPolicy#"
    tokens = [ua.UserTokenPolicy(TokenType=ua.UserTokenType.UserName, SecurityPolicyUri=space + p) for p in offered]
    known = frozenset({space + "None", space + "Basic256Sha256"})
    assert Login(connection, known).check(tokens, space + "None", "cnc:4840") is plain
    assert tokens[0].SecurityPolicyUri == space + first


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (ua.StatusCodes.BadCertificateUriInvalid, "urn:cell-7:plantproof:collector.*urn:cell-7:plantproof:collector"),
        (ua.StatusCodes.BadCertificateTimeInvalid, "有效期 20"),
        (ua.StatusCodes.BadCertificateUntrusted, "certificate.der"),
        (ua.StatusCodes.BadSecurityChecksFailed, "certificate.der"),
    ],
)
async def test_a_refusal_of_our_certificate_says_what_to_look_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, words: str
) -> None:
    create_own(tmp_path / "opcua/own", NOW, host="cell-7")

    async def refuse(_: BoundedClient) -> None:
        raise ua.UaStatusCodeError(code)  # type: ignore[no-untyped-call]

    monkeypatch.setattr(BoundedClient, "connect_and_get_server_endpoints", refuse)
    err = await refusal(servers(free_port(), tmp_path, policy="Basic256Sha256"))
    assert err.outcome is Outcome.DENIED
    assert re.search(words, str(err)), str(err)
