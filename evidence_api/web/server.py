"""uvicorn's server, except for its end: uvicorn raises the signal again once it has ended well, so no exit code could say so.

In: a uvicorn config. Out: a server that SIGTERM and SIGINT end in order, and that remembers which one it was.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

import uvicorn


class Server(uvicorn.Server):
    """Ends by a signal and returns. `interrupted`: it was SIGINT (Ctrl+C)."""

    interrupted = False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """First signal: end in order; a second Ctrl+C: at once."""
        self.interrupted = self.interrupted or sig == signal.SIGINT
        super().handle_exit(sig, frame)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Our handlers while serving, the former ones after."""
        before = {name: signal.signal(name, self.handle_exit) for name in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for name, handler in before.items():
                signal.signal(name, handler)
