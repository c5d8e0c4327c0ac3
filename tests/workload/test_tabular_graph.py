"""The encoding as an ONNX graph gives what NumPy gives, whatever is in the columns."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto
from tables import KINDS, mixed, schema_of, table_of

from tradewind_workload.io.fault import Fault
from tradewind_workload.tasks.tabular.encoder import finish
from tradewind_workload.tasks.tabular.encoding import Encoding
from tradewind_workload.tasks.tabular.graph import start
from tradewind_workload.tasks.tabular.statistics import fit

if TYPE_CHECKING:
    import pyarrow as pa


def session(encoding: Encoding) -> onnxruntime.InferenceSession:
    graph, rows = start(encoding, ("numbers", "codes"))
    outputs: list[tuple[str, int, list[str | int]]] = []
    if rows.numbers:
        graph.output("Identity", [rows.numbers], "numbers")
        outputs.append(("numbers", TensorProto.FLOAT, ["rows", encoding.width]))
    if rows.codes:
        graph.output("Identity", [rows.codes], "codes")
        outputs.append(("codes", TensorProto.INT64, ["rows", len(encoding.codes)]))
    return onnxruntime.InferenceSession(graph.model(outputs), providers=["CPUExecutionProvider"])


def assert_same(encoding: Encoding, table: pa.Table) -> None:
    for scaled in (encoding, encoding.raw()):
        made = session(scaled)
        answers = dict(
            zip((output.name for output in made.get_outputs()), made.run(None, scaled.feeds(table)), strict=True)
        )
        numbers, codes = scaled.apply(table)
        if scaled.numbers:
            np.testing.assert_allclose(answers["numbers"], numbers, rtol=1e-6, atol=0)
        if scaled.codes:
            np.testing.assert_array_equal(answers["codes"], codes)


def test_every_kind_of_column() -> None:
    schema = schema_of(KINDS)
    encoding = finish(fit(mixed(2000, 1), schema), schema)
    made = session(encoding)
    assert [(given.name, given.type) for given in made.get_inputs()] == [
        ("Stadt", "tensor(string)"),
        ("Größe in m²", "tensor(float)"),
        ("a.b/c d", "tensor(float)"),
        ("_axis", "tensor(float)"),
        ("bought at", "tensor(double)"),
        ("ja?", "tensor(string)"),
        ("Zeit 時刻", "tensor(double)"),
        ("日本 🍣", "tensor(string)"),
    ]
    assert any(column.tail for column in encoding.numbers)
    for rows in (1, 2, 1500):
        assert_same(encoding, mixed(rows, 2))


def test_values_that_the_training_rows_lack() -> None:
    kinds = {"town": "category", "at": "datetime"}
    schema = schema_of(kinds)
    tuesday = datetime.datetime(2024, 1, 30)  # noqa: DTZ001
    days = [tuesday + datetime.timedelta(days=i % 4, hours=i % 5) for i in range(40)]
    encoding = finish(fit(table_of(kinds, {"town": ["é", "b"] * 20, "at": days}), schema), schema)
    saturday_night = tuesday + datetime.timedelta(days=144, hours=23)
    later = table_of(kinds, {"town": ["e\u0301", "", None, "é"], "at": [saturday_night, None, *days[:2]]})
    assert_same(encoding, later)
    assert encoding.apply(later)[1][0].tolist() == [1, 1, 1, 1]


numbers = st.none() | st.floats(width=32) | st.floats() | st.integers(-3, 3).map(float)
words = st.none() | st.sampled_from(["é", "e\u0301", "", " ", "A", "a"]) | st.text(st.characters(codec="utf-8"))
moments = st.none() | st.datetimes(datetime.datetime(1, 1, 1), datetime.datetime(9999, 12, 31))  # noqa: DTZ001
VALUES = {"number": numbers, "boolean": st.none() | st.booleans(), "datetime": moments, "category": words}


@settings(max_examples=25)
@given(st.data())
def test_any_table(data: st.DataObject) -> None:
    names = data.draw(
        st.lists(
            st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1),
            min_size=1,
            max_size=4,
            unique=True,
        )
    )
    kinds = {name: data.draw(st.sampled_from(sorted(VALUES))) for name in names}

    def table(rows: int) -> pa.Table:
        return table_of(
            kinds,
            {name: data.draw(st.lists(VALUES[kind], min_size=rows, max_size=rows)) for name, kind in kinds.items()},
        )

    schema = schema_of(kinds)
    try:
        encoding = finish(fit(table(data.draw(st.integers(1, 12))), schema), schema)
    except Fault:  # nothing to learn from
        return
    if set(encoding.names) & {"numbers", "codes"}:
        return
    assert_same(encoding, table(data.draw(st.integers(1, 8))))


def test_columns_of_different_lengths_are_refused() -> None:
    schema = schema_of(KINDS)
    encoding = finish(fit(mixed(500, 1), schema), schema)
    feeds = encoding.feeds(mixed(6, 2))
    feeds["_axis"] = feeds["_axis"][:1]
    made = session(encoding)
    with pytest.raises(onnxruntime.capi.onnxruntime_pybind11_state.Fail):
        made.run(None, feeds)


@pytest.mark.parametrize(("name", "said"), [("label", "the column 'label' has the name of an answer"), ("", "no name")])
def test_a_name_that_can_not_be_an_input_is_refused(name: str, said: str) -> None:
    schema = schema_of({name: "number"})
    encoding = finish(fit(table_of({name: "number"}, {name: [1.0, 2.5]}), schema), schema)
    with pytest.raises(Fault, match=said):
        start(encoding, ("label", "probabilities"))
