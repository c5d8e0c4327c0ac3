"""Pools of the price table: which one a spec names, whether a pod fits its nodes, and what gets a pod onto them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING
from typing import Any

from tradewind.api.config import Config, Images, Pool
from tradewind.api.job import PoolChoice
from tradewind.api.placement import ServingResources
from tradewind.core.conditions import Reason
from tradewind.core.plan import Refusal
from tradewind.core.quantity import canonical, parse

TPU = "google.com/tpu"
TPU_TOPOLOGY = "cloud.google.com/gke-tpu-topology"
# Told to a server whose container has GPUs: it is not Ready where it can't compute on one, rather than use the CPU.
ON_GPU = {"TRADEWIND_DEVICE": "gpu"}


def scheduling(pool: Pool, accelerators: int) -> dict[str, Any]:
    """nodeSelector and tolerations of a pod on the pool; a TPU pod also selects the topology of its slice."""
    selector: dict[str, str] = dict(pool.node_selector)
    accelerator = pool.accelerator
    if accelerators and accelerator and accelerator.resource == TPU and accelerator.topology:
        selector.setdefault(TPU_TOPOLOGY, accelerator.topology)
    found: dict[str, Any] = {}
    if selector:
        found["nodeSelector"] = selector
    if pool.tolerations:
        found["tolerations"] = [toleration.dump() for toleration in pool.tolerations]
    return found


def as_replica(asked: ServingResources, pool: Pool) -> dict[str, Any]:
    """Requests and limits of a replica of a service, as Kubernetes writes them."""
    cpu, memory = canonical(asked.cpu), canonical(asked.memory)
    # Left out, KServe's webhook would set one CPU. Whole cores give the server whole threads and room for a burst.
    cores = str(int(parse(asked.cpu).to_integral_value(ROUND_CEILING)) or 1)
    limit = canonical(asked.cpu_limit or cores)
    requests, limits = {"cpu": cpu, "memory": memory}, {"cpu": limit, "memory": memory}
    if asked.accelerators and pool.accelerator:
        requests[pool.accelerator.resource] = limits[pool.accelerator.resource] = str(asked.accelerators)
    return {"requests": requests, "limits": limits}


@dataclass(frozen=True, slots=True)
class Chosen:
    """A pool of the price table, and why this one."""

    pool: Pool
    reason: str

    @property
    def choice(self) -> PoolChoice:
        """As the status says it."""
        return PoolChoice(name=self.pool.name, reason=self.reason)


def choose(config: Config, name: str | None, field: str, present: PoolChoice | None = None) -> Chosen | Refusal:
    """The pool that `field` of a spec names; without a name the one where the object runs already, else the default.

    What the price table chose stays when its rows move; what the spec named binds nobody once the spec names none.
    """
    named = f"named by {field}"
    stays = present if present is not None and name is None and present.reason != named else None
    pool = config.pool(stays.name if stays is not None else name)
    if pool is not None:
        default = stays.reason if stays is not None else "the default of the price table"
        return Chosen(pool, named if name is not None else default)
    known = ", ".join(row.name for row in config.pools)
    if stays is not None:
        return Refusal(
            Reason.POOL_NOT_FOUND,
            f"The pool {stays.name} that it runs on is not in the price table any more: put the row back into the "
            "operator's configuration.",
        )
    if name is None:
        return Refusal(
            Reason.POOL_NOT_FOUND,
            f"{field} names no pool, and no row of the price table has `default: true`. Set it to one of {known}, or "
            "mark a row of the operator's configuration.",
        )
    return Refusal(
        Reason.POOL_NOT_FOUND,
        f"{field}: the price table has no pool {name}. Choose one of {known}, "
        "or add a row to the operator's configuration.",
    )


def misshapen(pool: Pool, topology: str | None, field: str) -> Refusal | None:
    """Why pods of that topology would never find a slice of the pool, or None."""
    accelerator = pool.accelerator
    if topology is None or (accelerator is not None and accelerator.topology == topology):
        return None
    has = accelerator.topology if accelerator and accelerator.topology else "none"
    return Refusal(
        Reason.TOPOLOGY_MISMATCH,
        f"{field} is {topology}, and the topology of pool {pool.name} is {has}. "
        "Name a pool with that topology, or leave topology out.",
    )


def unservable(pool: Pool, accelerators: int, images: Images, field: str) -> Refusal | None:
    """Why no server can use a replica's accelerators of the pool, or None.

    Without this the server for CPUs would run beside them, and nobody would see it.
    """
    accelerator = pool.accelerator
    if not accelerators or accelerator is None:
        return None
    if accelerator.resource == TPU:
        return Refusal(
            Reason.NO_SERVER_FOR_ACCELERATOR,
            f"{field} is {accelerators}, and pool {pool.name} has TPUs ({accelerator.type}), which no server uses: "
            "leave it and the topology out, or name a pool with GPUs (nvidia.com/gpu).",
        )
    if images.server_gpu is None:
        return Refusal(
            Reason.NO_SERVER_FOR_ACCELERATOR,
            f"{field} is {accelerators}, and images.serverGpu of the operator's configuration, the server for GPUs, "
            f"is not set: set it, or leave {field} out, and CPUs are used.",
        )
    return None


def misfit(pool: Pool, cpu: str, memory: str, accelerators: int, fields: Mapping[str, str]) -> Refusal | None:
    """Why such a pod would never find a node of the pool, or None. `fields` names the spec's fields in the message."""
    accelerator = pool.accelerator
    if accelerators and accelerator is None:
        return Refusal(
            Reason.POOL_HAS_NO_ACCELERATOR,
            f"{fields['accelerators']} is {accelerators}, and the nodes of pool {pool.name} have no accelerator. "
            "Set it to 0 and leave the topology out, or name a pool that has one.",
        )
    if accelerators and accelerator is not None:
        if accelerators > accelerator.count:
            return Refusal(
                Reason.NOT_ENOUGH_ACCELERATORS,
                f"{fields['accelerators']} is {accelerators}, and a node of pool {pool.name} has {accelerator.count} "
                f"({accelerator.type}). Set it to {accelerator.count} at most, or name a pool whose nodes have more.",
            )
        if accelerator.resource == TPU and accelerators != accelerator.count:
            return Refusal(
                Reason.NOT_ENOUGH_ACCELERATORS,
                f"{fields['accelerators']} is {accelerators}, and a TPU host of pool {pool.name} is only given as a "
                f"whole: set it to {accelerator.count}.",
            )
    for what, asked, has in (("cpu", cpu, pool.node.cpu), ("memory", memory, pool.node.memory)):
        if parse(asked) > parse(has):
            return Refusal(
                Reason.NODE_TOO_SMALL,
                f"{fields[what]} is {asked}, and a node of pool {pool.name} has {has}. "
                "Ask for less, or name a larger pool.",
            )
    return None
