"""For programs of the user's own: forwards what they tell Ray Train to the TrainingJob's status.

An `entrypoint` has nothing to do for it: the callback is registered for every Ray Train run of the program.
`ray.train.report` is all that it takes; these metrics are understood besides, and the others are shown as they are:

- `progress`: share of the work done, 0 to 1; the time that is left is worked out from it;
- `step` (or `epoch`): number of the checkpoint that is reported with it.
"""

from __future__ import annotations

import json
import math
import os
import time
from pathlib import Path
from typing import Any

from ray.cloudpickle import register_pickle_by_value
from ray.train import UserCallback
from ray.train.v2._internal.callbacks.user_callback import UserCallbackHandler

import tradewind_workload
from tradewind_workload.io.fault import Fault
from tradewind_workload.io.files import write_atomically
from tradewind_workload.io.places import METRICS, Assignment, read_document
from tradewind_workload.io.reporter import Reporter, rfc3339
from tradewind_workload.programs.snapshots import keep

# Ray Train's controller gets the callback with its code: in an image of the user's own only this process can import it.
register_pickle_by_value(tradewind_workload)

LARGEST_INTEGER = 2**53 - 1  # as api.base has it
LEAST_SHARE = 1e-6  # of the work; the time that is left is not worked out from less


class TradewindCallback(UserCallback):
    """Made in the program's driver and sent to Ray Train's controller, which calls it."""

    def __init__(self) -> None:
        self._job = Assignment.of(read_document())
        self._mount = os.environ.get("TRADEWIND_MOUNT")
        self._root = os.environ.get("TRADEWIND_PVC_ROOT")
        self._started = time.time()
        self._reports = 0
        self._reporter: Reporter | None = None
        self._checkpoint: dict[str, Any] | None = None
        self._metrics: list[dict[str, str]] = []

    def after_report(self, run_context: Any, metrics: list[dict[str, Any]], checkpoint: Any | None) -> None:
        """Called when all workers have reported; the first worker's metrics are the ones shown."""
        if self._reporter is None:
            for name, value in (("TRADEWIND_MOUNT", self._mount), ("TRADEWIND_PVC_ROOT", self._root)):
                if value is not None:
                    os.environ.setdefault(name, value)
            self._reporter = Reporter(self._job)
        self._reports += 1
        told = metrics[0] if metrics else {}
        values = key_values(told)
        if checkpoint is not None:
            step = next((int(told[name]) for name in ("step", "epoch") if _is_number(told.get(name))), self._reports)
            step = min(max(0, step), LARGEST_INTEGER)
            self._checkpoint = {"step": step, "time": rfc3339()}
            keep(Path(str(checkpoint.path)).parent)
        self._metrics = values
        checkpoint_told = {"lastCheckpoint": self._checkpoint} if self._checkpoint is not None else {}
        self._reporter.progress({"trainerStatus": self._status(told, values), **checkpoint_told})

    def flush(self) -> None:
        """Send what is left, and leave the last metrics for the model's manifest."""
        if self._reporter is None:
            return
        self._reporter.close()
        self._reporter = None
        try:
            write_atomically(self._job.run_folder / METRICS, json.dumps(self._metrics).encode())
        except Fault as fault:  # what the program does must not fail by what is said of it
            print(f"metrics not written: {fault}", flush=True)

    def _status(self, told: dict[str, Any], values: list[dict[str, str]]) -> dict[str, Any]:
        status: dict[str, Any] = {"metrics": values, "lastUpdatedTime": rfc3339()}
        progress = told.get("progress")
        if not _is_number(progress):
            return status
        share = min(1.0, max(0.0, float(progress)))  # type: ignore[arg-type]
        left = round((time.time() - self._started) / share * (1 - share)) if share > LEAST_SHARE else None
        remaining = {"estimatedRemainingSeconds": left} if left is not None else {}
        return {**status, "progressPercentage": math.floor(100 * share), **remaining}


class Automatic(UserCallbackHandler):
    """The callback in the form that $RAY_TRAIN_CALLBACKS takes: Ray calls user callbacks of a RunConfig only."""

    def __init__(self) -> None:
        self._callback = TradewindCallback()
        super().__init__([self._callback], train_run_context=None)  # type: ignore[arg-type] # ours asks for none

    def before_worker_group_shutdown(self, worker_group: Any) -> None:
        """The controller ends next, and with it what was not sent yet."""
        self._callback.flush()


def key_values(metrics: dict[str, Any]) -> list[dict[str, str]]:
    """The numbers among the metrics, as decimal strings; at most 64 with names of at most 63 characters."""
    found = []
    for name, value in metrics.items():
        if not _is_number(value) or name == "progress" or len(str(name)) > 63:
            continue
        text = str(int(value)) if float(value).is_integer() else f"{float(value):.9f}".rstrip("0")
        if len(text) <= 63:
            found.append({"name": str(name), "value": text if not text.endswith(".") else text + "0"})
    return found[:64]


def _is_number(value: Any) -> bool:
    try:
        return not isinstance(value, bool | str) and math.isfinite(float(value))
    except (TypeError, ValueError):
        return False
