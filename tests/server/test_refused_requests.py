"""What a client may get wrong, or send on purpose: a 4xx with a sentence, and the server goes on answering."""

from __future__ import annotations

import json
import socket
from typing import Any

import httpx
import numpy as np
import pytest
from process import PATIENCE, Process

FINE = {"name": "inputs", "datatype": "FP32", "shape": [1, 2, 2], "data": [0, 9, 0, 0]}
RAW = np.zeros(4, dtype="<f4").tobytes()


def v2(**changes: Any) -> dict[str, Any]:
    """A request that would be answered but for these changes of its one input; None removes."""
    return {"inputs": [{name: value for name, value in (FINE | changes).items() if value is not None}]}


def size(value: Any) -> dict[str, Any]:
    """A request that says that so many bytes of its input are behind the JSON."""
    return v2(data=None, parameters={"binary_data_size": value})


# Each: what is sent to which protocol, and a part of the sentence that comes back.
V2: list[tuple[str, Any, str]] = [
    ("rank", v2(shape=[4]), "expected shape [-1, 2, 2], got [4]"),
    ("size of an axis", v2(shape=[1, 2, 3], data=[0] * 6), "expected shape [-1, 2, 2], got [1, 2, 3]"),
    ("fewer values than the shape says", v2(data=[0, 9, 0]), "shape says [1, 2, 2], but there are 3 values"),
    ("more values", v2(data=[0] * 8), "but there are 8 values"),
    ("nested in another shape", v2(data=[[[0, 9, 0, 0]]]), "data of shape [1, 1, 4]"),
    ("nested half way", v2(data=[[0, 9], [0, 0]]), "nested unevenly"),
    ("ragged", v2(data=[[[0, 9], [0]]]), "different lengths"),
    ("numbers beside lists", v2(data=[[[0, 9], 0]]), "nested unevenly"),
    ("lists beside numbers", v2(data=[0, [9], 0, 0]), "nested unevenly"),
    ("deeply nested", v2(data=[[[[[[0]]]]]]), "nested unevenly"),
    ("empty batch", v2(shape=[0, 2, 2], data=[]), "is empty"),
    ("no values", v2(data=[]), "there are 0 values"),
    ("negative size", v2(shape=[-1, 2, 2]), "shape must be a list of sizes"),
    ("fractional size", v2(shape=[1.0, 2, 2]), "shape must be a list of sizes"),
    ("size of true", v2(shape=[True, 2, 2]), "shape must be a list of sizes"),
    ("shape of text", v2(shape="[1,2,2]"), "shape must be a list of sizes"),
    ("no shape", v2(shape=None), "shape must be a list of sizes"),
    ("overflowing shape", v2(shape=[2**62, 2, 2]), "is too large"),
    ("too many rows", v2(shape=[101, 2, 2], data=[0] * 404), "101 rows, the limit is 100"),
    ("datatype", v2(datatype="FP64"), "expected datatype FP32, got 'FP64'"),
    ("datatype that does not exist", v2(datatype="float"), "expected datatype FP32"),
    ("no datatype", v2(datatype=None), "expected datatype FP32, got None"),
    ("datatype of a list", v2(datatype=["FP32"]), "expected datatype FP32"),
    ("unknown input", v2(name="image"), "unknown input 'image': the model takes 'inputs'"),
    ("no name", v2(name=None), "unknown input None"),
    ("name of a number", v2(name=7), "unknown input 7"),
    ("long name", v2(name="n" * 5000), "unknown input 'nnn"),
    ("surrogate in a name", '{"inputs": [{"name": "\\ud800"}]}', "is not JSON"),
    ("twice the same input", {"inputs": [FINE, FINE]}, "given twice"),
    ("no inputs", {}, '"inputs" must be a list'),
    ("empty inputs", {"inputs": []}, '"inputs" must be a list'),
    ("inputs by name", {"inputs": {"inputs": [1]}}, '"inputs" must be a list'),
    ("input of a number", {"inputs": [1]}, "must be an object"),
    ("no data", v2(data=None), "has no data"),
    ("data of a number", v2(data=5), "expected a list of values"),
    ("data of text", v2(data="0900"), "expected a list of values"),
    ("data by name", v2(data={"0": 1}), "expected a list of values"),
    ("text among numbers", v2(data=[0, "9", 0, 0]), "write numbers without quotes"),
    ("NaN as text", v2(data=[0, "NaN", 0, 0]), "NaN and Infinity can't be sent"),
    ("null", v2(data=[0, None, 0, 0]), "null is not a value"),
    ("true among numbers", v2(data=[0, True, 0, 0]), "got true or false"),
    ("objects", v2(data=[{}, {}, {}, {}]), "plain values"),
    ("too large for the type", v2(data=[0, 1e39, 0, 0]), "too large for FP32"),
    ("NaN", '{"inputs": [{"name": "inputs", "data": [NaN]}]}', "JSON has no NaN or Infinity"),
    ("Infinity", '{"inputs": [{"name": "inputs", "data": [-Infinity]}]}', "JSON has no NaN or Infinity"),
    ("too large for any type", '{"inputs": [{"name": "inputs", "data": [1e999]}]}', "is not JSON"),
    ("unknown output", v2() | {"outputs": [{"name": "logits"}]}, "unknown output 'logits': the model gives 'label'"),
    ("outputs by name", v2() | {"outputs": {"label": {}}}, '"outputs" must be a list'),
    ("output of text", v2() | {"outputs": ["label"]}, "unknown output None"),
    ("id of a number", v2() | {"id": 7}, "id must be a string"),
    ("parameters of a list", v2() | {"parameters": []}, "parameters must be an object"),
    ("flag of text", v2() | {"parameters": {"binary_data_output": "yes"}}, "must be true or false"),
    ("bytes that are not there", size(16), "0 bytes are left behind the JSON"),
    ("negative bytes", size(-1), "binary_data_size is -1"),
    ("bytes of text", size("16"), "binary_data_size is '16'"),
    ("bytes of true", size(True), "binary_data_size is True"),
    ("data and bytes", v2(parameters={"binary_data_size": 0}), "not both"),
    ("empty body", b"", "is not JSON"),
    ("not JSON", b"hello", "is not JSON"),
    ("half of a document", b'{"inputs": [', "is not JSON"),
    ("bytes that are no text", b"\xff\xfe\x00", "is not JSON"),
    ("zeros", b"\x00" * 1000, "is not JSON"),
    ("a list", b"[]", "must be a JSON object"),
    ("null document", b"null", "must be a JSON object"),
    ("a thousand brackets", b"[" * 5000, "is not JSON"),
    ("a pickle", b"\x80\x04\x95\x0c\x00\x00\x00\x00\x00\x00\x00\x8c\x05hello\x94.", "is not JSON"),
]

