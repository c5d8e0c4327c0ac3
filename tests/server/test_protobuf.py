"""Messages of gRPC as the server reads them: every datatype in both forms, and what a hostile client may send."""

from __future__ import annotations

import resource
import tracemalloc
from pathlib import Path
from typing import Any

import graphs
import numpy as np
import pytest
from calls import request
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from onnx import TensorProto

from tradewind_server import protobuf, wire
from tradewind_server.model import Limits, OnnxModel
from tradewind_server.protobuf import messages
from tradewind_server.refusal import BadRequest, NotFound

MOST = 6250
RAW = messages.ModelInferRequest.DESCRIPTOR.fields_by_name["raw_input_contents"].number

NUMBERS = [
    ("BOOL", TensorProto.BOOL, np.array([True, False])),
    *(
        (
            f"{kind}{bits}",
            getattr(TensorProto, f"{kind}{bits}"),
            np.array([np.iinfo(f"{kind}{bits}".lower()).max, 1], f"{kind}{bits}".lower()),
        )
        for kind in ("INT", "UINT")
        for bits in (8, 16, 32, 64)
    ),
    ("FP16", TensorProto.FLOAT16, np.array([0.5, np.nan], "<f2")),
    ("FP32", TensorProto.FLOAT, np.array([0.1, np.inf], "<f4")),
    ("FP64", TensorProto.DOUBLE, np.array([0.1, -np.inf], "<f8")),
]


def loaded(folder: Path, element: int, axes: list[Any]) -> OnnxModel:
    graphs.save(graphs.identity(element, axes), folder / "model.onnx")
    model = OnnxModel("m", folder, None, threads=1, limits=Limits(rows=100, batch=1))
    model.load()
    return model


def feeds(model: OnnxModel, asked: Any) -> Any:
    return protobuf.read(model, asked.SerializeToString(), MOST).feeds["x"]


@pytest.mark.parametrize(("datatype", "element", "values"), NUMBERS, ids=[case[0] for case in NUMBERS])
def test_numbers_are_the_same_in_both_forms_and_both_ways(
    tmp_path: Path, datatype: str, element: int, values: Any
) -> None:
    model = loaded(tmp_path, element, ["rows"])
    tensor = {"name": "x", "datatype": datatype, "shape": [2]}
    dtype = model.inputs["x"].dtype
    values = values.astype(dtype)
    asked = request(tensor, raw=[values])
    np.testing.assert_array_equal(feeds(model, asked), values)
    answer = protobuf.read(model, asked.SerializeToString(), MOST)
    found = messages.ModelInferResponse.FromString(protobuf.written(model, answer, [values]))
    np.testing.assert_array_equal(np.frombuffer(found.raw_output_contents[0], dtype), values)
    field = protobuf._CONTENTS.get(datatype)
    if field is None:
        with pytest.raises(BadRequest, match="there are 0 values"):
            feeds(model, request(tensor))
        return
    typed = request(tensor | {"contents": {field: values.tolist()}})
    assert feeds(model, typed).dtype == dtype
    np.testing.assert_array_equal(feeds(model, typed), values)
    answer = protobuf.read(model, typed.SerializeToString(), MOST)
    found = messages.ModelInferResponse.FromString(protobuf.written(model, answer, [values]))
    np.testing.assert_array_equal(np.array(getattr(found.outputs[0].contents, field), dtype), values)


@pytest.mark.parametrize(("datatype", "value"), [("INT8", 128), ("INT16", -(1 << 15) - 1), ("UINT8", 256)])
def test_a_number_beyond_its_datatype_is_refused(tmp_path: Path, datatype: str, value: int) -> None:
    """Protobuf has no numbers of fewer than 32 bits, and a cast would make another number of it."""
    model = loaded(tmp_path, getattr(TensorProto, datatype), ["rows"])
    contents = {protobuf._CONTENTS[datatype]: [value]}
    with pytest.raises(BadRequest, match=f"a number is out of the range of {datatype}"):
        feeds(model, request({"name": "x", "datatype": datatype, "shape": [1], "contents": contents}))


def test_many_values_are_read_and_written_whole(tmp_path: Path) -> None:
    model = loaded(tmp_path, TensorProto.FLOAT, ["rows", "columns"])
    values = np.arange(30_000, dtype="<f4").reshape(3, -1)
    tensor = {"name": "x", "datatype": "FP32", "shape": [3, 10_000]}
    typed = request(tensor | {"contents": {"fp32_contents": values.ravel().tolist()}})
    asked = protobuf.read(model, typed.SerializeToString(), 1 << 20)
    np.testing.assert_array_equal(asked.feeds["x"], values)
    found = messages.ModelInferResponse.FromString(protobuf.written(model, asked, [values]))
    np.testing.assert_array_equal(found.outputs[0].contents.fp32_contents, values.ravel())


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> OnnxModel:
    return loaded(tmp_path_factory.mktemp("texts"), TensorProto.STRING, ["rows"])


