"""Ray Train's trainer, without the processes that a recipe has no use for."""

from __future__ import annotations

from ray.train.v2._internal.callbacks.datasets import DatasetsCallback
from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback
from ray.train.v2._internal.execution.callback import RayTrainCallback
from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

# Each is an actor in the head pod, 110 MB and 3 s of processor time while the workers start. The workers get their
# rows in their configuration, not as Ray Datasets; and no placement group outlives the cluster, which is the job's own.
_SPARE = (DatasetsCallback, PlacementGroupCleanerCallback)


class Trainer(DataParallelTrainer):
    """Runs a function on each worker.

    What TorchTrainer adds is the process group, and it imports torch for that in this process and in the controller:
    800 MB of a small head pod and 10 s of the start. The workers make the group themselves (process_group.py).
    """

    def _create_default_callbacks(self) -> list[RayTrainCallback]:
        made: list[RayTrainCallback] = super()._create_default_callbacks()
        return [callback for callback in made if not isinstance(callback, _SPARE)]
