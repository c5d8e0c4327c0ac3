"""The pods of a TrainingJob: a head that drives, and workers on the pool that the spec names."""

from __future__ import annotations

from tradewind.api.config import Config, Pool
from tradewind.api.job import PoolChoice
from tradewind.api.trainingjob import TrainingJobSpec
from tradewind.core.conditions import Reason
from tradewind.core.plan import Refusal
from tradewind.economics.pools import TPU, choose, misshapen
from tradewind.ray.groups import Group

# The head runs Ray's own processes and the driver; no training process.
HEAD_CPU = "200m"
HEAD_CPU_LIMIT = "1"
HEAD_MEMORY = "2Gi"
# A user's driver, and Ray Train's controller after it, import the framework too: 800 MB each with PyTorch.
HEAD_MEMORY_OF_PROGRAM = "4Gi"

_WORKER_FIELDS = {
    "cpu": "spec.resources.cpu",
    "memory": "spec.resources.memory",
    "accelerators": "spec.resources.accelerators",
}
_HEAD_FIELDS = {"cpu": "the head's CPU", "memory": "the head's memory", "accelerators": "the head's accelerators"}


def place(
    spec: TrainingJobSpec, config: Config, present: PoolChoice | None
) -> tuple[tuple[Group, ...], PoolChoice] | Refusal:
    """The head's and the workers' group, the head first; or why they would never run. `present`: where it runs now."""
    resources = spec.resources
    chosen = choose(config, resources.pool, "spec.resources.pool", present)
    if isinstance(chosen, Refusal):
        return chosen
    pool = chosen.pool
    hosts = pool.accelerator.hosts if pool.accelerator and resources.accelerators else 1
    workers = Group(
        "worker",
        spec.workers,
        pool,
        resources.cpu,
        resources.memory,
        resources.accelerators,
        hosts,
        resources.cpu_limit,
    )
    memory = HEAD_MEMORY if spec.recipe is not None else HEAD_MEMORY_OF_PROGRAM
    # A quota that asks the workers for a limit asks the head too.
    limit = HEAD_CPU_LIMIT if resources.cpu_limit is not None else None
    head = Group("head", 1, _head_pool(pool, config), HEAD_CPU, memory, cpu_limit=limit)
    refusal = (
        workers.misfit(_WORKER_FIELDS)
        or misshapen(pool, resources.topology, "spec.resources.topology")
        or _half_a_slice(spec, pool)
        or head.misfit(_HEAD_FIELDS)
    )
    if refusal is not None:
        return refusal
    return (head, workers), chosen.choice


def _head_pool(pool: Pool, config: Config) -> Pool:
    """The head needs no accelerator, and must not keep a node that has one from others."""
    if pool.accelerator is None:
        return pool
    return next((row for row in config.pools if row.accelerator is None), pool)


def _half_a_slice(spec: TrainingJobSpec, pool: Pool) -> Refusal | None:
    accelerator = pool.accelerator
    if not spec.resources.accelerators or accelerator is None or accelerator.resource != TPU:
        return None
    if spec.workers % accelerator.hosts:
        return Refusal(
            Reason.TOPOLOGY_MISMATCH,
            f"spec.workers is {spec.workers}, and a slice of pool {pool.name} has {accelerator.hosts} "
            f"hosts, each with one worker: set workers to a multiple of {accelerator.hosts}.",
        )
    return None
