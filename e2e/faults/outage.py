"""The API server is gone for a while, killed or frozen, with lives at all stages; then it is back."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from datetime import UTC, datetime

from e2e.audit import APART, WRITES, requests
from e2e.faults.bench import Bench, Run
from e2e.faults.matrix import Matrix
from e2e.faults.stage import STEP_SECONDS
from e2e.faults.tally import Tally
from tradewind.kube.lease import DURATION

READY_SECONDS = 10.0  # for the operator, after the API server is ready
STAGGER_SECONDS = 0.15  # between the beginnings of lives: each is somewhere else when the API server goes
LIVES_OF_A_KIND = 3


async def outage(bench: Bench, tally: Tally, matrix: Matrix, seconds: float, frozen: bool = False) -> None:
    """Play lives, and take the API server away in the middle for so many seconds; 0: it is only started anew."""
    what = f"API server {'frozen' if frozen else 'gone'} {seconds:.0f} s" if seconds else "API server started anew"
    bench.patience, bench.may_lack_events = seconds + STEP_SECONDS, True
    await bench.paused()
    [operator] = bench.running
    before, settled = len(operator.exits), list(tally.runs)
    plays: list[asyncio.Task[Run]] = []
    for life in [life for life in matrix.lives for _ in range(LIVES_OF_A_KIND)]:
        plays.append(asyncio.create_task(bench.under(what, life, matrix.usual[life.name])))
        await asyncio.sleep(STAGGER_SECONDS)
    under_way = sum(not play.done() for play in plays)
    since = datetime.now(UTC).isoformat()
    if frozen:
        os.kill(bench.server.pids["kube-apiserver"], signal.SIGSTOP)
        await asyncio.sleep(seconds)
        os.kill(bench.server.pids["kube-apiserver"], signal.SIGCONT)
        await bench.answered()
    else:
        await bench.restart_apiserver(after=seconds)
    back = time.monotonic()
    try:
        await operator.ready(READY_SECONDS)
        ready = f"ready {time.monotonic() - back:.1f} s after it was back"
    except AssertionError:
        ready = f"not ready {READY_SECONDS:.0f} s after it was back"
        tally.complain(f"{what}: the operator is {ready}")
    runs = await asyncio.gather(*plays)
    tally.add(runs)
    ends = operator.exits[before:]
    operator.exits[before:] = []  # told of here
    if len(ends) > (seconds > DURATION) or any(code != 1 for code in ends):
        tally.complain(f"{what}: the operator ended with the exit codes {ends}: only a lost lease is a reason, once")
    wrong = rewritten(bench, settled, since)
    for problem in wrong:
        tally.complain(f"{what}: {problem}")
    bench.patience, bench.may_lack_events = STEP_SECONDS, False
    tally.line(
        "",
        what,
        f"{under_way} lives under way and {len(settled)} settled",
        f"{len(ends)} ends of the operator",
        f"{len(wrong)} wrong writes",
        ready,
    )


def rewritten(bench: Bench, settled: list[Run], since: str) -> list[str]:
    """What was written of lives that had converged before, by anyone or by the operator."""
    moved = [f"{run.namespace}: {problem}" for run in settled for problem in bench.moved(run)]
    namespaces = {run.namespace for run in settled}
    asked = [
        f"{request.verb} {request.resource} {request.namespace}/{request.name}: {request.code}"
        for request in requests(bench.server.audit_log, since)
        if request.verb in WRITES and request.resource not in APART - {"events"} and request.namespace in namespaces
    ]
    return moved + asked
