"""The queue: one entry a key, one worker a key, later and later after failures, and nothing lost."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from itertools import pairwise

import pytest

from tradewind.runtime.queue import AT_ONCE, LONGEST_DELAY, Bucket, Queue

pytestmark = pytest.mark.asyncio


async def test_a_key_waits_once_however_often_it_is_added() -> None:
    queue: Queue[str] = Queue()
    for key in ("a", "b", "a"):
        queue.add(key)
    assert [await queue.get(), await queue.get()] == ["a", "b"]
    assert len(queue) == 0


async def test_a_key_that_comes_during_its_work_waits_for_the_end_of_it() -> None:
    queue: Queue[str] = Queue()
    queue.add("a")
    key = await queue.get()
    queue.add("a")
    queue.add("b")
    assert await queue.get() == "b"
    assert len(queue) == 1, "it counts as waiting"
    queue.done(key)
    assert await queue.get() == "a"


async def test_an_earlier_time_wins_over_a_later_one() -> None:
    queue: Queue[str] = Queue()
    queue.add_after("a", 6000)
    queue.add_after("a", 0.01)
    queue.add_after("a", 6000)
    assert await asyncio.wait_for(queue.get(), 60) == "a"
    assert queue.delayed == 0


async def test_work_on_a_key_drops_its_later_time() -> None:
    queue: Queue[str] = Queue()
    queue.add_after("a", 60)
    queue.add("a")
    await queue.get()
    assert queue.delayed == 0


async def test_retries_come_later_each_time_and_success_forgets_them() -> None:
    queue: Queue[str] = Queue()
    delays = [queue.retry("a") for _ in range(20)]
    assert delays[0] <= 0.1 and max(delays) <= LONGEST_DELAY
    assert all(later > earlier * 0.9 for earlier, later in pairwise(delays[:9]))
    assert queue.retry("a", at_least=90) >= 90
    queue.succeeded("a")
    assert queue.retry("a") <= 0.1


async def test_a_bucket_keeps_a_rate() -> None:
    bucket = Bucket(rate=10, burst=2)
    assert [bucket.reserve(1.0) for _ in range(4)] == pytest.approx([0, 0, 0.1, 0.2])
    assert bucket.reserve(2.0) == 0


async def test_the_age_is_that_of_the_key_that_waited_longest() -> None:
    queue: Queue[str] = Queue()
    assert queue.age() == 0
    clock = asyncio.get_running_loop().time
    before = clock()
    queue.add("a")
    after = clock()
    await asyncio.sleep(0.05)
    queue.add("b")
    least = clock() - after
    assert least <= queue.age() <= clock() - before


async def test_no_key_is_lost_and_none_is_worked_on_twice_at_once() -> None:
    queue: Queue[int] = Queue()
    chance = random.Random(1)
    working: Counter[int] = Counter()
    wanted: Counter[int] = Counter()  # the number of a key's last add
    seen: Counter[int] = Counter()

    async def work() -> None:
        while True:
            key = await queue.get()
            working[key] += 1
            assert working[key] == 1
            state = wanted[key]
            await asyncio.sleep(chance.uniform(0, 0.002))
            working[key] -= 1
            if chance.random() < 0.3:
                queue.add_after(key, 0.001)
            else:
                seen[key] = state
            queue.done(key)

    workers = [asyncio.create_task(work()) for _ in range(8)]
    for number in range(600):
        key = chance.randrange(20)
        wanted[key] = number
        queue.add(key)
        if number % 5 == 0:
            await asyncio.sleep(0.001)
    async with asyncio.timeout(120):
        while seen != wanted:
            for worker in workers:
                if worker.done():
                    worker.result()
            await asyncio.sleep(0.01)
    for worker in workers:
        worker.cancel()


async def test_everybody_has_a_turn_between_two_keys_that_wait_for_nothing() -> None:
    queue: Queue[int] = Queue()
    await queue.add_all(range(2000))
    turns: list[int] = []  # of the other, at each key

    async def other() -> None:
        while True:
            turn.append(None)
            await asyncio.sleep(0)

    async def work() -> None:
        while True:
            key = await queue.get()
            turns.append(len(turn))
            queue.done(key)
            if len(turns) == 2000:
                through.set()

    turn: list[None] = []
    through = asyncio.Event()
    tasks = [asyncio.create_task(other()), *(asyncio.create_task(work()) for _ in range(4))]
    await asyncio.wait_for(through.wait(), 30)
    for task in tasks:
        task.cancel()
    assert all(later > earlier for earlier, later in pairwise(turns))


async def test_many_keys_are_added_in_many_turns() -> None:
    queue: Queue[int] = Queue()
    adding = asyncio.create_task(queue.add_all(range(5000)))
    seen = []
    while not adding.done():
        await asyncio.sleep(0)
        seen.append(len(queue))
    assert len(queue) == 5000
    assert max(later - earlier for earlier, later in pairwise([0, *seen])) <= AT_ONCE
