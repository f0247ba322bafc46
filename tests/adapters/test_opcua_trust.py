"""Certificates and trust of OPC UA without a server: what is made, what is accepted, what is refused and in which words."""

from __future__ import annotations

import json
import os
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from asyncua import ua
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import plantproof
from adapters.batch import Outcome
from adapters.opcua.faults import OpenError
from adapters.opcua.security.certificates import CertificateError, create_own, load_own, load_pair, thumbprint
from adapters.opcua.security.cli import app
from adapters.opcua.security.inventory import notices
from adapters.opcua.security.peer import PeerRules, check_server
from adapters.opcua.security.trust import TrustList
from adapters.opcua.transport import CHUNKS, MESSAGE_BYTES, Chunks
from tests.adapters.plant import free_port
from tests.adapters.secure import NOW, SERVER_URI, Made, certificate, own_keys
from tests.builders import FIRST_HOUR, HOUR_US, Driver

on_a_busy_machine = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def endpoint(*chain: Made, uri: str = SERVER_URI) -> ua.EndpointDescription:
    described = ua.EndpointDescription()
    described.Server.ApplicationUri = uri
    described.ServerCertificate = b"".join(made.der for made in chain)
    return described


def check(
    folder: Path, *chain: Made, uri: str = SERVER_URI, pinned: Made | None = None, at: datetime = NOW
) -> list[str]:
    """The warnings of a certificate that is accepted."""
    pin = None
    if pinned is not None:
        pin = folder / "pin.der"
        pin.write_bytes(pinned.der)
    rules = PeerRules(folder / "opcua", pin, "Basic256Sha256", 2048)
    found, warnings = check_server(endpoint(*chain, uri=uri), rules, at, "cnc:4840")
    assert found == chain[0].certificate
    return warnings


def trusting(folder: Path, *trusted: Made) -> Path:
    (folder / "opcua/trusted").mkdir(parents=True)
    for k, made in enumerate(trusted):
        (folder / f"opcua/trusted/{k}.der").write_bytes(made.der)
    return folder


def test_our_certificate_says_what_opc_ua_asks_for_and_its_key_is_ours_alone(tmp_path: Path) -> None:
    own = create_own(tmp_path / "own", NOW, host="cell-7")
    extensions = own.certificate.extensions
    names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    usage = extensions.get_extension_for_class(x509.KeyUsage).value
    assert own.application_uri == "urn:cell-7:plantproof:collector"
    assert names.get_values_for_type(x509.DNSName) == ["cell-7"]
    assert usage.digital_signature
    assert usage.content_commitment
    assert usage.key_encipherment
    assert usage.data_encipherment
    assert own.key.key_size == 2048
    assert (own.key_path.stat().st_mode & 0o777, own.path.parent.stat().st_mode & 0o077) == (0o600, 0)
    assert load_own(tmp_path / "own") == own or load_own(tmp_path / "own") is not None
    with pytest.raises(CertificateError, match="不覆盖"):
        create_own(tmp_path / "own", NOW)


def test_a_host_name_in_chinese_letters_makes_a_certificate(tmp_path: Path) -> None:
    assert create_own(tmp_path, NOW, host="车间一").application_uri == "urn:xn--4gq470n3de:plantproof:collector"


def test_a_key_that_belongs_to_another_certificate_is_refused(tmp_path: Path) -> None:
    (tmp_path / "c.pem").write_bytes(certificate("a").pem)
    (tmp_path / "k.pem").write_bytes(certificate("b").key_pem)
    with pytest.raises(CertificateError, match="不是一对"):
        load_pair(tmp_path / "c.pem", tmp_path / "k.pem")


def test_a_trusted_certificate_is_accepted_and_warns_before_it_expires(tmp_path: Path) -> None:
    server = certificate("server", days=(-1, 40))
    trusting(tmp_path, server)
    assert check(tmp_path, server) == []
    (warning,) = check(tmp_path, server, at=NOW + timedelta(days=20))
    assert "天后到期" in warning


