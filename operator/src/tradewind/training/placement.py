"""The pods of a TrainingJob: a head that drives, and workers on the pool that the spec names."""

from __future__ import annotations

from tradewind.api.config import Config, Pool
from tradewind.api.job import PoolChoice
from tradewind.api.trainingjob import Resources, TrainingJobSpec
from tradewind.core.conditions import Reason
from tradewind.economics.pools import TPU, Refusal, choose
from tradewind.ray.groups import Group

# The head runs Ray's own processes and the driver; no training process.
HEAD_CPU = "200m"
HEAD_MEMORY = "2Gi"
# A user's driver, and Ray Train's controller after it, import the framework too: 800 MB each with PyTorch.
HEAD_MEMORY_OF_PROGRAM = "4Gi"

_WORKER_FIELDS = {
    "cpu": "spec.resources.cpusPerWorker",
    "memory": "spec.resources.memoryPerWorker",
    "accelerators": "spec.resources.acceleratorsPerWorker",
}
_HEAD_FIELDS = {"cpu": "the head's CPU", "memory": "the head's memory", "accelerators": "the head's accelerators"}


def place(spec: TrainingJobSpec, config: Config) -> tuple[tuple[Group, ...], PoolChoice] | Refusal:
    """The head's and the workers' group, the head first; or why they would never run."""
    resources = spec.resources
    pool = choose(config, resources.pool, "spec.resources.pool")
    if isinstance(pool, Refusal):
        return pool
    hosts = pool.accelerator.hosts if pool.accelerator and resources.accelerators_per_worker else 1
    workers = Group(
        "worker",
        resources.workers,
        pool,
        resources.cpus_per_worker,
        resources.memory_per_worker,
        resources.accelerators_per_worker,
        hosts,
    )
    memory = HEAD_MEMORY if spec.recipe is not None else HEAD_MEMORY_OF_PROGRAM
    head = Group("head", 1, _head_pool(pool, config), HEAD_CPU, memory)
    refusal = workers.misfit(_WORKER_FIELDS) or _misshapen(resources, pool) or head.misfit(_HEAD_FIELDS)
    if refusal is not None:
        return refusal
    reason = "named by spec.resources.pool" if resources.pool else "the first row of the price table"
    return (head, workers), PoolChoice(name=pool.name, reason=reason)


def _head_pool(pool: Pool, config: Config) -> Pool:
    """The head needs no accelerator, and must not keep a node that has one from others."""
    if pool.accelerator is None:
        return pool
    return next((row for row in config.pools if row.accelerator is None), pool)


def _misshapen(resources: Resources, pool: Pool) -> Refusal | None:
    accelerator = pool.accelerator
    if resources.topology and (accelerator is None or accelerator.topology != resources.topology):
        has = accelerator.topology if accelerator and accelerator.topology else "none"
        return Refusal(
            Reason.TOPOLOGY_MISMATCH,
            f"spec.resources.topology is {resources.topology}, and the topology of pool {pool.name} is {has}. "
            f"Name a pool with that topology, or leave topology out.",
        )
    if not resources.accelerators_per_worker or accelerator is None or accelerator.resource != TPU:
        return None
    if resources.workers % accelerator.hosts:
        return Refusal(
            Reason.TOPOLOGY_MISMATCH,
            f"spec.resources.workers is {resources.workers}, and a slice of pool {pool.name} has {accelerator.hosts} "
            f"hosts, each with one worker: set workers to a multiple of {accelerator.hosts}.",
        )
    return None
