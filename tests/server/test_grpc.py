"""The Open Inference Protocol v2 over gRPC: what is answered, in which form, and what is refused with which status."""

from __future__ import annotations

from typing import Any

import grpc
import numpy as np
import pytest
from calls import METHOD, arrays, call, refusal, request, told
from process import PATIENCE, Process

from tradewind_server.protobuf import messages

INVALID, NOT_FOUND = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND
FULL, UNIMPLEMENTED = grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNIMPLEMENTED

TENSOR = {"name": "inputs", "datatype": "FP32", "shape": [1, 2, 2]}
VALUES = np.array([0, 9, 0, 0], "<f4")
TYPED = TENSOR | {"contents": {"fp32_contents": VALUES.tolist()}}


def one(*inputs: dict[str, Any], **rest: Any) -> Any:
    return request(*(inputs or (TENSOR,)), model="classifier", **rest)


def test_health_and_metadata(classifier: Process) -> None:
    def ask(method: str, **fields: Any) -> Any:
        return call(classifier.rpc_port, getattr(messages, f"{method}Request")(**fields), method)

    assert ask("ServerLive").live and ask("ServerReady").ready and ask("ModelReady", name="classifier").ready
    server = ask("ServerMetadata")
    assert (server.name, list(server.extensions)) == ("tradewind-server", ["binary_tensor_data", "classification"])
    model = ask("ModelMetadata", name="classifier")
    document = classifier.http.get("/v2/models/classifier").json()
    assert (model.name, model.platform) == (document["name"], document["platform"])
    for which in ("inputs", "outputs"):
        found = [(one.name, one.datatype, list(one.shape)) for one in getattr(model, which)]
        assert found == [(one["name"], one["datatype"], one["shape"]) for one in document[which]]


def test_an_answer_has_the_form_of_its_request(classifier: Process) -> None:
    as_bytes = call(classifier.rpc_port, one(raw=[VALUES], id="42"))
    as_values = call(classifier.rpc_port, one(TYPED, id="42"))
    expected = classifier.infer(TENSOR | {"data": VALUES.tolist()}).json()["outputs"]
    for answer in (as_bytes, as_values):
        assert (answer.model_name, answer.id) == ("classifier", "42")
        assert [(one.name, one.datatype, list(one.shape)) for one in answer.outputs] == [
            ("label", "INT64", [1]),
            ("probabilities", "FP32", [1, 3]),
        ]
        found = arrays(answer)
        assert found["label"] == expected[0]["data"]
        assert found["probabilities"][0] == pytest.approx(expected[1]["data"], rel=1e-6)
    assert len(as_bytes.raw_output_contents) == 2 and not as_bytes.outputs[0].HasField("contents")
    assert not as_values.raw_output_contents


def test_parameters_name_another_form(classifier: Process) -> None:
    asked = one(TYPED, parameters=told(binary_data_output=True))
    assert len(call(classifier.rpc_port, asked).raw_output_contents) == 2
    outputs = [{"name": "probabilities", "parameters": told(binary_data=False)}]
    answer = call(classifier.rpc_port, one(raw=[VALUES], outputs=outputs))
    assert not answer.raw_output_contents and len(answer.outputs[0].contents.fp32_contents) == 3


def test_what_clients_send_by_themselves_changes_nothing(classifier: Process) -> None:
    """KServe's client has the size of the bytes in the parameters, as over REST."""
    tensor = TENSOR | {"parameters": told(binary_data_size=16, content_type="np")}
    asked = one(tensor, raw=[VALUES], parameters=told(sequence_id=7, priority=1, timeout=1000))
    assert arrays(call(classifier.rpc_port, asked))["label"] == [1]


def test_only_the_outputs_that_were_asked_for_in_that_order(servers: dict[str, Process]) -> None:
    inputs = [{"name": name, "datatype": "FP32", "shape": [1, 2]} for name in ("a", "b")]
    asked = request(
        *inputs,
        raw=[np.array([1, 2], "<f4"), np.array([3, 4], "<f4")],
        model="adder",
        outputs=[{"name": "twice"}, {"name": "sum"}],
    )
    answer = arrays(call(servers["adder"].rpc_port, asked))
    assert list(answer.items()) == [("twice", [[2, 4]]), ("sum", [[4, 6]])]


