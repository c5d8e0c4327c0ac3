"""The Open Inference Protocol v2 over HTTP: JSON, and tensors as bytes behind the JSON.

The columns of a table may be tensors of their own, as clients send a data frame (`content_type` pd). Parameters are
those of the binary tensor extension and of parameters.py; others are refused. JSON has no NaN and no infinity: in an
output they are null, and so is a missing value of an input that may have some. Binary tensors carry them both ways.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import orjson

from tradewind_server import asked, columns, pieces
from tradewind_server.asked import NOTHING, Asked, Form, Sent, Wanted
from tradewind_server.model import OnnxModel
from tradewind_server.packed import to_bytes
from tradewind_server.parameters import BASE64
from tradewind_server.refusal import BadRequest, listed, raise_limit, shown
from tradewind_server.tensors import Array, TensorSpec

SERVER, EXTENSIONS = "tradewind-server", ["binary_tensor_data", "classification"]
JSON_LENGTH = b"inference-header-content-length"
# What one takes as JSON, roughly.
BYTES_OF_A_NUMBER = 10


def metadata(model: OnnxModel) -> dict[str, Any]:
    """What the model takes and gives; `parameters` has its digest, the columns of a table in the order of a plain row,
    and, from its manifest, the task and the labels."""
    parameters: dict[str, Any] = {"digest": model.digest}
    if model.manifest:
        parameters |= {"task": model.manifest.task, "labels": list(model.labels)}
    if names := columns.names(model.inputs):
        parameters["columns"] = names
    return {
        "name": model.name,
        "versions": [],
        "platform": "onnxruntime_onnx",
        "inputs": [_described(spec) for spec in model.inputs.values()],
        "outputs": [_described(spec) for spec in model.outputs.values()],
        "parameters": parameters,
    }


def _described(spec: TensorSpec) -> dict[str, Any]:
    described: dict[str, Any] = {"name": spec.name, "datatype": spec.datatype, "shape": spec.shape}
    known = {
        "columns": spec.columns,
        "kind": spec.kind,
        "nullable": spec.nullable,
        "unit": spec.unit,
        "format": spec.format,
    }
    known["content_type"] = BASE64 if spec.is_picture else None
    if parameters := {name: value for name, value in known.items() if value}:
        described["parameters"] = parameters
    return described


async def answer(
    model: OnnxModel, headers: Mapping[bytes, bytes], body: bytes, max_values: int
) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    """The response's body, and its headers besides content-length."""
    json_length = _json_length(headers.get(JSON_LENGTH), len(body))
    # Numbers as bytes are taken as they are, strings one by one.
    size = len(body) if takes_text(model) else json_length
    request = await model.beside("parse", size, _asked, model, body, json_length, max_values)
    outputs = await model.infer(request.feeds, list(request.wanted))
    size = asked.written(request.wanted, outputs) * BYTES_OF_A_NUMBER
    return await model.beside("answer", size, _response, model, request, outputs)


def takes_text(model: OnnxModel) -> bool:
    """Whether an input is of texts, or of files."""
    return any(spec.datatype == "BYTES" for spec in model.inputs.values())


def _asked(model: OnnxModel, body: bytes, json_length: int, max_values: int) -> Asked:
    request = parse(memoryview(body)[:json_length], max_values)
    with model.unused.said():
        feeds = asked.feeds(model, _sent(model, request.get("inputs"), memoryview(body)[json_length:]))
    wanted = _wanted(model, request)
    if not isinstance(request.get("id", ""), str):
        raise BadRequest(f"id must be a string, got {shown(request['id'])}")
    return Asked(feeds, wanted, request.get("id"))


def parse(text: memoryview, max_values: int) -> dict[str, Any]:
    """A JSON object of no more values than that: their memory is a multiple of their text."""
    # A value takes at least a character and a comma.
    if len(text) > 2 * max_values and _values(text) > max_values:
        raise BadRequest(
            f"more than {max_values} values as JSON: use binary tensors, or send fewer rows in each request"
            f"{raise_limit('maxBodyBytes')}"
        )
    try:
        document = pieces.loads(text)
    except pieces.Malformed as error:
        hint = "; JSON has no NaN or Infinity" if any(word in bytes(text) for word in (b"NaN", b"Infinity")) else ""
        raise BadRequest(f"the body is not JSON: {error}{hint}") from None
    if not isinstance(document, dict):
        raise BadRequest(f"the body must be a JSON object, got {shown(document)}")
    return document


