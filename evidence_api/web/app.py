"""The web process: pages and REST over one data folder, read only, for a browser on the same machine.

In: the folder's path. Out: a FastAPI application (`create_app`; there is none at module level). It never signs, never talks to the
collector and never loads polars, pyarrow or numpy: heavy numbers come from a child process (`evidence_api/web/report.py`).
Refuses hosts other than loopback ones, methods other than GET and HEAD (but the POST of records, intake.py), and every path it does not
know, in one error shape.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from fastapi import FastAPI
from starlette.staticfiles import StaticFiles

from collector.clock import Clock, SystemClock
from collector.folder import VERSION, open_folder
from evidence_api.web import api, intake, pages, problems
from evidence_api.web.report import ReportKeeper, check_command
from evidence_api.web.security import Guard
from evidence_api.web.sources import Sources

STATIC = Path(__file__).parent / "static"


def create_app(folder_path: Path, *, clock: Clock | None = None, command: Sequence[str] | None = None) -> FastAPI:
    """The application over the data folder at `folder_path`. Errors: `FolderError`.

    command: what writes the report; () for none (the page then shows the report that is there).
    """
    folder = open_folder(folder_path)
    words = check_command(folder.path) if command is None else tuple(command)
    keeper = ReportKeeper(folder.state, words)
    sources = Sources(folder, keeper, clock or SystemClock())

    @contextlib.asynccontextmanager
    async def follow(_: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(keeper.follow(sources.report_due)) if words else None
        try:
            yield
        finally:
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    app = FastAPI(
        title="PlantProof",
        version=VERSION,
        description="工厂实证：只读接口。数字与 `plantproof check --json` 相同。",
        docs_url=None,  # FastAPI's own pages load from a CDN
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
        lifespan=follow,
    )
    problems.install(app)
    app.include_router(api.routes(sources))
    app.include_router(intake.routes(folder))
    app.include_router(pages.routes(sources))
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    app.add_middleware(Guard)
    return app
