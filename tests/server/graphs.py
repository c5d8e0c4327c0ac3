"""ONNX models made for the tests: small, and each with one property that a test is about."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper
from onnx import save as save_onnx

FLOAT, INT64, STRING, FLOAT16 = TensorProto.FLOAT, TensorProto.INT64, TensorProto.STRING, TensorProto.FLOAT16
LABELS = ["zero", "one", "two"]

Info = tuple[str, int, Sequence[int | str | None]]


def model(
    nodes: Sequence[Any], inputs: Sequence[Info], outputs: Sequence[Info], weights: dict[str, Any] | None = None
) -> ModelProto:
    """A model of these nodes; each input and output is its name, element type and axes."""
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info(*info) for info in inputs],
        [helper.make_tensor_value_info(*info) for info in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in (weights or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def classifier() -> ModelProto:
    """[-1, 2, 2] float32 to one of three classes: the index of the largest of the first three cells."""
    weights = {"flat": np.array([-1, 4]), "W": np.eye(4, 3, dtype=np.float32)}
    nodes = [
        helper.make_node("Reshape", ["inputs", "flat"], ["f"]),
        helper.make_node("MatMul", ["f", "W"], ["l"]),
        helper.make_node("Softmax", ["l"], ["probabilities"], axis=1),
        helper.make_node("ArgMax", ["l"], ["label"], axis=1, keepdims=0),
    ]
    outputs: list[Info] = [("label", INT64, ["rows"]), ("probabilities", FLOAT, ["rows", 3])]
    return model(nodes, [("inputs", FLOAT, ["rows", 2, 2])], outputs, weights)


def endless() -> ModelProto:
    """Rows of one float32, each of which takes years."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["go_on"]),
            helper.make_node("Add", ["x_in", "one"], ["x_out"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("turn", INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("x_in", FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("x_out", FLOAT, None),
        ],
        [numpy_helper.from_array(np.float32(1), "one")],
    )
    weights = {"turns": np.array(1 << 62), "yes": np.array(True)}
    nodes = [helper.make_node("Loop", ["turns", "yes", "x"], ["y"], body=body)]
    return model(nodes, [("x", FLOAT, ["rows", 1])], [("y", FLOAT, ["rows", 1])], weights)


def multilabel() -> ModelProto:
    """Rows of three float32 to any of three labels: those whose number is not below 0."""
    nodes = [
        helper.make_node("Sigmoid", ["numbers"], ["probabilities"]),
        helper.make_node("GreaterOrEqual", ["probabilities", "half"], ["labels"]),
    ]
    axes = ["rows", 3]
    outputs: list[Info] = [("labels", TensorProto.BOOL, axes), ("probabilities", FLOAT, axes)]
    return model(nodes, [("numbers", FLOAT, axes)], outputs, {"half": np.array(0.5, np.float32)})


def identity(element: int, axes: Sequence[int | str | None]) -> ModelProto:
    """`y` is `x`."""
    return model([helper.make_node("Identity", ["x"], ["y"])], [("x", element, axes)], [("y", element, axes)])


def adder() -> ModelProto:
    """`sum` = `a` + `b`, and `twice` = 2 `a`; rows of two float32."""
    nodes = [helper.make_node("Add", ["a", "b"], ["sum"]), helper.make_node("Add", ["a", "a"], ["twice"])]
    axes = ["rows", 2]
    return model(nodes, [("a", FLOAT, axes), ("b", FLOAT, axes)], [("sum", FLOAT, axes), ("twice", FLOAT, axes)])


def table() -> ModelProto:
    """[-1, 3] float32: each row read as a number of three digits, where a missing value is 0."""
    weights = {"nothing": np.float32(0), "W": np.array([[100], [10], [1]], dtype=np.float32)}
    nodes = [
        helper.make_node("IsNaN", ["inputs"], ["missing"]),
        helper.make_node("Where", ["missing", "nothing", "inputs"], ["filled"]),
        helper.make_node("MatMul", ["filled", "W"], ["number"]),
    ]
    return model(nodes, [("inputs", FLOAT, ["rows", 3])], [("number", FLOAT, ["rows", 1])], weights)


def mixed() -> ModelProto:
    """A recipe's model of a mixed table in small: the class whose score is the largest.

    `town` scores 5 for Köln, 1 for a town that is not known and 0 where it is missing; `income` its value; `member` 3
    or -3; `since` its days. What is missing scores 0.
    """
    weights = {"nothing": np.float32(0), "axis": np.array([1]), "day": np.float64(86400)}
    town = {"keys_strings": ["", "Köln"], "values_floats": [0.0, 5.0], "default_float": 1.0}
    member = {"keys_strings": ["true", "false"], "values_floats": [3.0, -3.0], "default_float": float("nan")}
    nodes = [
        helper.make_node("LabelEncoder", ["town"], ["town_score"], domain="ai.onnx.ml", **town),
        helper.make_node("LabelEncoder", ["member"], ["member_score"], domain="ai.onnx.ml", **member),
        helper.make_node("Div", ["since", "day"], ["days"]),
        helper.make_node("Cast", ["days"], ["since_score"], to=FLOAT),
        *(
            helper.make_node("Unsqueeze", [score, "axis"], [f"{score}_column"])
            for score in ("town_score", "income", "member_score", "since_score")
        ),
        helper.make_node(
            "Concat", ["town_score_column", "income_column", "member_score_column", "since_score_column"], ["s"], axis=1
        ),
        helper.make_node("IsNaN", ["s"], ["missing"]),
        helper.make_node("Where", ["missing", "nothing", "s"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["probabilities"], axis=1),
        helper.make_node("ArgMax", ["scores"], ["label"], axis=1, keepdims=0),
    ]
    inputs: list[Info] = [
        ("town", STRING, ["rows"]),
        ("income", FLOAT, ["rows"]),
        ("member", STRING, ["rows"]),
        ("since", TensorProto.DOUBLE, ["rows"]),
    ]
    outputs: list[Info] = [("label", INT64, ["rows"]), ("probabilities", FLOAT, ["rows", 4])]
    made = model(nodes, inputs, outputs, weights)
    made.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))
    return made


def echo(*columns: Info) -> ModelProto:
    """Gives back each input, as `got_` and its name."""
    nodes = [helper.make_node("Identity", [name], [f"got_{name}"]) for name, _, _ in columns]
    return model(nodes, columns, [(f"got_{name}", element, axes) for name, element, axes in columns])


def embedding() -> ModelProto:
    """A table of four rows, looked up by INT64 `x`: an index out of range fails inside of the model."""
    weights = {"table": np.arange(8, dtype=np.float32).reshape(4, 2)}
    nodes = [helper.make_node("Gather", ["table", "x"], ["y"])]
    return model(nodes, [("x", INT64, ["rows", 1])], [("y", FLOAT, ["rows", 1, 2])], weights)


def slow(always: int | None = None) -> ModelProto:
    """As many products of 96x96 matrices as `x`, an INT64, says; or `always` so many, whatever it says."""
    size = 96
    body = helper.make_graph(
        [
            helper.make_node("MatMul", ["state", "M"], ["next"]),
            helper.make_node("Identity", ["going"], ["still"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("at", INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state", FLOAT, [size, size]),
        ],
        [
            helper.make_tensor_value_info("still", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", FLOAT, [size, size]),
        ],
    )
    trips = [helper.make_node("Squeeze", ["x"], ["trips"])]
    weights = {"M": np.eye(size, dtype=np.float32), "yes": np.array(True)}
    if always:
        trips = [helper.make_node("Mul", ["x", "none"], ["zero"]), helper.make_node("Add", ["zero", "many"], ["trips"])]
        weights |= {"none": np.array(0), "many": np.array(always)}
    nodes = [
        *trips,
        helper.make_node("Loop", ["trips", "yes", "M"], ["end"], body=body),
        helper.make_node("ReduceSum", ["end"], ["y"], keepdims=0),
    ]
    return model(nodes, [("x", INT64, [1])], [("y", FLOAT, [])], weights)


def save(proto: ModelProto, path: Path) -> Path:
    """Writes the file, and its folder if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_onnx(proto, str(path))
    return path


def manifest(folder: Path, **changes: Any) -> str:
    """Writes model.json of the classifier beside model.onnx; its digest."""
    document = {
        "formatVersion": 1,
        "task": "image-classification",
        "inputs": [{"name": "inputs", "datatype": "FP32", "shape": [-1, 2, 2]}],
        "outputs": [
            {"name": "label", "datatype": "INT64", "shape": [-1]},
            {"name": "probabilities", "datatype": "FP32", "shape": [-1, 3]},
        ],
        "labels": LABELS,
        "files": listed(folder, "model.onnx"),
    } | changes
    (folder / "model.json").write_text(json.dumps(document))
    return "sha256:" + hashlib.sha256((folder / "model.json").read_bytes()).hexdigest()


def listed(folder: Path, *names: str) -> dict[str, Any]:
    """Files of the folder as a manifest lists them."""
    contents = {name: (folder / name).read_bytes() for name in names}
    return {
        name: {"sha256": hashlib.sha256(content).hexdigest(), "sizeBytes": len(content)}
        for name, content in contents.items()
    }
