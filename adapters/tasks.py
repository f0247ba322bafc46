"""The tasks of one adapter: all end together, and the first failure is raised as itself.

In: nothing. Out: a task group. A store that cannot write (`JournalError`) must reach the collector by its own name, not inside an
`ExceptionGroup`, since its exit code and its words depend on it. A cancellation stays a cancellation.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


@asynccontextmanager
async def together() -> AsyncIterator[asyncio.TaskGroup]:
    """`asyncio.TaskGroup`, with its first failure unwrapped."""
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except BaseExceptionGroup as failures:
        raise _first(failures) from failures


def _first(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    first = failures.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
