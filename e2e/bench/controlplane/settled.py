"""What thousands of settled objects cost: memory, idle requests, latency beside them, and a restart."""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
from dataclasses import dataclass, field
from typing import Any

from e2e.bench.controlplane.contestants import KUBERAY, ROOT, TRADEWIND, TRAINER, TRAINER_RAISED, Contestant
from e2e.bench.controlplane.crowd import Crowd, copy, finish_train_jobs
from e2e.bench.controlplane.idle import idle
from e2e.bench.controlplane.progress import Progress
from e2e.bench.controlplane.site import Site
from e2e.bench.controlplane.timed import Timed
from e2e.bench.controlplane.turn import LEFT, applied, settle_down
from e2e.cluster.progress import tail

LIVED = 3  # batches that live; the others are copies of a settled object, which takes half the time
PROBE_RATE = 10.0
PROBE_SECONDS = 10.0
LATE_SECONDS = 5.0  # after it is ready, in which a restarted operator's writes would come
_probes = itertools.count(1)


@dataclass
class Settled:
    """The part of the benchmark with settled objects."""

    site: Site
    progress: Progress
    total: int
    batch: int
    idle_seconds: float
    restarts: int
    growth: list[dict[str, Any]] = field(default_factory=list)  # memory over the number of settled objects
    probes: list[dict[str, Any]] = field(default_factory=list)  # turns over that number
    result: dict[str, Any] = field(default_factory=dict)

    async def run(self) -> dict[str, Any]:
        """All of it, in the order in which things can be undisturbed."""
        await self.progress.measures(f"{self.total:,} settled objects: nothing there yet, everybody idle")
        start = [await self.site.start(system) for system in (TRADEWIND, KUBERAY, TRAINER)]
        self.result["idle at 0"] = await idle(self.site, start, self.idle_seconds)
        for contestant in start[1:]:
            await self.site.stop(contestant)
        operator = start[0]
        self._note(operator, 0)
        operator = await self._grow(operator)
        await self.progress.prepares(f"{self.total:,} settled TrainJobs")
        await self._grow_trainer()
        if not operator.runs:
            # On a machine so loaded that its lease could not be renewed; a kubelet would start it again.
            print(f"the operator has ended by itself:\n{tail(operator.log)}", file=sys.stderr)
            operator = await self.site.start(TRADEWIND)
            self.result["ended by itself"] = True
        await self.progress.measures(f"everybody idle beside {self.total:,} settled objects")
        others = [await self.site.start(system) for system in (KUBERAY, TRAINER)]
        self.result["idle at all"] = await idle(self.site, [operator, *others], self.idle_seconds)
        for contestant in others:
            await self.site.stop(contestant)
        await self._restart(operator)
        return self.result | {"growth": self.growth, "probes": self.probes}

    async def _grow(self, operator: Contestant) -> Contestant:
        """Settled objects from lives, then copies of them while nobody works; the operator that runs at the end."""
        await self._probe(operator, 0)
        done = 0
        for done in range(self.batch, (LIVED + 1) * self.batch, self.batch):
            await self.progress.prepares(f"{self.batch:,} TrainingJobs live from their creation to Complete")
            await self._live(operator, done)
            await settle_down([operator], 30)
            self._note(operator, done)
        await self._probe(operator, done)
        for number in (self.total // 2, self.total):
            await self.site.stop(operator)
            while done < number:
                await self.progress.prepares(f"{self.batch:,} copies of a settled TrainingJob with its children")
                done += self.batch
                namespace = f"settled-{done}"
                await self.site.client.namespace(namespace)
                await copy(self.site, f"settled-{self.batch}", "job-0", namespace, self._names)
            operator = await self.site.start(TRADEWIND)
            await settle_down([operator], 30)
            self._note(operator, done, restarted=True)
            await self._probe(operator, done)
        return operator

    @property
    def _names(self) -> list[str]:
        return [f"job-{number}" for number in range(self.batch)]

    async def _live(self, operator: Contestant, done: int) -> None:
        """A batch of TrainingJobs; the first one's pods run at the same time."""
        first = done == self.batch
        namespace = f"settled-{done}"
        await self.site.client.namespace(namespace)
        await applied(self.site, operator, namespace, self.batch, None, warm=False)
        crowd = Crowd(self.site, operator, namespace, self._names)
        if first:
            await crowd.run()
            await self.progress.measures(f"{self.batch:,} live TrainingJobs with their pods on kwok's nodes")
            self.result["live"] = (await idle(self.site, [operator], self.idle_seconds))[TRADEWIND.name]
        await crowd.finish(runs=first)

    def _note(self, contestant: Contestant, number: int, **more: Any) -> None:
        self.growth.append({"system": contestant.system.name, "n": number, "memory": contestant.memory, **more})

    async def _probe(self, contestant: Contestant, number: int) -> None:
        """Objects at a steady rate beside the settled ones; they are removed again."""
        await self.progress.measures(f"{contestant.system.name} at 10 a second beside {number:,} settled objects")
        namespace = f"probe-{next(_probes)}"
        await self.site.client.namespace(namespace)
        turn = await applied(
            self.site, contestant, namespace, round(PROBE_RATE * PROBE_SECONDS), PROBE_RATE, warm=number == 0
        )
        await self.site.client.clear(namespace, contestant.system.parent, *LEFT)
        await settle_down([contestant], 10)
        self.probes.append({"system": contestant.system.name, "n": number, **turn.dump()})

    async def _grow_trainer(self) -> None:
        trainer = await self.site.start(TRAINER_RAISED)
        self._note(trainer, 0)
        for done in range(0, self.total, self.batch):
            namespace = f"trained-{done}"
            await self.site.client.namespace(namespace)
            await applied(self.site, trainer, namespace, self.batch, None, warm=False)
            await finish_train_jobs(self.site, namespace, self._names)
            await settle_down([trainer], 10)
            self._note(trainer, done + self.batch)
        await self.site.stop(trainer)

    async def _restart(self, operator: Contestant) -> None:
        rounds: list[dict[str, Any]] = []
        for number in range(self.restarts):
            await self.progress.measures(f"restart {number + 1} of {self.restarts}, and the lists alone")
            raw = await self._raw_list()
            await self.site.stop(operator)
            mark = self.site.audit.mark()
            operator = Timed(self.site.installed)
            operator.start()
            ready = await operator.until_ready()
            cpu = operator.cpu
            await asyncio.sleep(LATE_SECONDS)
            await operator.calm()
            held = {"a restart": await operator.held()}
            await operator.change_configuration()
            held["a changed configuration"] = await operator.held()
            writes = [e for e in self.site.audit.since(mark, TRADEWIND.user) if e.writes]
            rounds.append(
                {
                    "raw": raw["seconds"],
                    "objects": raw["objects"],
                    "ready": ready,
                    "cpu": cpu,
                    "writes": len(writes),
                    "written": sorted({f"{e.verb} {e.resource}" for e in writes}),
                    "memory": operator.memory,
                    "held": {cause: found["processor"] for cause, found in held.items()},
                }
            )
        self.result["restart"] = rounds
        others: dict[str, Any] = {}
        for system in (KUBERAY, TRAINER):
            contestant = Contestant(system, self.site.installed)
            contestant.start()
            others[system.name] = {"ready": await contestant.until_ready(), "cpu": contestant.cpu}
            await self.site.stop(contestant)
        self.result["restart of others"] = others
        await self.site.stop(operator)

    async def _raw_list(self) -> dict[str, Any]:
        command = ["-m", "e2e.bench.controlplane.rawlist", str(self.site.server.kubeconfig)]
        process = await asyncio.create_subprocess_exec(
            sys.executable, *command, cwd=ROOT, stdout=asyncio.subprocess.PIPE
        )
        output, _ = await process.communicate()
        found: dict[str, Any] = json.loads(output)
        return found
