"""What came of all runs, printed as it comes: a line for each kind of life and fault, and the total."""

from __future__ import annotations

import time
from collections.abc import Iterable

from e2e.faults.bench import Bench, Run


class Tally:
    """The runs, and what is wrong besides them."""

    def __init__(self) -> None:
        self.runs: list[Run] = []
        self.complaints = 0
        self._start = time.monotonic()
        self._told: set[tuple[str, str]] = set()

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self._start

    def complain(self, what: str) -> None:
        """Something is wrong that is no run's."""
        self.complaints += 1
        print(f"  FAILED  {what}", flush=True)

    def tell(self, run: Run) -> None:
        """Print what is wrong with a run, once."""
        for problem in run.problems:
            if (run.namespace, problem) not in self._told:
                self._told.add((run.namespace, problem))
                where = ", ".join(str(part) for part in (run.life.name, run.moment, run.fault) if part)
                print(f"  FAILED  {where}: {problem}", flush=True)

    def add(self, runs: Iterable[Run], note: str = "") -> None:
        """Count runs that have ended, and print a line for each life and fault of them."""
        groups: dict[tuple[str, str], list[Run]] = {}
        for run in runs:
            self.tell(run)
            self.runs.append(run)
            groups.setdefault((run.life.name, str(run.fault)), []).append(run)
        for (kind, fault), members in sorted(groups.items()):
            failed, missed = sum(bool(run.problems) for run in members), sum(not run.reached for run in members)
            notes = [f"{missed} without the fault's moment"] if missed else []
            self.line(kind, fault, f"{len(members):4} runs {failed:4} failed", *notes, *([note] if note else []))

    def line(self, kind: str, fault: str, *counts: str) -> None:
        """Print a line."""
        print(f"{kind:28} {fault:28} {', '.join(counts)}", flush=True)

    def total(self, bench: Bench) -> int:
        """Print the total; the exit code."""
        for run in self.runs:
            self.tell(run)
        failed = sum(bool(run.problems) for run in self.runs)
        missed = sum(not run.reached for run in self.runs)
        kills = sum(operator.kills for operator in bench.operators)
        print(
            f"total: {len(self.runs)} runs, {failed} failed, {missed} without the fault's moment, {self.complaints} "
            f"other complaints; {bench.proxy.total} requests through the proxy, {kills} kills, in {self.seconds:.0f} s"
        )
        return 1 if failed or self.complaints else 0
