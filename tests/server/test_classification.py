"""Triton's classification extension: the classes that lead, over REST and gRPC, with the names that the model has."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from calls import call, request, told
from process import Process

from tradewind_server.classes import leading
from tradewind_server.refusal import BadRequest

TENSOR = {"name": "inputs", "datatype": "FP32", "shape": [2, 2, 2]}
ROWS = np.array([[0, 9, 0, 0], [0, 0, 1, 0]], "<f4")


def test_the_largest_value_comes_first_and_of_equal_ones_the_lower_index() -> None:
    values = np.array([[0.25, 0.5, 0.25], [0.0, 0.0, 1.0]], np.float32)
    assert leading(values, 2, ("a", "b", "c")).tolist() == [
        ["0.500000:1:b", "0.250000:0:a"],
        ["1.000000:2:c", "0.000000:0:a"],
    ]
    assert leading(values, 9, ()).tolist()[0] == ["0.500000:1", "0.250000:0", "0.250000:2"]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[-128, 127, 0]], np.int8), ["127:1", "0:2", "-128:0"]),
        (np.array([[0, 2**64 - 1, 1]], np.uint64), [f"{2**64 - 1}:1", "1:2", "0:0"]),
        (np.array([[np.nan, -np.inf, np.inf]], np.float64), ["inf:2", "-inf:1", "nan:0"]),
        (np.array([[0.5, 1.5]], np.float16), ["1.500000:1", "0.500000:0"]),
    ],
)
def test_values_at_the_ends_of_their_range(values: Any, expected: list[str]) -> None:
    assert leading(values, 3, ()).tolist() == [expected]


def test_a_name_is_given_only_where_each_class_has_one() -> None:
    assert leading(np.array([[1.0, 2.0]]), 1, ("a", "b", "c")).tolist() == [["2.000000:1"]]


def test_texts_have_a_limit() -> None:
    with pytest.raises(BadRequest, match="2048 rows with 1024 classes each is more than 1048576 texts"):
        leading(np.zeros((2048, 2048), np.float32), 1024, ())
    assert leading(np.zeros((2048, 2048), np.int8), 1, ()).tolist() == [["0:0"]] * 2048


@pytest.mark.parametrize("binary", [False, True])
def test_over_rest(classifier: Process, binary: bool) -> None:
    told = {"classification": 2, "binary_data": binary}
    outputs = [{"name": "probabilities", "parameters": told}, {"name": "label"}]
    reply = classifier.infer(TENSOR | {"data": ROWS.ravel().tolist()}, outputs=outputs)
    length = int(reply.headers.get("inference-header-content-length", len(reply.content)))
    probabilities, label = json.loads(reply.content[:length])["outputs"]
    assert (probabilities["datatype"], probabilities["shape"]) == ("BYTES", [2, 2])
    assert label["data"] == [1, 2]
    if binary:
        assert reply.content[length:].startswith(b"\x0e\x00\x00\x000.999753:1:one\x0f")
    else:
        assert [text.split(":")[1:] for text in probabilities["data"]] == [
            ["1", "one"],
            ["0", "zero"],
            ["2", "two"],
            ["0", "zero"],
        ]


@pytest.mark.parametrize("raw", [False, True])
def test_over_grpc(classifier: Process, raw: bool) -> None:
    outputs = [{"name": "probabilities", "parameters": told(classification=1)}]
    typed = {} if raw else {"contents": {"fp32_contents": ROWS.ravel().tolist()}}
    asked = request(TENSOR | typed, raw=[ROWS] if raw else [], model="classifier", outputs=outputs)
    answer = call(classifier.rpc_port, asked)
    assert (answer.outputs[0].datatype, list(answer.outputs[0].shape)) == ("BYTES", [2, 1])
    if raw:
        assert answer.raw_output_contents[0].startswith(b"\x0e\x00\x00\x000.999753:1:one")
    else:
        first, second = answer.outputs[0].contents.bytes_contents
        assert first == b"0.999753:1:one" and second.endswith(b":2:two")