def test_an_unknown_certificate_is_put_aside_and_the_words_say_which_command_trusts_it(tmp_path: Path) -> None:
    server = certificate("未知 服务器/../x")
    for _ in range(2):
        with pytest.raises(OpenError) as refused:
            check(tmp_path, server)
        assert refused.value.outcome is Outcome.DENIED
        assert f"plantproof opcua cert trust {thumbprint(server.certificate)[:16]}" in str(refused.value)
    (kept,) = (tmp_path / "opcua/rejected").iterdir()
    assert kept.read_bytes() == server.der
    assert str(kept) in str(refused.value)
    TrustList(tmp_path / "opcua").trust(thumbprint(server.certificate)[:16])
    assert check(tmp_path, server) == []
    TrustList(tmp_path / "opcua").distrust(thumbprint(server.certificate))
    with pytest.raises(OpenError):
        check(tmp_path, server)


def test_a_server_with_a_new_certificate_each_time_does_not_fill_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.opcua.security.trust._REJECTED_MOST", 3)
    for _ in range(6):
        TrustList(tmp_path).reject(certificate("server").certificate)
    assert len(list((tmp_path / "rejected").iterdir())) == 3


@pytest.mark.parametrize(("days", "words"), [((-10, -1), "过期"), ((1, 10), "才生效")])
@pytest.mark.parametrize("pin", [False, True])
def test_a_server_certificate_outside_its_time_is_refused(
    tmp_path: Path, days: tuple[float, float], words: str, pin: bool
) -> None:
    server = certificate("server", days=days)
    trusting(tmp_path, server)
    with pytest.raises(OpenError, match=words) as refused:
        check(tmp_path, server, pinned=server if pin else None)
    assert refused.value.outcome is Outcome.DENIED


def test_a_differing_application_uri_is_refused_and_both_are_named(tmp_path: Path) -> None:
    server = certificate("server", "urn:old-name:server")
    trusting(tmp_path, server)
    with pytest.raises(OpenError, match=r"urn:new-name:server.*urn:old-name:server"):
        check(tmp_path, server, uri="urn:new-name:server")
    (warning,) = check(tmp_path, server, uri="urn:new-name:server", pinned=server)
    assert "urn:new-name:server" in warning
    assert "urn:old-name:server" in warning


def test_a_pinned_certificate_is_the_only_one_taken(tmp_path: Path) -> None:
    server, other = certificate("server"), certificate("other")
    trusting(tmp_path, other)
    assert check(tmp_path, server, pinned=server) == []
    with pytest.raises(OpenError, match="不是台账指定的那张") as refused:
        check(tmp_path, other, pinned=server)
    assert thumbprint(server.certificate) in str(refused.value)
    assert thumbprint(other.certificate) in str(refused.value)


def test_a_key_shorter_than_the_policy_asks_for_is_refused(tmp_path: Path) -> None:
    server = certificate("short", bits=1024)
    trusting(tmp_path, server)
    with pytest.raises(OpenError, match="2048 bits or more, found 1024"):
        check(tmp_path, server)


def test_a_certificate_of_a_trusted_authority_is_accepted_through_the_issuers_it_brings(tmp_path: Path) -> None:
    authority = certificate("authority", ca=True)
    middle = certificate("middle", ca=True, issuer=authority)
    server = certificate("server", issuer=middle)
    trusting(tmp_path, authority)
    assert check(tmp_path, server, middle) == []
    with pytest.raises(OpenError, match="不在信任列表"):
        check(tmp_path, server)  # the link between is missing


def test_a_forged_or_unfit_issuer_is_refused(tmp_path: Path) -> None:
    authority = certificate("authority", ca=True)
    trusting(tmp_path, authority, certificate("plain"))
    forged = certificate("authority", ca=True)  # same name, same key, not the same certificate: it did sign
    assert check(tmp_path, certificate("server", issuer=forged)) == []
    impostor = Made(authority.certificate, certificate("impostor").key)
    with pytest.raises(OpenError, match="不在信任列表"):
        check(tmp_path, certificate("server", issuer=impostor))
    with pytest.raises(OpenError, match="无权签发"):
        check(tmp_path, certificate("server", issuer=certificate("plain", may_issue=False)))