V2 += [
    (f"parameter {name} of {where}", document, sentence)
    for where, of, names in (
        ("the request", lambda told: v2() | {"parameters": told}, ("top_k", "triton_enable_empty_final_response")),
        ("input 'inputs'", lambda told: v2(parameters=told), ("shared_memory_region", "binary_data")),
        (
            "output 'label'",
            lambda told: v2() | {"outputs": [{"name": "label", "parameters": told}]},
            ("class_count", "shared_memory_region"),
        ),
    )
    for name in names
    for document, sentence in [(of({name: 1}), f"{where}: parameter {name!r} is not supported")]
]
V2 += [
    ("content type", v2() | {"parameters": {"content_type": "hg_jpeg"}}, "content_type 'hg_jpeg' is not supported"),
    ("content type of a list", v2() | {"parameters": {"content_type": ["pd"]}}, "content_type ['pd'] is not supported"),
    ("content type of an input", v2(parameters={"content_type": "base64"}), "content_type 'base64' is not supported"),
]

V2 += [
    (
        f"outputs of {json.dumps(outputs)}",
        v2() | {"outputs": outputs},
        '"outputs" must be a list of objects with a name',
    )
    for outputs in ("", 0, False, {})
]
V2 += [
    (
        f"classification {asked} of {name}",
        v2() | {"outputs": [{"name": name, "parameters": {"classification": asked}}]},
        f"output {name!r}: classification {sentence}",
    )
    for name, asked, sentence in (
        ("probabilities", 0, "must be a whole number from 1, got 0"),
        ("probabilities", "2", "must be a whole number from 1, got '2'"),
        ("probabilities", True, "must be a whole number from 1, got True"),
        ("label", 1, "is for outputs of numbers of shape [rows, classes], this one is INT64 [-1]"),
    )
]

