"""Tasks end when they are cancelled, or are left behind."""

from __future__ import annotations

import asyncio

from tradewind.runtime.tasks import cancel


async def test_a_task_that_ends_is_waited_for() -> None:
    ended = []

    async def tidy() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            ended.append(True)

    task = asyncio.create_task(tidy())
    await asyncio.sleep(0)
    await cancel(task)
    assert ended == [True]


async def test_who_must_go_on_does_not_wait_for_a_task_that_does_not_end() -> None:
    over = asyncio.Event()

    async def stubborn() -> None:
        while not over.is_set():
            try:
                await over.wait()
            except asyncio.CancelledError:
                continue

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    try:
        async with asyncio.timeout(60):  # who waited for its end would wait for ever
            await cancel(task, seconds=0.05)
        assert not task.done()
    finally:
        over.set()
    await task
