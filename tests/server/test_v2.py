"""The Open Inference Protocol v2: JSON and binary tensors, and KServe's own client."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import numpy as np
import pytest
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kserve.protocol.infer_type import RequestedOutput
from process import Process

ONE = [[0.0, 9.0], [0.0, 0.0]]
INPUT = {"name": "inputs", "datatype": "FP32", "shape": [1, 2, 2]}


def binary(process: Process, document: dict[str, Any], *tensors: bytes, **headers: str) -> httpx.Response:
    """Asks with the tensors behind the JSON."""
    text = json.dumps(document).encode()
    headers = {"Inference-Header-Content-Length": str(len(text)), **headers}
    return process.http.post(f"/v2/models/{process.name}/infer", content=b"".join([text, *tensors]), headers=headers)


def behind(name: str, datatype: str, shape: list[int], raw: bytes) -> dict[str, Any]:
    """An input whose values are behind the JSON."""
    return {"name": name, "datatype": datatype, "shape": shape, "parameters": {"binary_data_size": len(raw)}}


def test_metadata_has_labels_and_the_digest(classifier: Process) -> None:
    document = classifier.http.get("/v2/models/classifier").json()
    assert document["name"] == "classifier"
    assert document["inputs"] == [{"name": "inputs", "datatype": "FP32", "shape": [-1, 2, 2]}]
    assert [(output["name"], output["datatype"], output["shape"]) for output in document["outputs"]] == [
        ("label", "INT64", [-1]),
        ("probabilities", "FP32", [-1, 3]),
    ]
    assert document["parameters"]["labels"] == ["zero", "one", "two"]
    assert document["parameters"]["digest"].startswith("sha256:")


def test_health_and_server_metadata(classifier: Process) -> None:
    get = classifier.http.get
    assert get("/v2/health/live").json() == {"live": True}
    assert get("/v2/health/ready").json() == {"ready": True}
    assert get("/v2/models/classifier/ready").json() == {"name": "classifier", "ready": True}
    assert get("/v2").json()["extensions"] == ["binary_tensor_data", "classification"]
    assert classifier.http.head("/v2/health/ready").status_code == 200


@pytest.mark.parametrize("data", [[0, 9, 0, 0], [ONE]], ids=["flat", "nested"])
def test_json(classifier: Process, data: Any) -> None:
    document = classifier.infer(INPUT | {"data": data}, id="42").json()
    assert (document["model_name"], document["id"]) == ("classifier", "42")
    label, probabilities = document["outputs"]
    assert label == {"name": "label", "datatype": "INT64", "shape": [1], "data": [1]}
    assert (probabilities["shape"], len(probabilities["data"])) == ([1, 3], 3)


def test_only_the_outputs_that_were_asked_for_in_that_order(servers: dict[str, Process]) -> None:
    a = {"name": "a", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}
    document = servers["adder"].infer(a, a | {"name": "b"}, outputs=[{"name": "twice"}, {"name": "sum"}]).json()
    assert [(output["name"], output["data"]) for output in document["outputs"]] == [("twice", [2, 4]), ("sum", [2, 4])]


@pytest.mark.parametrize("padding", range(4))
def test_binary_tensors_at_any_offset(classifier: Process, padding: int) -> None:
    raw = np.array(ONE, dtype="<f4").tobytes()
    document = {"id": "x" * padding, "inputs": [behind("inputs", "FP32", [1, 2, 2], raw)]}
    assert binary(classifier, document, raw).json()["outputs"][0]["data"] == [1]


def test_binary_outputs(servers: dict[str, Process]) -> None:
    a, b = (np.array([values], dtype="<f4").tobytes() for values in ([1, 2], [3, 4]))
    inputs = [behind("a", "FP32", [1, 2], a), behind("b", "FP32", [1, 2], b)]
    outputs = [{"name": "sum"}, {"name": "twice", "parameters": {"binary_data": False}}]
    reply = binary(
        servers["adder"],
        {"inputs": inputs, "outputs": outputs, "parameters": {"binary_data_output": True}},
        a + b,
    )
    length = int(reply.headers["inference-header-content-length"])
    document = json.loads(reply.content[:length])
    assert document["outputs"][0]["parameters"] == {"binary_data_size": 8}
    assert document["outputs"][1]["data"] == [2, 4]
    assert np.frombuffer(reply.content[length:], dtype="<f4").tolist() == [4, 6]


def test_binary_beside_json(servers: dict[str, Process]) -> None:
    raw = np.array([[3, 4]], dtype="<f4").tobytes()
    a = {"name": "a", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}
    reply = binary(servers["adder"], {"inputs": [a, behind("b", "FP32", [1, 2], raw)]}, raw)
    assert reply.json()["outputs"][0]["data"] == [4, 6]


def test_half_precision_goes_as_bytes_only(servers: dict[str, Process]) -> None:
    raw = np.array([[0.5, 2]], dtype="<f2").tobytes()
    document = {"inputs": [behind("x", "FP16", [1, 2], raw)], "parameters": {"binary_data_output": True}}
    assert binary(servers["half"], document, raw).content.endswith(raw)
    assert (
        "FP16"
        in servers["half"].infer({"name": "x", "datatype": "FP16", "shape": [1, 2], "data": [0.5, 2]}).json()["error"]
    )
    refused = binary(servers["half"], {"inputs": document["inputs"]}, raw)
    assert refused.status_code == 400
    assert "binary_data" in refused.json()["error"]


def test_strings(servers: dict[str, Process]) -> None:
    document = servers["text"].infer({"name": "x", "datatype": "BYTES", "shape": [2], "data": ["a", "ü"]}).json()
    assert document["outputs"][0] == {"name": "y", "datatype": "BYTES", "shape": [2], "data": ["a", "ü"]}
    raw = b"\x01\x00\x00\x00a\x02\x00\x00\x00\xc3\xbc"
    asked = {"inputs": [behind("x", "BYTES", [2], raw)], "parameters": {"binary_data_output": True}}
    assert binary(servers["text"], asked, raw).content.endswith(raw)


def test_parameters_that_clients_send_by_themselves(classifier: Process) -> None:
    """Those of Triton's and MLServer's clients that change nothing in the answer."""
    sequence = {"sequence_id": 7, "sequence_start": True, "sequence_end": False, "priority": 1, "timeout": 1000}
    forwarded = {"content_type": "np", "headers": {"x-request-id": "1"}}
    tensor = INPUT | {"data": [0, 9, 0, 0], "parameters": forwarded}
    asked = classifier.infer(
        tensor, parameters=sequence | forwarded, outputs=[{"name": "label", "parameters": {"content_type": "np"}}]
    )
    assert asked.json()["outputs"][0]["data"] == [1]
    assert classifier.infer(INPUT | {"data": [0, 9, 0, 0], "parameters": None}, parameters={}).status_code == 200


def test_kserves_own_client(classifier: Process) -> None:
    async def ask() -> tuple[bool, Any]:
        client = InferenceRESTClient(RESTConfig(protocol="v2"))
        tensor = InferInput("inputs", [1, 2, 2], "FP32")
        tensor.set_data_from_numpy(np.array([ONE], dtype=np.float32), binary_data=True)
        outputs = [RequestedOutput("label"), RequestedOutput("probabilities", {"binary_data": True})]
        request = InferRequest("classifier", [tensor], request_outputs=outputs)
        ready = await client.is_model_ready(classifier.url, "classifier")
        return ready, await client.infer(classifier.url, request, model_name="classifier")

    ready, response = asyncio.run(ask())
    assert ready
    assert response.outputs[0].as_numpy().tolist() == [1]
    assert response.outputs[1].as_numpy()[0, 1] > 0.99


def test_pipelined_and_chunked_requests(classifier: Process) -> None:
    body = json.dumps({"inputs": [INPUT | {"data": [0, 9, 0, 0]}]}).encode()
    reply = classifier.http.post("/v2/models/classifier/infer", content=iter([body[:10], body[10:]]))
    assert reply.json()["outputs"][0]["data"] == [1]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize(
    "outputs", [[], [{"name": "label"}], [{"name": "probabilities"}]], ids=["all", "label", "prob"]
)
def test_no_class_is_named_where_the_model_gives_no_number(
    classifier: Process, bad: float, outputs: list[dict[str, Any]]
) -> None:
    """A label of probabilities that are NaN would be the first class, whatever was sent."""
    rows = np.array([[[0, 9], [0, 0]], [[0, bad], [0, 0]]], "<f4")
    document = {"inputs": [behind("inputs", "FP32", [2, 2, 2], rows.tobytes())], "outputs": outputs}
    reply = binary(classifier, document, rows.tobytes())
    assert reply.status_code == 400, reply.text
    assert "the model has no answer for row 1: its probabilities are not finite" in reply.json()["error"]
    fine = np.nan_to_num(rows, posinf=9).tobytes()
    assert binary(classifier, document, fine).status_code == 200
