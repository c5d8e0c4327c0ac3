"""How long nobody works when the leader ends, and what the old one still writes."""

from __future__ import annotations

import asyncio
import itertools
import signal
import time
from typing import Any

from e2e.audit import WRITES
from e2e.bench.controlplane.client import NETWORK_POLICY, RAY_JOB, TRAINING_JOB
from e2e.bench.controlplane.contestants import TRADEWIND, Contestant
from e2e.bench.controlplane.site import HEIR, Site, training_job

ACCOUNTS = (TRADEWIND.account[1], HEIR)
NAMESPACE = "takeover"
HEIR_SECONDS = 40.0
LATE_SECONDS = 3.0  # after the takeover, in which the old one's writes would come
_names = itertools.count(1)


class Takeover:
    """Two replicas, each with an account of its own, that lead by turns."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._replicas: dict[str, Contestant] = {}

    async def run(self, rounds: dict[str, int]) -> dict[str, list[dict[str, Any]]]:
        """So many rounds by signal. Seconds from the signal to the heir's lease, and to its first RayJob."""
        await self._site.client.namespace(NAMESPACE)
        self._replicas[ACCOUNTS[0]] = await self._site.start(TRADEWIND, ACCOUNTS[0], ACCOUNTS[0])
        leader, standby = ACCOUNTS
        result: dict[str, list[dict[str, Any]]] = {}
        try:
            await self._stand_by(standby)
            for name, number in rounds.items():
                for _ in range(number):
                    result.setdefault(name, []).append(await self._round(signal.Signals[name], leader, standby))
                    leader, standby = standby, leader
                    await self._stand_by(standby)
        finally:
            for replica in self._replicas.values():
                await replica.stop()
            await self._site.client.clear(NAMESPACE, TRAINING_JOB, RAY_JOB, NETWORK_POLICY)
        return result

    async def _stand_by(self, account: str) -> None:
        replica = Contestant(TRADEWIND, self._site.installed, account, account)
        self._replicas[account] = replica
        replica.start()
        await replica.until_logged("standing by")

    async def _round(self, number: signal.Signals, leader: str, standby: str) -> dict[str, Any]:
        old, heir = self._replicas[leader], self._replicas[standby]
        mark, sent = self._site.audit.mark(), time.time()
        old.send(number)
        if number is signal.SIGTERM:
            await old.ended()  # what it still works on before that is not the heir's
        name = f"job-{next(_names)}"
        await self._site.client.send("POST", TRAINING_JOB.path(NAMESPACE), training_job(name))
        namespace = f"system:serviceaccount:{TRADEWIND.account[0]}"
        taken = made = 0.0
        end = time.monotonic() + HEIR_SECONDS
        while not made:
            if time.monotonic() > end:
                raise TimeoutError(f"nobody has taken over {HEIR_SECONDS:.0f} s after {number.name}")
            await asyncio.sleep(0.2)
            for entry in self._site.audit.since(mark, f"{namespace}:{standby}"):
                if entry.resource == "leases" and entry.verb == "update" and entry.code < 400:
                    taken = taken or entry.answered
                if entry.resource == "rayjobs" and entry.writes and entry.name.startswith(name):
                    made = made or entry.answered
        if number is signal.SIGSTOP:
            old.send(signal.SIGCONT)
        await asyncio.sleep(LATE_SECONDS)
        late = [
            f"{entry.verb} {entry.resource} {entry.name}"
            for entry in self._site.audit.since(mark, f"{namespace}:{leader}")
            if entry.answered > taken and entry.verb in WRITES and entry.code < 400
        ]
        await old.stop()
        await heir.until_ready()
        return {"lease": taken - sent, "work": made - sent, "late writes": late}
