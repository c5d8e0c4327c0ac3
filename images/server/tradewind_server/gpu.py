"""A model on a GPU: opened, and asked in few shapes.

A shape that the GPU has not seen yet costs cuDNN tens of milliseconds in each convolution's search of an algorithm, and
a run's kernels are launched one by one. So rows are filled up to a few sizes, of which each is tried before the model
serves; and where all of a model runs on the GPU, its launches are recorded once for each size (a CUDA graph) and
replayed, which on an H100 made a small network's answer 1.3 to 3 times as fast (docs/gpu.md).
"""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import onnxruntime
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument

from tradewind_server.errors import sentence
from tradewind_server.folder import Unservable
from tradewind_server.hardware import gpus
from tradewind_server.tensors import Array

log = logging.getLogger(__name__)

PROVIDER = "CUDAExecutionProvider"
_CUDA = re.compile(r"CUDA failure \d+: [^;]*[^; ]")  # in ONNX Runtime's words, between those of its source
_GRAPH_ID = "gpu_graph_id"
_NO_GRAPH = "-1"  # a run with this one is neither recorded nor replayed
_LARGEST_GRAPH = 256  # rows; each graph keeps memory of the GPU


def opened(model: bytes, options: onnxruntime.SessionOptions, memory: int | None = None) -> OnGpu:
    """The model on the GPU, of which it may take `memory` bytes, or all. Raises Unservable without one, else ONNX
    Runtime's errors."""
    if PROVIDER not in onnxruntime.get_available_providers():
        raise Unservable(
            "a GPU is asked for, and the ONNX Runtime of this image is built for CPUs only: name an image with"
            " onnxruntime-gpu as images.serverGpu in the operator's configuration, or leave out"
            " spec.resources.accelerators"
        )
    settings = {
        # TF32 keeps 10 bits of each factor: the model would answer otherwise than it was judged.
        "use_tf32": "0",
        "cudnn_conv_algo_search": "HEURISTIC",
        "arena_extend_strategy": "kSameAsRequested",
    }
    if memory is not None:
        settings["gpu_mem_limit"] = str(memory)
    plain = partial(_session, model, options, settings)
    try:
        session = _session(model, options, settings | {"enable_cuda_graph": "1"})
    except Unservable:
        raise
    except Exception as error:  # noqa: BLE001 -- ONNX Runtime's errors have no base of their own
        log.info("no CUDA graphs: %s", sentence(error))
        return OnGpu(plain(), plain, recorded=False)
    if all(_is_fixed(node.shape) for node in session.get_inputs()):
        return OnGpu(session, plain, recorded=True)
    del session  # its memory
    return OnGpu(plain(), plain, recorded=False)


def _is_fixed(shape: Sequence[Any]) -> bool:
    """But for the rows."""
    return all(isinstance(axis, int) for axis in shape[1:])


def _session(
    model: bytes, options: onnxruntime.SessionOptions, settings: Mapping[str, str]
) -> onnxruntime.InferenceSession:
    providers = [(PROVIDER, dict(settings)), ("CPUExecutionProvider", {})]
    why = "it is built in and does not start"
    try:
        # Where its GPU fails, ONNX Runtime would go on with the CPU, and say so on the standard output alone.
        session = onnxruntime.InferenceSession(model, options, providers=providers, enable_fallback=0)
        if session.get_providers()[0] == PROVIDER:
            return session
    except RuntimeError as error:
        if (failure := _CUDA.search(str(error))) is None:
            raise
        why = failure[0]
    seen = gpus()
    raise Unservable(
        f"a GPU is asked for, and ONNX Runtime can't use one ({why}). "
        + (f"There is {seen}: " if seen else "The container has none: ")
        + "check the node's driver and device plugin, and that the image has CUDA 13 and cuDNN 9"
    )


@dataclass(frozen=True)
class _Recorded:
    """The buffers of a graph, which are always the same, by the names of inputs and outputs; and the graph's number."""

    binding: onnxruntime.IOBinding
    inputs: Mapping[str, onnxruntime.OrtValue]
    outputs: Mapping[str, onnxruntime.OrtValue]
    number: str


