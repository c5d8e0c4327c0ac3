"""The operator's start, which is no part of a life: its lease, the kinds that are served, the first lists and watches.

It is stopped, its lease is deleted, and it is started with its requests spoiled. A start is good if the operator is
ready in time and not before each list was answered, does not end by itself, and writes nothing that had converged; and
if a life that begins then comes to its faultless end.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from e2e.faults.bench import Bench, Run
from e2e.faults.calls import Moment
from e2e.faults.fault import KILLS, OF_REQUESTS, Fault
from e2e.faults.lives import Life
from e2e.faults.matrix import Matrix
from e2e.faults.outage import rewritten
from e2e.faults.polling import until
from e2e.faults.stage import Stage
from e2e.faults.tally import Tally

READY_SECONDS = 90.0  # with dozens of faults in a start, of which some cost 15 s
FURTHER_SECONDS = 1.0  # after readiness that still belong to the start: it follows definitions beside the first lists
REACHED_SECONDS = 60.0  # until the last fault was met
GONE_SECONDS = 0.5  # from the last kill's request until the process has surely ended; the next one asks nothing yet
KILLED_AT = 3  # requests of a start, twice each; with many more the probe takes all those restarts for one that hangs
QUICK = (Fault.DENIED, Fault.CONFLICT, Fault.THROTTLED, Fault.ERROR, Fault.UNAVAILABLE, Fault.LOST)
DEFINITIONS = "customresourcedefinitions"  # readiness does not wait for them
ROOTS = ("/api", "/apis")  # what kopf asks first
NAMESPACES = ("tradewind-system", "")
LEASE = "/apis/coordination.k8s.io/v1/namespaces/tradewind-system/leases/tradewind-operator"

Asked = tuple[str, Moment]  # a request of a start, with its namespace; its number counts from the start
Cell = tuple[Asked, Fault]


async def _nothing(_stage: Stage) -> None:
    """The operator's own life is not played on a stage."""


START = Life("operator's start", "", _nothing, ())


