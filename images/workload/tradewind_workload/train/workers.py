"""The workers of a training: an actor of Ray for each process, spread over the pods of the job."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import RayActorError
from ray.util import get_node_ip_address
from ray.util.placement_group import placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from tradewind_workload.io.fault import Fault, Superseded, causes
from tradewind_workload.train.place import Member

if TYPE_CHECKING:
    from collections.abc import Callable

# When a process dies, the others may say so first, in the words of a broken connection.
_SECONDS_FOR_THE_CAUSE = 2


def train(
    worker: Callable[[dict[str, Any]], None], config: dict[str, Any], *, world: int, each: dict[str, float]
) -> None:
    """Run the function in `world` processes with `each` of Ray's resources, and wait.

    A worker finds its `Member` in the configuration as "member". What the first of them raises is raised, as it came
    from Ray, and ends the others.
    """
    group = placement_group([each] * world, strategy="PACK" if "GPU" in each else "SPREAD")
    actors = [
        Worker.options(  # type: ignore[attr-defined] # of the actor that Ray's decorator makes of the class
            num_cpus=each["CPU"],
            num_gpus=each.get("GPU", 0),
            scheduling_strategy=PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=rank),
        ).remote()
        for rank in range(world)
    ]
    try:
        meeting = actors[0].invite.remote() if world > 1 else None
        shared = ray.put(config)
        _wait([actor.run.remote(worker, shared, rank, world, meeting) for rank, actor in enumerate(actors)])
    finally:
        for actor in actors:
            ray.kill(actor)
        remove_placement_group(group)


@ray.remote
class Worker:
    """One process of a training; what it prints has this name before it in the driver's log."""

    def __init__(self) -> None:
        self._door: socket.socket | None = None

    def invite(self) -> tuple[str, int]:
        """Where the others find this one. The port is open from now on, so nobody else can have it meanwhile."""
        host = get_node_ip_address()
        self._door = socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        return host, self._door.getsockname()[1]

    def run(
        self,
        worker: Callable[[dict[str, Any]], None],
        config: dict[str, Any],
        rank: int,
        world: int,
        meeting: tuple[str, int] | None,
    ) -> None:
        """Run the function, as the `Member` that it is."""
        door = self._door.detach() if self._door is not None else None
        worker({**config, "member": Member(rank, world, meeting, door, gpu=bool(ray.get_gpu_ids()))})


def _wait(running: list[Any]) -> None:
    while running:
        done, running = ray.wait(running)
        if (error := _error(done[0])) is not None:
            if not any(isinstance(cause, Fault | Superseded) for cause in causes(error)):
                more, _ = (
                    ray.wait(running, num_returns=len(running), timeout=_SECONDS_FOR_THE_CAUSE) if running else ([], [])
                )
                error = next((found for found in map(_error, more) if isinstance(found, RayActorError)), error)
            raise error


def _error(ended: Any) -> Exception | None:
    try:
        ray.get(ended)
    except Exception as error:  # noqa: BLE001 -- whatever it is, the caller raises it
        return error
    return None
