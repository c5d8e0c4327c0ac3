"""8-bit integers by ONNX Runtime's quantizer; the preparation and the outputs stay in 32-bit floats."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

_STATIC = ["Conv", "Gemm", "MatMul", "MaxPool", "Relu", "Flatten", "Reshape"]


def dynamic_int8(model: bytes, *, reduce_range: bool) -> bytes:
    """Weights of the fully connected layers in 8 bits, one scale per channel; activations in 8 bits at each request.

    Convolutions stay in floats: ONNX Runtime's integer convolution is slower than its float one, and takes no signed
    weights.
    """
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "in.onnx"), Path(folder, "out.onnx")
        source.write_bytes(model)
        with _Quiet():
            quantize_dynamic(
                source,
                target,
                op_types_to_quantize=["MatMul"],
                per_channel=True,
                reduce_range=reduce_range,
                weight_type=QuantType.QInt8,
            )
        return _tidy(target)


def static_int8(model: bytes, calibration: np.ndarray, *, reduce_range: bool) -> bytes:
    """Weights and activations in 8 bits; the ranges come from these raw rows, float32 [n, *row shape]."""
    graph = onnx.load_from_string(model).graph
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "in.onnx"), Path(folder, "out.onnx")
        source.write_bytes(model)
        with _Quiet():
            quantize_static(
                source,
                target,
                _Rows(graph.input[0].name, calibration),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=_STATIC,
                per_channel=True,
                reduce_range=reduce_range,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
            )
        return _tidy(target)


def _float_outputs(graph: Any) -> None:
    """Take the logits as the last layer computes them: to round them to 8 bits costs time and blurs probabilities."""
    made_by = {output: node for node in graph.node for output in node.output}
    for node in graph.node:
        if node.op_type not in {"Softmax", "ArgMax"}:
            continue
        back = made_by.get(node.input[0])
        there = made_by.get(back.input[0]) if back is not None and back.op_type == "DequantizeLinear" else None
        if there is not None and there.op_type == "QuantizeLinear":
            node.input[0] = there.input[0]
    while dead := [node for node in graph.node if not _used(graph).intersection(node.output)]:
        for node in dead:
            graph.node.remove(node)
    for constant in [constant for constant in graph.initializer if constant.name not in _used(graph)]:
        graph.initializer.remove(constant)


def _used(graph: Any) -> set[str]:
    return {name for node in graph.node for name in node.input} | {output.name for output in graph.output}


def _tidy(path: Path) -> bytes:
    """The file without what the quantizer says of itself (its version), as bytes that only depend on the model."""
    model = onnx.load(path)
    _float_outputs(model.graph)
    model.producer_name, model.producer_version = "tradewind", ""
    del model.metadata_props[:]
    return bytes(model.SerializeToString(deterministic=True))


class _Rows(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, name: str, rows: np.ndarray, batch: int = 64) -> None:
        self._batches: Iterator[dict[str, np.ndarray]] = iter(
            [{name: rows[start : start + batch]} for start in range(0, len(rows), batch)]
        )

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._batches, None)


class _Quiet:
    """The quantizer logs advice about steps that these graphs have behind them."""

    def __enter__(self) -> None:
        self._before = logging.root.manager.disable
        logging.disable(logging.WARNING)

    def __exit__(self, *_: object) -> None:
        logging.disable(self._before)
