"""The queue of keys to reconcile: one entry a key, one worker a key, and no key is ever lost to an error."""

from __future__ import annotations

import asyncio
import random
from collections import OrderedDict
from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

FIRST_DELAY = 0.1  # seconds before the first retry; each further one waits twice as long
LONGEST_DELAY = 60.0
RETRIES_PER_SECOND = 20.0  # of all keys together
BURST = 200
AT_ONCE = 500  # keys that are added before others have their turn: half a millisecond


class Bucket:
    """A token bucket: how long to wait so that a rate is kept."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate, self._burst = rate, burst
        self._tokens, self._at = burst, 0.0

    def reserve(self, now: float) -> float:
        """Take a token; the seconds until it is there."""
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate) - 1
        self._at = now
        return max(0.0, -self._tokens / self._rate)

    def take(self, now: float) -> float:
        """Take a token if there is one, which gives 0; else the seconds until there is one."""
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        if self._tokens < 1:
            return (1 - self._tokens) / self._rate
        self._tokens -= 1
        return 0.0

    def full(self, now: float) -> bool:
        """Whether it is as if nothing had ever been taken."""
        return self._tokens + (now - self._at) * self._rate >= self._burst


class Queue(Generic[K]):
    """Keys that wait, keys that are worked on, and keys that are due later. Used from one event loop."""

    def __init__(self) -> None:
        self._ready: OrderedDict[K, float] = OrderedDict()  # since when it waits
        self._working: set[K] = set()
        self._again: dict[K, float] = {}  # came again while it was worked on
        self._later: dict[K, asyncio.TimerHandle] = {}
        self._failures: dict[K, int] = {}
        self._bucket = Bucket(RETRIES_PER_SECOND, BURST)
        self._wake = asyncio.Event()
        self._turn = asyncio.Lock()  # of the worker that takes the next key

    def __len__(self) -> int:
        """Keys that wait for a worker."""
        return len(self._ready) + len(self._again)

    @property
    def delayed(self) -> int:
        """Keys that are due later."""
        return len(self._later)

    def age(self) -> float:
        """Seconds that the oldest key has waited; 0 for none."""
        now = asyncio.get_running_loop().time()
        first = next(iter(self._ready.values()), now)
        return max(0.0, now - min((first, *self._again.values())))

    def add(self, key: K) -> None:
        """Have the key worked on; once, however often it is added before that."""
        now = asyncio.get_running_loop().time()
        if key in self._working:
            self._again.setdefault(key, now)
        elif key not in self._ready:
            self._ready[key] = now
            self._wake.set()

    async def add_all(self, keys: Iterable[K]) -> None:
        """Have many keys worked on, and let others have their turn meanwhile."""
        for number, key in enumerate(keys, 1):
            self.add(key)
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)

    def add_after(self, key: K, seconds: float) -> None:
        """Have the key worked on in so many seconds, or earlier if it is due earlier already."""
        if seconds <= 0:
            self.add(key)
            return
        loop = asyncio.get_running_loop()
        known = self._later.get(key)
        if known is not None:
            if known.when() <= loop.time() + seconds:
                return
            known.cancel()
        self._later[key] = loop.call_later(seconds, self._due, key)

    def retry(self, key: K, at_least: float = 0.0) -> float:
        """Have the key worked on again after a failure: later each time. The seconds until then."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        delay = min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(failures, 20)) * random.uniform(0.5, 1.0)
        delay = max(delay, at_least, self._bucket.reserve(asyncio.get_running_loop().time()))
        self.add_after(key, delay)
        return delay

    def succeeded(self, key: K) -> None:
        """Forget the failures of a key."""
        self._failures.pop(key, None)

    async def get(self) -> K:
        """The key that waited longest; it is worked on until `done`. A later time of it is dropped: passes set it.

        One key a turn of the event loop: a pass that changes nothing waits for nothing, and thousands of them in a row
        would keep everything else waiting, the renewal of the lease too.
        """
        async with self._turn:
            await asyncio.sleep(0)
            while not self._ready:
                self._wake.clear()
                await self._wake.wait()
            key, _ = self._ready.popitem(last=False)
        self._working.add(key)
        if timer := self._later.pop(key, None):
            timer.cancel()
        return key

    def done(self, key: K) -> None:
        """End the work on a key; if it came again meanwhile, it waits again."""
        self._working.discard(key)
        if (since := self._again.pop(key, None)) is not None:
            self._ready[key] = since
            self._wake.set()

    def _due(self, key: K) -> None:
        self._later.pop(key, None)
        self.add(key)
