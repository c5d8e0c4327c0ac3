"""Tasks that are waited for, and ended."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from typing import Any


@contextlib.asynccontextmanager
async def waiting(event: asyncio.Event) -> AsyncIterator[asyncio.Task[Any]]:
    """A task that waits for an event, as long as the block runs."""
    task = asyncio.create_task(event.wait())
    try:
        yield task
    finally:
        task.cancel()


async def done_before(work: Coroutine[Any, Any, Any], stopped: asyncio.Task[Any]) -> bool:
    """Whether the work was done before the stop; if not, it is cancelled."""
    task = asyncio.create_task(work)
    await asyncio.wait([task, stopped], return_when=asyncio.FIRST_COMPLETED)
    if not task.done():
        await cancel(task)
        return False
    task.result()
    return True


async def cancel(task: asyncio.Task[Any], seconds: float | None = None) -> None:
    """End a task and wait for its end, however it ends; at most so many seconds, for it may not let itself be ended."""
    task.cancel()
    await asyncio.wait([task], timeout=seconds)
