"""Golden samples that a training leaves with its model: which rows, and what is said of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from jobs import training_job
from onnx import TensorProto, helper, numpy_helper

from tradewind.api.artefact import Tensor
from tradewind.api.report import JobDocument
from tradewind_workload.data.fitting import Stage
from tradewind_workload.export import samples
from tradewind_workload.export.inference import open_session
from tradewind_workload.heads.answer import Classes
from tradewind_workload.io.document import training_spec
from tradewind_workload.io.store import find
from tradewind_workload.tasks.matrix import family
from tradewind_workload.train import result
from tradewind_workload.train.reporting import Course
from tradewind_workload.train.training import outputs_of

if TYPE_CHECKING:
    from pathlib import Path

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


@dataclass
class Held:
    """Rows as the data's are asked for."""

    rows: np.ndarray
    targets: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, numbers: np.ndarray) -> Held:
        return Held(self.rows[numbers], self.targets[numbers])

    def by_block(self) -> list[Held]:
        return [self.take(numbers) for numbers in np.array_split(np.arange(len(self)), 2)]

    def table(self) -> pa.Table:
        flat = pa.array(self.rows.reshape(-1))
        return pa.table({"inputs": pa.FixedSizeListArray.from_arrays(flat, self.rows[0].size)})


def written(session: Any, rows: np.ndarray, classes: np.ndarray, taken: Tensor = NAMED, **rest: Any) -> bytes | None:
    asked = samples.Asked({taken.name: rows}, lambda chosen: [samples.instance(row, taken) for row in rows[chosen]])
    return samples.golden_of(session, asked, classes, **rest)


def golden(session: Any, rows: np.ndarray, classes: np.ndarray, taken: Tensor = NAMED, **rest: Any) -> dict[str, Any]:
    content = written(session, rows, classes, taken, **rest)
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
    assert written(session, rows[:1], np.array([0])) is None


def test_what_is_missing_is_null_where_the_model_takes_it(session: Any) -> None:
    rows = np.array([[np.nan, 3, 0], [np.inf, 3, 0], [0, 3, 0]], np.float32)
    classes = np.array([1, 1, 1])
    assert [row["a"] for row in golden(session, rows, classes, NULLABLE)["instances"]] == [None, 0]
    assert [row["a"] for row in golden(session, rows, classes)["instances"]] == [0]


def test_answers_are_those_of_one_request_with_exactly_these_rows() -> None:
    """As dynamic quantisation has it, what is beside a row counts: here the largest value of all."""
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMax", ["inputs"], ["most"], keepdims=0),
            helper.make_node("Div", ["inputs", "most"], ["scaled"]),
            helper.make_node("Softmax", ["scaled"], ["probabilities"], axis=1),
            helper.make_node("ArgMax", ["scaled"], ["label"], axis=1, keepdims=0),
        ],
        "scaled",
        [helper.make_tensor_value_info("inputs", TensorProto.FLOAT, ["rows", 3])],
        [
            helper.make_tensor_value_info("label", TensorProto.INT64, ["rows"]),
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["rows", 3]),
        ],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = open_session(proto.SerializeToString())
    rows, classes = rows_of([0, 1, 2] * 20)
    rows[40] *= 5
    document = golden(session, rows, classes)
    some = np.array([list(row.values()) for row in document["instances"]], np.float32)
    _, probabilities = session.run(["label", "probabilities"], {"inputs": some})
    np.testing.assert_array_equal(probabilities, np.array(document["outputs"]["probabilities"], np.float32))


@pytest.mark.parametrize("impute", [True, False])
def test_a_table_leaves_its_columns_and_samples_by_name(impute: bool, volumes: Path) -> None:
    steps = [{"impute": {"strategy": "mean"}}] if impute else []
    data = {"train": {"storageUri": "pvc://claim/t.csv", "format": "csv"}, "validationFraction": "0.5"}
    job = JobDocument.read(
        training_job(
            {
                "recipe": {"task": "tabular-classification", "model": {"architecture": "linear"}},
                "data": data | {"prepare": steps},
                "output": {"storageUri": "pvc://claim/model"},
            }
        )
    )
    rows, classes = rows_of([0, 1, 2, 0])
    held = Held(rows, classes)
    stages = (Stage("impute", np.zeros(3, np.float32)),) if impute else ()
    prepared: Any = SimpleNamespace(
        train=held,
        validation=held,
        test=None,
        split_digest="sha256:0",
        answers_digest="sha256:1",
        seen=None,
        row_shape=(3,),
        columns=("a", "b", "c"),
        augment=None,
        labels=("x", "y", "z"),
        several=False,
        judged_by=None,
        image=None,
        stages=stages,
    )
    spec = training_spec(job)
    assert spec.recipe is not None
    fitted = family.fit(prepared)
    network = fitted.network(spec.recipe.model, 3, 1)
    answer = Classes(prepared.labels)
    model = fitted.model(network, answer)
    trained = result.Trained(model, answer.decoded(outputs_of(network, rows)), Course())
    result.store(job, spec, prepared, trained, volumes / "claim/model")
    found = find(volumes / "claim/model", lambda manifest: True)
    assert found is not None
    stored, manifest = found
    assert (manifest.inputs[0].columns, manifest.inputs[0].nullable) == (("a", "b", "c"), impute)
    assert {"model.onnx", "model.safetensors", "samples.json"} <= set(manifest.files)
    document = json.loads((stored.folder / "samples.json").read_bytes())
    assert {tuple(row) for row in document["instances"]} == {("a", "b", "c")}


def test_large_rows_are_few(session: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "MOST_VALUES", 7)
    plain = Tensor(name="inputs", datatype="FP32", shape=(-1, 3))
    assert golden(session, *rows_of([0, 1, 2, 0]), plain)["instances"] == [[1, 0, 0], [0, 1, 0]]
