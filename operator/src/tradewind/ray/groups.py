"""Groups of equal pods of a Ray cluster, and the pool that each runs on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from tradewind.api.config import Pool
from tradewind.core.plan import Refusal
from tradewind.core.quantity import added, canonical
from tradewind.economics import pools
from tradewind.economics.prices import share
from tradewind.ray.stands import Stands


@dataclass(frozen=True, slots=True)
class Group:
    """Equal pods on one pool."""

    role: str  # head or worker
    pods: int
    pool: Pool
    cpu: str
    memory: str
    accelerators: int = 0  # of a pod; where it has stands, they have them
    hosts: int = 1  # pods that make one replica: hosts of a TPU slice
    cpu_limit: str | None = None
    stands: Stands | None = None  # beside the container that has this CPU and memory

    @property
    def pod_cpu(self) -> str:
        """CPU of all containers of a pod."""
        return self.cpu if self.stands is None else added(self.cpu, self.stands.cpu)

    @property
    def pod_memory(self) -> str:
        """Memory of all containers of a pod."""
        return self.memory if self.stands is None else added(self.memory, self.stands.memory)

    @property
    def share(self) -> Decimal:
        """What of a node a pod takes."""
        return share(self.pool, self.pod_cpu, self.pod_memory, self.accelerators)

    def resources(self) -> dict[str, Any]:
        """The container's resources. There is no CPU limit unless asked for: throttling makes measured times lie."""
        requests: dict[str, Any] = {"cpu": canonical(self.cpu), "memory": canonical(self.memory)}
        limits: dict[str, Any] = {"memory": canonical(self.memory)}
        if self.cpu_limit is not None:
            limits["cpu"] = canonical(self.cpu_limit)
        if self.accelerators and self.pool.accelerator and self.stands is None:
            requests[self.pool.accelerator.resource] = str(self.accelerators)
            limits[self.pool.accelerator.resource] = str(self.accelerators)
        return {"requests": requests, "limits": limits}

    def scheduling(self) -> dict[str, Any]:
        """The pod's nodeSelector and tolerations."""
        return pools.scheduling(self.pool, self.accelerators)

    def misfit(self, fields: Mapping[str, str]) -> Refusal | None:
        """Why a pod of the group would never find a node, or None. `fields` names the spec's fields in the message."""
        return pools.misfit(self.pool, self.pod_cpu, self.pod_memory, self.accelerators, fields)
