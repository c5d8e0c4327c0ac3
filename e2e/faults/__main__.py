"""`make faults`: each request and each watch event of each kind's life, with each fault; one line for a kind and fault.

Exits with 1 if any run came to another end than the faultless one, or showed on the way what must never be.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from e2e.cluster.apiserver import ApiServer
from e2e.faults.bench import ROOT, Bench, Run, prepare
from e2e.faults.calls import Moment
from e2e.faults.lives import LIVES, Life
from e2e.faults.oracle import Ending
from e2e.faults.proxy import Fault, WatchFault

AT_ONCE = 16  # lives that are played side by side
KILLS_AT_ONCE = 6  # each of their kills is a kill for the others too, at some moment
WATCH_RESYNC = 10.0  # seconds; a lost event is found when everything is listed afresh, by default each hour
QUIET_SECONDS = 10.0  # after the last run, before the resourceVersions are compared
TRIES = 3  # for a moment to come: an event can also be seen in a list

Cell = tuple[Life, Moment, Fault | WatchFault]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the matrix; the exit code."""
    parser = argparse.ArgumentParser(prog="e2e.faults", description=__doc__)
    parser.add_argument("--selection", choices=("all", "ci", "requests", "kills", "watches"), default="all")
    parser.add_argument("--source", type=Path, default=ROOT / "operator" / "src", help="sources of the operator")
    parser.add_argument("--logs", type=Path, help="a folder to keep the operators' logs in")
    parser.add_argument("--kinds", nargs="*", default=[life.name for life in LIVES], help="kinds to try")
    chosen = parser.parse_args(arguments)
    lives = [life for life in LIVES if life.name in chosen.kinds]
    with tempfile.TemporaryDirectory(prefix="tradewind-faults-") as name, ApiServer() as server:
        folder = Path(name)
        prepare(server, folder, chosen.source)
        return asyncio.run(_matrix(server, folder, lives, chosen.selection, chosen.logs))


async def _matrix(server: ApiServer, folder: Path, lives: list[Life], selection: str, logs: Path | None) -> int:
    bench = Bench(server, folder)
    await bench.start()
    try:
        return await Matrix(bench, lives, selection).run()
    finally:
        await bench.stop()
        for operator in bench.operators if logs else ():
            shutil.copy(operator.log, logs or "")


