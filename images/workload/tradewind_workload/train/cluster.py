"""The Ray cluster of the job: joining it, training on it, and how a job's resources become Ray's."""

from __future__ import annotations

import logging
import math
import os
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tradewind_workload.data.preparation import Room
from tradewind_workload.io.document import training_spec
from tradewind_workload.io.fault import Superseded, causes, fault_in
from tradewind_workload.io.files import make_folder, storage_fault
from tradewind_workload.io.places import checkpoint_folder, local_path
from tradewind_workload.io.retries import patiently

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tradewind.api.placement import Resources
    from tradewind.api.report import JobDocument
    from tradewind.api.trainingjob import TrainingJobSpec
    from tradewind_workload.data.work import Work

# Of a pod's memory, so much may be values of the tables; a part of the same size is in use in several forms.
HELD = 8

_PLACES = ("TRADEWIND_JOB_FILE", "TRADEWIND_MOUNT", "TRADEWIND_PVC_ROOT")
_SUFFIXES = {"m": Decimal("0.001"), "": Decimal(1)}
_SUFFIXES |= {name: Decimal(1000) ** power for power, name in enumerate("kMGTP", 1)}
_SUFFIXES |= {f"{name}i": Decimal(1024) ** power for power, name in enumerate("KMGTP", 1)}


def connect(workers: int) -> None:
    """Join the cluster that this program was submitted to; without one, start one on this machine."""
    # Where all slots are taken for a moment, Ray's autoscaler, which has no node to add, would advise in the log to add
    # some. What pods lack in truth the operator says.
    os.environ.setdefault("RAY_SCHEDULER_EVENTS", "0")
    import ray

    if ray.is_initialized():
        return
    settings: dict[str, Any] = {"logging_level": logging.WARNING, "log_to_driver": True}
    # Only where there is no pod: what this process was told of the places of its files, the others must know too.
    if told := {name: value for name, value in os.environ.items() if name in _PLACES}:
        settings["runtime_env"] = {"env_vars": told}
    if os.environ.get("RAY_ADDRESS"):
        ray.init(address="auto", **settings)
    else:
        ray.init(num_cpus=max(1, workers), include_dashboard=False, object_store_memory=200 * 1024**2, **settings)


def amount(quantity: str) -> Decimal:
    """A quantity of Kubernetes, in CPUs or bytes."""
    suffix = quantity.lstrip("0123456789.")
    return Decimal(quantity.removesuffix(suffix) if suffix else quantity) * _SUFFIXES[suffix]


def memory(resources: Resources) -> int:
    """Bytes of memory of a worker."""
    return int(amount(resources.memory))


def room(quantity: str, field: str, folder: Path, side: int) -> Room:
    """What a pod of that memory has for its rows, and the folder for those of a larger set; `field` names the memory.

    `side` are the pixels of the longer side of a picture.
    """
    return Room(int(amount(quantity)) // HELD, folder, f"1/{HELD} of {field}", field, side)


def processes(workers: int, resources: Resources) -> int:
    """Training processes: one a worker, or one an accelerator."""
    return workers * max(1, resources.accelerators)


def threads(resources: Resources) -> int:
    """CPU threads of a training process: the whole CPUs of its share, at least one."""
    return max(1, math.floor(amount(resources.cpu)) // max(1, resources.accelerators))


def share(resources: Resources) -> dict[str, float]:
    """What a training process takes of Ray's resources."""
    if not resources.accelerators:
        return {"CPU": float(threads(resources))}
    # Processes of one pod share its CPUs.
    cpus = float(threads(resources)) if resources.accelerators == 1 else 1.0 / resources.accelerators
    return {"CPU": cpus, "GPU": 1.0}


class Cluster:
    """See train.place.Place: as many workers as the spec says. Ray is imported when it starts."""

    def start(self, workers: int) -> Work:
        """Join the cluster."""
        from tradewind_workload.train.onray import OnRay

        connect(workers)
        return OnRay()

    def processes(self, spec: TrainingJobSpec) -> int:
        """See Place."""
        return processes(spec.workers, spec.resources)

    def train(self, worker: Callable[[dict[str, Any]], None], config: dict[str, Any], job: JobDocument) -> None:
        """See Place."""
        from tradewind_workload.train import workers

        spec = training_spec(job)
        checkpoints = checkpoint_folder(local_path(spec.output.storage_uri), job.uid)
        try:
            # A volume that nobody can write to shows now, and not after the first epoch.
            patiently(lambda: make_folder(checkpoints), checkpoints)
        except OSError as error:
            raise storage_fault(checkpoints, error) from None
        try:
            workers.train(worker, config, world=processes(spec.workers, spec.resources), each=share(spec.resources))
        except Exception as error:
            if (fault := fault_in(error)) is not None:
                raise fault from None
            if any(isinstance(cause, Superseded) for cause in causes(error)):
                raise Superseded("the operator has moved on") from None
            raise
