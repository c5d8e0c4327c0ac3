"""Two replicas: the leader is frozen at a request, and goes on after the other one has taken over."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from e2e.audit import APART, WRITES, Request, requests
from e2e.faults.bench import Bench, Run
from e2e.faults.matrix import Cell, Matrix
from e2e.faults.operator import Operator
from e2e.faults.polling import until
from e2e.faults.tally import Tally

TAKEOVER_SECONDS = 20.0
END_SECONDS = 15.0  # for the old leader, after it goes on


@dataclass
class Takeover:
    """One replica in place of another."""

    old: Operator
    since: str  # RFC 3339: the other one is ready, the old one is still frozen
    seconds: float  # from the freezing to that
    until: str = ""


class Takeovers:
    """Freezes, and what came of them."""

    def __init__(self, bench: Bench, tally: Tally, matrix: Matrix) -> None:
        self._bench, self._tally, self._matrix = bench, tally, matrix
        self._tasks: list[asyncio.Task[Takeover]] = []

    async def play(self, cells: list[Cell]) -> None:
        """One life for each cell, one after the other."""
        bench = self._bench
        await bench.operate("replica-a", "replica-b")
        bench.on_freeze = self._frozen
        ended: list[tuple[Run, Takeover]] = []
        runs = []
        for life, moment, fault in cells:
            run = await bench.spoiled(life, self._matrix.usual[life.name], moment, fault)
            runs.append(run)
            for task in self._tasks:
                try:
                    ended.append((run, await task))
                    ended[-1][1].until = _now()
                except AssertionError as error:
                    run.problems.append(str(error))
                    await bench.operate("replica-a", "replica-b")
            self._tasks.clear()
            self._tally.tell(run)
        bench.on_freeze = lambda _frozen: None
        # The audit log has who wrote by the token. It is read once: the proxy waits meanwhile, and so do the replicas.
        sent = list(requests(bench.server.audit_log, min((takeover.since for _, takeover in ended), default="")))
        wrote = 0
        for run, takeover in ended:
            late = written(sent, takeover)
            wrote += len(late)
            run.problems += [f"the old leader wrote after the takeover: {write}" for write in late]
        self._tally.add(runs)
        longest = max((takeover.seconds for _, takeover in ended), default=0.0)
        self._tally.line(
            "",
            "leader frozen, then goes on",
            f"{len(ended)} takeovers, the longest in {longest:.1f} s",
            f"{wrote} writes by the old leader after them",
        )

    def _frozen(self, old: Operator) -> None:
        self._tasks.append(asyncio.create_task(self._take_over(old)))

    async def _take_over(self, old: Operator) -> Takeover:
        start, ends = time.monotonic(), len(old.exits)
        [other] = [operator for operator in self._bench.running if operator is not old]
        try:
            await other.ready(TAKEOVER_SECONDS)
            takeover = Takeover(old, _now(), time.monotonic() - start)
        finally:
            old.thaw()
        await until(lambda: len(old.exits) > ends, "the old leader goes on after the takeover", END_SECONDS)
        assert old.exits[ends:] == [1], f"the old leader ended with {old.exits[ends:]}"
        del old.exits[ends:]  # it is right to end
        await old.lives()  # started again, it stands by
        return takeover


def written(sent: list[Request], takeover: Takeover) -> list[str]:
    """What the old leader wrote after the takeover; its tries at the lease are refused by the lease's version."""
    return [
        f"{request.verb} {request.resource} {request.namespace}/{request.name}"
        for request in sent
        if request.credential == credential(takeover.old.token)
        and takeover.since <= request.time <= takeover.until
        and request.verb in WRITES
        and request.code < 400
        and request.resource not in APART - {"events", "leases"}
    ]


def credential(token: str) -> str:
    """How the audit log names a token of a service account."""
    payload = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return f"JTI={claims['jti']}"


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
