"""quantize: 8-bit integers by ONNX Runtime's quantizer; the preparation and the outputs stay in 32-bit floats."""

from __future__ import annotations

import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static

from tradewind_workload.compress.methods import tables
from tradewind_workload.compress.methods.nodes import WEIGHTED, constants, quantised, without_spare, without_unused
from tradewind_workload.compress.model import Model

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Literal

    import numpy as np

    from tradewind_workload.compress.model import Context

# Beside the layers with weights, what ONNX Runtime computes on 8-bit integers as they come.
_STATIC = ("MaxPool", "Relu", "Flatten", "Reshape")
_STATIC_OF_CONVOLUTIONS = ("Add", "GlobalAveragePool", "AveragePool", "Concat")
_CALIBRATED = 64  # rows at once, fewer where they are large
_BYTES = 1 << 24  # of the rows that are calibrated on at once


@dataclass(frozen=True)
class Quantisation:
    """Computes a finished graph in integers."""

    scheme: Literal["dynamic-int8", "static-int8"]
    calibration_rows: int

    def told(self, context: Context) -> str:
        """See Method."""
        details = [f"{self.calibration_rows} calibration rows"] if self.scheme == "static-int8" else []
        details += ["7-bit weights"] if context.processor.reduce_range else []
        return self.scheme + (f" ({', '.join(details)})" if details else "")

    def refuses(self, model: Model) -> str | None:
        """See Method."""
        graph = onnx.load_from_string(model.onnx).graph
        kinds = {node.op_type for node in graph.node}
        if quantised(graph):
            return "the model has been quantised already: name the model that it was made of in spec.model."
        if any(kind.startswith("TreeEnsemble") for kind in kinds):
            return (
                "boosted trees compare numbers with thresholds and have no layer to compute in 8 bits: deploy the "
                "model as it is, or train one with a smaller spec.recipe.model.trees (rounds, maxDepth)."
            )
        layers = ("MatMul", "Gemm") if self.scheme == "dynamic-int8" else WEIGHTED
        known = constants(graph)
        if any(node.op_type in layers and node.input[1] in known for node in graph.node) or tables.found(graph):
            return None
        other = ": use static-int8." if "Conv" in kinds and self.scheme == "dynamic-int8" else ": deploy it as it is."
        return f"the model has no layer that {self.scheme} computes in 8 bits{other}"

    def apply(self, model: Model, context: Context) -> Model:
        """See Method."""
        reduce_range = context.processor.reduce_range
        if self.scheme == "dynamic-int8":
            content = dynamic_int8(model.onnx, reduce_range=reduce_range)
        else:
            content = static_int8(model.onnx, context.calibration(self.calibration_rows), reduce_range=reduce_range)
        return Model(model.source, content, model.carried)


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


def static_int8(model: bytes, calibration: Mapping[str, np.ndarray], *, reduce_range: bool) -> bytes:
    """Weights and activations in 8 bits; the ranges come from these rows, as the graph takes them by name."""
    graph = onnx.load_from_string(model).graph
    kinds = [*WEIGHTED, *_STATIC]
    if any(node.op_type == "Conv" for node in graph.node):
        kinds += _STATIC_OF_CONVOLUTIONS
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "in.onnx"), Path(folder, "out.onnx")
        source.write_bytes(model)
        with _Quiet():
            quantize_static(
                source,
                target,
                _Rows(calibration),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=kinds,
                nodes_to_exclude=_outside(graph),
                per_channel=True,
                reduce_range=reduce_range,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                # The products of attention, of activations alone, would lose more than they gain.
                extra_options={"MatMulConstBOnly": True},
            )
        return _tidy(target)


def _outside(graph: Any) -> list[str]:
    """Names of the nodes before the first layer with weights and behind the last: the preparation and the answers."""
    known = constants(graph)
    layers = [node for node in graph.node if node.op_type in WEIGHTED and node.input[1] in known]
    behind, before = ({name for node in layers for name in of(node)} for of in (_outputs, _inputs))
    for node in graph.node:  # in the order of the computation
        if behind.intersection(node.input):
            behind.update(node.output)
    for node in reversed(graph.node):
        if before.intersection(node.output):
            before.update(node.input)
    return [
        node.name
        for node in graph.node
        if node not in layers and not (behind.intersection(node.input) and before.intersection(node.output))
    ]


def _outputs(node: Any) -> list[str]:
    return list(node.output)


def _inputs(node: Any) -> list[str]:
    return [node.input[0]]


def _tidy(path: Path) -> bytes:
    """The file without what the quantizer says of itself (its version), as bytes that only depend on the model."""
    model = onnx.load(path)
    without_spare(model.graph)
    tables.quantise(model.graph)
    without_unused(model.graph)
    model.producer_name, model.producer_version = "tradewind", ""
    del model.metadata_props[:]
    return bytes(model.SerializeToString(deterministic=True))


class _Rows(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, rows: Mapping[str, np.ndarray]) -> None:
        count = len(next(iter(rows.values())))
        row = sum(array[:1].nbytes for array in rows.values())
        batch = max(1, min(_CALIBRATED, _BYTES // max(1, row)))
        self._batches: Iterator[dict[str, np.ndarray]] = iter(
            [{name: array[start : start + batch] for name, array in rows.items()} for start in range(0, count, batch)]
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