V1: list[tuple[str, Any, str]] = [
    ("no instances", {}, 'give "instances"'),
    ("both forms", {"instances": [[[0, 9], [0, 0]]], "inputs": [[[0, 9], [0, 0]]]}, "not both"),
    ("empty instances", {"instances": []}, "at least one row"),
    ("instances of text", {"instances": "one"}, "at least one row"),
    ("instances of null", {"instances": None}, "at least one row"),
    ("empty row", {"instances": [[]]}, "expected"),
    ("shape", {"instances": [[[0, 9, 1], [0, 0, 1]]]}, "expected shape [-1, 2, 2], got [1, 2, 3]"),
    ("one row without its list", {"instances": [[0, 9], [0, 0]]}, "nested unevenly"),
    ("ragged", {"instances": [[[0, 9], [0]]]}, "different lengths"),
    ("text", {"instances": [[["0", "9"], ["0", "0"]]]}, "write numbers without quotes"),
    ("null", {"instances": [[[None, 9], [0, 0]]]}, "null is not a value"),
    ("unknown input", {"instances": [{"image": []}]}, "unknown input 'image'"),
    ("missing input", {"instances": [{}]}, "input 'inputs' is missing"),
    ("named rows beside others", {"instances": [{"inputs": [[0, 9], [0, 0]]}, [[0, 9], [0, 0]]]}, "expected an object"),
    ("too many rows", {"instances": [[[0, 9], [0, 0]]] * 101}, "101 rows, the limit is 100"),
    ("inputs of a number", {"inputs": 1}, "expected a list of values"),
    ("parameters", {"instances": [[[0, 9], [0, 0]]], "parameters": {"top_k": 2}}, "parameters of protocol v1 are not"),
    ("signature", {"instances": [[[0, 9], [0, 0]]], "signature_name": "embed"}, "no signature 'embed'"),
    ("not JSON", b"instances", "is not JSON"),
]


def post(process: Process, path: str, body: Any, **headers: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else json.dumps(body).encode()
    return process.http.post(path, content=content, headers=headers)


def refused(reply: httpx.Response, code: int, sentence: str) -> None:
    """The reply is one sentence about it, and nothing of the server's inside."""
    assert reply.status_code == code, reply.text
    assert reply.headers["content-type"] == "application/json"
    document = reply.json()
    assert list(document) == ["error"]
    assert sentence in document["error"]
    assert len(document["error"]) < 700
    for inside in ("Traceback", "site-packages", "object at 0x", "numpy", "orjson"):
        assert inside not in document["error"]


@pytest.mark.parametrize(("body", "sentence"), [case[1:] for case in V2], ids=[case[0] for case in V2])
def test_v2(classifier: Process, body: Any, sentence: str) -> None:
    refused(post(classifier, "/v2/models/classifier/infer", body), 400, sentence)


@pytest.mark.parametrize(("body", "sentence"), [case[1:] for case in V1], ids=[case[0] for case in V1])
def test_v1(classifier: Process, body: Any, sentence: str) -> None:
    refused(post(classifier, "/v1/models/classifier:predict", body), 400, sentence)


@pytest.mark.parametrize(
    ("length", "document", "tensors", "sentence"),
    [
        ("no", size(16), RAW, "must be the length of the JSON"),
        ("-1", size(16), RAW, "must be the length of the JSON"),
        ("99999", size(16), RAW, "must be the length of the JSON"),
        ("9" * 400, size(16), RAW, "must be the length of the JSON"),
        ("3", size(16), RAW, "is not JSON"),
        (None, size(16), RAW, "is not JSON"),
        ("", size(12), RAW[:12], "is 16 bytes, but 12 were sent"),
        ("", size(16), RAW + b"x", "1 bytes behind the JSON belong to no input"),
        ("", size(10**30), RAW, "is not JSON"),
        ("", size(2**53), RAW, "16 bytes are left"),
    ],
)
def test_binary_tensors(classifier: Process, length: str | None, document: Any, tensors: bytes, sentence: str) -> None:
    text = json.dumps(document).encode()
    if sentence == "is not JSON" and length == "":
        sentence = "binary_data_size is"  # an integer beyond 64 bits is read as a float
    headers = {} if length is None else {"Inference-Header-Content-Length": length or str(len(text))}
    refused(post(classifier, "/v2/models/classifier/infer", text + tensors, **headers), 400, sentence)


@pytest.mark.parametrize(
    "raw",
    [b"\x01\x00\x00\x00", b"\xff\xff\xff\xffa", b"\x01\x00\x00\x00ab", b"\x01\x00\x00\x00\xff", b"\x05\x00"],
    ids=["short", "endless", "long", "not UTF-8", "half a length"],
)
def test_strings_as_bytes(servers: dict[str, Process], raw: bytes) -> None:
    tensor = {"name": "x", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": len(raw)}}
    text = json.dumps({"inputs": [tensor]}).encode()
    reply = post(
        servers["text"], "/v2/models/text/infer", text + raw, **{"Inference-Header-Content-Length": str(len(text))}
    )
    refused(reply, 400, "input 'x'")


def test_one_long_string_among_many_does_not_make_them_all_long(servers: dict[str, Process]) -> None:
    data = ["x" * 50_000, *["y"] * 5_000]
    reply = servers["bytes"].infer({"name": "x", "datatype": "INT8", "shape": [1, len(data)], "data": data})
    refused(reply, 400, "write numbers without quotes")


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ([300], "out of the range of INT8"),
        ([1.5], "whole numbers"),
        ([2**70], "whole numbers"),
        ([-129], "out of the range"),
    ],
)
def test_whole_numbers(servers: dict[str, Process], data: list[Any], sentence: str) -> None:
    refused(servers["bytes"].infer({"name": "x", "datatype": "INT8", "shape": [1, 1], "data": data}), 400, sentence)


