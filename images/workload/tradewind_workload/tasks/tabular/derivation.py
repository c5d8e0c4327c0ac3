"""Steps that change or add single columns, fitted: over Arrow tables here, and as nodes of a graph.

All compute in double precision on numbers that were rounded to what the model's inputs can carry, so the training sees
exactly what a served model computes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import pyarrow as pa
from onnx import TensorProto

if TYPE_CHECKING:
    from tradewind_workload.tasks.tabular.graph import Graph

Values = np.ndarray  # float64 [n] with NaN for missing, or str objects [n] with "" for missing


class Derivation(Protocol):
    """A fitted step: what it makes of columns."""

    @property
    def result(self) -> str:
        """The column that it changes or adds."""
        ...

    @property
    def sources(self) -> tuple[str, ...]:
        """The columns that it needs."""
        ...

    def apply(self, *values: Values) -> Values:
        """The result, of the values of the sources."""
        ...

    def write(self, graph: Graph, name: str, *tensors: str) -> str:
        """The same as nodes of a graph, whose names start with `name`; tensors double or string [n]."""
        ...


@dataclass(frozen=True)
class _OnOne:
    column: str

    @property
    def result(self) -> str:
        return self.column

    @property
    def sources(self) -> tuple[str, ...]:
        return (self.column,)


@dataclass(frozen=True)
class FillNumber(_OnOne):
    """A missing number becomes another one."""

    value: float

    def apply(self, *values: Values) -> Values:
        """Numbers, none missing."""
        return np.where(np.isfinite(values[0]), values[0], self.value)

    def write(self, graph: Graph, name: str, *tensors: str) -> str:
        """IsNaN or IsInf, Where."""
        filled = graph.constant(f"{name}_value", np.array(self.value, np.float64))
        return graph.node("Where", [_missing(graph, name, tensors[0]), filled, tensors[0]], f"{name}_filled")


@dataclass(frozen=True)
class FillText(_OnOne):
    """A missing category becomes another one."""

    value: str

    def apply(self, *values: Values) -> Values:
        """Texts, none missing."""
        return np.where(values[0] == "", self.value, values[0]).astype(object)

    def write(self, graph: Graph, name: str, *tensors: str) -> str:
        """LabelEncoder (Equal takes texts from a newer operator set on), Where."""
        filled = graph.constant(f"{name}_value", np.array(self.value, object))
        keys = {"keys_strings": [""], "values_int64s": [1]}
        empty = graph.node("LabelEncoder", [tensors[0]], f"{name}_empty", "ai.onnx.ml", default_int64=0, **keys)
        missing = graph.node("Cast", [empty], f"{name}_missing", to=TensorProto.BOOL)
        return graph.node("Where", [missing, filled, tensors[0]], f"{name}_filled")


@dataclass(frozen=True)
class ClipNumber(_OnOne):
    """A number outside of a range becomes the nearer end of it."""

    low: float
    high: float

    def apply(self, *values: Values) -> Values:
        """Numbers; what is missing stays missing."""
        held: Values = np.clip(values[0], self.low, self.high)
        return np.where(np.isfinite(values[0]), held, np.nan)

    def write(self, graph: Graph, name: str, *tensors: str) -> str:
        """Clip, and NaN for what is missing."""
        ends = [graph.constant(f"{name}_{end}", np.array(getattr(self, end), np.float64)) for end in ("low", "high")]
        held = graph.node("Clip", [tensors[0], *ends], f"{name}_held")
        nothing = graph.constant(f"{name}_nothing", np.array(np.nan))
        return graph.node("Where", [_missing(graph, name, tensors[0]), nothing, held], f"{name}_clipped")


@dataclass(frozen=True)
class LogNumber(_OnOne):
    """sign(x) log(1 + |x|)."""

    def apply(self, *values: Values) -> Values:
        """Numbers; what is missing stays missing."""
        return np.asarray(np.sign(values[0]) * np.log(np.abs(values[0]) + 1))

    def write(self, graph: Graph, name: str, *tensors: str) -> str:
        """Abs, Add, Log, Sign, Mul."""
        one = graph.constant(f"{name}_one", np.array(1, np.float64))
        more = graph.node("Add", [graph.node("Abs", [tensors[0]], f"{name}_magnitude"), one], f"{name}_above_one")
        signed = [graph.node("Sign", [tensors[0]], f"{name}_sign"), graph.node("Log", [more], f"{name}_logarithm")]
        return graph.node("Mul", signed, f"{name}_log")


@dataclass(frozen=True)
class BinNumber(_OnOne):
    """The number of the bin, as a category: how many of the edges a number reaches."""

    edges: tuple[float, ...]

    def apply(self, *values: Values) -> Values:
        """Texts; empty for what is missing."""
        found = np.searchsorted(np.array(self.edges), values[0], side="right").astype(str).astype(object)
        return np.where(np.isfinite(values[0]), found, "")

    def write(self, graph: Graph, name: str, *tensors: str) -> str:
        """GreaterOrEqual with each edge, summed, as text."""
        edges = graph.constant(f"{name}_edges", np.array(self.edges, np.float64))
        column = graph.node(
            "Unsqueeze", [tensors[0], graph.constant("axis", np.array([1], np.int64))], f"{name}_column"
        )
        reached = graph.node("GreaterOrEqual", [column, edges], f"{name}_reached")
        ones = graph.node("Cast", [reached], f"{name}_ones", to=TensorProto.INT64)
        count = graph.node(
            "ReduceSum", [ones, graph.constant("axis", np.array([1], np.int64))], f"{name}_count", keepdims=0
        )
        text = graph.node("Cast", [count], f"{name}_text", to=TensorProto.STRING)
        nothing = graph.constant(f"{name}_nothing", np.array("", object))
        return graph.node("Where", [_missing(graph, name, tensors[0]), nothing, text], f"{name}_bin")


Operation = Literal["Sum", "Difference", "Product", "Ratio"]
_NODES = {"Sum": "Add", "Difference": "Sub", "Product": "Mul", "Ratio": "Div"}


@dataclass(frozen=True)
class CombineNumbers:
    """A further column of two; missing where one of them is, or where it is no finite number."""

    result: str
    operation: Operation
    left: str
    right: str

    @property
    def sources(self) -> tuple[str, ...]:
        """Both."""
        return (self.left, self.right)

    def apply(self, *values: Values) -> Values:
        """Numbers."""
        left, right = values
        with np.errstate(all="ignore"):
            made: Values = {
                "Sum": np.add,
                "Difference": np.subtract,
                "Product": np.multiply,
                "Ratio": np.divide,
            }[self.operation](left, right)
        return made

    def write(self, graph: Graph, name: str, *tensors: str) -> str:
        """One node."""
        return graph.node(_NODES[self.operation], list(tensors), f"{name}_combined")


def _missing(graph: Graph, name: str, tensor: str) -> str:
    nan = graph.node("IsNaN", [tensor], f"{name}_nan")
    # IsInf of doubles needs a newer operator set than servers of the last years read.
    endless = graph.node("Greater", [graph.node("Abs", [tensor], f"{name}_size"), _largest(graph)], f"{name}_infinite")
    return graph.node("Or", [nan, endless], f"{name}_missing")


def _largest(graph: Graph) -> str:
    return graph.constant("largest", np.array(np.finfo(np.float64).max))


KINDS: dict[str, type[Any]] = {
    kind.__name__: kind for kind in (FillNumber, FillText, ClipNumber, LogNumber, BinNumber, CombineNumbers)
}


def as_column(values: Values) -> pa.Array:
    """Values as a column of a typed table: null where one is missing or no finite number."""
    if values.dtype == object:
        return pa.array([value or None for value in values], pa.string())
    return pa.array(values, pa.float64(), mask=~np.isfinite(values))
