"""etcd is compacted while a watch is broken and something is deleted: the watch can't go on from where it was."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from e2e.faults.bench import Bench
from e2e.faults.deletions import DELETIONS
from e2e.faults.history import MERGE
from e2e.faults.polling import until
from e2e.faults.stage import STEP_SECONDS, nothing_held
from e2e.faults.tally import Tally

FAULT = "deleted, etcd compacted"
TAKE_IN_SECONDS = 2.0  # from the answer to a list until the operator has surely taken it in, on a busy machine
LIST_SECONDS = 30.0  # from the answer 410 to a list; the operator asks again after 4 s at most


class _Gap:
    """Holds watches until what is done in the gap is no longer in etcd's history; several lives share a compaction."""

    def __init__(self, bench: Bench, lives: int) -> None:
        self._bench = bench
        self._barrier = asyncio.Barrier(lives)

    @asynccontextmanager
    async def __call__(self, resource: str) -> AsyncIterator[None]:
        proxy = self._bench.proxy
        await self._all()  # who is still on the way here needs the watches
        proxy.hold(resource)
        try:
            yield
            if await self._all() == 0:
                await self._compact()
            await self._all()
            lists = proxy.listed[resource]
        finally:
            proxy.release(resource)
        await until(lambda: proxy.listed[resource] > lists, f"{resource} were not listed afresh", LIST_SECONDS)
        await asyncio.sleep(TAKE_IN_SECONDS)

    async def _all(self) -> int:
        """Wait until all lives are here; the number of this one."""
        try:
            async with asyncio.timeout(STEP_SECONDS):
                return await self._barrier.wait()
        except (TimeoutError, asyncio.BrokenBarrierError):
            raise AssertionError("another life did not get this far") from None

    async def _compact(self) -> None:
        admin = self._bench.admin
        # Another revision after the deletion's: where that is the compacted one itself, an older etcd (Debian's is one)
        # tells a watch neither of the deletion nor of the compaction (etcd-io/etcd#18089).
        note = {"metadata": {"annotations": {"tradewind.dev/after-deletion": str(await admin.now())}}}
        await admin.send("PATCH", "/api/v1/namespaces/default", note, MERGE)
        body = {"revision": await admin.now(), "physical": True}
        url = f"{self._bench.server.etcd_url}/v3/kv/compaction"
        async with aiohttp.ClientSession() as session, session.post(url, json=body) as answer:
            assert answer.status == 200, await answer.text()


async def compactions(bench: Bench, tally: Tally, whole: bool) -> None:
    """Each watched resource: alone in the whole run, else all at once.

    The API server keeps no events of its own meanwhile: with its cache it could still tell of what etcd has forgotten.
    """
    names = list(DELETIONS)
    recorded = await asyncio.gather(*(bench.faultless(life) for life in DELETIONS.values()))
    usual = {}
    for name, (run, end) in zip(names, recorded, strict=True):
        usual[name] = end
        for problem in run.problems:
            tally.complain(f"{run.life.name}: {problem}")
    await bench.restart_apiserver("--watch-cache=false")
    await bench.running[0].ready()
    for group in [[name] for name in names] if whole else [names]:
        before = dict(bench.proxy.expired)
        bench.gap = _Gap(bench, len(group))
        runs = await asyncio.gather(*(bench.under(FAULT, DELETIONS[name], usual[name]) for name in group))
        for name, run in zip(group, runs, strict=True):
            expired = bench.proxy.expired[name] - before.get(name, 0)
            if not expired:
                run.problems.append(f"the API server ended no watch of {name} with 410")
            tally.add([run], f"{expired} watch ended with 410 by the API server")
    bench.gap = nothing_held
    await bench.restart_apiserver()
    await bench.running[0].ready()
