"""A model of KServe's kind on ONNX Runtime: loading with every check, a first trial, and inference beside the event
loop."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnxruntime
from kserve.model import BaseKServeModel
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidArgument, RuntimeException

from tradewind.api.artefact import SAMPLES, Manifest, Samples, Tensor
from tradewind_server import folder, metrics, samples, session, warmup
from tradewind_server.folder import Unservable
from tradewind_server.processing import Processing
from tradewind_server.refusal import BadRequest, Failed, Unavailable, raise_limit
from tradewind_server.session import sentence
from tradewind_server.tensors import Array, TensorSpec, check_axes
from tradewind_server.unused import Unused

log = logging.getLogger(__name__)

# What the answers of a model with a manifest stand on: of no number, a label would be that of some class all the same.
GROUNDS = ("probabilities", "prediction")


@dataclass(frozen=True)
class Limits:
    """What a replica takes: rows of a request, requests that wait, pixels of a picture."""

    rows: int = 4096
    queue: int = 128
    pixels: int = 50_000_000


class OnnxModel(BaseKServeModel):  # type: ignore[misc]  # kserve carries no types
    """One ONNX model. Ready only after it was read, checked and loaded, and answers its golden samples as it should."""

    def __init__(self, name: str, model_dir: Path, digest: str | None, threads: int, limits: Limits) -> None:
        super().__init__(name)
        self.model_dir = model_dir
        self.expected_digest = digest or None
        self.threads = threads
        self.limits = limits
        self.parts = metrics.Parts(name)
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
        self._session: onnxruntime.InferenceSession = None
        # One run a CPU: ONNX Runtime shares its own threads among them. They never hold up the event loop.
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="inference")
        self._waiting = 0
        self._mean_seconds = 0.0

    def load(self) -> bool:
        """Reads, checks, loads and tries the model. Raises Unservable with what to do about it."""
        started = time.perf_counter()
        artefact = folder.read(self.model_dir, self.expected_digest)
        self._session = session.opened(artefact, self.threads)
        self.digest, self.manifest = artefact.digest, artefact.manifest
        self.providers = self._session.get_providers()
        self.inputs = {spec.name: spec for spec in session.specs(self._session.get_inputs(), "input")}
        self.outputs = {spec.name: spec for spec in session.specs(self._session.get_outputs(), "output")}
        if not self.inputs:
            raise Unservable(f"{artefact.path} takes no input: there would be nothing to ask it")
        if self.manifest:
            _check_manifest(self.manifest, self.inputs, self.outputs)
            graph = _as_users_know(self.inputs, self.manifest.inputs)
            self._processing = Processing(self.manifest, artefact.processors, graph, self.limits.pixels)
            self.inputs = self._processing.inputs
            self.unused = Unused({column.name: column.why for column in self.manifest.unused})
            self.outputs = _as_users_know(self.outputs, self.manifest.outputs)
            self._grounds = tuple(
                name for name in GROUNDS if name in self.outputs and self.outputs[name].dtype.kind == "f"
            )
        if artefact.samples is not None:
            self.samples = samples.read(artefact.samples, listed=self.manifest is not None)
        tried = self._try()
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
                "inputs": [f"{spec.name} {spec.datatype} {spec.shape}" for spec in self.inputs.values()],
                "seconds": round(time.perf_counter() - started, 2),
            },
        )
        self.loaded = True
        if not self._stopped:  # last: who finds it ready also finds it described, in the log and the metrics
            self.ready, self.reason = True, ""
        return True

    async def load_beside(self) -> None:
        """Loads in a thread of the model's own: the event loop's would hold up a SIGTERM until the model is loaded."""
        await asyncio.get_running_loop().run_in_executor(self._pool, self.load)

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

        Raises BadRequest if the model can't take these values or has no answer for them, Unavailable if too many wait,
        Failed if it fails for another reason.
        """
        if self._waiting >= self.limits.queue + self.threads:
            seconds = self._mean_seconds * self._waiting / self.threads
            raise Unavailable(
                f"{self._waiting} requests wait already: ask again later{raise_limit('maxQueue')}",
                max(1, min(30, round(seconds))),
            )
        if len(self.inputs) > 1:
            check_axes(self.inputs.values(), feeds)
        self._processing.check_size(feeds)
        asked = [*wanted, *(name for name in self._grounds if name not in wanted)]
        self._waiting += 1
        metrics.WAITING.set(self._waiting)
        try:
            outputs, seconds = await asyncio.get_running_loop().run_in_executor(
                self._pool, self._run, feeds, asked, time.perf_counter()
            )
        finally:
            self._waiting -= 1
            metrics.WAITING.set(self._waiting)
        self._mean_seconds += 0.1 * (seconds - self._mean_seconds)
        for name, output in zip(asked, outputs, strict=True):
            if name in self._grounds:
                _require_numbers(name, output)
        return outputs[: len(wanted)]

    def _run(self, feeds: dict[str, Array], wanted: Sequence[str], asked: float) -> tuple[list[Array], float]:
        """The outputs, and the seconds that the request had a thread."""
        taken = time.perf_counter()
        tensors = self._processing(feeds)
        started = time.perf_counter()
        try:
            outputs: list[Array] = self._session.run(wanted, tensors)
        except (InvalidArgument, RuntimeException, Fail) as error:
            # The model was loaded, so a node that fails does so for these values: an index out of range, or sizes of
            # open axes that don't go together. Not so if memory is short.
            said = sentence(error)
            if "alloc" in said.lower() or "memory" in said.lower():
                log.error("out of memory: %s", said)
                raise Failed("the model ran out of memory: send fewer rows") from None
            raise BadRequest(f"the model can't take these values: {said}") from None
        except Exception as error:  # noqa: BLE001 -- ONNX Runtime's errors have no base of their own
            log.error("inference failed: %s", sentence(error))
            raise Failed("the model failed: see the server's log") from None
        ended = time.perf_counter()
        metrics.INFERENCE_SECONDS.labels(self.name).observe(ended - started)
        self.parts.add("queue", taken - asked)
        self.parts.add("process", started - taken)
        self.parts.add("model", ended - started)
        return outputs, ended - taken

    def _try(self) -> str:
        """Asks the model before any client does: golden samples, or zeros. Returns which of them it has answered.

        Raises Unservable where it answers its samples otherwise than when it was stored.
        """
        if self.samples is not None:
            self._check_labels(samples.replay(self.samples, self.inputs, self._answer))
            return "samples"
        error: Exception | None = None
        for feeds in warmup.guesses(list(self.inputs.values())):
            try:
                outputs = self._answer(feeds)
                break
            except BadRequest as failure:
                error = failure
        else:
            log.warning(
                "%s could not be tried before its first request, and is served as it is: %s. To have it tried, put %s"
                ' beside it, {"instances": [...]} with rows as a request has them, and give the folder in storageUri',
                self.name,
                error or "zeros of any size would be too large",
                SAMPLES,
            )
            return "nothing"
        self._check_labels(outputs)
        self._try_two_rows(feeds)
        return "zeros"

    def _answer(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """All outputs, by name. Raises BadRequest in ONNX Runtime's words."""
        tensors = self._processing(feeds)
        quiet = onnxruntime.RunOptions()
        quiet.log_severity_level = 4  # a guess that fails is no error for the log
        try:
            return dict(zip(self.outputs, self._session.run(list(self.outputs), tensors, quiet), strict=True))
        except Exception as error:  # noqa: BLE001 -- as in _run
            raise BadRequest(sentence(error)) from None

    def _check_labels(self, outputs: Mapping[str, Array]) -> None:
        for name in ("probabilities", "labels"):
            found = outputs.get(name)
            if name == "labels" and found is not None and found.dtype != np.bool_:
                continue  # an output of another model, which only has the name
            if self.labels and found is not None and found.shape[-1:] != (len(self.labels),):
                raise Unservable(f"model.json names {len(self.labels)} labels, but {name} have the shape {found.shape}")

    def _try_two_rows(self, feeds: Mapping[str, Array]) -> None:
        """An export with a fixed number of rows may hide it."""
        if not all(spec.axes and isinstance(spec.axes[0], str) for spec in self.inputs.values()):
            return
        try:
            self._answer({name: np.concatenate([array, array]) for name, array in feeds.items()})
        except BadRequest as failure:
            log.warning("the model answers one row, but not two, though it declares any number: %s", failure)


def _require_numbers(name: str, output: Array) -> None:
    """Refuses values from which the model gives no finite number, such as NaN, or what overflows on the way."""
    finite = np.isfinite(output)
    if not finite.all():
        raise BadRequest(
            f"the model has no answer for row {int(np.argwhere(~finite)[0][0])}: its {name} are not finite there. A"
            " value of that row is NaN or infinite, or far larger than any that the model was trained on: correct it"
        )


def _check_manifest(manifest: Manifest, inputs: dict[str, TensorSpec], outputs: dict[str, TensorSpec]) -> None:
    plain = [tensor for tensor in manifest.inputs if not tensor.processor]
    for declared, found in ((plain, inputs), (manifest.outputs, outputs)):
        for tensor in declared:
            spec = found.get(tensor.name)
            if spec is None or spec.datatype != tensor.datatype or len(spec.shape) != len(tensor.shape):
                has = f"{spec.datatype} {spec.shape}" if spec else f"only {', '.join(found)}"
                says = f"{tensor.datatype} {list(tensor.shape)}"
                raise Unservable(f"model.json declares {tensor.name!r} as {says}, but the model has {has}")
            if tensor.columns and (
                len(spec.axes) != 2 or (isinstance(spec.axes[1], int) and spec.axes[1] != len(tensor.columns))
            ):
                raise Unservable(
                    f"model.json names {len(tensor.columns)} columns of {tensor.name!r}, but the model has {spec.shape}"
                )


def _as_users_know(specs: dict[str, TensorSpec], declared: Sequence[Tensor]) -> dict[str, TensorSpec]:
    """With the columns, kinds and units of the manifest."""
    known = {tensor.name: tensor for tensor in declared}
    return {
        name: replace(spec, columns=found.columns, nullable=found.nullable, kind=found.kind, unit=found.unit)
        if (found := known.get(name))
        else spec
        for name, spec in specs.items()
    }


def expected_digest() -> str | None:
    """Digest that was accepted, as the operator passes it."""
    return os.environ.get("TRADEWIND_MODEL_DIGEST") or None
