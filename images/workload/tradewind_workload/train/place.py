"""Where a job runs: on the Ray cluster around it (train.onray), or alone, in this very process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from tradewind_workload.data.work import Here
from tradewind_workload.io.fault import Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from tradewind.api.report import JobDocument
    from tradewind.api.trainingjob import TrainingJobSpec
    from tradewind_workload.data.work import Work


class Told(Protocol):
    """Who hears how a job goes; see io.reporter.Reporter."""

    def progress(self, report: dict[str, Any]) -> None:
        """A report on the way. Never blocks, never fails."""

    def final(self, report: dict[str, Any]) -> None:
        """The last report, which must arrive."""

    def close(self) -> None:
        """No further report comes from here."""


class Place(Protocol):
    """What a job needs of where it runs."""

    def start(self, workers: int) -> Work:
        """Make ready for so many workers, and say where tables are worked on."""

    def processes(self, spec: TrainingJobSpec) -> int:
        """How many workers there are."""

    def train(self, worker: Callable[[dict[str, Any]], None], config: dict[str, Any], job: JobDocument) -> None:
        """Run the function in each worker, and wait. Raises Fault and Superseded as themselves.

        A worker finds in `config` what was given, and as "alone" the `Solo` of a worker that has no others, or as
        "member" the `Member` of one on a cluster.
        """


class Solo:
    """A worker without others."""

    def __init__(self, told: Told, device: str) -> None:
        self.told = told
        self.device = device  # of torch


@dataclass(frozen=True)
class Member:
    """A worker on a cluster."""

    rank: int
    world: int
    meeting: tuple[str, int] | None = None  # host and port of the first one, where there are several
    door: int | None = None  # of the first one: the socket that listens there
    gpu: bool = False  # whether it has one


class Alone:
    """One worker, in this process, with no Ray."""

    def __init__(self, told: Told) -> None:
        self._told = told

    def start(self, workers: int) -> Work:
        """See Place; it is one worker, whatever is asked for."""
        return Here()

    def processes(self, spec: TrainingJobSpec) -> int:
        """See Place."""
        return 1

    def train(self, worker: Callable[[dict[str, Any]], None], config: dict[str, Any], job: JobDocument) -> None:
        """See Place."""
        from tradewind_workload.io.document import training_spec

        worker({**config, "alone": Solo(self._told, _device(training_spec(job)))})


def _device(spec: TrainingJobSpec) -> str:
    if not spec.resources.accelerators:
        return "cpu"
    import torch

    if not torch.cuda.is_available():
        raise Fault(
            "NotSupported",
            f"spec.resources.accelerators is {spec.resources.accelerators}, and this machine has no GPU that torch can "
            "use: leave accelerators out to train on the CPU, or run it where there is one.",
        )
    return "cuda:0"