def test_strings(servers: dict[str, Process]) -> None:
    tensor, port = {"name": "x", "datatype": "BYTES", "shape": [2]}, servers["text"].rpc_port
    raw = b"\x01\x00\x00\x00a\x02\x00\x00\x00\xc3\xbc"
    assert call(port, request(tensor, raw=[raw], model="text")).raw_output_contents[0] == raw
    typed = tensor | {"contents": {"bytes_contents": [b"a", "ü".encode()]}}
    answer = call(port, request(typed, model="text"))
    assert list(answer.outputs[0].contents.bytes_contents) == [b"a", "ü".encode()]
    typed["contents"] = {"bytes_contents": [b"a", b"\xff"]}
    assert refusal(port, request(typed, model="text")) == (INVALID, "input 'x': a string is not UTF-8")


def test_half_precision_goes_as_bytes_only(servers: dict[str, Process]) -> None:
    tensor, port = {"name": "x", "datatype": "FP16", "shape": [1, 2]}, servers["half"].rpc_port
    half = np.array([0.5, 2], "<f2")
    assert arrays(call(port, request(tensor, raw=[half], model="half"))) == {"y": [[0.5, 2]]}
    typed = request(tensor | {"contents": {"fp32_contents": [0.5, 2]}}, model="half")
    assert refusal(port, typed) == (
        INVALID,
        "input 'x' is 'FP16': it can only be sent in raw_input_contents, got 'fp32_contents'",
    )


REFUSED: list[tuple[str, Any, Any, str]] = [
    ("another model", request(TENSOR, raw=[VALUES], model="other"), NOT_FOUND, "this server has 'classifier'"),
    ("no model", request(TENSOR, raw=[VALUES], model=""), NOT_FOUND, "no model ''"),
    ("a version", one(raw=[VALUES], model_version="1"), NOT_FOUND, "the model has no versions"),
    ("nothing", b"", NOT_FOUND, "no model ''"),
    ("no inputs", request(model="classifier"), INVALID, "no inputs; the model takes 'inputs'"),
    ("no values", one(), INVALID, "shape says [1, 2, 2], but there are 0 values"),
    ("unknown input", one(TENSOR | {"name": "image"}, raw=[VALUES]), INVALID, "unknown input 'image'"),
    ("twice the same", one(TENSOR, TENSOR, raw=[VALUES] * 2), INVALID, "given twice"),
    ("fewer raw than inputs", one(TENSOR, TENSOR, raw=[VALUES]), INVALID, "1 raw_input_contents and 2 inputs"),
    ("more raw than inputs", one(raw=[VALUES] * 2), INVALID, "2 raw_input_contents and 1 inputs"),
    ("both forms", one(TYPED, raw=[VALUES]), INVALID, "in raw_input_contents or in 'fp32_contents', not both"),
    (
        "values of another type",
        one(TENSOR | {"contents": {"int_contents": [0, 9, 0, 0]}}),
        INVALID,
        "its values belong in fp32_contents, got 'int_contents'",
    ),
    ("datatype", one(TENSOR | {"datatype": "FP64"}, raw=[VALUES]), INVALID, "expected datatype FP32, got 'FP64'"),
    ("no datatype", one(TENSOR | {"datatype": ""}, raw=[VALUES]), INVALID, "expected datatype FP32, got ''"),
    ("negative size", one(TENSOR | {"shape": [-1, 2, 2]}, raw=[VALUES]), INVALID, "shape must be a list of sizes"),
    ("huge sizes", one(TENSOR | {"shape": [2**62, 2**62, 2]}, raw=[VALUES]), INVALID, "is too large"),
    ("rank", one(TENSOR | {"shape": [4]}, raw=[VALUES]), INVALID, "expected shape [-1, 2, 2], got [4]"),
    ("too many rows", one(TENSOR | {"shape": [101, 2, 2]}, raw=[VALUES]), INVALID, "101 rows, the limit is 100"),
    ("short raw", one(raw=[VALUES[:3]]), INVALID, "is 16 bytes, but 12 were sent"),
    ("long raw", one(raw=[np.append(VALUES, VALUES)]), INVALID, "is 16 bytes, but 32 were sent"),
    (
        "a size that is not the raw's",
        one(TENSOR | {"parameters": told(binary_data_size=12)}, raw=[VALUES]),
        INVALID,
        "binary_data_size is 12, but its raw_input_contents have 16 bytes",
    ),
    ("unknown output", one(raw=[VALUES], outputs=[{"name": "y"}]), INVALID, "unknown output 'y'"),
    ("parameter", one(raw=[VALUES], parameters=told(top_k=1)), INVALID, "parameter 'top_k' is not supported"),
    (
        "parameter of an input",
        one(TENSOR | {"parameters": told(shared_memory_region="x")}, raw=[VALUES]),
        INVALID,
        "'shared_memory_region' is not supported; send the tensor in the body",
    ),
    (
        "a flag of text",
        one(raw=[VALUES], parameters=told(binary_data_output="yes")),
        INVALID,
        "binary_data_output must be true or false, got 'yes'",
    ),
    ("not a number", one(raw=[VALUES * np.float32("nan")]), INVALID, "the model has no answer for row 0"),
    ("garbage", b"\xff\xff\xff\xff", INVALID, "it is not protobuf, or it is cut off"),
    ("cut off", one(raw=[VALUES]).SerializeToString()[:-3], INVALID, "it is not protobuf, or it is cut off"),
    ("a group", one(raw=[VALUES]).SerializeToString() + b"\x7b\x7c", INVALID, "it is not protobuf, or it is cut off"),
    ("10,000 inputs", one(*[{}] * 10_000), INVALID, "more than 6250 values outside of raw_input_contents"),
    ("above the limit", one(raw=[bytes(100_001)]), FULL, "larger than max"),
]


