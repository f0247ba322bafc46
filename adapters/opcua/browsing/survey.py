"""One look at a server from end to end: walk, read, recognise. What `browse` proposes from and `diff` compares with.

In: a connection of the register (endpoint, security, limits), the folder of keys. Out: `Survey`. Reads only; the session is closed whatever
happens. A root is a node id as the register writes it. Errors: `ReadError`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from asyncua import ua
from asyncua.ua.attribute_ids import AttributeIds

from adapters.batch import Outcome
from adapters.contract import ReadError
from adapters.opcua.browsing import companion
from adapters.opcua.browsing.browse import NODES_MOST, Browser, Progress
from adapters.opcua.browsing.details import Detail, details
from adapters.opcua.browsing.space import Space, node_id_of
from adapters.opcua.security.policy import Security
from adapters.opcua.session import Session
from adapters.wallclock import WallClock
from config.connections import OpcUa

OBJECTS = "i=85"  # the Objects folder (IEC 62541-5 §8.2.4)


@dataclass(slots=True)
class Survey:
    """What was found. `facts` is what the server says of itself (BuildInfo)."""

    space: Space
    known: dict[int, Detail]
    machines: list[companion.Machine]
    facts: dict[str, str]

    @property
    def is_complete(self) -> bool:
        """False when the walk stopped at its limit or a node refused to be browsed."""
        return not self.space.truncated and not self.space.problems

    @property
    def server(self) -> str:
        """The server's name and version, for a heading."""
        return " ".join(p for k in ("product_name", "software_version") if (p := self.facts.get(k, "")))


@asynccontextmanager
async def session_of(connection: OpcUa, keys: Path | None) -> AsyncIterator[Session]:
    """An open session, closed at the end."""
    security = Security(connection, keys, WallClock())
    nobody: Callable[[], None] = lambda: None  # noqa: E731
    session = await Session.open(
        connection.endpoint, connection.timeout_ms / 1000, nobody, security, connection.session_timeout_s
    )
    try:
        yield session
    finally:
        await session.close()


async def survey(
    connection: OpcUa,
    keys: Path | None = None,
    *,
    root: str = OBJECTS,
    depth: int | None = None,
    most: int = NODES_MOST,
    progress: Progress | None = None,
) -> Survey:
    """Open a session, look at everything below `root`, close."""
    async with session_of(connection, keys) as session:
        return await look(session, root=root, depth=depth, most=most, progress=progress)


async def look(
    session: Session,
    *,
    root: str = OBJECTS,
    depth: int | None = None,
    most: int = NODES_MOST,
    progress: Progress | None = None,
) -> Survey:
    """The same on a session that is open."""
    browser = Browser(session, progress)
    await browser.learn()
    top = session.resolve(root)
    if top is None:
        words = f"{session.where}: 服务器没有 {root} 的命名空间, 或写法有误 (no such namespace, or not a node id)"
        raise ReadError(Outcome.DEVICE_FAILURE, words)
    space = await browser.walk(top, depth, most)
    known = await details(browser, space, progress)
    texts = await _state_texts(browser, space)
    return Survey(space, known, companion.machines(space, known, texts), dict(session.facts))


async def _state_texts(browser: Browser, space: Space) -> dict[tuple[str, int], str]:
    """How this server says the states of the companion models, in its own language."""
    wanted = [(uri, i) for uri, i in companion.state_objects() if uri in space.namespaces]
    asked = [(node_id_of((space.namespaces.index(uri), i)), AttributeIds.DisplayName) for uri, i in wanted]
    answers = await browser.attributes(asked)
    return {
        key: str(a.value.Text or "")
        for key, a in zip(wanted, answers, strict=True)
        if isinstance(a.value, ua.LocalizedText)
    }
