"""Groups of equal pods of a Ray cluster, and the pool that each runs on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from tradewind.api.config import Pool
from tradewind.core.plan import Refusal
from tradewind.core.quantity import canonical
from tradewind.economics import pools
from tradewind.economics.prices import per_hour


@dataclass(frozen=True, slots=True)
class Group:
    """Equal pods on one pool."""

    role: str  # head or worker
    pods: int
    pool: Pool
    cpu: str
    memory: str
    accelerators: int = 0
    hosts: int = 1  # pods that make one replica: hosts of a TPU slice
    cpu_limit: str | None = None

    @property
    def per_hour(self) -> Decimal | None:
        """Price of one pod an hour; None where the pool has none."""
        return per_hour(self.pool, self.cpu, self.memory, self.accelerators)

    def resources(self) -> dict[str, Any]:
        """The container's resources. There is no CPU limit unless asked for: throttling makes measured times lie."""
        requests: dict[str, Any] = {"cpu": canonical(self.cpu), "memory": canonical(self.memory)}
        limits: dict[str, Any] = {"memory": canonical(self.memory)}
        if self.cpu_limit is not None:
            limits["cpu"] = canonical(self.cpu_limit)
        if self.accelerators and self.pool.accelerator:
            requests[self.pool.accelerator.resource] = str(self.accelerators)
            limits[self.pool.accelerator.resource] = str(self.accelerators)
        return {"requests": requests, "limits": limits}

    def scheduling(self) -> dict[str, Any]:
        """The pod's nodeSelector and tolerations."""
        return pools.scheduling(self.pool, self.accelerators)

    def misfit(self, fields: Mapping[str, str]) -> Refusal | None:
        """Why a pod of the group would never find a node, or None. `fields` names the spec's fields in the message."""
        return pools.misfit(self.pool, self.cpu, self.memory, self.accelerators, fields)