@pytest.mark.parametrize(
    ("asked", "code", "sentence"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_what_is_refused(classifier: Process, asked: Any, code: grpc.StatusCode, sentence: str) -> None:
    found, said = refusal(classifier.rpc_port, asked)
    assert found == code, said
    assert sentence in said
    assert len(said) < 700
    for inside in ("Traceback", "site-packages", "object at 0x", "numpy", "google"):
        assert inside not in said


def test_methods_that_are_not_there(classifier: Process) -> None:
    """A server of one model neither loads nor unloads, and Triton's streams have no place in KServe's protocol."""
    for method in ("RepositoryModelLoad", "RepositoryModelUnload"):
        code, said = refusal(classifier.rpc_port, b"", method)
        assert code == UNIMPLEMENTED and f"no method '{METHOD}{method}' here" in said and "ModelInfer" in said
    with grpc.insecure_channel(f"127.0.0.1:{classifier.rpc_port}") as channel:
        stream = channel.stream_stream(METHOD + "ModelStreamInfer")(iter([b""]), timeout=PATIENCE)
        with pytest.raises(grpc.RpcError) as error:
            list(stream)
    assert error.value.code() == UNIMPLEMENTED and "it neither streams" in error.value.details()


@pytest.mark.parametrize("encoding", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_compressed_messages_have_the_limit_of_what_they_become(
    classifier: Process, encoding: grpc.Compression
) -> None:
    shape = {"shape": [100, 2, 2]}
    rows = np.tile(VALUES, 100)
    answer = call(classifier.rpc_port, one(TENSOR | shape, raw=[rows]), compression=encoding)
    assert arrays(answer)["label"] == [1] * 100
    code, said = refusal(classifier.rpc_port, one(raw=[bytes(200_000)]), compression=encoding)
    assert code == FULL and "larger than max" in said


def test_metrics_name_the_protocol(classifier: Process) -> None:
    before = classifier.metrics()
    call(classifier.rpc_port, one(raw=[VALUES]))
    refusal(classifier.rpc_port, request(model="stranger"))
    after = classifier.metrics()
    for name, code in (("classifier", 200), ("unknown", 404)):
        key = f'tradewind_request_total{{code="{code}",model="{name}",protocol="grpc"}}'
        assert after[key] - before.get(key, 0) == 1
    assert not [key for key in after if "stranger" in key]


def test_none_of_this_was_an_error_of_the_server(servers: dict[str, Process]) -> None:
    for name, process in servers.items():
        assert process.popen.poll() is None, name
        assert not [key for key in process.metrics() if key.startswith("tradewind_request_total") and 'code="5' in key]
        assert not [line for line in process.log.splitlines() if "grpc" in line or "Traceback" in line]