def test_an_expired_authority_is_refused(tmp_path: Path) -> None:
    authority = certificate("authority", ca=True, days=(-20, -1))
    trusting(tmp_path, authority)
    with pytest.raises(OpenError, match=r"签发者 authority.*过期"):
        check(tmp_path, certificate("server", issuer=authority))


def test_an_authority_renewed_with_its_old_key_counts_whichever_file_comes_first(tmp_path: Path) -> None:
    old = certificate("authority", ca=True, days=(-20, -1))
    new = certificate("authority", ca=True)
    trusting(tmp_path, old, new)
    assert check(tmp_path, certificate("server", issuer=new)) == []


def test_an_authority_for_end_certificates_only_cannot_make_another_authority(tmp_path: Path) -> None:
    authority = certificate("authority", ca=True, path_length=0)
    middle = certificate("middle", ca=True, issuer=authority)
    trusting(tmp_path, authority)
    assert check(tmp_path, certificate("server", issuer=authority)) == []
    with pytest.raises(OpenError, match="无权签发"):
        check(tmp_path, certificate("server", issuer=middle), middle)


def test_a_users_certificate_of_the_same_authority_is_no_server(tmp_path: Path) -> None:
    authority = certificate("authority", ca=True)
    trusting(tmp_path, authority)
    user = certificate("operator", issuer=authority, usages=[ExtendedKeyUsageOID.CLIENT_AUTH])
    with pytest.raises(OpenError, match="没有服务器身份"):
        check(tmp_path, user)
    nameless = certificate("operator", "", issuer=authority)
    with pytest.raises(OpenError, match="应用 URI"):
        check(tmp_path, nameless, uri="")  # who has no name is not recognised by having none


def test_a_certificate_is_trusted_no_longer_however_many_files_hold_it(tmp_path: Path) -> None:
    server, other = certificate("server"), certificate("other")
    trusting(tmp_path, server, other)
    (tmp_path / "opcua/trusted/by-hand.pem").write_bytes(server.pem)
    TrustList(tmp_path / "opcua").distrust("by-hand.pem")
    assert [e.certificate for e in TrustList(tmp_path / "opcua").trusted()] == [other.certificate]
    with pytest.raises(OpenError, match="不在信任列表"):
        check(tmp_path, server)
    TrustList(tmp_path / "opcua").trust(thumbprint(server.certificate))
    assert check(tmp_path, server) == []


def test_names_in_a_strangers_certificate_cannot_drive_the_terminal_or_break_the_list(tmp_path: Path) -> None:
    stranger = certificate("x[/bold]\x1b]0;title\x07\u202e\n✔ 已信任", "urn:[/red]\x1b[2J")
    with pytest.raises(OpenError) as refused:
        check(tmp_path, stranger, uri="urn:x")
    code, out, words = cert("show", "--keys", str(tmp_path))
    assert (code, "x[/bold]" in out, "urn:[/red]" in out) == (0, True, True)
    for text in (str(refused.value), out.replace("\n", ""), words.replace("\n", "")):
        assert text.isprintable()
    code, out, _ = cert("trust", thumbprint(stranger.certificate), "--keys", str(tmp_path), "--json")
    assert code == 0
    assert out.rstrip("\n").isprintable()
    assert json.loads(out)["uri"] == "urn:[/red]\x1b[2J"


def test_what_an_administrator_trusts_the_service_can_read(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        entry = TrustList(tmp_path / "opcua").add(_written(tmp_path / "server.der", certificate("server")))
    finally:
        os.umask(before)
    assert entry.path.stat().st_mode & 0o777 == 0o644


def _written(path: Path, made: Made) -> Path:
    path.write_bytes(made.der)
    return path


def test_a_revoked_certificate_is_refused(tmp_path: Path) -> None:
    authority = certificate("authority", ca=True)
    server = certificate("server", issuer=authority)
    trusting(tmp_path, authority)
    revoked = (
        x509.RevokedCertificateBuilder()
        .serial_number(server.certificate.serial_number)
        .revocation_date(NOW - timedelta(days=1))
        .build()
    )
    listed = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.certificate.subject)
        .last_update(NOW - timedelta(days=1))
        .next_update(NOW + timedelta(days=9))
        .add_revoked_certificate(revoked)
        .sign(authority.key, hashes.SHA256())
    )
    (tmp_path / "opcua/trusted/authority.crl").write_bytes(listed.public_bytes(Encoding.DER))
    with pytest.raises(OpenError, match="吊销"):
        check(tmp_path, server)
    assert check(tmp_path, certificate("server", issuer=authority)) == []


