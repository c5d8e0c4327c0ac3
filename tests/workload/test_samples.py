"""Golden samples that a training leaves with its model: which rows, and what is said of them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from tradewind.api.artefact import Tensor
from tradewind_workload.export import samples
from tradewind_workload.export.inference import open_session

NAMED = Tensor(name="inputs", datatype="FP32", shape=(-1, 3), columns=("a", "b", "c"))
NULLABLE = NAMED.model_copy(update={"nullable": True})


@pytest.fixture(scope="module")
def session() -> Any:
    """The class is the largest of three values; a missing one is 0."""
    zero = numpy_helper.from_array(np.float32(0), "zero")
    graph = helper.make_graph(
        [
            helper.make_node("IsNaN", ["inputs"], ["missing"]),
            helper.make_node("Where", ["missing", "zero", "inputs"], ["filled"]),
            helper.make_node("Softmax", ["filled"], ["probabilities"], axis=1),
            helper.make_node("ArgMax", ["filled"], ["label"], axis=1, keepdims=0),
        ],
        "largest",
        [helper.make_tensor_value_info("inputs", TensorProto.FLOAT, ["rows", 3])],
        [
            helper.make_tensor_value_info("label", TensorProto.INT64, ["rows"]),
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["rows", 3]),
        ],
        [zero],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return open_session(proto.SerializeToString())


def rows_of(classes: list[int]) -> tuple[np.ndarray, np.ndarray]:
    return np.eye(3, dtype=np.float32)[classes], np.array(classes)


def golden(session: Any, rows: np.ndarray, classes: np.ndarray, taken: Tensor = NAMED, **rest: Any) -> dict[str, Any]:
    content = samples.golden(session, rows, classes, taken, **rest)
    assert content is not None
    document: dict[str, Any] = json.loads(content)
    return document


def test_every_class_is_there_though_one_is_rare(session: Any) -> None:
    document = golden(session, *rows_of([0] * 500 + [1] * 5 + [2]))
    assert len(document["instances"]) == samples.ROWS
    assert document["outputs"]["label"].count(1) == 5
    assert document["outputs"]["label"].count(2) == 1
    assert document["instances"][1] == {"a": 0.0, "b": 1.0, "c": 0.0}
    assert document == golden(session, *rows_of([0] * 500 + [1] * 5 + [2]))


def test_a_close_call_is_no_sample(session: Any) -> None:
    rows = np.array([[1, 1, 0], [2, 1, 0]], np.float32)
    assert golden(session, rows, np.array([0, 0]))["instances"] == [{"a": 2.0, "b": 1.0, "c": 0.0}]
    assert samples.golden(session, rows[:1], np.array([0]), NAMED) is None


def test_what_is_missing_is_null_where_the_model_takes_it(session: Any) -> None:
    rows = np.array([[np.nan, 3, 0], [np.inf, 3, 0], [0, 3, 0]], np.float32)
    classes = np.array([1, 1, 1])
    assert [row["a"] for row in golden(session, rows, classes, NULLABLE)["instances"]] == [None, 0]
    assert [row["a"] for row in golden(session, rows, classes)["instances"]] == [0]


def test_large_rows_are_few(session: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "MOST_VALUES", 7)
    plain = Tensor(name="inputs", datatype="FP32", shape=(-1, 3))
    assert golden(session, *rows_of([0, 1, 2, 0]), plain)["instances"] == [[1, 0, 0], [0, 1, 0]]
