"""Tables by the names of their columns, in both forms of model, and in both protocols."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import graphs
import numpy as np
import pytest
from loaded import Loaded
from onnx import TensorProto

from tradewind_server import openapi, v2
from tradewind_server.folder import Unservable

COLUMNS = ["weight", "height", "age"]
MATRIX = {"name": "inputs", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}
ROW = {"age": 3, "weight": 1, "height": 2.0}


def table(folder: Path, **tensor: Any) -> Loaded:
    """A model with one matrix of three columns."""
    graphs.save(graphs.table(), folder / "model.onnx")
    described = {"name": "inputs", "datatype": "FP32", "shape": [-1, 3], "columns": COLUMNS} | tensor
    graphs.manifest(folder, task="tabular-regression", labels=[], inputs=[described], outputs=[])
    return Loaded(folder)


@pytest.fixture
def strict(tmp_path: Path) -> Loaded:
    return table(tmp_path)


@pytest.fixture
def nullable(tmp_path: Path) -> Loaded:
    return table(tmp_path, nullable=True)


@pytest.fixture
def apart(tmp_path: Path) -> Loaded:
    """A model with an input for each column, of every kind."""
    infos: dict[str, tuple[int, list[Any], dict[str, Any]]] = {
        "income": (graphs.FLOAT, ["rows", 1], {"datatype": "FP32", "kind": "number", "nullable": True}),
        "colour": (graphs.STRING, ["rows", 1], {"datatype": "BYTES", "kind": "category", "nullable": True}),
        "member": (graphs.FLOAT, ["rows", 1], {"datatype": "FP32", "kind": "boolean", "nullable": True}),
        "paid": (graphs.STRING, ["rows"], {"datatype": "BYTES", "kind": "boolean"}),
        "since": (TensorProto.DOUBLE, ["rows"], {"datatype": "FP64", "kind": "datetime", "nullable": True}),
        "children": (graphs.INT64, ["rows"], {"datatype": "INT64", "kind": "number"}),
    }
    graphs.save(
        graphs.echo(*((name, element, axes) for name, (element, axes, _) in infos.items())), tmp_path / "model.onnx"
    )
    inputs = [{"name": name, "shape": [-1] * len(axes), **rest} for name, (_, axes, rest) in infos.items()]
    graphs.manifest(tmp_path, task="tabular-classification", labels=[], inputs=inputs, outputs=[])
    return Loaded(tmp_path)


FULL = {
    "income": 1.5,
    "colour": "red",
    "member": True,
    "paid": False,
    "since": "1970-01-02T00:00:00+00:00",
    "children": 2,
}
GOT = {
    "got_income": [1.5],
    "got_colour": ["red"],
    "got_member": [1],
    "got_paid": "false",
    "got_since": 86400,
    "got_children": 2,
}


def test_rows_by_name_in_any_order_and_as_lists(strict: Loaded) -> None:
    assert strict.instances(ROW, {"height": 5, "age": 6, "weight": 4}) == [[123], [456]]
    assert strict.instances([1, 2, 3]) == [[123]]
    assert strict.v1(inputs={"age": [3, 6], "weight": [1, 4], "height": [2, 5]}) == {"predictions": [[123], [456]]}
    assert strict.instances({"inputs": [1, 2, 3]}) == [[123]]
    assert strict.v1(inputs={"inputs": [[1, 2, 3]]}) == {"predictions": [[123]]}


@pytest.mark.parametrize(
    ("rows", "sentences"),
    [
        ([ROW, ROW | {"wieght": 1}], ["row 1: unknown input 'wieght'", "did you mean 'weight' or 'height'?"]),
        ([{"age": 3, "weight": 1}], ["row 0: input 'height' is missing", "not trained for missing values of 'height'"]),
        ([ROW, ROW | {"age": None}], ["column 'age' in row 1", "not trained for missing values of 'age'"]),
        ([[1, None, 3]], ["column 'height' in row 0", "the model was not trained for missing values of 'height'"]),
        ([ROW | {"age": "43"}], ["column 'age' in row 0", "write numbers without quotes"]),
        ([ROW | {"age": True}], ["column 'age' in row 0", "got true or false: write 1 for true and 0 for false"]),
        ([ROW | {"age": [3]}], ["nested unevenly", "a row has 'weight', 'height', 'age', in this order"]),
        ([[1, 2]], ["expected shape [-1, 3]", "'weight', 'height', 'age', in this order"]),
        ([[1, 2, 3], [1, 2]], ["different lengths", "'weight', 'height', 'age', in this order"]),
        ([ROW, [1, 2, 3]], ["row 1: expected an object with 'weight', 'height', 'age'"]),
        ([ROW] * 101, ["101 rows, the limit is 100", "spec.limits.maxRows of the ModelDeployment"]),
    ],
)  # fmt: skip
def test_mistakes_are_named(strict: Loaded, rows: list[Any], sentences: list[str]) -> None:
    error = strict.instances(*rows)
    for sentence in sentences:
        assert sentence in error
    assert len(error) < 500


def test_what_is_missing_is_null_or_left_out(nullable: Loaded) -> None:
    assert nullable.instances({"weight": 1, "height": None, "age": 3}, {"age": 3}) == [[103], [3]]
    assert nullable.instances([1, None, 3]) == [[103]]
    assert nullable.v1(inputs={"weight": [1, None]}) == {"predictions": [[100], [0]]}
    tensor = {"name": "inputs", "datatype": "FP32", "shape": [1, 3]}
    assert nullable.v2(tensor | {"data": [1, None, 3]}) == {"number": [103]}
    assert nullable.v2(tensor | {"data": np.array([1, np.nan, 3], "<f4")}) == {"number": [103]}
    assert nullable.v2({"name": "age", "datatype": "FP64", "shape": [2], "data": [None, 3]}) == {"number": [0, 3]}
    assert "too large for FP32" in nullable.instances([1, 1e39, 3])


def test_a_row_that_names_no_column_is_refused(nullable: Loaded) -> None:
    error = nullable.instances({"age": 3}, {})
    assert error == (
        "row 1 is empty: name at least one of 'weight', 'height', 'age'; a value that is not known is null"
    )
    assert nullable.instances({"age": None}) == [[0]]


def test_null_in_v2_needs_a_model_that_was_trained_for_it(strict: Loaded) -> None:
    tensor = {"name": "inputs", "datatype": "FP32", "shape": [1, 3], "data": [1, None, 3]}
    assert "the model was not trained for missing values of 'height'" in strict.v2(tensor)["error"]
    column = {"name": "age", "datatype": "FP64", "shape": [1], "data": [3]}
    assert "the model was not trained for missing values of 'weight'" in strict.v2(column)["error"]


def frame(shape: list[int], **columns: Any) -> list[dict[str, Any]]:
    """Columns as tensors, with the types that a data frame has."""
    types = {int: "INT64", float: "FP64", str: "BYTES", bool: "BOOL"}
    return [
        {"name": name, "datatype": types[type(values[0])], "shape": shape, "data": values}
        for name, values in columns.items()
    ]


@pytest.mark.parametrize("shape", [[2], [2, 1]])
def test_a_data_frame_over_v2(strict: Loaded, shape: list[int]) -> None:
    tensors = frame(shape, age=[3, 6], height=[2.0, 5.0], weight=[1.0, 4.0])
    assert strict.v2(*tensors, parameters={"content_type": "pd"}) == {"number": [123, 456]}
    assert strict.v2(*(one | {"data": np.array(one["data"])} for one in tensors)) == {"number": [123, 456]}


@pytest.mark.parametrize(
    ("tensors", "sentence"),
    [
        (frame([1], agee=[3]), "unknown input 'agee': the model takes 'weight', 'height', 'age'; did you mean 'age'?"),
        (frame([1], age=["3"]), "input 'age': expected datatype FP32, got 'BYTES'"),
        (frame([2], age=[3, 6], weight=[1, 4]) + frame([1], height=[2]), "must have as many rows, got 1 and 2"),
        (frame([3], age=[3, 6]), "shape says [3], but there are 2 values"),
        (frame([1], age=[3], height=[1], weight=[1e39]), "too large for FP32"),
        (frame([1], age=[1]) + frame([1], age=[2]), "given twice"),
        ([MATRIX, *frame([1], age=[3])], "give 'inputs', or its columns ('age'), not both"),
    ],
)  # fmt: skip
def test_mistakes_in_a_data_frame(strict: Loaded, tensors: list[Any], sentence: str) -> None:
    assert sentence in strict.v2(*tensors)["error"]


def test_an_input_for_each_column(apart: Loaded) -> None:
    assert apart.instances(FULL) == [GOT]
    assert apart.instances(list(FULL.values())) == [GOT]
    assert apart.v1(inputs={name: [value] for name, value in FULL.items()})["predictions"] == [GOT]


def test_what_is_missing_there(apart: Loaded) -> None:
    assert apart.instances({"paid": True, "children": 0}, FULL | {"colour": None, "since": None}) == [
        {
            "got_income": [None],
            "got_colour": [""],
            "got_member": [None],
            "got_paid": "true",
            "got_since": None,
            "got_children": 0,
        },
        GOT | {"got_colour": [""], "got_since": None},
    ]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"children": None}, "the model was not trained for missing values of 'children'"),
        ({"paid": None}, "the model was not trained for missing values of 'paid'"),
        ({"children": 1.5}, "input 'children' in row 1 is INT64: expected whole numbers"),
        ({"colour": 7}, "input 'colour' in row 1 is BYTES: expected strings"),
        ({"colour": True}, "input 'colour' in row 1 is BYTES: expected strings"),
        ({"member": "yes"}, "column 'member' in row 1 is true or false, got 'yes'"),
        ({"member": 1}, "column 'member' in row 1 is true or false, got 1"),
        ({"since": "yesterday"}, "column 'since' in row 1 is a time: write it as text in ISO 8601"),
        ({"since": 1700000000}, "column 'since' in row 1 is a time"),
        ({"since": [1700000000.0]}, "column 'since' in row 1 is a time"),
        ({"income": "1,5"}, "write numbers without quotes"),
        ({"incme": 1}, "row 1: unknown input 'incme'"),
    ],
)
def test_mistakes_there(apart: Loaded, change: dict[str, Any], sentence: str) -> None:
    error = apart.instances(FULL, FULL | change)
    assert sentence in error


def test_a_list_of_the_wrong_length_there(apart: Loaded) -> None:
    error = apart.instances(list(FULL.values())[:3])
    assert "row 0 has 3 values: expected 6, those of 'income', 'colour'" in error


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T01:00:00+01:00", 0),
        ("1970-01-01T00:00:10Z", 10),
        ("1970-01-01T00:00:10", 10),
        ("1970-01-02", 86400),
        ("1970/01/02", 86400),
        ("02.01.1970", 86400),
        ("19700102", 86400),
        ("1969-12-31T23:59:59.5Z", -0.5),
    ],
)
def test_times_are_seconds_in_utc(apart: Loaded, text: str, seconds: float) -> None:
    assert apart.instances(FULL | {"since": text})[0]["got_since"] == seconds


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("02/01/1970", 86400),
        (" 2/1/1970 ", 86400),
        (None, None),
        (
            "1970-01-02",
            "write it as text as %d/%m/%Y, for example '25/11/2026', as the training data has it, got '1970",
        ),
        ("01/13/1970", "column 'since' in row 0 is a time"),
        (86400, "column 'since' in row 0 is a time"),
    ],
)
def test_a_time_in_the_format_of_the_training_data(tmp_path: Path, text: Any, expected: Any) -> None:
    graphs.save(graphs.echo(("since", TensorProto.DOUBLE, ["rows"])), tmp_path / "model.onnx")
    since = {"name": "since", "datatype": "FP64", "shape": [-1], "kind": "datetime", "nullable": True}
    inputs = [since | {"format": "%d/%m/%Y"}]
    graphs.manifest(tmp_path, task="tabular-classification", labels=[], inputs=inputs, outputs=[])
    asked = Loaded(tmp_path)
    found = asked.instances({"since": text})
    sent = {"name": "since", "datatype": "BYTES", "shape": [1], "data": [text]}
    if isinstance(expected, str):
        assert expected in found
        return
    assert found == [expected]
    if text is not None:
        assert asked.v2(sent)["got_since"] == [expected]
    (v1, _) = openapi.page(asked.model)["paths"].values()
    row = v1["post"]["requestBody"]["content"]["application/json"]["schema"]["properties"]["instances"]["items"]
    told = {"type": ["string", "null"], "description": "A time, written as %d/%m/%Y."}
    assert row["properties"]["since"] == told
    assert v2.metadata(asked.model)["inputs"][0]["parameters"]["format"] == "%d/%m/%Y"


def test_a_data_frame_for_an_input_for_each_column(apart: Loaded) -> None:
    columns = frame([1], income=[2], colour=["red"], member=[True], paid=[False], since=["1970-01-02"], children=[2])
    got = {"got_income": [2], "got_colour": ["red"], "got_member": [1]}
    got |= {"got_paid": ["false"], "got_since": [86400], "got_children": [2]}
    assert apart.v2(*columns) == got
    numbers = [one | {"data": np.array(one["data"])} if one["datatype"] != "BYTES" else one for one in columns]
    assert apart.v2(*numbers) == got
    assert apart.v2(*(one for one in columns if one["name"] not in ("income", "since"))) == got | {
        "got_income": [None],
        "got_since": [None],
    }
    seconds = {"name": "since", "datatype": "FP64", "shape": [1, 1], "data": [86400.0]}
    assert apart.v2(*(seconds if one["name"] == "since" else one for one in columns)) == got
    whole = [
        one | {"datatype": "FP64", "data": np.array([1.5])} if one["name"] == "children" else one for one in numbers
    ]
    assert "a number is out of its range, or not whole" in apart.v2(*whole)["error"]


def test_metadata_tells_columns_and_kinds(strict: Loaded, tmp_path: Path) -> None:
    document = v2.metadata(strict.model)
    assert list(document["parameters"]["columns"]) == COLUMNS
    assert [list(one["parameters"]["columns"]) for one in document["inputs"]] == [COLUMNS]


def test_metadata_tells_an_input_for_each_column(apart: Loaded) -> None:
    document = v2.metadata(apart.model)
    assert document["parameters"]["columns"] == tuple(FULL)
    told = {one["name"]: one.get("parameters") for one in document["inputs"]}
    assert told["colour"] == {"kind": "category", "nullable": True}
    assert told["children"] == {"kind": "number"}


def test_the_page_of_the_model_names_the_columns(strict: Loaded) -> None:
    (v1, _) = openapi.page(strict.model)["paths"].values()
    row = v1["post"]["requestBody"]["content"]["application/json"]["schema"]["properties"]["instances"]["items"]
    assert row["required"] == COLUMNS
    assert row["properties"]["age"] == {"type": "number"}


def test_the_page_of_the_model_tells_the_kinds(apart: Loaded) -> None:
    (v1, _) = openapi.page(apart.model)["paths"].values()
    row = v1["post"]["requestBody"]["content"]["application/json"]["schema"]["properties"]["instances"]["items"]
    assert row["required"] == ["paid", "children"]
    assert row["properties"]["since"] == {"type": ["string", "null"], "format": "date-time"}
    assert row["properties"]["paid"] == {"type": "boolean"}


def test_units_and_labels_come_with_the_answer(tmp_path: Path) -> None:
    graphs.save(graphs.table(), tmp_path / "model.onnx")
    output = {"name": "number", "datatype": "FP32", "shape": [-1, 1], "unit": "EUR"}
    graphs.manifest(tmp_path, labels=[], inputs=[], outputs=[output])
    asked = Loaded(tmp_path)
    assert asked.v1(instances=[[1, 2, 3]]) == {"predictions": [[123]], "units": {"number": "EUR"}}
    assert v2.metadata(asked.model)["outputs"][0]["parameters"] == {"unit": "EUR"}


def told(asked: Loaded) -> dict[str, Any]:
    """The schema of an answer of protocol v1, by what is in it; all of that is in each."""
    answer = openapi.page(asked.model)["paths"]["/v1/models/m:predict"]["post"]["responses"]["200"]
    schema = json.loads(json.dumps(answer))["content"]["application/json"]["schema"]
    assert schema["required"] == list(schema["properties"])
    found: dict[str, Any] = schema["properties"]
    return found


def test_the_page_tells_what_an_answer_has(tmp_path: Path, apart: Loaded) -> None:
    number = {"name": "number", "datatype": "FP32", "shape": [-1, 1], "unit": "EUR"}
    (tmp_path / "priced").mkdir()
    graphs.save(graphs.table(), tmp_path / "priced" / "model.onnx")
    graphs.manifest(tmp_path / "priced", labels=[], inputs=[], outputs=[number])
    (tmp_path / "classes").mkdir()
    graphs.save(graphs.classifier(), tmp_path / "classes" / "model.onnx")
    graphs.manifest(tmp_path / "classes")
    (tmp_path / "sets").mkdir()

    asked = Loaded(tmp_path / "priced")
    answer, schema = asked.v1(instances=[[1, 2, 3]]), told(asked)
    assert answer.keys() == schema.keys() == {"predictions", "units"}
    assert schema["units"]["const"] == answer["units"]
    assert schema["predictions"]["items"] == {
        "type": "array",
        "items": {"type": "number"},
        "minItems": 1,
        "maxItems": 1,
    }
    for asked, row in (
        (Loaded(tmp_path / "classes"), [[0.0, 9.0], [0.0, 0.0]]),
        (several(tmp_path / "sets"), [1, -1, 2]),
    ):
        answer, schema = asked.v1(instances=[row]), told(asked)
        assert answer.keys() == schema.keys() == {"predictions", "probabilities", "labels"}
        assert schema["labels"]["const"] == answer["labels"] == graphs.LABELS
        (probabilities,) = answer["probabilities"]
        items = schema["probabilities"]["items"]
        assert items["minItems"] == items["maxItems"] == len(probabilities)
    assert apart.v1(instances=[FULL]).keys() == told(apart).keys() == {"predictions"}


def several(folder: Path, **changes: Any) -> Loaded:
    graphs.save(graphs.multilabel(), folder / "model.onnx")
    outputs = [
        {"name": "labels", "datatype": "BOOL", "shape": [-1, 3]},
        {"name": "probabilities", "datatype": "FP32", "shape": [-1, 3]},
    ]
    (folder / "samples.json").write_text(
        json.dumps({"instances": [[1, -1, 1]], "outputs": {"labels": [[True, False, True]]}})
    )
    manifest = {"task": "tabular-multilabel-classification", "outputs": outputs, "inputs": []} | changes
    graphs.manifest(folder, files=graphs.listed(folder, "model.onnx", "samples.json"), **manifest)
    return Loaded(folder)


def test_a_row_has_any_number_of_labels(tmp_path: Path) -> None:
    asked = several(tmp_path)
    document = asked.v1(instances=[[1, -1, 2], [-1, -2, -3], [0, 0, 0]])
    assert document["predictions"] == [["zero", "two"], [], ["zero", "one", "two"]]
    assert document["labels"] == graphs.LABELS
    assert [len(row) for row in document["probabilities"]] == [3, 3, 3]
    assert document["probabilities"][2] == [0.5, 0.5, 0.5]
    found = asked.v2({"name": "numbers", "datatype": "FP32", "shape": [2, 3], "data": [[1, -1, 2], [-1, -2, -3]]})
    assert found["labels"] == [True, False, True, False, False, False]
    assert v2.metadata(asked.model)["parameters"]["labels"] == graphs.LABELS
    answer = openapi.page(asked.model)["paths"]["/v1/models/m:predict"]["post"]["responses"]["200"]
    items = answer["content"]["application/json"]["schema"]["properties"]["predictions"]["items"]
    assert items == {"type": "array", "items": {"type": "string", "enum": tuple(graphs.LABELS)}, "uniqueItems": True}


def test_as_many_labels_as_the_model_gives(tmp_path: Path) -> None:
    outputs = [{"name": "labels", "datatype": "BOOL", "shape": [-1, 3]}]
    with pytest.raises(Unservable, match=r"names 2 labels, but (labels|probabilities) have the shape \(1, 3\)"):
        several(tmp_path, labels=["a", "b"], outputs=outputs)


def test_a_kind_of_a_later_version_is_served_by_its_element_type(tmp_path: Path) -> None:
    graphs.save(graphs.echo(("x", graphs.FLOAT, ["rows", 1])), tmp_path / "model.onnx")
    described = {"name": "x", "datatype": "FP32", "shape": [-1, 1], "kind": "money"}
    graphs.manifest(tmp_path, labels=[], inputs=[described], outputs=[])
    assert (
        Loaded(tmp_path).instances({"x": 1.5}, {"x": [2]})
        == "input 'x': lists are nested unevenly; expected shape [-1]"
    )
    assert Loaded(tmp_path).instances({"x": 1.5}) == [[1.5]]


def test_as_many_names_as_columns(tmp_path: Path) -> None:
    with pytest.raises(Unservable, match="names 2 columns of 'inputs', but the model has"):
        table(tmp_path, columns=COLUMNS[:2])