class Matrix:
    """All runs of a selection, and what came of them."""

    def __init__(self, bench: Bench, lives: list[Life], selection: str) -> None:
        self._bench, self._lives, self._selection = bench, lives, selection
        self._usual: dict[str, Ending] = {}
        self._sent: dict[str, list[Moment]] = {}
        self._events: dict[str, list[Moment]] = {}
        self._runs: list[Run] = []
        self._complaints: list[str] = []
        self._start = time.monotonic()

    async def run(self) -> int:
        """Run it and print what came of it; the exit code."""
        bench, selection = self._bench, self._selection
        await bench.operate("requests")
        for life in self._lives:
            await self._record(life)
        if self._complaints:
            return self._total()
        requests = [fault for fault in Fault if not fault.kills]
        kills = [fault for fault in Fault if fault.kills]
        print(f"{'recorded':24} in {time.monotonic() - self._start:.0f} s", flush=True)
        if selection in ("all", "ci", "requests"):
            await self._play(self._cells(requests, self._sent), AT_ONCE)
        if selection in ("all", "ci", "kills"):
            await self._play(self._cells(kills, self._sent), KILLS_AT_ONCE)
        if selection in ("all", "ci", "watches"):
            await bench.operate("watches", WATCH_RESYNC)
            await self._play(self._cells(list(WatchFault), self._events), AT_ONCE)
        await asyncio.sleep(QUIET_SECONDS)
        for run in self._runs:
            run.problems += bench.moved(run)
        for operator in bench.operators:
            self._complaints += [f"the operator ended by itself with exit code {code}" for code in operator.exits]
        if (tracebacks := bench.tracebacks()) > 0:
            self._complaints.append(f"the operator logged {tracebacks} tracebacks")
        return self._total()

    async def _record(self, life: Life) -> None:
        """Play the life twice without a fault: what is compared with is the same both times, or nothing can be said."""
        proxy = self._bench.proxy
        for _ in range(TRIES):
            (first, usual), (second, again) = [await self._bench.faultless(life) for _ in range(2)]
            sent = [proxy.sent[run.namespace] for run in (first, second)]
            if sorted(sent[0]) == sorted(sent[1]):
                break  # a busy machine can cost a request that is sent again
        self._complaints += first.problems + second.problems + again.differences(usual, events_may_lack=False)
        if sorted(sent[0]) != sorted(sent[1]):
            self._complaints.append(f"{life.name}: two faultless lives differ in requests: {sent[0]} and {sent[1]}")
        self._usual[life.name], self._sent[life.name] = usual, sent[0]
        self._events[life.name] = proxy.events[first.namespace]
        print(f"{life.name}: {len(sent[0])} requests and {len(self._events[life.name])} watch events in a life")
        for number, moment in enumerate(sent[0], 1):
            print(f"  {number:2}  {moment}")
        sys.stdout.flush()

    def _cells(self, faults: Sequence[Fault | WatchFault], moments: dict[str, list[Moment]]) -> list[Cell]:
        cells = [(life, moment, fault) for life in self._lives for fault in faults for moment in moments[life.name]]
        if self._selection != "ci":
            return cells
        # Each moment and each fault at least once, by turns.
        return [
            cell
            for number, cell in enumerate(
                (life, moment, fault) for life in self._lives for moment in moments[life.name] for fault in faults
            )
            if number % (len(faults) + 1) == 0
        ]

    async def _play(self, cells: list[Cell], at_once: int) -> None:
        limit = asyncio.Semaphore(at_once)

        async def one(cell: Cell) -> Run:
            life, moment, fault = cell
            async with limit:
                for _ in range(TRIES):
                    if isinstance(fault, Fault) and fault.kills:
                        await self._bench.operators[-1].ready()
                    run = await self._bench.spoiled(life, moment, fault, self._usual[life.name])
                    if run.reached or run.problems:
                        break
            self._tell(run)
            return run

        runs = await asyncio.gather(*(one(cell) for cell in cells))
        self._runs += runs
        self._lines(runs)

    def _tell(self, run: Run) -> None:
        for problem in run.problems:
            print(f"  FAILED  {run.life.name}, {run.moment}, {run.fault}: {problem}", flush=True)

    def _lines(self, runs: Iterable[Run]) -> None:
        groups: dict[tuple[str, str], list[Run]] = {}
        for run in runs:
            groups.setdefault((run.life.name, str(run.fault)), []).append(run)
        for (kind, fault), members in sorted(groups.items()):
            failed, missed = sum(bool(run.problems) for run in members), sum(not run.reached for run in members)
            note = f", {missed} without the fault's moment" if missed else ""
            print(f"{kind:24} {fault:26} {len(members):4} runs {failed:4} failed{note}", flush=True)

    def _total(self) -> int:
        for complaint in self._complaints:
            print(f"  FAILED  {complaint}")
        for run in self._runs:
            for problem in run.problems:
                if "after convergence" in problem:
                    print(f"  FAILED  {run.life.name}, {run.moment}, {run.fault}: {problem}")
        failed = sum(bool(run.problems) for run in self._runs)
        missed = sum(not run.reached for run in self._runs)
        seconds = time.monotonic() - self._start
        kills = sum(operator.kills for operator in self._bench.operators)
        print(
            f"total: {len(self._runs)} runs, {failed} failed, {missed} without the fault's moment; "
            f"{self._bench.proxy.total} requests through the proxy, {kills} kills, in {seconds:.0f} s"
        )
        return 1 if failed or self._complaints else 0


if __name__ == "__main__":
    sys.exit(main())
