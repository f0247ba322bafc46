"""`POST /api/v1/records/{kind}`: the one thing this process accepts. It makes a delivery durable and waits for the intake process's answer.

In: JSON rows or CSV, `Idempotency-Key`, `Authorization: Bearer` with the token of keys/intake.token (0600). Out: 201 with what became
of each row, 202 when nobody has imported it yet (it waits in records/inbox), 422 when it was refused as a whole. The web process never
signs or imports. The same key and body have the same answer, another body under that key 409. Refuses in order: senders that are not
local or are web pages (403), no or another token (401), unknown kinds (404), other content types (415), keys (400), sizes (413), what
is no JSON (422). If the process dies before the delivery is in the inbox the sender has no answer and sends again; afterwards nothing
is lost.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import json
import threading
import time
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from collector.folder import DataFolder
from collector.intake import inbox as box
from collector.intake.inbox import Waiting
from config.record_kinds import KINDS
from evidence_api.web.problems import ApiError

TOKEN, STATE = "intake.token", "intake.json"  # of collector.intake.follow, which this process must not import
WAIT_S, LOOK_S, BODY_S = 10.0, 0.05, 60.0
ALIVE_US = 10_000_000
KEY_LENGTH = range(8, 129)
FORMS = {"application/json": "json", "text/csv": "csv"}
STATUS = "/api/v1/records/deliveries/"


def routes(folder: DataFolder, *, wait_s: float = WAIT_S) -> APIRouter:
    """The router. wait_s: how long an answer is waited for."""
    router = APIRouter(prefix="/api/v1/records")
    putting = threading.Lock()

    @router.get("/deliveries/{delivery}")
    async def delivery(delivery: str, request: Request) -> JSONResponse:
        _admit(request, folder)
        inbox = box.inbox_of(folder.records)
        if len(delivery) != 64 or not delivery.isalnum() or box.body_sha256(inbox, delivery) is None:
            raise ApiError(404, "no_such_delivery", "没有这份交付 (no such delivery)", STATUS + delivery[:64])
        return _response(folder, inbox, delivery)

    @router.post("/{kind}", status_code=201)
    async def post(kind: str, request: Request) -> JSONResponse:
        _admit(request, folder)
        if kind not in KINDS:
            known = "、".join(f"{k.name}（{k.zh}）" for k in KINDS.values())
            raise ApiError(404, "no_such_kind", f"没有这种记录：{kind[:40]} (no such kind)", "kind", f"可用：{known}")
        form = _form(request)
        key = _key(request)
        body = await _body(request)
        if form == "json":
            await asyncio.to_thread(_check_json, body)
        inbox = box.inbox_of(folder.records)
        waiting = Waiting(
            box.id_of(key), "json" if form == "json" else "csv", kind, f"{kind} {key}"[:120], "rest", body
        )
        await asyncio.to_thread(_put, inbox, waiting, putting)
        until = time.monotonic() + wait_s
        while box.answered(inbox, waiting.id) is None and time.monotonic() < until:  # noqa: ASYNC110 - another process writes it
            await asyncio.sleep(LOOK_S)
        return _response(folder, inbox, waiting.id)

    return router


def _put(inbox: Path, waiting: Waiting, putting: threading.Lock) -> None:
    with putting:  # two requests with one key at once
        held = box.body_sha256(inbox, waiting.id)
        if held is not None and held != waiting.sha256:
            message = "这个 Idempotency-Key 已用于另一份内容 (this key was used for another body)"
            raise ApiError(
                409, "key_reused", message, "Idempotency-Key", "每份交付用一个新的键 (a new key per delivery)"
            )
        box.put(inbox, waiting)


def _response(folder: DataFolder, inbox: Path, id_: str) -> JSONResponse:
    answer = box.answered(inbox, id_)
    if answer is None:
        running = _running(folder.state)
        message = (
            "已收妥，尚未导入，稍后在 status 处查看 (received, not imported yet)"
            if running
            else "已收妥，导入进程未运行，启动 plantproof run 后导入 (received; the intake process is not running)"
        )
        body = {"delivery": id_, "status": STATUS + id_, "intake_running": running, "message": message}
        return JSONResponse(body, 202, {"location": STATUS + id_, "retry-after": "5"})
    if answer["refused"]:
        problems: list[dict[str, str]] = answer["problems"]
        first = problems[0]
        error = {"code": "refused", "message": first["message"], "where": first["where"], "fix": first["fix"]}
        return JSONResponse({"error": error, "delivery": id_, "problems": problems}, 422)
    told = {k: v for k, v in answer.items() if k not in ("sha256", "refused", "via")}
    return JSONResponse({"delivery": id_, **told}, 201)


def _running(state: Path) -> bool:
    try:
        at_us = int(json.loads((state / STATE).read_bytes())["at_us"])
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return time.time_ns() // 1000 - at_us < ALIVE_US


def _admit(request: Request, folder: DataFolder) -> None:
    """Local programs with the token; never a page in a browser. Errors: `ApiError` 403, 401."""
    host = request.client.host if request.client else ""
    try:
        local = ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = False
    if not local or "origin" in request.headers or request.headers.get("sec-fetch-site", "none") != "none":
        raise ApiError(403, "not_for_browsers", "只接受本机程序 (local programs only)", "Origin")
    scheme, _, shown = request.headers.get("authorization", "").partition(" ")
    expected = _token(folder.keys / TOKEN)
    if not expected or scheme.lower() != "bearer" or not hmac.compare_digest(shown.strip().encode(), expected):
        fix = "Authorization: Bearer <数据目录/keys/intake.token 的内容>；设置里要有 [records] (see docs/records.md)"
        raise ApiError(401, "token_required", "缺少或不是有效的令牌 (a valid token is required)", "Authorization", fix)


def _token(path: Path) -> bytes:
    """The token; empty when there is none, or when others may read the file."""
    try:
        return b"" if path.stat().st_mode & 0o077 else path.read_bytes().strip()
    except OSError:
        return b""


def _form(request: Request) -> str:
    found = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if found not in FORMS:
        message = f"应为 application/json 或 text/csv，实为 {found[:60] or '没写'} (expected JSON or CSV)"
        raise ApiError(415, "content_type", message, "Content-Type")
    return FORMS[found]


def _key(request: Request) -> str:
    key = request.headers.get("idempotency-key", "")
    if len(key) not in KEY_LENGTH or not all("!" <= c <= "~" for c in key):
        message = "应为 8–128 个可见 ASCII 字符 (expected 8-128 visible ASCII characters)"
        raise ApiError(400, "idempotency_key", message, "Idempotency-Key", "例如 UUID (such as a UUID)")
    return key


async def _body(request: Request) -> bytes:
    """The whole body. Errors: `ApiError` 413, 408, 422."""
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > box.MAX_BODY:
        raise _too_large()
    found = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            async for part in request.stream():
                found += part
                if len(found) > box.MAX_BODY:
                    raise _too_large()
    except TimeoutError:
        raise ApiError(408, "slow", f"{BODY_S:.0f} 秒内没有收完 (body too slow)", "body") from None
    if not found:
        raise ApiError(422, "empty", "没有内容 (empty body)", "body")
    return bytes(found)


def _too_large() -> ApiError:
    return ApiError(
        413, "too_large", f"应不超过 {box.MAX_BODY >> 20} MiB (body too large)", "body", "分几次交 (send it in parts)"
    )


def _check_json(body: bytes) -> None:
    try:
        found: Any = json.loads(body)
    except (ValueError, RecursionError) as err:
        raise ApiError(422, "not_json", f"不是 JSON：{err} (not JSON)", "body") from None
    if not isinstance(found, dict | list):
        message = '应为 {"rows": […]} 或行的列表 (expected rows)'
        raise ApiError(422, "not_rows", message, "body")
