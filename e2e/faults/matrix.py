"""The matrix: each request and each watch event of each life with each fault, or a selection of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from e2e.faults.bench import Bench, Run
from e2e.faults.calls import Moment
from e2e.faults.fault import KILLS, OF_REQUESTS, OF_WATCHES, Fault, WatchFault
from e2e.faults.lives import Life
from e2e.faults.oracle import Ending
from e2e.faults.tally import Tally

# Lives that are played side by side; then, of those whose moment did not come, since the streams that broke for others
# had their event seen in a list, ever fewer.
AT_ONCE = (16, 4, 1, 1)
ALONE = (1, 1, 1)
RECOVERY_SECONDS = 120.0  # of an operator, from whatever the run before did to it
RECORDINGS = 3  # until two lives in a row were alike

Cell = tuple[Life, Moment, Fault | WatchFault]


class Matrix:
    """Lives as they are without a fault, and what is played of them with one."""

    def __init__(self, bench: Bench, tally: Tally, lives: Sequence[Life], whole: bool) -> None:
        self._bench, self._tally, self.lives, self._whole = bench, tally, lives, whole
        self.usual: dict[str, Ending] = {}
        self._sent: dict[str, list[Moment]] = {}
        self._events: dict[str, list[Moment]] = {}

    async def record(self) -> None:
        """Play each life twice without a fault: unless both are the same, there is nothing to compare with."""
        await asyncio.gather(*(self._record(life) for life in self.lives))
        for life in self.lives:
            sent = self._sent[life.name]
            print(f"{life.name}: {len(sent)} requests and {len(self._events[life.name])} watch events in a life")
            for number, moment in enumerate(sent, 1):
                print(f"  {number:2}  {moment}")
        print(f"recorded in {self._tally.seconds:.0f} s", flush=True)

    async def _record(self, life: Life) -> None:
        proxy = self._bench.proxy
        for _ in range(RECORDINGS):
            (first, usual), (second, again) = await asyncio.gather(*(self._bench.faultless(life) for _ in range(2)))
            sent = [proxy.sent[run.namespace] for run in (first, second)]
            if sorted(sent[0]) == sorted(sent[1]):
                break  # a busy machine can cost a request that is sent again
        for problem in first.problems + second.problems + again.differences(usual, events_may_lack=False):
            self._tally.complain(f"{life.name}: {problem}")
        if sorted(sent[0]) != sorted(sent[1]):
            self._tally.complain(f"{life.name}: two faultless lives differ in requests: {sent[0]} and {sent[1]}")
        self.usual[life.name], self._sent[life.name] = usual, sent[0]
        self._events[life.name] = proxy.events[first.namespace]

    async def requests(self) -> None:
        """Spoil requests, many lives at once."""
        quick, slow = self._apart()
        cells = every(quick, self._sent, OF_REQUESTS) if self._whole else by_turns(quick, self._sent)
        cells += by_turns(slow, self._sent)
        await self._play(cells, AT_ONCE)

    async def watches(self) -> None:
        """Spoil watches, many lives at once: a broken stream breaks for all of them."""
        quick, slow = self._apart()
        cells = every(quick, self._events, OF_WATCHES) if self._whole else spread(quick, self._events)
        cells += spread(slow, self._events)
        await self._play(cells, AT_ONCE)

    async def kills(self) -> None:
        """Kill the operator, one life at a time."""
        quick, slow = self._apart()
        cells = every(quick, self._sent, KILLS) if self._whole else one_each(quick, self._sent, KILLS)
        # A slow one at each write of its second half, once: there requests move.
        for life in slow:
            sent = self._sent[life.name]
            writes = [moment for moment in sent[len(sent) // 2 :] if moment.resource != "events"]
            cells += [(life, moment, KILLS[number % len(KILLS)]) for number, moment in enumerate(writes)]
        await self._play(cells, ALONE)

    def _apart(self) -> tuple[list[Life], list[Life]]:
        """Lives that are quick, and slow ones."""
        return [life for life in self.lives if not life.slow], [life for life in self.lives if life.slow]

    def freezes(self) -> list[Cell]:
        """At which requests a leader is frozen; each costs the time that its lease is good for.

        Mostly after the request was committed, which is the sharper case: its answer waits for the old leader, which
        would go on from there. In the whole run at every request of the longest life and of that of another kind.
        """
        lives, _ = self._apart()
        after = one_each(lives, self._sent, (Fault.FREEZE_AFTER,))
        before = one_each(lives, self._sent, (Fault.FREEZE_BEFORE,))
        if not self._whole:
            return after[-1:] + before[:1]
        longest = max(lives, key=lambda life: len(self._sent[life.name]))
        chosen = [life for life in lives if life is longest or life.plural != longest.plural]
        return every(chosen, self._sent, (Fault.FREEZE_AFTER,)) + before

    async def _play(self, cells: list[Cell], rounds: Sequence[int]) -> None:
        """Play each cell, in the first round; in the others what missed its moment, so many at once."""
        runs: dict[Cell, Run] = {}
        for at_once in rounds:
            runs |= zip(cells, await self._side_by_side(cells, at_once), strict=True)
            cells = [cell for cell in cells if not runs[cell].reached and not runs[cell].problems]
        self._tally.add(runs.values())

    async def _side_by_side(self, cells: list[Cell], at_once: int) -> list[Run]:
        limit = asyncio.Semaphore(at_once)

        async def one(cell: Cell) -> Run:
            life, moment, fault = cell
            async with limit:
                if fault in KILLS:
                    await self._bench.running[0].ready(RECOVERY_SECONDS)
                run = await self._bench.spoiled(life, self.usual[life.name], moment, fault)
            self._tally.tell(run)
            return run

        return await asyncio.gather(*(one(cell) for cell in cells))


def every(
    lives: Sequence[Life], moments: dict[str, list[Moment]], faults: Sequence[Fault] | Sequence[WatchFault]
) -> list[Cell]:
    """Each moment of each life with each fault."""
    return [(life, moment, fault) for life in lives for fault in faults for moment in moments[life.name]]


def by_turns(lives: Sequence[Life], sent: dict[str, list[Moment]]) -> list[Cell]:
    """Each request of each life once, and each fault of a request with each life."""
    cells: list[Cell] = []
    for shift, life in enumerate(lives):
        moments = sent[life.name]
        for number in range(max(len(moments), len(OF_REQUESTS))):
            fault = OF_REQUESTS[(number + shift) % len(OF_REQUESTS)]
            cells.append((life, moments[number % len(moments)], fault))
    return cells


def spread(lives: Sequence[Life], events: dict[str, list[Moment]]) -> list[Cell]:
    """Each fault of a watch with each life, at events that are spread over it."""
    return [
        (life, events[life.name][number * len(events[life.name]) // len(OF_WATCHES)], fault)
        for life in lives
        for number, fault in enumerate(OF_WATCHES)
    ]


def one_each(lives: Sequence[Life], sent: dict[str, list[Moment]], faults: Sequence[Fault]) -> list[Cell]:
    """One request of each life, each later than in the life before, the faults by turns."""
    return [
        (life, sent[life.name][(number + 1) * len(sent[life.name]) // (len(lives) + 1)], faults[number % len(faults)])
        for number, life in enumerate(lives)
    ]
