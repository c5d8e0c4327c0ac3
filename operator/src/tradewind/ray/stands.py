"""Replicas to measure: containers beside the program, in which it starts one server after the other.

There are two seats, one for the baseline and one for a variant, which are asked by turns. Each is a container of its
own; where a replica has accelerators, which can't be in two containers, one container has both seats.

They are sidecars (of Kubernetes 1.29 and later): one that was killed for its memory is started anew, and the program
goes on with the next model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tradewind.api.config import Pool
from tradewind.api.placement import ServingResources
from tradewind.core.quantity import parse, times
from tradewind.core.security import CONTAINER_SECURITY
from tradewind.economics.pools import ON_GPU, as_replica

PORTS = (8991, 8992)  # a seat each
# Where the program finds them; the containers of a pod share their addresses.
ENV = {
    "name": "TRADEWIND_STANDS",
    "value": ",".join(f"http://127.0.0.1:{port}" for port in PORTS),
}


@dataclass(frozen=True, slots=True)
class Stands:
    """The containers with the seats of replicas."""

    image: str  # of the server
    replica: ServingResources
    pool: Pool

    @property
    def cpu(self) -> str:
        """CPU of all of them: who is not asked needs none, so both seats of one container share a replica's."""
        return times(len(self._seats), self.replica.cpu)

    @property
    def memory(self) -> str:
        """Memory of all of them: a replica's for each seat."""
        return times(len(PORTS), self.replica.memory)

    def containers(self, mounts: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """The sidecars, which find the models where `mounts` has the pod's claims."""
        return [
            {
                "name": name,
                "image": self.image,
                "imagePullPolicy": "IfNotPresent",
                "restartPolicy": "Always",
                "command": ["python", "-m", "tradewind_server.stand"],
                "args": [f"--port={port}" for port in ports],
                **self._environment(),
                "resources": self._resources(len(ports)),
                "securityContext": CONTAINER_SECURITY,
                "volumeMounts": [
                    {"name": f"tmp-{name}", "mountPath": "/tmp"},  # noqa: S108 -- an emptyDir of its own
                    *({**mount, "readOnly": True} for mount in mounts),
                ],
            }
            for name, ports in self._seats.items()
        ]

    def volumes(self) -> list[dict[str, Any]]:
        """What only they mount."""
        return [{"name": f"tmp-{name}", "emptyDir": {}} for name in self._seats]

    @property
    def _seats(self) -> dict[str, tuple[int, ...]]:
        """Ports of the seats, by container."""
        if self.replica.accelerators:
            return {"replicas": PORTS}
        return {"replica-a": PORTS[:1], "replica-b": PORTS[1:]}

    def _environment(self) -> dict[str, Any]:
        if not self.replica.accelerators:
            return {}
        # The container has the memory of both seats, and a server must not take what a replica would not have.
        memory = {"name": "TRADEWIND_MEMORY_BYTES", "value": str(int(parse(self.replica.memory)))}
        return {"env": [*({"name": name, "value": value} for name, value in ON_GPU.items()), memory]}

    def _resources(self, seats: int) -> dict[str, Any]:
        """As a replica of a ModelDeployment has them, with the memory of so many."""
        memory = times(seats, self.replica.memory)
        return as_replica(self.replica.model_copy(update={"memory": memory}), self.pool)
