"""A model in ONNX Runtime: how it is opened, what it declares, and its errors as sentences."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import onnxruntime

from tradewind_server import folder
from tradewind_server.folder import Artefact, Unservable
from tradewind_server.tensors import DATATYPES, TensorSpec

log = logging.getLogger(__name__)


def opened(artefact: Artefact, threads: int) -> onnxruntime.InferenceSession:
    """The model, on a GPU where there is one. Raises Unservable."""
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
        raise Unservable(f"{artefact.path} can't be loaded: {sentence(error)}{_advice(str(error))}") from error
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


def sentence(error: BaseException | None) -> str:
    """What ONNX Runtime says, without its prefix, file names and line ends, and not at any length."""
    text = " ".join(str(error).split()) or type(error).__name__
    text = text.rsplit("[ONNXRuntimeError] : ", 1)[-1]
    return text if len(text) <= 400 else text[:397] + "..."


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