class OnGpu:
    """What ONNX Runtime's session is to one that asks it."""

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        plain: Callable[[], onnxruntime.InferenceSession],
        *,
        recorded: bool,
    ) -> None:
        """`recorded` is a session that records graphs, `plain` makes one that does not."""
        self._session = session
        self._plain = plain
        self._lock = threading.Lock()
        self._graphs: dict[tuple[tuple[int, ...], ...], _Recorded] | None = {} if recorded else None
        self._known: Mapping[str, Array] = {}
        self._names = [node.name for node in session.get_inputs()]
        self.get_inputs, self.get_outputs = session.get_inputs, session.get_outputs
        self.get_providers = session.get_providers
        # Rows up to which the sizes are powers of two; 1 where it is not known that rows do not change each other.
        self.largest = 1

    @property
    def workers(self) -> int | None:
        """Threads that may ask it at the same time, None for any: a graph is replayed by the thread that recorded."""
        return 1 if self._graphs is not None else None

    def run(
        self, wanted: Sequence[str], tensors: Mapping[str, Array], options: onnxruntime.RunOptions | None = None
    ) -> list[Array]:
        """As a session's. Ends the process where the GPU answers nothing any more."""
        filled, rows = self._filled(tensors)
        try:
            outputs = self._run(wanted, filled, options or onnxruntime.RunOptions())
        except Exception:
            self._require_alive()
            raise
        if not self._known:
            self._known = {name: array.copy() for name, array in tensors.items()}
        return outputs if rows is None else [array[:rows] for array in outputs]

    def _filled(self, tensors: Mapping[str, Array]) -> tuple[Mapping[str, Array], int | None]:
        """The rows with the last one again, up to one of a few sizes; and how many there were, if some were added."""
        sizes = {len(array) if array.ndim else 0 for array in tensors.values()}
        if self.largest == 1 or len(sizes) != 1 or not (rows := sizes.pop()):
            return tensors, None
        more = size_for(rows, self.largest) - rows
        if not more:
            return tensors, None
        return {
            name: np.concatenate([array, np.repeat(array[-1:], more, axis=0)]) for name, array in tensors.items()
        }, rows

    def _run(self, wanted: Sequence[str], tensors: Mapping[str, Array], options: onnxruntime.RunOptions) -> list[Array]:
        if self._graphs is None:
            found: list[Array] = self._session.run(wanted, tensors, options)
            return found
        with self._lock:
            shapes = tuple(tensors[name].shape for name in self._names if name in tensors)
            if (graph := self._graphs.get(shapes)) is not None:
                try:
                    return self._replayed(graph, wanted, tensors, options)
                except InvalidArgument:
                    raise
                except Exception as error:  # noqa: BLE001 -- as above
                    # Such as an operator that asks the CPU in between, which shows only when it is recorded.
                    log.info("no CUDA graphs: %s", sentence(error))
                    self._session, self._graphs = self._plain(), None
                    return self._run(wanted, tensors, options)
            options.add_run_config_entry(_GRAPH_ID, _NO_GRAPH)
            rows = shapes[0][0] if shapes and shapes[0] else 0
            if not rows or rows & (rows - 1) or rows > _LARGEST_GRAPH:
                return list(self._session.run(wanted, tensors, options))
            names = [node.name for node in self.get_outputs()]
            every = dict(zip(names, self._session.run(names, tensors, options), strict=True))
            self._graphs[shapes] = self._recording(tensors, every)
            return [every[name] for name in wanted]

    def _recording(self, tensors: Mapping[str, Array], outputs: Mapping[str, Array]) -> _Recorded:
        binding = self._session.io_binding()
        inputs = {name: onnxruntime.OrtValue.ortvalue_from_numpy(array, "cuda", 0) for name, array in tensors.items()}
        room = {
            name: onnxruntime.OrtValue.ortvalue_from_shape_and_type(array.shape, array.dtype, "cuda", 0)
            for name, array in outputs.items()
        }
        for name, value in inputs.items():
            binding.bind_ortvalue_input(name, value)
        for name, value in room.items():
            binding.bind_ortvalue_output(name, value)
        assert self._graphs is not None
        return _Recorded(binding, inputs, room, str(len(self._graphs) + 1))

    def _replayed(
        self,
        graph: _Recorded,
        wanted: Sequence[str],
        tensors: Mapping[str, Array],
        options: onnxruntime.RunOptions,
    ) -> list[Array]:
        for name, value in graph.inputs.items():
            value.update_inplace(np.ascontiguousarray(tensors[name]))
        options.add_run_config_entry(_GRAPH_ID, graph.number)
        self._session.run_with_iobinding(graph.binding, options)
        return [graph.outputs[name].numpy() for name in wanted]

    def _require_alive(self) -> None:
        """After an error: one that leaves the GPU's context broken is an error of all that follow.

        A new process has a new context, so this one ends: Kubernetes starts the container again, and meanwhile no
        request is sent to it.
        """
        if not self._known:
            return
        try:
            self._run([node.name for node in self.get_outputs()], self._known, onnxruntime.RunOptions())
        except Exception as error:  # noqa: BLE001 -- as above
            log.critical("the GPU does not compute any more: %s", sentence(error))
            logging.shutdown()
            os._exit(1)


def size_for(rows: int, largest: int) -> int:
    """So many rows as are computed for these: a power of two, or a multiple of the largest."""
    if rows >= largest:
        return -(-rows // largest) * largest
    return 1 << (rows - 1).bit_length()
