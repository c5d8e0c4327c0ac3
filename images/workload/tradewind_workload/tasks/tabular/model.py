"""A trained model of a table: columns as they stand in the data in, answers out, all in one ONNX graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from onnx import TensorProto

from tradewind_workload.tasks.tabular.graph import input_types, start

if TYPE_CHECKING:
    import pyarrow as pa
    import xgboost

    from tradewind_workload.data.schema import Kind
    from tradewind_workload.tasks.tabular.encoding import Encoding
    from tradewind_workload.tasks.tabular.graph import Graph
    from tradewind_workload.tasks.tabular.network import TabularNetwork

LABEL, PROBABILITIES, PREDICTION = "label", "probabilities", "prediction"
ENCODING, NETWORK, TREES = "encoding.json", "model.safetensors", "model.ubj"
_DATATYPES: dict[int, Datatype] = {TensorProto.FLOAT: "FP32", TensorProto.DOUBLE: "FP64", TensorProto.STRING: "BYTES"}

Datatype = Literal["FP32", "FP64", "INT64", "BYTES"]


@dataclass(frozen=True)
class Classes:
    """The answer is one of these labels: `label`, its index, and `probabilities`."""

    labels: tuple[str, ...]


@dataclass(frozen=True)
class Value:
    """The answer is a number, `prediction`; a network learns (value - mean) / deviation."""

    mean: float = 0.0
    deviation: float = 1.0

    @classmethod
    def of(cls, values: np.ndarray) -> Value:
        """That of training labels, float64 [n]."""
        return cls(float(values.mean()), float(values.std()) or 1.0)

    def standardised(self, values: np.ndarray) -> np.ndarray:
        """What a network learns, float32 [n]."""
        return ((values - self.mean) / self.deviation).astype(np.float32)


@dataclass(frozen=True)
class Input:
    """An input of the graph: the column of that name."""

    name: str
    datatype: Datatype
    kind: Kind
    nullable: bool = True  # NaN or the empty string: every column can lack a value
    shape: tuple[int, ...] = (-1,)


@dataclass(frozen=True)
class Output:
    """An output of the graph."""

    name: str
    datatype: Datatype
    shape: tuple[int, ...]


@dataclass(frozen=True)
class TabularModel:
    """What is stored and served."""

    onnx: bytes
    encoding: Encoding
    head: Classes | Value
    weights: dict[str, bytes]  # files beside the graph, to train or convert from

    @property
    def inputs(self) -> tuple[Input, ...]:
        """In the order of the graph."""
        columns = {column.name: column.kind for column in (*self.encoding.codes, *self.encoding.numbers)}
        types = input_types(self.encoding)
        return tuple(Input(name, _DATATYPES[types[name]], columns[name]) for name in types)

    @property
    def outputs(self) -> tuple[Output, ...]:
        """In the order of the graph."""
        if isinstance(self.head, Value):
            return (Output(PREDICTION, "FP32", (-1,)),)
        return (Output(LABEL, "INT64", (-1,)), Output(PROBABILITIES, "FP32", (-1, len(self.head.labels))))

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes by index; none for a number."""
        return self.head.labels if isinstance(self.head, Classes) else ()

    @property
    def notes(self) -> tuple[str, ...]:
        """For people."""
        return self.encoding.notes

    def feeds(self, batch: pa.RecordBatch | pa.Table) -> dict[str, np.ndarray]:
        """Rows of a typed table as the inputs of the graph."""
        return self.encoding.feeds(batch)


def from_network(encoding: Encoding, network: TabularNetwork, head: Classes | Value) -> TabularModel:
    """The model of a trained network. Raises Fault(InvalidData) where a column can't be an input."""
    from safetensors.torch import save

    from tradewind_workload.tasks.tabular.network_graph import write_network

    graph, rows = start(encoding, _names(head))
    content = _finished(graph, write_network(graph, rows, network), head)
    weights = save({name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()})
    return TabularModel(content, encoding, head, {NETWORK: weights, ENCODING: encoding.written().encode()})


def from_trees(encoding: Encoding, booster: xgboost.Booster, head: Classes | Value) -> TabularModel:
    """The model of boosted trees. Raises Fault(InvalidData) where a column can't be an input."""
    from tradewind_workload.tasks.tabular.trees import write_trees

    graph, rows = start(encoding, _names(head))
    content = _finished(graph, write_trees(graph, rows, booster), head)
    weights = bytes(booster.save_raw("ubj"))
    return TabularModel(content, encoding, head, {TREES: weights, ENCODING: encoding.written().encode()})


def _names(head: Classes | Value) -> tuple[str, ...]:
    return (PREDICTION,) if isinstance(head, Value) else (LABEL, PROBABILITIES)


def _finished(graph: Graph, outputs: str, head: Classes | Value) -> bytes:
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
    value = graph.node("Squeeze", [outputs, graph.constant("value_axis", np.array([1], np.int64))], "value")
    if (head.mean, head.deviation) != (0.0, 1.0):
        value = graph.node("Cast", [value], "value_precise", to=TensorProto.DOUBLE)
        value = graph.node("Mul", [value, graph.constant("deviation_of_label", np.array(head.deviation))], "spread_out")
        value = graph.node("Add", [value, graph.constant("mean_of_label", np.array(head.mean))], "restored")
    graph.output("Cast", [value], PREDICTION, to=TensorProto.FLOAT)
    return graph.model([(PREDICTION, TensorProto.FLOAT, ["rows"])])