async def starts(bench: Bench, tally: Tally, matrix: Matrix, whole: bool) -> None:
    """Each sort of request of a start with each fault, all sorts in one start; then killed at each of them."""
    await bench.paused()
    if not tally.runs:
        lives = [bench.under("before the starts", life, matrix.usual[life.name]) for life in matrix.lives]
        tally.add(await asyncio.gather(*lives))
    settled, since = list(tally.runs), datetime.now(UTC).isoformat()
    part = _Starts(bench, tally, matrix, {run.life.name: run for run in settled}.values())
    sent = await part.record()
    # The first of each sort: kopf asks the same for each API group, and what failed is asked again under these numbers.
    sorts = [asked for asked in sent if asked[1].number == 1]
    if whole:
        await part.play(_square(sorts, OF_REQUESTS))
        await part.play([_kills(sorts[at : at + KILLED_AT]) for at in range(0, len(sorts), KILLED_AT)])
    else:
        await part.play(_square(sorts, QUICK)[:1])
        await part.play([_kills(sorts[len(sorts) // 2 :][:1])])
    wrong = rewritten(bench, settled, since)
    for problem in wrong:
        tally.complain(f"{START.name}: {problem}")
    tally.line(
        START.name,
        "",
        f"{part.count} starts of {len(sent)} requests, {len(sorts)} of them different",
        f"ready in {part.longest:.1f} s at most",
        f"{part.ends} ends of the operator",
        f"{len(wrong)} wrong writes",
    )


def _square(sent: Sequence[Asked], faults: Sequence[Fault]) -> list[list[Cell]]:
    """As many starts as faults: each request meets each fault in one of them, and the request before it another one.

    What kopf asks side by side for each API group meets the same one: a start waits for the slowest group.
    """
    alone = next(place for place, (_, moment) in enumerate(sent) if moment.resource in ROOTS)
    steps: list[tuple[object, ...]] = [
        (place,) if place < alone else (moment.verb, moment.resource in ROOTS) for place, (_, moment) in enumerate(sent)
    ]
    order = list(dict.fromkeys(steps))
    return [
        [(asked, faults[(order.index(step) + start) % len(faults)]) for asked, step in zip(sent, steps, strict=True)]
        for start in range(len(faults))
    ]


def _kills(sent: Sequence[Asked]) -> list[Cell]:
    return [(asked, fault) for asked in sent for fault in KILLS]


class _Starts:
    """Starts of the operator, and what came of them."""

    def __init__(self, bench: Bench, tally: Tally, matrix: Matrix, settled: Iterable[Run]) -> None:
        self._bench, self._tally, self._matrix, self._settled = bench, tally, matrix, list(settled)
        [self._operator] = bench.running
        self._lists: Counter[str] = Counter()  # that are answered before it is ready, by resource
        self.count, self.ends, self.longest = 0, 0, 0.0

    async def record(self) -> list[Asked]:
        """The requests of a start without a fault."""
        proxy = self._bench.proxy
        await self._stopped()
        before = {namespace: len(proxy.sent[namespace]) for namespace in NAMESPACES}
        await self._operator.start()
        await self._operator.ready()
        await asyncio.sleep(FURTHER_SECONDS)
        numbers: Counter[Asked] = Counter()
        sent = []
        for namespace in NAMESPACES:
            for moment in proxy.sent[namespace][before[namespace] :]:
                sort = (namespace, replace(moment, number=1))
                numbers[sort] += 1
                sent.append((namespace, replace(moment, number=numbers[sort])))
        self._lists = Counter(moment.resource for _, moment in sent if moment.verb == "list" and not moment.about)
        del self._lists[DEFINITIONS]
        print(f"a start has {len(sent)} requests")
        for number, (_, moment) in enumerate(sent, 1):
            print(f"  {number:2}  {moment}", flush=True)
        return sent

    async def play(self, plan: Sequence[Sequence[Cell]]) -> None:
        """Starts with faults, one after the other, and a life after each."""
        runs, lives = [], []
        for number, cells in enumerate(plan, 1):
            what = f"start {number} of {len(plan)} with {len(cells)} {'kills' if cells[0][1].kills else 'faults'}"
            began = await self._start(what, cells)
            life = self._matrix.lives[self.count % len(self._matrix.lives)]
            lives.append(await self._bench.under("after a start with faults", life, self._matrix.usual[life.name]))
            self._settled.append(lives[-1])
            for run in (*began, lives[-1]):
                self._tally.tell(run)
            runs += began
            self.count += 1
        self._tally.add(runs)
        self._tally.add(lives)

    async def _stopped(self) -> None:
        await self._bench.paused()
        await self._operator.stop()
        await self._bench.admin.send("DELETE", LEASE)

    async def _start(self, what: str, cells: Sequence[Cell]) -> list[Run]:
        proxy, operator = self._bench.proxy, self._operator
        await self._stopped()
        problems: list[str] = []
        # No namespace has such a name: these runs have no objects, and share what is wrong with their start.
        runs = [Run(START, what, moment, fault, problems=problems) for (_, moment), fault in cells]
        coming = []
        for (namespace, moment), fault in cells:
            # Who was killed before a request is killed after it when the next process sends it.
            when = replace(moment, number=moment.number + (fault is Fault.KILL_AFTER))
            coming.append((namespace, proxy.arm_next(namespace, when, fault)))
        ends, began, listed = len(operator.exits), time.monotonic(), Counter(proxy.listed)
        await operator.start()
        if any(fault.kills for _, fault in cells):
            await self._met()
            # One kill can strike two requests that are under way: they aren't counted.
            await asyncio.sleep(GONE_SECONDS)
            began, listed = time.monotonic(), Counter(proxy.listed)
        try:
            await operator.ready(READY_SECONDS)
            early = sorted((self._lists - (proxy.listed - listed)).keys())
            problems += [f"{what}: ready before the {resource} were listed" for resource in early]
        except AssertionError as error:
            problems.append(f"{what}: {error}")
        seconds = time.monotonic() - began
        self.longest = max(self.longest, seconds)
        await self._met()
        unmet = self._unmet()
        for run, asked in zip(runs, coming, strict=True):
            run.reached = asked not in unmet
        for namespace in NAMESPACES:
            proxy.disarm(namespace)
        problems += [f"{what}: the operator ended with exit code {code}" for code in operator.exits[ends:]]
        self.ends += len(operator.exits) - ends
        del operator.exits[ends:]  # told of here
        for run in list(self._settled):
            if moved := self._bench.moved(run):
                problems += [f"{what}: {run.namespace}: {name}" for name in moved]
                self._settled.remove(run)  # later starts are not to blame
        print(f"  {what}: {len(unmet)} not met, ready in {seconds:.1f} s", flush=True)
        return runs

    async def _met(self) -> None:
        """Wait until all faults were met, or for so long that it counts as missed."""
        with contextlib.suppress(AssertionError):
            await until(lambda: not self._unmet(), "", REACHED_SECONDS)

    def _unmet(self) -> set[Asked]:
        armed = self._bench.proxy.armed
        return {(namespace, moment) for namespace in NAMESPACES for moment, _ in armed.get(namespace, ())}
