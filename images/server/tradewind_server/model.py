"""A model on ONNX Runtime: loading with every check, a first trial, and inference beside the event
loop."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ParamSpec, TypeVar

import numpy as np

from tradewind.api.artefact import Manifest, Samples
from tradewind_server import declared, folder, learning, metrics, samples, session
from tradewind_server.batching import Queue
from tradewind_server.cgroup import allowed_memory
from tradewind_server.folder import Unservable
from tradewind_server.gpu import OnGpu
from tradewind_server.learning import Learned, Room
from tradewind_server.pace import Pace
from tradewind_server.processing import Processing
from tradewind_server.refusal import BadRequest, Busy, Unavailable, raise_limit, shown
from tradewind_server.session import CPU, Device, Model
from tradewind_server.tensors import Array, TensorSpec, check_axes
from tradewind_server.trial import Trial
from tradewind_server.unused import Unused

log = logging.getLogger(__name__)

# What the answers of a model with a manifest stand on: of no number, a label would be that of some class all the same.
GROUNDS = ("probabilities", "prediction")
# Bytes of JSON that are read or written in a few milliseconds.
LARGE = 1 << 18
# Seconds of a run that is computed in the event loop's thread: to hand it over and back takes as long.
AT_ONCE = 1e-4

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Limits:
    """What a replica takes: rows of a request, requests that wait, pixels of a picture; rows that it may compute
    together, and seconds for which a request may have to wait."""

    rows: int = 4096
    queue: int = 64
    pixels: int = 50_000_000
    batch: int = 64
    wait: float = 1.0


class OnnxModel:
    """One ONNX model. Ready only after it was read, checked and loaded, and answers its golden samples as it should."""

    def __init__(
        self,
        name: str,
        model_dir: Path,
        digest: str | None,
        threads: int,
        limits: Limits,
        device: Device = CPU,
    ) -> None:
        self.name = name
        self.ready = False
        self.model_dir = model_dir
        self.expected_digest = digest or None
        self.threads = threads
        self.limits = limits
        self.device = device
        self.parts = metrics.Parts(name)
        metrics.waiting(lambda: self._waiting)
        self.reason = "the model is being loaded"
        self.loaded = False
        self._stopped = False
        self.digest = ""
        self.manifest: Manifest | None = None
        self.samples: Samples | None = None
        self.inputs: dict[str, TensorSpec] = {}
        self.outputs: dict[str, TensorSpec] = {}
        self.unused = Unused({})
        self._grounds: tuple[str, ...] = ()
        self.providers: list[str] = []
        self._processing = Processing(None, {}, {}, limits.pixels)
        self._session: Model
        self._pool = _pool(1)
        self._beside = ThreadPoolExecutor(1, thread_name_prefix="beside")
        self._waiting = 0
        self._queue: Queue
        self._at_once = 0.0
        self.batching = Learned(1, "the model is being loaded", {})
        self.at_work: Callable[[], int] = lambda: 1  # requests that the server has begun with

    def load(self) -> None:
        """Reads, checks, loads and tries the model. Raises Unservable with what to do about it."""
        started = time.perf_counter()
        artefact = folder.read(self.model_dir, self.expected_digest)
        self._session = session.opened(artefact, self.threads, self.device)
        self.digest, self.manifest = artefact.digest, artefact.manifest
        self.providers = self._session.get_providers()
        self.inputs = {spec.name: spec for spec in session.specs(self._session.get_inputs(), "input")}
        graph = self.inputs
        self.outputs = {spec.name: spec for spec in session.specs(self._session.get_outputs(), "output")}
        if not self.inputs:
            raise Unservable(f"{artefact.path} takes no input: there would be nothing to ask it")
        if self.manifest:
            declared.check(self.manifest, self.inputs, self.outputs)
            graph = declared.as_users_know(self.inputs, self.manifest.inputs)
            self._processing = Processing(self.manifest, artefact.processors, graph, self.limits.pixels)
            self.inputs = self._processing.inputs
            self.unused = Unused({column.name: column.why for column in self.manifest.unused})
            self.outputs = declared.as_users_know(self.outputs, self.manifest.outputs)
            self._grounds = tuple(
                name for name in GROUNDS if name in self.outputs and self.outputs[name].dtype.kind == "f"
            )
        if artefact.samples is not None:
            self.samples = samples.read(artefact.samples, listed=self.manifest is not None)
        trial = Trial(self.name, self._session, self._processing, self.inputs, self.outputs, self.labels)
        tried, rows = trial.tried(self.samples)
        self.batching = self._learned(
            trial, rows, learning.obstacle(graph.values(), self.outputs.values(), artefact.onnx)
        )
        size, pace = self.batching.rows, Pace(self.batching.seconds)
        own = self._processing or self.device.gpu
        at_once = AT_ONCE if not own and learning.as_long_for_any_row(artefact.onnx) else 0.0
        workers = self.threads
        if isinstance(self._session, OnGpu):
            self._session.largest = size
            workers = self._session.workers or workers
        if workers > 1:  # else it is the thread that has loaded the model, which graphs of a GPU need
            self._pool = _pool(workers)
        self._queue = Queue(self._pool, workers, self._processing, self._compute, self.parts, size, pace)
        self._at_once = at_once
        metrics.describe(self.name, self.digest, self.manifest.task if self.manifest else "", self.providers[0], tried)
        log.info(
            "serving %s",
            self.name,
            extra={
                "model": self.name,
                "file": str(artefact.path),
                "digest": self.digest,
                "threads": self.threads,
                "providers": self.providers,
                "tried": tried,
                "batch": self.batching.rows,
                "batching": self.batching.why,
                "inputs": [f"{spec.name} {spec.datatype} {spec.shape}" for spec in self.inputs.values()],
                "seconds": round(time.perf_counter() - started, 2),
            },
        )
        self.loaded = True
        if not self._stopped:  # last: who finds it ready also finds it described, in the log and the metrics
            self.ready, self.reason = True, ""

    async def load_beside(self) -> None:
        """Loads in a thread of the model's own: the event loop's would hold up a SIGTERM until the model is loaded."""
        await asyncio.get_running_loop().run_in_executor(self._pool, self.load)

    def _learned(self, trial: Trial, rows: Mapping[str, Array] | None, obstacle: str | None) -> Learned:
        most = min(self.limits.batch, self.limits.rows)
        if most == 1:
            obstacle = "it is turned off"
        if rows is None:
            return Learned(1, obstacle or "no input is known to try it with", {})
        clock = learning.GPU if self.device.gpu else learning.CPU
        return trial.learned(rows, most, Room(self.threads, allowed_memory()), clock, obstacle)

    def stop(self) -> None:
        """Readiness off; requests that still come are answered."""
        self._stopped = True
        self.ready, self.reason = False, "the server is shutting down"

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes, by index; empty if the model has none."""
        return self.manifest.labels if self.manifest else ()

    async def infer(self, feeds: dict[str, Array], wanted: Sequence[str]) -> list[Array]:
        """The outputs `wanted`, in that order, for a value of every input.

        Raises BadRequest if the model can't take these values or has no answer for them, what `admit` raises, and
        Failed if it fails for another reason. Cancelled while it waits, it is not computed.
        """
        self.admit()
        if len(self.inputs) > 1:
            check_axes(self.inputs.values(), feeds)
        self._processing.check_size(feeds)
        asked = [*wanted, *(name for name in self._grounds if name not in wanted)]
        self._waiting += 1
        try:
            outputs = await self._queue.answer(feeds, asked, self._at_once, alone=self.at_work() <= 1)
        finally:
            self._waiting -= 1
        for name, output in zip(asked, outputs, strict=True):
            if name in self._grounds:
                _require_numbers(name, output)
        return outputs[: len(wanted)]

    async def beside(self, part: str, size: int, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What the function gives, which handles so many bytes for this part of a request: many in a thread, where they
        hold up nobody else's request or probe."""
        started = time.perf_counter()
        if size <= LARGE:
            found = function(*args, **kwargs)
        else:
            call = partial(function, *args, **kwargs)
            found = await asyncio.get_running_loop().run_in_executor(self._beside, call)
        self.parts.add(part, time.perf_counter() - started)
        return found

    def require_loaded(self) -> None:
        """Raises Unavailable while the model is being loaded."""
        if not self.loaded:
            raise Unavailable(f"model {shown(self.name)} is not ready: {self.reason}")

    def admit(self) -> None:
        """Raises Busy or Unavailable if a request that came now would wait too long, or with too many others, or until
        the model is loaded."""
        self.require_loaded()
        wait = self._queue.wait()
        later = max(1, min(30, math.ceil(wait)))
        if self._waiting >= self.limits.queue + self.threads:
            raise Unavailable(f"{self._waiting} requests wait already: ask again later{raise_limit('maxQueue')}", later)
        # One for each thread may wait behind those that run, however long these take.
        if wait > self.limits.wait and self._queue.waiting >= self.threads:
            raise Busy(
                f"a request would wait for {wait:.1f} s now, the limit is {self.limits.wait:g} s: ask again later, let"
                f" the ModelDeployment have more replicas{raise_limit('maxWaitMilliseconds')}",
                later,
            )

    def _compute(self, tensors: Mapping[str, Array], wanted: Sequence[str], rows: int) -> list[Array]:
        """The outputs of these names, in that order, for so many rows."""
        started = time.perf_counter()
        outputs = session.computed(self._session, tensors, wanted)
        metrics.INFERENCE_SECONDS.labels(self.name).observe(time.perf_counter() - started)
        metrics.BATCH_ROWS.labels(self.name).observe(rows)
        return outputs


def _pool(workers: int) -> ThreadPoolExecutor:
    """One run a CPU: ONNX Runtime shares its own threads among them. They never hold up the event loop."""
    return ThreadPoolExecutor(workers, thread_name_prefix="inference")


def _require_numbers(name: str, output: Array) -> None:
    """Refuses values from which the model gives no finite number, such as NaN, or what overflows on the way."""
    finite = np.isfinite(output)
    if not finite.all():
        raise BadRequest(
            f"the model has no answer for row {int(np.argwhere(~finite)[0][0])}: its {name} are not finite there. A"
            " value of that row is NaN or infinite, or far larger than any that the model was trained on: correct it"
        )


def expected_digest() -> str | None:
    """Digest that was accepted, as the operator passes it."""
    return os.environ.get("TRADEWIND_MODEL_DIGEST") or None
