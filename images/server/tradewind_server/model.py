"""A model of KServe's kind on ONNX Runtime: loading with every check, a first trial, and inference beside the event
loop."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
from kserve.model import BaseKServeModel
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidArgument, RuntimeException

from tradewind.api.artefact import SAMPLES, Manifest, Samples, Tensor
from tradewind_server import folder, metrics, samples, warmup
from tradewind_server.folder import Artefact, Unservable
from tradewind_server.refusal import BadRequest, Failed, Unavailable, raise_limit
from tradewind_server.tensors import DATATYPES, Array, TensorSpec, check_axes

log = logging.getLogger(__name__)


class OnnxModel(BaseKServeModel):  # type: ignore[misc]  # kserve carries no types
    """One ONNX model. Ready only after it was read, checked and loaded, and answers its golden samples as it should."""

    def __init__(
        self, name: str, model_dir: Path, digest: str | None, threads: int, max_queue: int, max_rows: int
    ) -> None:
        super().__init__(name)
        self.model_dir = model_dir
        self.expected_digest = digest or None
        self.threads = threads
        self.max_queue = max_queue
        self.max_rows = max_rows
        self.reason = "the model is being loaded"
        self.loaded = False
        self._stopped = False
        self.digest = ""
        self.manifest: Manifest | None = None
        self.samples: Samples | None = None
        self.inputs: dict[str, TensorSpec] = {}
        self.outputs: dict[str, TensorSpec] = {}
        self.providers: list[str] = []
        self._session: onnxruntime.InferenceSession = None
        # One run a CPU: ONNX Runtime shares its own threads among them. They never hold up the event loop.
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="inference")
        self._waiting = 0
        self._mean_seconds = 0.0

    def load(self) -> bool:
        """Reads, checks, loads and tries the model. Raises Unservable with what to do about it."""
        started = time.perf_counter()
        artefact = folder.read(self.model_dir, self.expected_digest)
        self._session = _session(artefact, self.threads)
        self.digest, self.manifest = artefact.digest, artefact.manifest
        self.providers = self._session.get_providers()
        self.inputs = {spec.name: spec for spec in _specs(self._session.get_inputs(), "input")}
        self.outputs = {spec.name: spec for spec in _specs(self._session.get_outputs(), "output")}
        if not self.inputs:
            raise Unservable(f"{artefact.path} takes no input: there would be nothing to ask it")
        if self.manifest:
            _check_manifest(self.manifest, self.inputs, self.outputs)
            self.inputs = _as_users_know(self.inputs, self.manifest.inputs)
            self.outputs = _as_users_know(self.outputs, self.manifest.outputs)
        if artefact.samples is not None:
            self.samples = samples.read(artefact.samples, listed=self.manifest is not None)
        tried = self._try()
        self.loaded = True
        if not self._stopped:
            self.ready, self.reason = True, ""
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

        Raises BadRequest if the model can't take these values, Unavailable if too many wait,
        Failed if it fails for another reason.
        """
        if self._waiting >= self.max_queue + self.threads:
            seconds = self._mean_seconds * self._waiting / self.threads
            raise Unavailable(
                f"{self._waiting} requests wait already: ask again later{raise_limit('maxQueue')}",
                max(1, min(30, round(seconds))),
            )
        if len(self.inputs) > 1:
            check_axes(self.inputs.values(), feeds)
        self._waiting += 1
        metrics.WAITING.set(self._waiting)
        try:
            outputs, seconds = await asyncio.get_running_loop().run_in_executor(self._pool, self._run, feeds, wanted)
        finally:
            self._waiting -= 1
            metrics.WAITING.set(self._waiting)
        self._mean_seconds += 0.1 * (seconds - self._mean_seconds)
        return outputs

    def _run(self, feeds: dict[str, Array], wanted: Sequence[str]) -> tuple[list[Array], float]:
        started = time.perf_counter()
        try:
            outputs: list[Array] = self._session.run(wanted, feeds)
        except (InvalidArgument, RuntimeException, Fail) as error:
            # The model was loaded, so a node that fails does so for these values: an index out of range, or sizes of
            # open axes that don't go together. Not so if memory is short.
            sentence = _sentence(error)
            if "alloc" in sentence.lower() or "memory" in sentence.lower():
                log.error("out of memory: %s", sentence)
                raise Failed("the model ran out of memory: send fewer rows") from None
            raise BadRequest(f"the model can't take these values: {sentence}") from None
        except Exception as error:  # noqa: BLE001 -- ONNX Runtime's errors have no base of their own
            log.error("inference failed: %s", _sentence(error))
            raise Failed("the model failed: see the server's log") from None
        seconds = time.perf_counter() - started
        metrics.INFERENCE_SECONDS.labels(self.name).observe(seconds)
        return outputs, seconds

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
        quiet = onnxruntime.RunOptions()
        quiet.log_severity_level = 4  # a guess that fails is no error for the log
        try:
            return dict(zip(self.outputs, self._session.run(list(self.outputs), dict(feeds), quiet), strict=True))
        except Exception as error:  # noqa: BLE001 -- as in _run
            raise BadRequest(_sentence(error)) from None

    def _check_labels(self, outputs: Mapping[str, Array]) -> None:
        found = outputs.get("probabilities")
        if self.labels and found is not None and found.shape[-1:] != (len(self.labels),):
            raise Unservable(
                f"model.json names {len(self.labels)} labels, but probabilities have the shape {found.shape}"
            )

    def _try_two_rows(self, feeds: Mapping[str, Array]) -> None:
        """An export with a fixed number of rows may hide it."""
        if not all(spec.axes and isinstance(spec.axes[0], str) for spec in self.inputs.values()):
            return
        try:
            self._answer({name: np.concatenate([array, array]) for name, array in feeds.items()})
        except BadRequest as failure:
            log.warning("the model answers one row, but not two, though it declares any number: %s", failure)