def _values(text: memoryview) -> int:
    """At most so many values are in the text."""
    characters = np.frombuffer(text, dtype=np.uint8)
    return sum(int(np.count_nonzero(characters == character)) for character in b",:{") + 1


def _json_length(header: bytes | None, length: int) -> int:
    if header is None:
        return length
    if not header.isdigit() or len(header) > 18 or int(header) > length:
        raise BadRequest(
            f"Inference-Header-Content-Length must be the length of the JSON within the body of {length} bytes,"
            f" got {shown(header.decode('latin-1'))}"
        )
    return int(header)


def _sent(model: OnnxModel, inputs: Any, binary: memoryview) -> Iterator[Sent]:
    """The tensors of the JSON, with their bytes of those behind it."""
    if not isinstance(inputs, list) or not inputs:
        raise BadRequest(f'"inputs" must be a list of tensors; the model takes {listed(model.inputs)}')
    at = 0
    for tensor in inputs:
        if not isinstance(tensor, dict):
            raise BadRequest(
                f'each of "inputs" must be an object with name, datatype, shape and data, got {shown(tensor)}'
            )
        name, parameters = tensor.get("name"), tensor.get("parameters")
        size = parameters.get("binary_data_size") if isinstance(parameters, dict) else None
        raw = None
        if size is not None:
            if type(size) is not int or size < 0 or size > len(binary) - at:
                raise BadRequest(
                    f"input {shown(name)}: binary_data_size is {shown(size)}, but {len(binary) - at} bytes are left"
                    " behind the JSON (is Inference-Header-Content-Length set?)"
                )
            raw = binary[at : at + size]
            at += size
        yield Sent(name, tensor.get("datatype"), tensor.get("shape"), parameters, tensor.get("data", NOTHING), raw)
    if at != len(binary):
        raise BadRequest(f"{len(binary) - at} bytes behind the JSON belong to no input: set binary_data_size")


def _wanted(model: OnnxModel, request: dict[str, Any]) -> Wanted:
    outputs = request.get("outputs", [])
    outputs = [] if outputs is None else outputs
    if not isinstance(outputs, list):
        raise BadRequest(f'"outputs" must be a list of objects with a name, got {shown(outputs)}')
    named = [
        (output.get("name"), output.get("parameters")) if isinstance(output, dict) else (None, None)
        for output in outputs
    ]
    wanted = asked.wanted(model, request.get("parameters"), named, binary=False)
    for name, form in wanted.items():
        if model.outputs[name].datatype == "FP16" and form == Form(binary=False):
            raise BadRequest(
                f"output {shown(name)} is FP16, which JSON can't carry: set its parameter binary_data to true"
            )
    return wanted


def _response(model: OnnxModel, request: Asked, outputs: Sequence[Array]) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    described: list[dict[str, Any]] = []
    behind: list[bytes] = []
    for name, datatype, array, binary in asked.given(model, request.wanted, outputs):
        tensor: dict[str, Any] = {"name": name, "datatype": datatype, "shape": array.shape}
        if binary:
            raw = to_bytes(array)
            tensor["parameters"] = {"binary_data_size": len(raw)}
            behind.append(raw)
        elif array.dtype.kind == "O":
            tensor["data"] = array.ravel().tolist()
        else:
            tensor["data"] = pieces.numbers(array.ravel())
        described.append(tensor)
    document: dict[str, Any] = {"model_name": model.name, "outputs": described}
    if request.id is not None:
        document["id"] = request.id
    text = orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
    if not behind:
        return text, [(b"content-type", b"application/json")]
    headers = [(b"content-type", b"application/octet-stream"), (JSON_LENGTH, str(len(text)).encode())]
    return b"".join([text, *behind]), headers
