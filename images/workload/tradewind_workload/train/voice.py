"""The first worker's reports: after each epoch, and while an epoch is long."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from tradewind.api.base import KeyValue
from tradewind.api.job import CheckpointRecord, TrainerStatus
from tradewind.api.report import Report
from tradewind_workload.io.fault import Superseded
from tradewind_workload.io.reporter import Reporter, rfc3339
from tradewind_workload.train.judging import metric_of

if TYPE_CHECKING:
    from tradewind.api.report import JobDocument
    from tradewind_workload.train.place import Told


class Steps(Protocol):
    """A training that knows how far it is."""

    step: int  # that are done
    steps: int  # at most


class Voice:
    """Progress, numbers and the last checkpoint, once a second at most; to the operator, if nobody else is given."""

    def __init__(self, job: JobDocument, training: Steps, first_step: int = 0, told: Told | None = None) -> None:
        self._superseded = threading.Event()
        self._reporter = told or Reporter(job, on_superseded=self._superseded.set)
        self._training = training
        self._first = first_step
        self._started = time.monotonic()
        self._spoken = -1e9
        self._unsaid = False
        self._metrics: tuple[KeyValue, ...] = ()
        self._checkpoint: CheckpointRecord | None = None
        self.speak()

    def measured(self, epoch: int, loss: float, metric: str, value: float) -> None:
        """Numbers of a finished epoch, which the next report has, at once."""
        self.heard(**{metric: metric_of(value), "loss": metric_of(loss), "epoch": str(epoch)})
        self._spoken = -1e9

    def heard(self, **metrics: str) -> None:
        """Numbers that the next report has."""
        self._unsaid = True
        self._metrics = tuple(KeyValue(name=name, value=value) for name, value in metrics.items())

    def kept(self, step: int) -> None:
        """A checkpoint is on the disk, which the next report has, at once. Any thread may say so."""
        self._checkpoint = CheckpointRecord(step=step, time=rfc3339(datetime.now(UTC)))
        self._unsaid = True  # after the record: a report that takes this back has the record
        self._spoken = -1e9

    def speak(self) -> None:
        """Leave a report, if the last one is a second old. Raises Superseded where the operator has moved on."""
        if self._superseded.is_set():
            raise Superseded("the operator has moved on")
        now = time.monotonic()
        if now - self._spoken < 1.0:
            return
        self._spoken, self._unsaid = now, False
        step, steps = self._training.step, self._training.steps
        done = step - self._first
        remaining = round((now - self._started) / done * (steps - step)) if done else None
        # The last percent is the export's.
        status = TrainerStatus(
            progress_percentage=min(99, 100 * step // steps),
            estimated_remaining_seconds=remaining,
            metrics=self._metrics,
            last_updated_time=rfc3339(),
        )
        self._reporter.progress(Report(trainer_status=status, last_checkpoint=self._checkpoint).written())

    def close(self) -> None:
        """Send what is left, also of a training that was over within a second."""
        if self._unsaid:
            self._spoken = -1e9
            self.speak()
        self._reporter.close()