def _session(artefact: Artefact, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Waiting threads that spin would use up the quota of the control group.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if artefact.weights:
        # Weights beside the file; ONNX Runtime refuses any that lead out of this folder.
        options.add_session_config_entry(
            "session.model_external_initializers_file_folder_path", str(artefact.weights.resolve())
        )
    available = onnxruntime.get_available_providers()
    providers = [name for name in ("CUDAExecutionProvider", "CPUExecutionProvider") if name in available]
    try:
        session = onnxruntime.InferenceSession(artefact.onnx, options, providers=providers)
    except Exception as error:
        outside = sorted(folder.external(artefact.onnx))
        if outside and artefact.weights is None:
            raise Unservable(
                f"{artefact.path} keeps its weights in other files ({', '.join(outside[:5])}):"
                " give the folder in storageUri, not the file"
            ) from error
        raise Unservable(f"{artefact.path} can't be loaded: {_sentence(error)}{_advice(str(error))}") from error
    if session.get_providers()[0] != providers[0]:
        log.warning("%s is built in, but can't be used here: the model runs on the CPU", providers[0])
    return session


def _advice(text: str) -> str:
    if "External data" in text:
        return ". Weights outside of the file must lie in the same folder"
    if "not a registered function/op" in text or "No opset import" in text or "custom" in text.lower():
        return ". Only operators of ONNX and ONNX Runtime are served; custom ones would be foreign code"
    if "IR version" in text or "opset" in text.lower():
        return f". Export it for ONNX Runtime {onnxruntime.__version__}"
    return ""


def _sentence(error: BaseException | None) -> str:
    """What ONNX Runtime says, without its prefix, file names and line ends, and not at any length."""
    text = " ".join(str(error).split()) or type(error).__name__
    text = text.rsplit("[ONNXRuntimeError] : ", 1)[-1]
    return text if len(text) <= 400 else text[:397] + "..."


def _specs(nodes: Sequence[onnxruntime.NodeArg], what: str) -> list[TensorSpec]:
    specs = []
    for node in nodes:
        if node.type not in DATATYPES:
            hint = "; export it with zipmap=False" if "map(" in node.type else ""
            raise Unservable(
                f"{what} {node.name!r} is a {node.type}, which the Open Inference Protocol can't carry{hint}"
            )
        axes = tuple(
            axis if isinstance(axis, int) and axis >= 0 else axis if isinstance(axis, str) else ""
            for axis in node.shape
        )
        specs.append(TensorSpec(node.name, DATATYPES[node.type], axes))
    return specs


def _check_manifest(manifest: Manifest, inputs: dict[str, TensorSpec], outputs: dict[str, TensorSpec]) -> None:
    for declared, found in ((manifest.inputs, inputs), (manifest.outputs, outputs)):
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
