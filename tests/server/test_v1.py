"""KServe's protocol v1."""

from __future__ import annotations

import pytest
from process import Process

ONE = [[0.0, 9.0], [0.0, 0.0]]
TWO = [[0.0, 0.0], [9.0, 0.0]]


@pytest.mark.parametrize("form", ["instances", "inputs"])
def test_a_class_is_named_and_its_probabilities_are_given(classifier: Process, form: str) -> None:
    reply = classifier.predict(**{form: [ONE, TWO, ONE]})
    assert reply.status_code == 200, reply.text
    document = reply.json()
    assert document["predictions"] == ["one", "two", "one"]
    assert [len(row) for row in document["probabilities"]] == [3, 3, 3]
    assert all(sum(row) == pytest.approx(1, abs=1e-5) for row in document["probabilities"])
    assert document["probabilities"][0][1] > 0.99
    assert document["labels"] == ["zero", "one", "two"]


def test_rows_may_name_their_inputs(classifier: Process, servers: dict[str, Process]) -> None:
    assert classifier.predict(instances=[{"inputs": ONE}]).json()["predictions"] == ["one"]
    reply = servers["adder"].predict(instances=[{"a": [1, 2], "b": [3, 4]}, {"a": [0, 0], "b": [5, 5]}])
    assert reply.json() == {"predictions": [{"sum": [4, 6], "twice": [2, 4]}, {"sum": [5, 5], "twice": [0, 0]}]}


def test_inputs_may_be_columns(servers: dict[str, Process]) -> None:
    reply = servers["adder"].predict(inputs={"a": [[1, 2]], "b": [[3, 4]]})
    assert reply.json() == {"predictions": [{"sum": [4, 6], "twice": [2, 4]}]}


def test_a_single_output_is_the_prediction(servers: dict[str, Process]) -> None:
    assert servers["embedding"].predict(instances=[[0], [3]]).json() == {"predictions": [[[0, 1]], [[6, 7]]]}
    assert servers["text"].predict(instances=["a", "ü"]).json() == {"predictions": ["a", "ü"]}
    assert servers["half"].predict(instances=[[0.5, 1]]).json() == {"predictions": [[0.5, 1]]}


def test_the_page_of_the_model(classifier: Process) -> None:
    page = classifier.http.get("/openapi.json").json()
    asked = page["paths"]["/v1/models/classifier:predict"]["post"]["requestBody"]["content"]["application/json"]
    row = asked["schema"]["properties"]["instances"]["items"]
    assert (row["minItems"], row["items"]["maxItems"], row["items"]["items"]) == (2, 2, {"type": "number"})
    assert "example" not in asked
    assert "/v2/models/classifier/infer" in page["paths"]


def test_health_and_list(classifier: Process) -> None:
    assert classifier.http.get("/v1/models/classifier").json() == {"name": "classifier", "ready": True}
    assert classifier.http.get("/v1/models").json() == {"models": ["classifier"]}
    assert classifier.http.get("/").json() == {"status": "alive"}