@pytest.mark.parametrize(
    "raw",
    [b"\x01\x00\x00\x00", b"\xff\xff\xff\xffa", b"\x01\x00\x00\x00ab", b"\x01\x00\x00\x00\xff", b"\x05\x00", b""],
    ids=["short", "endless", "long", "not UTF-8", "half a length", "none"],
)
def test_texts_whose_lengths_lie_are_refused(texts: OnnxModel, raw: bytes) -> None:
    with pytest.raises(BadRequest, match=r"input 'x': (expected 1 strings|a string is not UTF-8)"):
        feeds(texts, request({"name": "x", "datatype": "BYTES", "shape": [1]}, raw=[raw]))


# Inputs as no client would send them, but a message can have.
TENSORS = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["x", "", "y"]),
        "datatype": st.sampled_from(["BYTES", "FP32", "INT64", "FP16", ""]),
        "shape": st.lists(st.sampled_from([-1, 0, 1, 2, 2**40, 2**62, -(2**63)]), max_size=3),
        "contents": st.fixed_dictionaries(
            {},
            optional={
                "bytes_contents": st.lists(st.binary(max_size=4), max_size=3),
                "int64_contents": st.lists(st.integers(-(2**63), 2**63 - 1), max_size=3),
                "fp32_contents": st.lists(st.floats(width=32), max_size=3),
            },
        ),
    }
)
REQUESTS = st.builds(
    lambda tensors, raw, outputs: request(*tensors, raw=raw, outputs=[{"name": name} for name in outputs]),
    st.lists(TENSORS, max_size=3),
    st.lists(st.binary(max_size=20), max_size=3),
    st.lists(st.sampled_from(["y", "z", ""]), max_size=2),
)
FINE = request({"name": "x", "datatype": "BYTES", "shape": [1]}, raw=[b"\x01\x00\x00\x00a"], id="1")


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(REQUESTS, st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), max_size=4), st.integers(0, 1 << 16))
@example(FINE, [], 1 << 16)
def test_any_message_is_read_or_refused(
    texts: OnnxModel, asked: Any, changes: list[tuple[int, int]], length: int
) -> None:
    """Also one with other bytes in places, or cut off."""
    content = bytearray(asked.SerializeToString())
    for at, byte in changes:
        if content:
            content[at % len(content)] = byte
    try:
        found = protobuf.read(texts, bytes(content[:length]), MOST)
    except (BadRequest, NotFound) as refusal:
        assert refusal.sentence.encode() and len(refusal.sentence) < 700
    else:
        assert found.feeds["x"].dtype == np.object_


@settings(max_examples=200, deadline=None)
@given(REQUESTS)
def test_a_message_is_split_into_what_protobuf_reads(asked: Any) -> None:
    rest, raw = wire.split(memoryview(asked.SerializeToString()), RAW, 1 << 20)
    assert [bytes(one) for one in raw] == list(asked.raw_input_contents)
    whole = messages.ModelInferRequest.FromString(rest)
    whole.raw_input_contents.extend(bytes(one) for one in raw)
    assert whole.SerializeToString(deterministic=True) == asked.SerializeToString(deterministic=True)


HOSTILE = {
    "empty inputs": b"\x2a\x00",
    "empty outputs": b"\x32\x00",
    "empty parameters": b"\x22\x00",
    "empty bytes": b"\x3a\x00",
    "fields that are not known": b"\x78\x01",
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_what_would_take_far_more_memory_than_its_bytes_is_refused_before_it_is_parsed(
    texts: OnnxModel, content: bytes
) -> None:
    """Each of two bytes becomes a message of a hundred."""
    message = b"\x0a\x01m" + content * (1 << 19)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(BadRequest, match="more than 65536 values outside of raw_input_contents"):
        protobuf.read(texts, message, 1 << 16)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20 << 10


@pytest.mark.parametrize(
    ("contents", "count"),
    [
        ({"bytes_contents": [b""] * 70_000}, 70_000),
        ({"int64_contents": [0] * 300_000}, 300_000),
        ({"bool_contents": [True] * 300_000}, 300_000),
        ({"fp32_contents": [0.0] * 70_000}, 70_000),
        ({"fp64_contents": [0.0] * 70_000}, 70_000),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_values_are_counted_before_they_are_parsed(contents: dict[str, Any], count: int) -> None:
    asked = request({"name": "x", "datatype": "BYTES", "shape": [1], "contents": contents})
    content, kind = memoryview(asked.SerializeToString()), messages.ModelInferRequest.DESCRIPTOR
    wire.check(content, kind, count + 100)
    with pytest.raises(BadRequest, match=f"more than {count} values"):
        wire.check(content, kind, count)


def test_bytes_are_taken_as_they_stand() -> None:
    asked = request({"name": "x", "datatype": "FP32", "shape": [1 << 20]}, raw=[bytes(4 << 20)])
    message = asked.SerializeToString()
    tracemalloc.start()
    rest, [raw] = wire.split(memoryview(message), RAW, MOST)
    assert tracemalloc.get_traced_memory()[1] < 10_000
    tracemalloc.stop()
    assert len(rest) < 100 and len(raw) == 4 << 20
