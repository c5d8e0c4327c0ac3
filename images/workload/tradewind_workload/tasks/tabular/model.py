"""A trained model of a table: columns as they stand in the data in, answers out, all in one ONNX graph."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
from onnx import TensorProto

from tradewind.api.artefact import Tensor
from tradewind_processors.times import written
from tradewind_workload.heads.answer import (
    LABEL,
    LABELS,
    PREDICTION,
    PROBABILITIES,
    THRESHOLD,
    Answer,
    Classes,
    Labels,
)
from tradewind_workload.io.files import ENCODING, TREES, WEIGHTS
from tradewind_workload.tasks.tabular.graph import input_types, start

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xgboost

    from tradewind_workload.tasks.tabular.encoding import Encoding
    from tradewind_workload.tasks.tabular.graph import Graph
    from tradewind_workload.tasks.tabular.linear import Linear
    from tradewind_workload.tasks.tabular.network import TabularNetwork

START = "start.json"
_DATATYPES: dict[int, Datatype] = {TensorProto.FLOAT: "FP32", TensorProto.DOUBLE: "FP64", TensorProto.STRING: "BYTES"}
# Of the years 1 to 9999, which ISO 8601 has.
_FIRST_SECOND, _LAST_SECOND = -62135596800, 253402300800

Datatype = Literal["FP32", "FP64", "BYTES"]


@dataclass(frozen=True)
class TabularModel:
    """What is stored and served."""

    onnx: bytes
    encoding: Encoding
    head: Answer
    weights: dict[str, bytes]  # files beside the graph, to train or convert from

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """In the order of the graph; every column can lack a value, which is NaN or the empty string there."""
        columns = {source.name: source for source in self.encoding.inputs}
        types = input_types(self.encoding)
        return tuple(
            Tensor(
                name=name,
                datatype=_DATATYPES[types[name]],
                shape=(-1,),
                nullable=True,
                kind=columns[name].kind,
                format=columns[name].format,
            )
            for name in types
        )

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """In the order of the graph."""
        return self.head.tensors

    def feeds(self, table: pa.RecordBatch | pa.Table) -> dict[str, np.ndarray]:
        """Rows of a typed table as the inputs of the graph."""
        return self.encoding.feeds(table)

    def instances(self, table: pa.Table) -> list[Any]:
        """The same as a user sends them; see `instances`."""
        return instances(self.encoding, table)


def instances(encoding: Encoding, table: pa.Table) -> list[Any]:
    """Rows of a typed table as a user sends them; None where a number is infinite, or ISO 8601 lacks a time."""
    feeds = encoding.feeds(table)
    fit = np.ones(table.num_rows, bool)
    for name, values in feeds.items():
        if values.dtype.kind == "f":
            fit &= ~np.isinf(values)
            if pa.types.is_timestamp(table[name].type):  # NaN is neither
                fit &= ~(values < _FIRST_SECOND) & ~(values >= _LAST_SECOND)
    formats = {source.name: source.format for source in encoding.inputs}
    rows = table.select(list(feeds)).take(np.flatnonzero(fit)).to_pylist()
    sent = iter([_sent(row, formats) for row in rows])
    return [next(sent) if one else None for one in fit]


def _sent(row: dict[str, Any], formats: Mapping[str, str | None]) -> dict[str, Any] | None:
    """A row of typed values as a client sends it; None where the format of a time has no text for it."""
    sent = {
        name: written(value, formats[name]) if isinstance(value, datetime) else value for name, value in row.items()
    }
    return None if any(sent[name] is None and value is not None for name, value in row.items()) else sent


def from_network(encoding: Encoding, network: TabularNetwork, head: Answer) -> TabularModel:
    """The model of a trained network. Raises Fault(InvalidData) where a column can't be an input."""
    from safetensors.torch import save

    from tradewind_workload.tasks.tabular.network_graph import write_network

    graph, rows = start(encoding, [tensor.name for tensor in head.tensors])
    content = _finished(graph, write_network(graph, rows, network), head)
    weights = save({name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()})
    return TabularModel(content, encoding, head, {WEIGHTS: weights, ENCODING: encoding.written().encode()})


def from_trees(
    encoding: Encoding, booster: xgboost.Booster, head: Answer, linear: Linear | None = None
) -> TabularModel:
    """The model of boosted trees, and of what they started from. Raises Fault(InvalidData) where a column can't be an
    input."""
    from tradewind_workload.tasks.tabular.linear import write_linear
    from tradewind_workload.tasks.tabular.trees import write_trees

    graph, rows = start(encoding, [tensor.name for tensor in head.tensors])
    begun = None if linear is None else write_linear(graph, rows, encoding, linear)
    content = _finished(graph, write_trees(graph, rows, booster, begun), head)
    weights = {TREES: bytes(booster.save_raw("ubj")), ENCODING: encoding.written().encode()}
    return TabularModel(content, encoding, head, weights | ({} if linear is None else {START: linear.written()}))


def _finished(graph: Graph, outputs: str, head: Answer) -> bytes:
    """The graph with the answers of the head, from logits or standardised values, float32 [n, outputs]."""
    if isinstance(head, Classes):
        graph.output("Softmax", [outputs], PROBABILITIES, axis=1)
        graph.output("ArgMax", [PROBABILITIES], LABEL, axis=1, keepdims=0)
        return graph.model(
            [
                (LABEL, TensorProto.INT64, ["rows"]),
                (PROBABILITIES, TensorProto.FLOAT, ["rows", len(head.labels)]),
            ]
        )
    if isinstance(head, Labels):
        graph.output("Sigmoid", [outputs], PROBABILITIES)
        threshold = graph.constant("threshold", np.array(THRESHOLD, np.float32))
        graph.output("GreaterOrEqual", [PROBABILITIES, threshold], LABELS)
        return graph.model(
            [
                (LABELS, TensorProto.BOOL, ["rows", len(head.labels)]),
                (PROBABILITIES, TensorProto.FLOAT, ["rows", len(head.labels)]),
            ]
        )
    value = graph.node("Squeeze", [outputs, graph.constant("value_axis", np.array([1], np.int64))], "value")
    if (head.mean, head.deviation) != (0.0, 1.0):
        value = graph.node("Cast", [value], "value_precise", to=TensorProto.DOUBLE)
        value = graph.node("Mul", [value, graph.constant("deviation_of_label", np.array(head.deviation))], "spread_out")
        value = graph.node("Add", [value, graph.constant("mean_of_label", np.array(head.mean))], "restored")
    graph.output("Cast", [value], PREDICTION, to=TensorProto.FLOAT)
    return graph.model([(PREDICTION, TensorProto.FLOAT, ["rows"])])
