"""A model in ONNX Runtime: how it is opened, what it declares, and its errors as sentences."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import onnxruntime
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidArgument, RuntimeException

from tradewind_server import folder, gpu
from tradewind_server.errors import sentence
from tradewind_server.folder import Artefact, Unservable
from tradewind_server.refusal import BadRequest, Failed
from tradewind_server.tensors import DATATYPES, Array, TensorSpec

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Device:
    """What computes the model: the CPUs, or a GPU, of whose memory it may take so many bytes (None: all)."""

    gpu: bool = False
    memory: int | None = None


CPU = Device()


class Model(Protocol):
    """What is asked of ONNX Runtime's session."""

    def run(
        self, wanted: Sequence[str], tensors: Mapping[str, Array], options: onnxruntime.RunOptions | None = None
    ) -> list[Array]:
        """The outputs of these names, in that order. Raises ONNX Runtime's errors."""

    def get_inputs(self) -> Sequence[onnxruntime.NodeArg]:
        """As the graph declares them."""

    def get_outputs(self) -> Sequence[onnxruntime.NodeArg]:
        """As the graph declares them."""

    def get_providers(self) -> list[str]:
        """What computes it, the first one by preference."""


def opened(artefact: Artefact, threads: int, device: Device = CPU) -> Model:
    """The model on the CPU or the GPU. Raises Unservable."""
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
    try:
        if device.gpu:
            return gpu.opened(artefact.onnx, options, device.memory)
        session: Model = onnxruntime.InferenceSession(artefact.onnx, options, providers=["CPUExecutionProvider"])
        return session
    except Unservable:
        raise
    except Exception as error:
        outside = sorted(folder.external(artefact.onnx))
        if outside and artefact.weights is None:
            raise Unservable(
                f"{artefact.path} keeps its weights in other files ({', '.join(outside[:5])}):"
                " give the folder in storageUri, not the file"
            ) from error
        raise Unservable(f"{artefact.path} can't be loaded: {sentence(error)}{_advice(str(error))}") from error


def computed(model: Model, tensors: Mapping[str, Array], wanted: Sequence[str]) -> list[Array]:
    """The outputs of these names, in that order. Raises BadRequest if it can't take these values, else Failed."""
    try:
        outputs: list[Array] = model.run(wanted, tensors)
        return outputs
    except (InvalidArgument, RuntimeException, Fail) as error:
        # The model was loaded, so a node that fails does so for these values: an index out of range, or sizes of open
        # axes that don't go together. Not so if memory is short.
        said = sentence(error)
        if "alloc" in said.lower() or "memory" in said.lower():
            log.error("out of memory: %s", said)
            raise Failed("the model ran out of memory: send fewer rows") from None
        raise BadRequest(f"the model can't take these values: {said}") from None
    except Exception as error:  # noqa: BLE001 -- ONNX Runtime's errors have no base of their own
        log.error("inference failed: %s", sentence(error))
        raise Failed("the model failed: see the server's log") from None


def tried(
    model: Model,
    tensors: Mapping[str, Array],
    wanted: Sequence[str],
    longest: float | None = None,
) -> dict[str, Array]:
    """The outputs by name, for what may well be no input of the model. Raises BadRequest in ONNX Runtime's words.

    After the `longest` time, in seconds, the run is ended, which is such an error too.
    """
    return _tried(model, tensors, wanted, onnxruntime.RunOptions(), longest)


def let_go(model: Model, tensors: Mapping[str, Array], wanted: Sequence[str], longest: float) -> None:
    """Gives memory back that larger runs have left; for that the model is asked once more. Raises BadRequest."""
    options = onnxruntime.RunOptions()
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    _tried(model, tensors, wanted, options, longest)


def _tried(
    model: Model,
    tensors: Mapping[str, Array],
    wanted: Sequence[str],
    options: onnxruntime.RunOptions,
    longest: float | None,
) -> dict[str, Array]:
    options.log_severity_level = 4  # a guess that fails is no error for the log
    try:
        with _ended_after(longest, options):
            return dict(zip(wanted, model.run(wanted, tensors, options), strict=True))
    except Exception as error:  # noqa: BLE001 -- as above
        raise BadRequest(sentence(error)) from None


@contextmanager
def _ended_after(longest: float | None, options: onnxruntime.RunOptions) -> Iterator[None]:
    """Within it, a run with these options ends with an error when it has taken so many seconds."""
    if longest is None:
        yield
        return
    ending = threading.Timer(longest, setattr, (options, "terminate", True))
    ending.daemon = True
    ending.start()
    try:
        yield
    finally:
        ending.cancel()


def _advice(text: str) -> str:
    if "External data" in text:
        return ". Weights outside of the file must lie in the same folder"
    if "not a registered function/op" in text or "No opset import" in text or "custom" in text.lower():
        return ". Only operators of ONNX and ONNX Runtime are served; custom ones would be foreign code"
    if "IR version" in text or "opset" in text.lower():
        return f". Export it for ONNX Runtime {onnxruntime.__version__}"
    return ""


def specs(nodes: Sequence[onnxruntime.NodeArg], what: str) -> list[TensorSpec]:
    """Inputs or outputs as the graph declares them. Raises Unservable."""
    found = []
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
        found.append(TensorSpec(node.name, DATATYPES[node.type], axes))
    return found
