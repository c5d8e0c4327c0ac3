"""The Ray cluster of the job: joining it, and how a job's resources become Ray's."""

from __future__ import annotations

import logging
import math
import os
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tradewind.api.placement import Resources

_PLACES = ("TRADEWIND_JOB_FILE", "TRADEWIND_MOUNT", "TRADEWIND_PVC_ROOT")
_SUFFIXES = {"m": Decimal("0.001"), "": Decimal(1), "k": Decimal(1000)}


def connect(workers: int) -> None:
    """Join the cluster that this program was submitted to; without one, start one on this machine."""
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
    logging.getLogger("ray.data").setLevel(logging.ERROR)  # it warns of every moment without a free CPU
    logging.getLogger("ray.train").setLevel(logging.WARNING)


def cpus(quantity: str) -> Decimal:
    """A Kubernetes CPU quantity in CPUs."""
    suffix = quantity.lstrip("0123456789.")
    if suffix not in _SUFFIXES:
        return Decimal(1)
    return Decimal(quantity.removesuffix(suffix) if suffix else quantity) * _SUFFIXES[suffix]


def processes(workers: int, resources: Resources) -> int:
    """Training processes: one a worker, or one an accelerator."""
    return workers * max(1, resources.accelerators)


def threads(resources: Resources) -> int:
    """CPU threads of a training process: the whole CPUs of its share, at least one."""
    return max(1, math.floor(cpus(resources.cpu)) // max(1, resources.accelerators))


def scaling(workers: int, resources: Resources) -> Any:
    """Ray Train's ScalingConfig: a process a worker pod, or a process an accelerator."""
    from ray.train import ScalingConfig

    accelerators = resources.accelerators
    each = {"CPU": float(threads(resources)) if accelerators <= 1 else 1.0 / accelerators}
    if accelerators:
        each["GPU"] = 1.0
    return ScalingConfig(
        num_workers=processes(workers, resources),
        use_gpu=bool(accelerators),
        resources_per_worker=each,
        placement_strategy="SPREAD" if not accelerators else "PACK",
    )
