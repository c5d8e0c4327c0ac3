"""The encoding of a table as the beginning of an ONNX graph: one named, typed input a column, and what a model sees.

A number is FP32 (FP64 where it has to be precise), a moment FP64 (seconds since 1970), and both are NaN where they are
missing. A boolean is the string true or false, a category any string, and both are empty where they are missing. It
computes in double precision, as encoding.py does with NumPy, so the two agree to the last bits of single precision.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tradewind_workload.io.fault import Fault
from tradewind_workload.tasks.tabular.encoding import FIRST, LIMIT, MISSING, OTHER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tradewind_workload.tasks.tabular.encoding import Codes, Encoding

OPSET, ML_OPSET, IR_VERSION = 17, 3, 8  # read by every ONNX Runtime of the last years
ML = "ai.onnx.ml"


class Rows(NamedTuple):
    """Names of the tensors that a model sees; None where a table has no such column."""

    numbers: str | None  # float32 [n, encoding.width]
    codes: str | None  # int64 [n, columns of codes]


class Graph:
    """An ONNX graph, written node by node.

    The names of its own tensors start with `prefix`, which no input does: an input has the name of a column, which can
    be any.
    """

    def __init__(self, inputs: Sequence[str]) -> None:
        self._nodes: list[Any] = []
        self._constants: dict[str, Any] = {}
        self._inputs: list[Any] = []
        self.prefix = "_"
        while any(name.startswith(self.prefix) for name in inputs):
            self.prefix += "_"

    def input(self, name: str, kind: int) -> str:
        """A column."""
        self._inputs.append(helper.make_tensor_value_info(name, kind, ["rows"]))
        return name

    def constant(self, name: str, value: np.ndarray) -> str:
        """An array in the file."""
        name = self.prefix + name
        self._constants[name] = numpy_helper.from_array(np.asarray(value, order="C"), name)
        return name

    def node(self, kind: str, inputs: Sequence[str], name: str, domain: str = "", **attributes: Any) -> str:
        """The output of an operator."""
        return self.output(kind, inputs, self.prefix + name, domain, **attributes)

    def output(self, kind: str, inputs: Sequence[str], name: str, domain: str = "", **attributes: Any) -> str:
        """The same with just that name, as an output of the model has it."""
        self._nodes.append(helper.make_node(kind, inputs, [name], name=f"{name}/{kind}", domain=domain, **attributes))
        return name

    def joined(self, parts: Sequence[str], name: str) -> str:
        """Matrices beside each other."""
        return parts[0] if len(parts) == 1 else self.node("Concat", parts, name, axis=1)

    def model(self, outputs: Sequence[tuple[str, int, list[str | int]]]) -> bytes:
        """The file, with these outputs (name, type, shape). The same graph gives the same bytes."""
        graph = helper.make_graph(
            self._nodes,
            "table",
            self._inputs,
            [helper.make_tensor_value_info(*output) for output in outputs],
            list(self._constants.values()),
        )
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(ML, ML_OPSET)]
        made = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="tradewind")
        onnx.checker.check_model(made, full_check=True)
        return bytes(made.SerializeToString(deterministic=True))


def start(encoding: Encoding, outputs: Sequence[str]) -> tuple[Graph, Rows]:
    """A graph whose inputs are the columns, and what a model goes on from. `outputs`: the names that it will give.

    Raises Fault(InvalidData) where the name of a column can't be that of an input.
    """
    for name in encoding.names:
        if not name:
            raise Fault("InvalidData", "a column has no name: give it one in the data, or leave it out of the inputs.")
        if name in outputs:
            raise Fault(
                "InvalidData",
                f"the column {name!r} has the name of an answer of the model: rename it in the data, or leave it out "
                "of the inputs.",
            )
    graph = Graph([*encoding.names, *outputs])
    graph.constant("axis", np.array([1], np.int64))
    columns = {name: graph.input(name, kind) for name, kind in input_types(encoding).items()}
    columns |= _derived(graph, encoding, columns)
    numbers = _numbers(graph, encoding, columns) if encoding.numbers else None
    parts = [_codes(graph, column, columns[column.name], i) for i, column in enumerate(encoding.codes)]
    return graph, Rows(numbers, graph.joined(parts, "codes") if parts else None)


def input_types(encoding: Encoding) -> dict[str, int]:
    """The element type (TensorProto.DataType) of each input, in their order."""
    return {
        source.name: TensorProto.STRING
        if source.kind in ("boolean", "category", "text")
        else TensorProto.DOUBLE
        if source.precise
        else TensorProto.FLOAT
        for source in encoding.inputs
    }


def _derived(graph: Graph, encoding: Encoding, columns: dict[str, str]) -> dict[str, str]:
    """The columns that steps change or add, double or string, by name."""
    made: dict[str, str] = {}
    for i, source in enumerate(encoding.sources):
        one = columns[source.name]
        if source.kind == "boolean":
            one = _truth(graph, one, f"source{i}_boolean")
        if source.kind not in ("category", "text") and not source.precise:
            one = graph.node("Cast", [one], f"source{i}", to=TensorProto.DOUBLE)
        made[source.name] = one
    for i, step in enumerate(encoding.steps):
        made[step.result] = step.write(graph, f"step{i}", *(made[name] for name in step.sources))
    return {step.result: made[step.result] for step in encoding.steps}


def _truth(graph: Graph, column: str, name: str) -> str:
    """1 for true, 0 for false, NaN for anything else, float32."""
    values: dict[str, Any] = {"keys_strings": ["true", "false"], "values_floats": [1.0, 0.0]}
    return graph.node("LabelEncoder", [column], name, ML, default_float=float("nan"), **values)


def _numbers(graph: Graph, encoding: Encoding, columns: dict[str, str]) -> str:
    parts: list[str] = []
    for i, column in enumerate(encoding.numbers):
        one = columns[column.name]
        if column.kind == "boolean":
            one = _truth(graph, one, f"boolean{i}")
        if not column.precise:
            one = graph.node("Cast", [one], f"double{i}", to=TensorProto.DOUBLE)
        # Concat refuses columns of different lengths.
        parts.append(graph.node("Unsqueeze", [one, f"{graph.prefix}axis"], f"column{i}"))
    origin = graph.constant("origin", encoding.vectors()["origin"])
    values = graph.node("Sub", [graph.joined(parts, "columns"), origin], "values")
    single = graph.node("Cast", [values], "single", to=TensorProto.FLOAT)
    missing = graph.node(
        "Or", [graph.node("IsNaN", [single], "nan"), graph.node("IsInf", [single], "infinite")], "missing"
    )
    if encoding.scale == "raw":
        nan = graph.constant("nothing", np.array(np.nan, np.float32))
        return graph.node("Where", [missing, nan, single], "numbers")
    return write_standard(graph, encoding, values, missing)


def write_standard(graph: Graph, encoding: Encoding, values: str, missing: str, name: str = "numbers") -> str:
    """Numbers as a network gets them, float32 [n, width], of doubles less their origin and where they are missing."""
    vectors = encoding.vectors()

    def vector(name: str) -> str:
        return graph.constant(name, vectors[name])

    values = graph.node("Where", [missing, vector("fill"), values], "filled")
    if any(column.tail for column in encoding.numbers):
        centred = graph.node("Sub", [values, vector("centre")], "centred")
        spread = graph.node("Div", [centred, vector("scale")], "spread")
        one = graph.constant("one", np.array(1, np.float64))
        more = graph.node("Add", [graph.node("Abs", [spread], "magnitude"), one], "above_one")
        signed = [graph.node("Sign", [spread], "sign"), graph.node("Log", [more], "logarithm")]
        values = graph.node("Where", [vector("tailed"), graph.node("Mul", signed, "short"), values], "short_tailed")
    deviations = graph.node("Div", [graph.node("Sub", [values, vector("mean")], "shifted"), vector("deviation")], "z")
    limits = [graph.constant(name, np.array(limit, np.float64)) for name, limit in (("low", -LIMIT), ("high", LIMIT))]
    clipped = graph.node("Clip", [deviations, *limits], "clipped")
    standard = graph.node("Cast", [clipped], "standard", to=TensorProto.FLOAT)
    if not encoding.indicators:
        return standard
    where = graph.node("Cast", [missing], "missing_all", to=TensorProto.FLOAT)
    some = graph.constant("indicators", np.array(encoding.indicators, np.int64))
    return graph.joined([standard, graph.node("Gather", [where, some], "missing_some", axis=1)], name)


def _codes(graph: Graph, column: Codes, of: str, i: int) -> str:
    places = list(range(FIRST, FIRST + len(column.values)))
    if column.part is None:
        keys: dict[str, Any] = {"keys_strings": ["", *column.values], "values_int64s": [MISSING, *places]}
        coded = graph.node("LabelEncoder", [of], f"coded{i}", ML, default_int64=OTHER, **keys)
    else:
        coded = _part(graph, column, of, places, f"{column.part}{i}")
    return graph.node("Unsqueeze", [coded, f"{graph.prefix}axis"], f"codes{i}")


def _part(graph: Graph, column: Codes, moment: str, places: list[int], name: str) -> str:
    """Codes of a part of the moments, as columns.day_parts has them."""

    def step(kind: str, x: str, by: float, to: str) -> str:
        kept = np.array(by, np.int64 if isinstance(by, int) else np.float64)
        return graph.node(kind, [x, graph.constant(f"{name}_{to}_by", kept)], f"{name}_{to}")

    def whole(x: str, to: str) -> str:
        return graph.node("Cast", [x], f"{name}_{to}", to=TensorProto.INT64)

    missing = graph.node(
        "Or",
        [graph.node("IsNaN", [moment], f"{name}_nan"), graph.node("IsInf", [moment], f"{name}_infinite")],
        f"{name}_missing",
    )
    zero = graph.constant(f"{name}_zero", np.array(0, np.float64))
    seconds = graph.node("Where", [missing, zero, moment], f"{name}_seconds")
    days = graph.node("Floor", [step("Div", seconds, 86400.0, "in_days")], f"{name}_days")
    if column.part == "hour":
        rest = graph.node("Sub", [seconds, step("Mul", days, 86400.0, "midnight")], f"{name}_rest")
        found = whole(graph.node("Floor", [step("Div", rest, 3600.0, "in_hours")], f"{name}_hours"), "found")
    else:
        since = step("Add", whole(days, "whole_days"), 719468, "since")
        if column.part == "month":
            found = _month(graph, step, since, name)
        else:
            found = step("Mod", step("Add", since, 2, "from_monday"), 7, "found")
    keys: dict[str, Any] = {"keys_int64s": list(column.values), "values_int64s": places}
    coded = graph.node("LabelEncoder", [found], f"{name}_present", ML, default_int64=OTHER, **keys)
    nothing = graph.constant(f"{name}_nothing", np.array(MISSING, np.int64))
    return graph.node("Where", [missing, nothing, coded], f"{name}_coded")


def _month(graph: Graph, step: Any, since: str, name: str) -> str:
    day_of_era = step("Mod", since, 146097, "day_of_era")
    leap = [
        ("Sub", step("Div", day_of_era, 1460, "by_4")),
        ("Add", step("Div", day_of_era, 36524, "by_100")),
        ("Sub", step("Div", day_of_era, 146096, "by_400")),
    ]
    common = day_of_era
    for i, (kind, days) in enumerate(leap):
        common = graph.node(kind, [common, days], f"{name}_common{i}")
    year = step("Div", common, 365, "year")
    before = step("Mul", year, 365, "days_of_years")
    before = graph.node("Add", [before, step("Div", year, 4, "leap_4")], f"{name}_before_4")
    before = graph.node("Sub", [before, step("Div", year, 100, "leap_100")], f"{name}_before")
    day = graph.node("Sub", [day_of_era, before], f"{name}_day")
    shifted = step("Div", step("Add", step("Mul", day, 5, "fifths"), 2, "rounded"), 153, "shifted")
    return step("Add", step("Mod", step("Add", shifted, 2, "from_march"), 12, "of_year"), 1, "found")  # type: ignore[no-any-return]