@on_a_busy_machine
@given(st.binary(max_size=300), st.integers(0, 60), st.binary(max_size=4))
def test_any_bytes_for_a_certificate_are_a_named_refusal(noise: bytes, at: int, other: bytes) -> None:
    good = certificate("server").der
    for der in (noise, good[:at], good[:at] + other + good[at + len(other) :], good + noise):
        described = endpoint()
        described.ServerCertificate = der
        rules = PeerRules(Path("/dev/null/opcua"), None, "Basic256Sha256", 2048)
        with pytest.raises(OpenError) as refused:
            check_server(described, rules, NOW, "cnc:4840")
        assert refused.value.outcome is Outcome.DENIED


def cert(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.stdout, result.stderr


def test_the_commands_create_show_trust_and_reject(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    assert cert("show", "--data", str(tmp_path))[0] == 5
    keys.mkdir()
    where = ("--data", str(tmp_path))
    code, _, words = cert("show", *where)
    assert (code, "还没有本机证书" in words) == (0, True)
    code, out, _ = cert("create", *where, "--host", "cell-7", "--json")
    assert (code, json.loads(out)["uri"]) == (0, "urn:cell-7:plantproof:collector")
    assert cert("create", *where)[0] == 4
    server = certificate("server")
    TrustList(keys / "opcua").reject(server.certificate)
    thumb = thumbprint(server.certificate)
    shown = json.loads(cert("show", "--keys", str(keys), "--json")[1])
    assert [(c["list"], c["problem"]) for c in shown["certificates"]] == [("own", ""), ("rejected", "")]
    assert cert("trust", "00000000", *where)[0] == 4
    assert cert("trust", thumb[:3], *where)[0] == 4
    code, _, words = cert("trust", ":".join(thumb[i : i + 2] for i in range(0, 40, 2)).upper(), *where)
    assert (code, thumb in words) == (0, True)
    assert [e.certificate for e in TrustList(keys / "opcua").trusted()] == [server.certificate]
    assert cert("reject", thumb[:12], *where)[0] == 0
    assert TrustList(keys / "opcua").trusted() == []
    (tmp_path / "stick.pem").write_bytes(server.pem)
    assert cert("trust", str(tmp_path / "stick.pem"), *where)[0] == 0
    code, table, _ = cert("show", *where)
    assert (code, thumb in table) == (0, True)


def test_show_and_test_name_what_is_expired_or_lies_open(tmp_path: Path) -> None:
    keys = own_keys(tmp_path / "keys", trust=[certificate("old", days=(-9, -1)), certificate("soon", days=(-9, 9.5))])
    (keys / "opcua/own/private_key.pem").chmod(0o644)
    (keys / "opcua/trusted/notes.pem").write_text("password: none")
    code, _, words = cert("show", "--keys", str(keys))
    assert code == 3
    assert "过期" in words
    assert "chmod 600" in words
    assert "notes.pem" in words
    assert any("9 天后到期" in n for n in notices(keys / "opcua", NOW))


REGISTER = """
format = "plantproof-register/1"
line = [{{id = "L", name = "L"}}]
[[points]]
id = "p"
point = [{{name = "speed", type = "f64", node = "i=2258"}}]
[[device]]
id = "m1"
name = "m1"
line = "L"
points = "p"
in_service_from = 2020-01-01
connection = {{protocol = "opcua", endpoint = "opc.tcp://127.0.0.1:{port}", policy = "Basic256Sha256"}}
"""


def test_trying_the_devices_tells_of_certificates_that_run_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Driver(tmp_path, FIRST_HOUR * HOUR_US).folder
    own_keys(folder.keys, trust=[certificate("soon", days=(-9, 9.5))])
    (tmp_path / "register.toml").write_text(REGISTER.format(port=free_port()), encoding="utf-8")
    where = ["--data", str(folder.path)]
    assert plantproof.run(["test", "--register", str(tmp_path / "register.toml"), *where]) == 3
    assert "9 天后到期" in capsys.readouterr().err
    assert plantproof.run(["opcua", "cert", "show", *where, "--json"]) == 0
    assert [c["list"] for c in json.loads(capsys.readouterr().out)["certificates"]] == ["own", "trusted"]


class Inner:
    """Stands where the library's protocol is."""

    def __init__(self) -> None:
        self.got: list[bytes] = []
        self.closed = False

    def data_received(self, data: bytes) -> None:
        self.got.append(data)

    def disconnect_socket(self) -> None:
        self.closed = True


def chunk(kind: bytes, more: bytes, body: bytes) -> bytes:
    return kind + more + (8 + len(body)).to_bytes(4, "little") + body


def passed(data: bytes, *cuts: int) -> tuple[Chunks, Inner]:
    inner: Any = Inner()
    chunks = Chunks(inner, "cnc:4840")
    edges = [0, *sorted(min(c, len(data)) for c in cuts), len(data)]
    for a, b in pairwise(edges):
        if a < b:
            chunks.data_received(data[a:b])
    return chunks, inner


@on_a_busy_machine
@given(
    st.lists(
        st.tuples(st.sampled_from([b"MSG", b"OPN"]), st.sampled_from([b"F", b"C"]), st.binary(max_size=40)), max_size=8
    ),
    st.lists(st.integers(0, 300), max_size=12),
)
def test_however_the_bytes_are_cut_whole_chunks_arrive_unchanged(
    parts: list[tuple[bytes, bytes, bytes]], cuts: list[int]
) -> None:
    data = b"".join(chunk(*p) for p in parts)
    chunks, inner = passed(data + b"MSGF\x40\x00", *cuts)
    assert b"".join(inner.got) == data
    assert chunks.fault is None


@on_a_busy_machine
@given(st.binary(min_size=1, max_size=200), st.lists(st.integers(0, 200), max_size=12))
def test_any_bytes_on_the_port_are_passed_on_or_a_named_fault(data: bytes, cuts: list[int]) -> None:
    chunks, inner = passed(data, *cuts)
    assert data.startswith(b"".join(inner.got)) or data.startswith(b"ACKF")
    if chunks.fault is not None:
        assert chunks.fault.outcome is Outcome.PROTOCOL
        assert inner.closed


def test_a_message_of_endless_chunks_and_a_chunk_of_gigabytes_are_cut_off() -> None:
    endless, inner = passed(chunk(b"MSG", b"C", b"x" * 60_000) * (MESSAGE_BYTES // 60_000 + 2))
    assert endless.fault is not None
    assert inner.closed
    tiny, _ = passed(chunk(b"MSG", b"C", b"") * (CHUNKS + 1))
    assert tiny.fault is not None
    huge, inner = passed(b"MSGF\xff\xff\xff\x7f" + b"x" * 1000)
    assert huge.fault is not None
    assert inner.got == []


def test_a_chunk_that_drips_in_is_not_looked_at_for_each_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []
    whole = Chunks._whole
    monkeypatch.setattr(Chunks, "_whole", lambda self, data: (looked.append(len(data)), whole(self, data))[1])
    data = chunk(b"MSG", b"F", b"x" * 3000) + chunk(b"MSG", b"F", b"")
    chunks, inner = passed(data, *range(len(data)))
    assert b"".join(inner.got) == data
    assert chunks.fault is None
    assert len(looked) < 30


def test_the_limits_of_an_acknowledge_are_put_where_the_library_looks() -> None:
    ack = b"".join(n.to_bytes(4, "little") for n in (0, 8192, 65_536, 4096, 2))
    _, inner = passed(chunk(b"ACK", b"F", ack), 3, 9)
    swapped = b"".join(n.to_bytes(4, "little") for n in (0, 65_536, 8192, 0, 0))
    assert inner.got == [chunk(b"ACK", b"F", swapped)]