def test_inputs_that_do_not_go_together(servers: dict[str, Process]) -> None:
    a = {"name": "a", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}
    b = {"name": "b", "datatype": "FP32", "shape": [3, 2], "data": [1] * 6}
    refused(servers["adder"].infer(a), 400, "input 'b' is missing: the model takes 'a', 'b'")
    refused(servers["adder"].infer(a, b), 400, "same size in the axis 'rows', got 1 and 3")
    refused(servers["adder"].predict(inputs={"a": [[1, 2]], "b": [[1, 2]] * 3}), 400, "same size in the axis")


def test_a_failure_inside_of_the_model_is_the_clients(servers: dict[str, Process]) -> None:
    refused(servers["embedding"].predict(instances=[[4]]), 400, "out of data bounds")


@pytest.mark.parametrize(
    ("method", "path", "code", "sentence"),
    [
        ("POST", "/v2/models/other/infer", 404, "this server has 'classifier'"),
        ("POST", "/v1/models/other:predict", 404, "this server has 'classifier'"),
        ("GET", "/v2/models/other", 404, "this server has 'classifier'"),
        ("GET", "/v2/models/other/ready", 404, "this server has 'classifier'"),
        ("POST", "/v2/models/classifier/versions/1/infer", 404, "no versions"),
        ("GET", "/v2/models/../../etc/passwd", 404, "no "),
        ("GET", "/v2/models/%2e%2e%2fetc", 404, "no model"),
        ("GET", "/nothing", 404, "predictions are at"),
        ("POST", "/v2/repository/models/classifier/unload", 404, "no "),
        ("GET", "/docs", 404, "what they take is at /openapi.json"),
        ("POST", "/openapi.json", 405, "use GET"),
        ("GET", "/v2/models/classifier/infer", 405, "use POST"),
        ("DELETE", "/v2/models/classifier", 405, "use GET"),
        ("POST", "/metrics", 405, "use GET"),
    ],
)
def test_paths_and_methods(classifier: Process, method: str, path: str, code: int, sentence: str) -> None:
    refused(classifier.http.request(method, path), code, sentence)


def test_bodies_above_the_limit(classifier: Process) -> None:
    path = "/v2/models/classifier/infer"
    refused(post(classifier, path, v2(data=[0] * 7000)), 400, "more than 6250 values as JSON: use binary tensors")
    refused(
        post(classifier, path, b"x" * 100_001), 413, "the limit is 100000: send fewer rows in each request, or raise"
    )
    refused(post(classifier, path, b"x" * 100_001), 413, "spec.limits.maxBodyBytes of the ModelDeployment")
    refused(classifier.http.post(path, content=iter([b"x" * 60_000] * 2)), 413, "above the limit of 100000")
    refused(post(classifier, path, b"{}", **{"Content-Encoding": "br"}), 415, "send gzip, deflate, or no encoding")


@pytest.mark.parametrize(
    "bytes_",
    [
        b"GARBAGE\r\n\r\n",
        b"POST /v2/models/classifier/infer HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST /v2/models/classifier/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\nContent-Length: 1\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /%ff%00%0d%0a HTTP/1.1\r\nHost: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /v2 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        b"POST /v2/models/classifier/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\nshort",
    ],
)
def test_what_is_hardly_http(classifier: Process, bytes_: bytes) -> None:
    with socket.create_connection(("127.0.0.1", classifier.port), timeout=PATIENCE) as connection:
        connection.sendall(bytes_)
        connection.shutdown(socket.SHUT_WR)
        answer = connection.recv(65536)
    assert b" 500 " not in answer
    assert b"Traceback" not in answer
    assert classifier.http.get("/v2/health/ready").status_code == 200


def test_none_of_this_was_an_error_of_the_server(servers: dict[str, Process]) -> None:
    for name, process in servers.items():
        assert process.popen.poll() is None, name
        assert not [key for key in process.metrics() if key.startswith("tradewind_request_total") and 'code="5' in key]
        assert "Traceback" not in process.log
