"""What lies in `keys/opcua`: our certificate, the trusted ones, those that wait; for the commands and for `plantproof test`.

In: the folder and the time. Out: rows as plain values, and words for each thing that is wrong: expired, not readable, a private key that
others can read. Changes nothing.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography import x509

from adapters.opcua.security.certificates import (
    WARN_DAYS,
    CertificateError,
    Own,
    application_uri,
    common_name,
    days_left,
    load_own,
    sha256,
    thumbprint,
    validity,
)
from adapters.opcua.security.trust import TrustList


def listing(folder: Path, now: datetime) -> tuple[list[dict[str, Any]], list[str]]:
    """The certificates of `keys/opcua`, and what is wrong with them."""
    rows, problems = [], []
    own: Own | None = None
    try:
        own = load_own(folder / "own")
    except CertificateError as err:
        problems.append(str(err))
    if own is not None:
        rows.append(row_of("own", own.path, own.certificate, now))
        if own.key_path.stat().st_mode & 0o077:
            problems.append(f"{own.key_path}: 私钥可被他人读取, 执行 chmod 600 (the private key lies open)")
    store = TrustList(folder)
    rows += [row_of("trusted", e.path, e.certificate, now) for e in store.trusted()]
    problems += [f"{r['path']}: {r['problem']}" for r in rows if r["problem"]]
    rows += [row_of("rejected", e.path, e.certificate, now) for e in store.rejected()]
    return rows, [*problems, *store.unreadable()]


def notices(folder: Path, now: datetime) -> list[str]:
    """What a person should hear when devices are tried: problems, and certificates that expire soon."""
    rows, problems = listing(folder, now)
    used = [r for r in rows if r["list"] != "rejected" and not r["problem"]]
    soon = [f"{r['path']}: {r['days_left']} 天后到期 (expires soon)" for r in used if r["days_left"] < WARN_DAYS]
    return [*problems, *soon]


def row_of(where: str, path: Path, certificate: x509.Certificate, now: datetime) -> dict[str, Any]:
    """One certificate of the list `where` (own, trusted, rejected)."""
    return {
        "list": where,
        "name": common_name(certificate),
        "uri": application_uri(certificate),
        "thumbprint": thumbprint(certificate),
        "sha256": sha256(certificate),
        "not_before": certificate.not_valid_before_utc.isoformat(),
        "not_after": certificate.not_valid_after_utc.isoformat(),
        "days_left": days_left(certificate, now),
        "problem": validity(certificate, now),
        "path": str(path),
    }
