"""Waiting for what nobody tells of."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

EVERY_SECONDS = 0.05


async def until(look: Callable[[], object], what: str, seconds: float, every: float = EVERY_SECONDS) -> None:
    """Look, in a thread of its own, until it is so. Raises AssertionError with `what` after so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            while not await asyncio.to_thread(look):  # noqa: ASYNC110 - what is looked at has no event
                await asyncio.sleep(every)
    except TimeoutError:
        raise AssertionError(f"after {seconds:.0f} s: {what}") from None
