"""One system's turn: objects are applied, at a rate or all at once, until it has made of each what it makes."""

from __future__ import annotations

import asyncio
import itertools
import time
from dataclasses import asdict, dataclass
from typing import Any

from e2e.bench._runs import cpu_seconds
from e2e.bench.controlplane.client import (
    JOB_SET,
    NETWORK_POLICY,
    POD,
    RAY_CLUSTER,
    RAY_JOB,
    SERVICE,
    TRAIN_JOB,
    TRAINING_JOB,
)
from e2e.bench.controlplane.contestants import Contestant, System
from e2e.bench.controlplane.site import Site

PATIENCE = 240.0  # seconds from the last object's apply until all have what is made of them
WARM = 10  # objects before the count
LEFT = (RAY_CLUSTER, RAY_JOB, POD, SERVICE, NETWORK_POLICY, JOB_SET)
_turns = itertools.count(1)


@dataclass(frozen=True)
class Turn:
    """What a turn gave; times in seconds."""

    system: str
    objects: int
    latencies: list[float]  # from when the API server got an object until it had answered the child's creation
    wall: float  # from the first object until the last child
    cpu: float  # of the program, meanwhile
    server_cpu: float  # of kube-apiserver and etcd, meanwhile
    requests: int  # of the program, meanwhile; all but watches
    writes: int

    def quantile(self, share: float) -> float:
        """A quantile of the latencies."""
        return sorted(self.latencies)[min(len(self.latencies) - 1, int(len(self.latencies) * share))]

    def dump(self) -> dict[str, Any]:
        """As JSON, the latencies as quantiles."""
        content = asdict(self)
        content["latencies"] = {str(share): self.quantile(share) for share in (0.1, 0.5, 0.9, 0.99, 1.0)}
        return content


async def turn(site: Site, system: System, objects: int, rate: float | None) -> Turn:
    """Start the system, have it do its turn, end it, and remove everything."""
    contestant = await site.start(system)
    namespace = f"turn-{next(_turns)}"
    await site.client.namespace(namespace)
    try:
        return await applied(site, contestant, namespace, objects, rate)
    finally:
        await site.stop(contestant)
        await site.client.clear(namespace, TRAINING_JOB, TRAIN_JOB, *LEFT)


async def applied(
    site: Site, contestant: Contestant, namespace: str, objects: int, rate: float | None, warm: bool = True
) -> Turn:
    """Apply objects for a system that runs, until it has made of each what it makes."""
    system, client = contestant.system, site.client
    before = 0
    if warm:
        before = WARM
        await client.create(system.parent, namespace, [site.manifest(system, f"warm-{n}") for n in range(WARM)])
        await _made(site, system, namespace, WARM)
    servers = [site.server.pids["kube-apiserver"], site.server.pids["etcd"]]
    mark, cpu, server_cpu = site.audit.mark(), contestant.cpu, sum(map(cpu_seconds, servers))
    await client.create(system.parent, namespace, [site.manifest(system, f"job-{n}") for n in range(objects)], rate)
    await _made(site, system, namespace, before + objects)
    cpu, server_cpu = contestant.cpu - cpu, sum(map(cpu_seconds, servers)) - server_cpu
    return _read(site, system, mark, namespace, objects, cpu, server_cpu)


async def _made(site: Site, system: System, namespace: str, number: int) -> None:
    if not await site.client.until_count(system.child, namespace, number, PATIENCE):
        raise TimeoutError(f"{system.name} has not made {number} {system.child.plural} in {PATIENCE:.0f} s")


def _read(site: Site, system: System, mark: int, namespace: str, objects: int, cpu: float, server_cpu: float) -> Turn:
    applied: dict[str, float] = {}
    made: dict[str, float] = {}
    program = []
    for entry in site.audit.since(mark):
        if entry.user == system.user:
            program.append(entry)
        if entry.namespace != namespace or not entry.writes:
            continue
        if (entry.resource, entry.verb) == (system.parent.plural, "create") and entry.user != system.user:
            applied[entry.name] = entry.received
        elif entry.resource == system.child.plural and entry.user == system.user and entry.code == 201:
            made[entry.name] = entry.answered
    last = max(made.values())
    seen = [entry for entry in program if entry.answered <= last and entry.verb != "watch"]
    return Turn(
        system.name,
        objects,
        _latencies(applied, made),
        last - min(applied.values()),
        cpu,
        server_cpu,
        len(seen),
        sum(entry.writes for entry in seen),
    )


def _latencies(applied: dict[str, float], made: dict[str, float]) -> list[float]:
    """Pair each child with its parent: its name begins with the parent's. Longer names first: job-1 and job-10."""
    found = []
    left = dict(applied)
    for child, at in made.items():
        parts = child.split("-")
        parent = next((name for n in range(len(parts), 0, -1) if (name := "-".join(parts[:n])) in left), None)
        if parent is not None:
            found.append(at - left.pop(parent))
    if left:
        raise AssertionError(f"{len(left)} objects have no child, as {next(iter(left))}: {sorted(made)[:3]}")
    return found


async def settle_down(contestants: list[Contestant], seconds: float) -> None:
    """Wait until none of them has used its CPU for a while, at most so long."""
    end = time.monotonic() + seconds
    quiet = 0
    while quiet < 3 and time.monotonic() < end:
        before = sum(contestant.cpu for contestant in contestants)
        await asyncio.sleep(1.0)
        quiet = quiet + 1 if sum(contestant.cpu for contestant in contestants) - before < 0.05 else 0
