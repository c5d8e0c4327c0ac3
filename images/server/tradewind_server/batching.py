"""Requests that wait for the model, and the workers that take them: together, up to as many rows as pay.

There is no timer, so that nobody waits for company: what comes while all workers are busy gathers, and the first worker
that is free takes it. A run that takes less than handing it over is computed where it is asked.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from itertools import chain
from typing import ParamSpec, TypeGuard, TypeVar

import numpy as np

from tradewind_server.metrics import Parts
from tradewind_server.pace import Pace
from tradewind_server.refusal import Refusal
from tradewind_server.tensors import Array

log = logging.getLogger(__name__)

Tensors = Mapping[str, Array]
Outcome = list[Array] | Exception
P = ParamSpec("P")
T = TypeVar("T")


@dataclass(eq=False)
class Ask:
    """A request that waits, or is computed: its inputs as users know them, and the names of the outputs that it wants.

    `form` is equal for those whose rows may stand in one batch; None if it has to be asked alone. `share` is what it
    adds to the wait of those behind it, in the units of the pace.
    """

    feeds: Tensors
    wanted: Sequence[str]
    rows: int
    form: Hashable | None
    share: float
    since: float
    answer: asyncio.Future[list[Array]]


class Queue:
    """First come, first served; but who fits into the batch of the first goes with it.

    `prepare` makes the model's tensors of a request's inputs, `compute` gives the outputs of these names, for so many
    rows. Both run in threads of the pool, may raise, and are never called for a client that has gone.
    """

    def __init__(
        self,
        pool: Executor,
        workers: int,
        prepare: Callable[[Tensors], Tensors],
        compute: Callable[[Tensors, Sequence[str], int], list[Array]],
        parts: Parts,
        size: int = 1,
        pace: Pace | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """`size` is the most rows of a batch; 1 asks each request alone."""
        self._pool = pool
        self._workers = self._free = workers
        self._prepare = prepare
        self._compute = compute
        self._parts = parts
        self.size = size
        self._pace = pace or Pace({})
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: deque[Ask] = deque()
        self._ahead = 0.0  # the shares of all that wait
        self._running: dict[int, tuple[float, float]] = {}  # by worker: since when, and how long in the pace's units

    async def answer(
        self, feeds: Tensors, wanted: Sequence[str], at_once: float = 0.0, alone: bool = True
    ) -> list[Array]:
        """The outputs of these names. Raises what `prepare` and `compute` raise for this request alone.

        A run that takes `at_once` seconds at most, as far as is known, is computed in the event loop's thread: now, or
        where this request is not `alone`, when those that came with it have asked too. Cancelled while it waits, it is
        not computed.
        """
        ask = self._asked(feeds, wanted)
        with self._lock:
            self._waiting.append(ask)
            self._ahead += ask.share
            if start := self._free > 0:
                self._free -= 1
        if start:
            loop = ask.answer.get_loop()
            if self._pace.known(ask.rows) > at_once:
                self._pool.submit(self._work)
            elif alone:
                self._work_here(loop)
            else:
                loop.call_soon(self._work_here, loop)
        try:
            return await ask.answer
        except asyncio.CancelledError:
            self._drop(ask)
            raise

    def wait(self) -> float:
        """Seconds until a request that came now would be computed."""
        with self._lock:
            if self._free:
                return 0.0
            now = self._clock()
            ends = [since + self._pace.seconds(units) - now for since, units in self._running.values()]
            return max(0.0, min(ends, default=0.0)) + self._pace.seconds(self._ahead) / self._workers

    @property
    def waiting(self) -> int:
        """Requests that no worker has taken yet, nor one that has been started for them and is about to."""
        with self._lock:
            starting = self._workers - self._free - len(self._running)
            return max(0, len(self._waiting) - starting)

    def _asked(self, feeds: Tensors, wanted: Sequence[str]) -> Ask:
        sizes = {len(array) if array.ndim else 1 for array in feeds.values()}
        rows = max(sizes)
        together = self.size > 1 and len(sizes) == 1 and rows < self.size
        form = tuple(array.shape[1:] for array in feeds.values()) if together else None
        share = self._pace.units(self.size) * rows / self.size if together else self._pace.units(rows)
        answer: asyncio.Future[list[Array]] = asyncio.get_running_loop().create_future()
        return Ask(feeds, wanted, rows, form, share, self._clock(), answer)

    def _drop(self, ask: Ask) -> None:
        with self._lock:
            if ask in self._waiting:
                self._waiting.remove(ask)
                self._ahead -= ask.share

    def _work(self) -> None:
        """A worker in a thread of the pool, for as long as anything waits."""
        while batch := self._take():
            outcomes = self._done(batch)
            try:
                batch[0].answer.get_loop().call_soon_threadsafe(_tell, batch, outcomes)
            except RuntimeError:  # the loop has ended, and with it who asked
                log.debug("nobody is there any more for %d answers", len(batch))

    def _work_here(self, loop: asyncio.AbstractEventLoop) -> None:
        """A worker in the loop's thread: a batch, and the next one when the loop has done what else there is."""
        if batch := self._take():
            _tell(batch, self._done(batch))
            with self._lock:
                if not self._waiting:
                    self._is_free()
                    return
            loop.call_soon(self._work_here, loop)

    def _done(self, batch: list[Ask]) -> list[Outcome]:
        """What became of each of what was taken."""
        started = self._clock()
        outcomes = self._outcomes(batch, started)
        with self._lock:
            _, units = self._running.pop(threading.get_ident())
            self._pace.add(units, self._clock() - started)
        return outcomes

    def _is_free(self) -> None:
        self._free += 1
        self._ahead = 0.0  # sums of floats leave crumbs

    def _take(self) -> list[Ask]:
        """What is to be computed next; if nothing is, the worker is free."""
        with self._lock:
            if not self._waiting:
                self._is_free()
                return []
            first = self._waiting.popleft()
            batch, rows = [first], first.rows
            if first.form is not None and self._waiting:
                left: deque[Ask] = deque()
                for ask in self._waiting:
                    if ask.form == first.form and rows + ask.rows <= self.size:
                        batch.append(ask)
                        rows += ask.rows
                    else:
                        left.append(ask)
                self._waiting = left
            self._ahead -= sum(ask.share for ask in batch)
            self._running[threading.get_ident()] = (self._clock(), self._pace.units(rows))
            return batch

    def _outcomes(self, batch: list[Ask], taken: float) -> list[Outcome]:
        """What became of each; an error of one is no other's."""
        prepared = [_tried(self._prepare, ask.feeds) for ask in batch]
        started = self._clock()
        ready = [(ask, tensors) for ask, tensors in zip(batch, prepared, strict=True) if _is_well(tensors)]
        together = _tried(self._together, ready) if len(ready) > 1 else None
        if isinstance(together, list):
            found: Iterator[Outcome] = iter(together)
        else:
            found = iter([_tried(self._compute, tensors, ask.wanted, ask.rows) for ask, tensors in ready])
        ended = self._clock()
        outcomes = [one if isinstance(one, Exception) else next(found) for one in prepared]
        for ask, outcome in zip(batch, outcomes, strict=True):
            if _is_well(outcome):
                self._parts.add("queue", taken - ask.since)
                self._parts.add("process", started - taken)
                self._parts.add("model", ended - started)
        return outcomes

    def _together(self, ready: list[tuple[Ask, Tensors]]) -> list[list[Array]]:
        """The outputs of each, of one run."""
        rows = sum(ask.rows for ask, _ in ready)
        tensors = {name: np.concatenate([each[name] for _, each in ready]) for name in ready[0][1]}
        wanted = list(dict.fromkeys(chain.from_iterable(ask.wanted for ask, _ in ready)))
        outputs = dict(zip(wanted, self._compute(tensors, wanted, rows), strict=True))
        for name, array in outputs.items():
            if array.shape[:1] != (rows,):
                self.size = 1
                log.warning("batching is off: %s has the shape %s for %d rows", name, array.shape, rows)
                raise Refusal("not a row for each")
        found = []
        at = 0
        for ask, _ in ready:
            found.append([outputs[name][at : at + ask.rows] for name in ask.wanted])
            at += ask.rows
        return found


def _tried(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | Exception:
    """What it gives, or the error: that is the request's outcome, and raised where it waits."""
    try:
        return function(*args, **kwargs)
    except Exception as error:  # noqa: BLE001 -- as above
        return error


def _is_well(outcome: T | Exception) -> TypeGuard[T]:
    return not isinstance(outcome, Exception)


def _tell(batch: list[Ask], outcomes: list[Outcome]) -> None:
    for ask, outcome in zip(batch, outcomes, strict=True):
        if ask.answer.done():
            continue
        if isinstance(outcome, Exception):
            ask.answer.set_exception(outcome)
        else:
            ask.answer.set_result(outcome)
