"""After convergence: nothing is written any more, though the operator runs and watches."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from e2e.audit import APART, WRITES, requests
from e2e.faults.bench import Bench
from e2e.faults.tally import Tally


async def stillness(bench: Bench, tally: Tally, seconds: float) -> None:
    """Wait, and compare the resourceVersions of all lives with those at their convergence, whenever that was."""
    await bench.paused()
    since = datetime.now(UTC).isoformat()
    await asyncio.sleep(seconds)
    moved = 0
    for run in tally.runs:
        problems = bench.moved(run)
        moved += len(problems)
        run.problems += problems
    written = [
        request
        for request in requests(bench.server.audit_log, since)
        if request.verb in WRITES and request.resource not in APART - {"events"}
    ]
    for request in written:
        tally.complain(f"after convergence the operator sent {request.verb} {request.resource} {request.name}")
    tally.line(
        "all lives",
        f"left alone for {seconds:.0f} s",
        f"{sum(len(run.revisions) for run in tally.runs)} objects of {len(tally.runs)} runs",
        f"{moved} of them written after convergence",
        f"{len(written)} writes by the operator in that time",
    )
