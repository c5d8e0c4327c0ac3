"""What the server finds out about batches before it serves: what pays, and that none changes an answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import graphs
import numpy as np
import onnxruntime
import pytest
from loaded import Loaded
from onnx import ModelProto, helper
from process import running

from tradewind_server import learning, session
from tradewind_server.learning import Clock, Learned, Room, learn, obstacle
from tradewind_server.refusal import BadRequest
from tradewind_server.tensors import TensorSpec

ENDLESS = Room(1, 1 << 60)
ROWS = {"x": np.arange(12, dtype=np.float32).reshape(6, 2)}


class Timed:
    """A model whose runs take what `seconds` says of their rows, by a clock of its own."""

    def __init__(self, seconds: Callable[[int], float], answer: Callable[[Any], Any] = lambda x: x.sum(axis=1)) -> None:
        self.seconds, self.answer = seconds, answer
        self.now = 0.0
        self.rows: list[int] = []

    def __call__(self, tensors: Mapping[str, Any]) -> dict[str, Any]:
        rows = len(tensors["x"])
        self.rows.append(rows)
        self.now += self.seconds(rows)
        return {"y": self.answer(tensors["x"])}

    def learnt(self, most: int = 64, apart: float = 0.0) -> Learned:
        return learn(self, ROWS, most, ENDLESS, apart, clock=Clock(lambda: self.now))


def test_the_size_is_where_a_row_gets_no_cheaper() -> None:
    found = Timed(lambda rows: 0.001 * max(8, rows)).learnt()
    assert found.rows == 8
    assert found.why == "a row takes 8 ms alone, and 1 ms in a batch of 8"
    assert found.seconds[1] == pytest.approx(0.008)


@pytest.mark.parametrize(
    ("seconds", "apart", "why"),
    [
        (lambda rows: 0.001 * rows, 0.0, "a row takes 1 ms alone, and no less in a batch"),
        (lambda rows: 0.001 + 0.0001 * rows, 0.1, "a row takes 101 ms alone, and no less in a batch"),
        (lambda rows: 0.1, 0.0, "a row takes 100 ms, and too long or too much memory to try more at the start"),
    ],
)
def test_batches_that_do_not_pay_are_not_made(seconds: Callable[[int], float], apart: float, why: str) -> None:
    found = Timed(seconds).learnt(apart=apart)
    assert (found.rows, found.why) == (1, why)


def test_the_limit_of_rows_bounds_a_batch_and_the_start_takes_no_longer_than_it_may() -> None:
    assert Timed(lambda rows: 0.001).learnt(most=4).rows == 4
    slow = Timed(lambda rows: 0.05)
    assert slow.learnt().rows > 1
    assert slow.now < 2


def test_no_batch_is_tried_that_may_not_fit_into_memory() -> None:
    class Hungry(Timed):
        used = 100  # bytes, and ten more for each row of the largest run

        def __call__(self, tensors: Mapping[str, Any]) -> dict[str, Any]:
            self.used = max(self.used, 100 + 10 * len(tensors["x"]))
            return super().__call__(tensors)

    model = Hungry(lambda rows: 0.001)
    room = Room(2, 1000, lambda: model.used)  # for two threads: 8 rows need 340 to 420, 16 would 580, 32 be 900
    found = learn(model, ROWS, 64, room, clock=Clock(lambda: model.now))
    assert max(model.rows) == found.rows == 16


def scaled(x: Any) -> Any:
    """As a graph that is quantised dynamically: 8 bits over all that is in the batch."""
    scale = np.nanmax(np.abs(x)) / 127
    return (np.round(x / scale) * scale).sum(axis=1)


def longest(x: Any) -> Any:
    """Its answer has as many places as the largest value of the batch."""
    return np.zeros((len(x), 1 + int(np.nan_to_num(x).max())), dtype=np.float32)


def strict(x: Any) -> Any:
    if len(x) > 1:
        raise BadRequest("one row only")
    return x


def rounded(x: Any) -> Any:
    """Adds up in another order where there are several rows."""
    return x.sum(axis=1) * np.float32(1 + 1e-6 * (len(x) > 1))


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (scaled, "a batch changes 'y' of its rows"),
        (longest, "a batch changes 'y' of its rows"),
        (lambda x: x - x.mean(axis=0), "a batch changes 'y' of its rows"),
        (lambda x: np.argsort(x[:, 0]), "a batch changes 'y' of its rows"),
        (strict, "the model does not answer several rows: one row only"),
        (lambda x: x.sum(axis=1) * np.nan, "the model gives no number for what it is tried with"),
    ],
)
def test_an_answer_never_depends_on_the_rows_of_strangers(answer: Callable[[Any], Any], why: str) -> None:
    found = Timed(lambda rows: 0.001, answer).learnt()
    assert found.rows == 1
    assert found.why.startswith(why)


def test_the_last_bits_of_floats_may_differ() -> None:
    assert Timed(lambda rows: 0.001, rounded).learnt().rows == 64


def test_a_model_that_refuses_wild_rows_is_tried_with_others() -> None:
    def careful(x: Any) -> Any:
        if not np.isfinite(x).all():
            raise BadRequest("not a number")
        return x.sum(axis=1)

    assert Timed(lambda rows: 0.001, careful).learnt().rows == 64


def test_a_run_that_is_only_to_learn_from_ends(tmp_path: Path) -> None:
    graphs.save(graphs.endless(), path := tmp_path / "model.onnx")
    model = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    with pytest.raises(BadRequest):
        session.tried(model, {"x": np.zeros((1, 1), np.float32)}, ["y"], longest=0.1)


def test_equal_samples_would_show_nothing() -> None:
    same = {"x": np.ones((4, 2), dtype=np.float32)}
    model = Timed(lambda rows: 0.001)
    found = learn(model, same, 64, ENDLESS, clock=Clock(lambda: model.now))
    assert (found.rows, found.why[:39]) == (1, "there are no samples with different row")


X, Y = TensorSpec("x", "FP32", ("rows", 2)), TensorSpec("y", "FP32", ("n", 3))


@pytest.mark.parametrize(
    ("inputs", "outputs", "onnx", "why"),
    [
        ([X], [Y], b"", None),
        ([TensorSpec("x", "FP32", (1, 2))], [Y], b"", "input 'x' has no first axis of any size"),
        ([X], [TensorSpec("y", "FP32", ())], b"", "output 'y' has no first axis of any size"),
        ([X, TensorSpec("z", "FP32", ("others", 2))], [Y], b"", "the inputs have different first axes"),
        ([X], [TensorSpec("y", "FP32", ("rows", "longest"))], b"", "output 'y' has an axis whose size may depend"),
        ([X], [Y], b"..DynamicQuantizeLinear..", "the graph is quantised dynamically"),
    ],
)
def test_what_a_graph_declares_may_forbid_batches(
    inputs: list[TensorSpec], outputs: list[TensorSpec], onnx: bytes, why: str | None
) -> None:
    found = obstacle(inputs, outputs, onnx)
    assert found == why if why is None else found and found.startswith(why)


def dynamic() -> ModelProto:
    """As onnxruntime.quantization.quantize_dynamic makes a matrix product."""
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "scale", "zero"]),
        helper.make_node("MatMulInteger", ["q", "W", "zero"], ["whole"]),
        helper.make_node("Cast", ["whole"], ["float"], to=graphs.FLOAT),
        helper.make_node("Mul", ["float", "scale"], ["y"]),
    ]
    weights = {"W": np.eye(64, dtype=np.int8)}
    return graphs.model(nodes, [("x", graphs.FLOAT, ["rows", 64])], [("y", graphs.FLOAT, ["rows", 64])], weights)


def test_a_served_model_tells_what_was_found(tmp_path: Path) -> None:
    graphs.save(graphs.identity(graphs.FLOAT, ["rows", 2]), tmp_path / "m" / "model.onnx")
    with running(tmp_path / "m", tmp_path / "log") as process:
        line = json.loads(process.log)
        assert line["batch"] >= 1
        assert line["batching"].startswith("a row takes ")
        assert process.predict(instances=[[1, 2], [3, 4], [5, 6]]).status_code == 200
        metrics = process.metrics()
        assert metrics['tradewind_batch_rows_sum{model="m"}'] == 3
        assert metrics['tradewind_batch_rows_count{model="m"}'] == 1
    with running(tmp_path / "m", tmp_path / "log", env={"TRADEWIND_MAX_BATCH": "1"}) as process:
        assert (json.loads(process.log)["batch"], json.loads(process.log)["batching"]) == (1, "it is turned off")


def test_a_dynamically_quantised_model_is_asked_one_by_one(tmp_path: Path) -> None:
    graphs.save(dynamic(), tmp_path / "model.onnx")
    small = np.full((1, 64), 0.01, dtype=np.float32)
    assert Loaded(tmp_path).model.batching.why.startswith("the graph is quantised dynamically")
    assert Loaded(tmp_path).v2({"name": "x", "datatype": "FP32", "shape": [1, 64], "data": small})["y"][0] == (
        pytest.approx(0.01, rel=1e-2)
    )


@pytest.mark.parametrize(
    ("made", "same"), [(graphs.identity(graphs.FLOAT, ["rows", 2]), True), (graphs.endless(), False), (dynamic(), True)]
)
def test_what_is_measured_of_a_row_holds_for_others_unless_values_say_how_long_it_takes(made: Any, same: bool) -> None:
    assert learning.as_long_for_any_row(made.SerializeToString()) is same


def test_what_a_row_takes_is_known_where_no_batches_are_made(tmp_path: Path) -> None:
    graphs.save(dynamic(), tmp_path / "model.onnx")
    assert set(Loaded(tmp_path).model.batching.seconds) == {1}
