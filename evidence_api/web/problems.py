"""One shape for everything that goes wrong over HTTP: `{"error": {"code", "message", "where", "fix"}}`.

In: an exception raised in a route. Out: a JSON response. `code` is stable and English; `message` is Chinese with an English gloss.
A bug is answered with 500 and no detail: the detail goes to the log, not to the network.

    ApiError                  a request that cannot be answered, with its status
"""

from __future__ import annotations

import traceback
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

_WORDS = {
    404: ("not_found", "没有这个地址 (no such address)", "地址清单见 /api/v1/openapi.json"),
    405: ("method_not_allowed", "此地址只读，只接受 GET 和 HEAD (read only)", ""),
}


class Problem(BaseModel):
    """What, where, what to do."""

    code: str
    message: str
    where: str
    fix: str


class ProblemBody(BaseModel):
    """The body of every answer that is not 2xx."""

    error: Problem


class ApiError(Exception):
    """A request that cannot be answered."""

    def __init__(self, status: int, code: str, message: str, where: str, fix: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.problem = Problem(code=code, message=message, where=where, fix=fix)


def problem_response(status: int, code: str, message: str, where: str, fix: str = "") -> JSONResponse:
    """The error shape as a response."""
    return JSONResponse({"error": {"code": code, "message": message, "where": where, "fix": fix}}, status)


def install(app: FastAPI) -> None:
    """Make every failure of `app` speak the one shape."""

    @app.exception_handler(ApiError)
    async def _api(_: Request, err: ApiError) -> JSONResponse:
        return JSONResponse({"error": err.problem.model_dump()}, err.status)

    @app.exception_handler(HTTPException)
    async def _http(request: Request, err: HTTPException) -> JSONResponse:
        code, message, fix = _WORDS.get(err.status_code, ("http_error", str(err.detail), ""))
        response = problem_response(err.status_code, code, message, request.url.path, fix)
        response.headers.update(err.headers or {})
        return response

    @app.exception_handler(RequestValidationError)
    async def _invalid(_: Request, err: RequestValidationError) -> JSONResponse:
        first: dict[str, Any] = dict(err.errors()[0])
        where = ".".join(str(part) for part in first["loc"])
        return problem_response(422, "invalid_request", f"参数不合格 (invalid): {first['msg']}", where)

    @app.exception_handler(Exception)
    async def _bug(request: Request, err: Exception) -> JSONResponse:
        trace = "".join(traceback.format_exception(err))  # no values of variables: they may be secret
        structlog.get_logger().error("web_internal_error", path=request.url.path, trace=trace)
        return problem_response(
            500,
            "internal",
            "程序内部错误，详情已记入日志 (internal error, see the log)",
            request.url.path,
            "plantproof diag",
        )
