"""冗余服务器: the server of a connection and its backups (IEC 62541-4 §6.6.2), and which of them is asked.

In: the register's `endpoint` and `backups`, in their order. Out: one open session, with the healthiest server at hand.
A server is healthy from ServiceLevel 200 on (IEC 62541-4 §6.6.2.4.2). Opening: in order; the next one is begun when the one before it
failed, is not healthy, or has not answered for a second; the first healthy one is taken, else the one with the highest level.
While connected (`watch`): a server that is no longer healthy is left for a healthy one, one without data or under maintenance for any that
has data; the way back to one that stands earlier in the register is taken when that was healthy in three looks in a row, and each time
back doubles the wait before the next, up to an hour: no flapping. The session with the better server is open before the old one is
closed. Each server has its own back-off.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from adapters.batch import Outcome
from adapters.contract import ReadError, Site
from adapters.health import Backoff
from adapters.opcua.faults import OpenError
from adapters.opcua.security.policy import Security
from adapters.opcua.session import Session
from adapters.opcua.transport import knock
from config.connections import OpcUa

log = structlog.get_logger(__name__)

HEALTHY = 200
STAGGER_S = 1.0
LOOK_S = 10.0
LOOKS_BACK = 3
BACK_FIRST_S = 30.0  # before the first look at an earlier server
BACK_CAP_S = 3600.0
HOLD_CAP_S = 1800.0


class Servers:
    """The server and its backups."""

    def __init__(self, connection: OpcUa, timeout_s: float, site: Site) -> None:
        self._clock = site.clock
        self._all = [_Server(e, connection, timeout_s, site) for e in (connection.endpoint, *connection.backups)]
        self._current = self._all[0]
        self._session: Session | None = None
        self._next: _Opened | None = None
        self._on_lost: Callable[[], None] = lambda: None
        self._since_us = self._clock.now_us()  # of the session in use
        self.back_s = BACK_FIRST_S
        self._looks = 0

    @property
    def remaining_s(self) -> float:
        """Seconds until one of them may be tried again."""
        return 0.0 if self._next is not None else min(s.remaining_s for s in self._all)

    async def open(self, on_lost: Callable[[], None]) -> Session:
        """A session with the healthiest server at hand. Errors: `OpenError`; when all failed, that of the first."""
        self._session = None
        opened, self._next = self._next, None
        if opened is not None and not opened.session.alive:
            await opened.session.close()
            opened = None
        if opened is None:
            opened = await self._race()
        self._take(opened)
        self._session, self._on_lost = opened.session, on_lost
        if not opened.session.alive:
            err = OpenError(Outcome.DISCONNECTED, f"{opened.session.where}: 连接中断 (connection lost)")
            opened.server.failed(err)
            await opened.session.close()
            raise err
        return opened.session

    def succeeded(self) -> None:
        """The session works: forget the failures of its server."""
        self._current.succeeded()

    def failed(self, err: ReadError) -> None:
        """The session opened and could not be set to work."""
        self._current.failed(err)

    async def close(self) -> None:
        """Close what nobody took over."""
        opened, self._next = self._next, None
        if opened is not None:
            await opened.session.close()

    async def watch(self) -> None:
        """Look after the server in use and for the way back, until cancelled. Without backups: nothing to do."""
        while len(self._all) > 1:
            await self._clock.sleep(LOOK_S)
            session = self._session
            if session is None or not session.alive or self._next is not None:
                continue
            self._next = await self._better(session)
            if self._next is not None:
                session.mark_lost()

    def _take(self, opened: _Opened) -> None:
        now = self._clock.now_us()
        before, self._current = self._current, opened.server
        if before is not opened.server:
            log.warning(
                "换用冗余服务器 another redundant server",
                now=opened.server.endpoint,
                before=before.endpoint,
                service_level=opened.level,
                why=str(before.why or ""),
            )
            if before is self._all[0] and now - self._since_us > BACK_CAP_S * 1_000_000:
                self.back_s = BACK_FIRST_S  # it had been good for long
        self._since_us, self._looks = now, 0

    def _lost(self, server: _Server) -> None:
        if server is self._current and self._session is not None:
            self._session = None
            self._on_lost()

    async def _race(self) -> _Opened:
        """Try the servers that may be tried, in order, each with a start of a second."""
        waiting = deque(s for s in self._all if not s.remaining_s)
        running: set[asyncio.Task[_Opened]] = set()
        opened: list[_Opened] = []
        chosen: _Opened | None = None
        try:
            while (waiting or running) and not any(o.level >= HEALTHY for o in opened):
                if waiting:
                    running.add(asyncio.create_task(self._open_one(waiting.popleft())))
                done, running = await asyncio.wait(
                    running, timeout=STAGGER_S if waiting else None, return_when=asyncio.FIRST_COMPLETED
                )
                opened += [t.result() for t in done if t.exception() is None]
                for err in (t.exception() for t in done):
                    if err is not None and not isinstance(err, ReadError):
                        raise err  # a bug of ours: said at once, not tried again without a pause
            chosen = max(opened, key=lambda o: o.level, default=None)
        finally:
            for task in running:
                task.cancel()
            late = await asyncio.gather(*running, return_exceptions=True)
            opened += [o for o in late if isinstance(o, _Opened)]
            try:
                await asyncio.gather(*(o.session.close() for o in opened if o is not chosen))
            except asyncio.CancelledError:
                # nobody will get the chosen one; and a closing that had not begun never will
                await asyncio.gather(*(o.session.close() for o in opened))
                raise
        if chosen is None:
            raise self._why()
        return chosen

    async def _open_one(self, server: _Server) -> _Opened:
        session = await server.open(lambda: self._lost(server))
        try:
            return await self._told(server, session)
        except BaseException:
            await session.close()
            raise

    async def _told(self, server: _Server, session: Session) -> _Opened:
        """What the server says of its health and of redundancy; asked only where there are backups."""
        if len(self._all) == 1:
            return _Opened(server, session, HEALTHY)
        try:
            level, support = await session.read_redundancy()
        except ReadError as err:
            server.failed(err)
            raise
        session.facts = tuple(sorted((*session.facts, ("endpoint", server.endpoint), ("redundancy_support", support))))
        return _Opened(server, session, level)

    async def _better(self, session: Session) -> _Opened | None:
        """An open session with a server that is to be used instead of the present one."""
        try:
            level, _ = await session.read_redundancy()
        except ReadError:
            return None  # the session knows whether it is lost
        if level < HEALTHY:
            return await self._above([s for s in self._all if s is not self._current], _standing(level))
        now = self._clock.now_us()
        earlier = self._all[: self._all.index(self._current)]
        if not earlier or now - self._since_us < self.back_s * 1_000_000:
            return None
        found = await self._above(earlier, _standing(HEALTHY) - 1)
        self._looks = self._looks + 1 if found is not None else 0
        if found is None or self._looks < LOOKS_BACK:
            if found is not None:
                await found.session.close()
            return None
        self.back_s = min(BACK_CAP_S, 2 * self.back_s)
        return found

    async def _above(self, servers: list[_Server], standing: int) -> _Opened | None:
        """The first healthy one, open; else the one that stands highest, when that is above `standing`."""
        best: _Opened | None = None
        try:
            for server in servers:
                if server.remaining_s:
                    continue
                try:
                    opened = await self._open_one(server)
                except ReadError:
                    continue
                if _standing(opened.level) > standing:
                    opened, best, standing = best or opened, opened, _standing(opened.level)
                if opened is not best:
                    await opened.session.close()
                if best is not None and best.level >= HEALTHY:
                    break
        except BaseException:
            if best is not None:
                await best.session.close()
            raise
        if best is not None:
            best.server.succeeded()
        return best

    def _why(self) -> OpenError:
        first, *others = [s.why for s in self._all]
        words = "".join(f"; 备用 (backup) {e}" for e in others if e is not None)
        if first is None:
            raise AssertionError("a server that may not be tried has failed before")
        return OpenError(first.outcome, f"{first}{words}")


def _standing(level: int) -> int:
    """The sub-range of a ServiceLevel: 0 maintenance, 1 no data, 2 degraded, 3 healthy (IEC 62541-4 §6.6.2.4.2)."""
    return min(level, 2) if level < HEALTHY else 3


class _Server:
    """One endpoint: how to open it, and when it may be tried again."""

    def __init__(self, endpoint: str, connection: OpcUa, timeout_s: float, site: Site) -> None:
        self.endpoint = endpoint
        self.why: ReadError | None = None
        self._connection = connection
        self._timeout_s = timeout_s
        self._clock = site.clock
        self._security = Security(connection, site.keys, site.clock)
        self._backoff = Backoff(site.clock)
        self._hold_us = 0
        self._holds = 0

    @property
    def remaining_s(self) -> float:
        """Seconds until it may be tried again."""
        return max(self._backoff.remaining_s, (self._hold_us - self._clock.now_us()) / 1_000_000, 0.0)

    async def open(self, on_lost: Callable[[], None]) -> Session:
        """A session; a failure is noted. Errors: `OpenError`."""
        try:
            if isinstance(self.why, OpenError) and self.why.absent:
                await knock(self.endpoint, self._timeout_s)
            return await Session.open(
                self.endpoint, self._timeout_s, on_lost, self._security, self._connection.session_timeout_s
            )
        except OpenError as err:
            self.failed(err)
            raise

    def failed(self, err: ReadError) -> None:
        """Set the next attempt. A refused password waits longest: each attempt brings the account nearer to its lock."""
        self.why = err
        self._backoff.failed(absent=isinstance(err, OpenError) and err.absent)
        if isinstance(err, OpenError) and err.wait_s:
            wait_s = min(HOLD_CAP_S, err.wait_s * 2 ** min(self._holds, 8))
            self._holds += 1
            self._hold_us = self._clock.now_us() + int(wait_s * 1_000_000)

    def succeeded(self) -> None:
        """Forget the failures."""
        self.why, self._hold_us, self._holds = None, 0, 0
        self._backoff.succeeded()


@dataclass(frozen=True, slots=True)
class _Opened:
    """An open session, whose server it is, and the level it said."""

    server: _Server
    session: Session
    level: int
