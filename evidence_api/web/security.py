"""What stands between a browser and this loopback service: the Host check and the response headers.

In: every request. Refuses names other than loopback ones (DNS rebinding: a foreign page that resolves its own name to 127.0.0.1
would read the plant's numbers) with 421. Out: the response with a Content-Security-Policy that allows our own style sheet and
images and nothing else: no script runs on these pages. Plain ASGI, so downloads stream through untouched.
"""

from __future__ import annotations

import ipaddress

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from evidence_api.web.problems import problem_response

HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}


class Guard:
    """ASGI middleware: Host check before, headers after."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass `http` on when its Host is a loopback name; everything else untouched."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                headers.setdefault("cache-control", "no-store")
            await send(message)

        host = Headers(scope=scope).get("host", "")
        if is_loopback(host):
            await self._app(scope, receive, guarded)
            return
        refusal = problem_response(
            421,
            "host_refused",
            "只接受以本机地址访问 (only loopback host names are served)",
            f"Host: {host[:80]}",
            "请用 http://127.0.0.1:<端口>/ 打开",
        )
        await refusal(scope, receive, guarded)


def is_loopback(host: str) -> bool:
    """True for `localhost`, an IPv4 or bracketed IPv6 loopback address, each with or without a port."""
    if host.startswith("["):
        name, bracket, port = host[1:].partition("]")
        if not bracket or (port and not port.startswith(":")):
            return False
        port = port[1:]
    else:
        name, _, port = host.partition(":")
    if port and not (port.isascii() and port.isdigit()):
        return False
    if name.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
