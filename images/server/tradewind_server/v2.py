"""The Open Inference Protocol v2 over HTTP: JSON, and tensors as bytes behind the JSON.

The columns of a table may be tensors of their own, as clients send a data frame (`content_type` pd). Parameters are
those of the binary tensor extension and of parameters.py; others are refused. JSON has no NaN and no infinity: in an
output they are null, and so is a missing value of an input that may have some. Binary tensors carry them both ways.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import orjson

from tradewind_server import columns, pieces
from tradewind_server.model import OnnxModel
from tradewind_server.parameters import BASE64, INPUT, OUTPUT, REQUEST, checked
from tradewind_server.refusal import BadRequest, listed, raise_limit, shown
from tradewind_server.tensors import Array, TensorSpec, from_bytes, from_json, to_bytes

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
    known = {"columns": spec.columns, "kind": spec.kind, "nullable": spec.nullable, "unit": spec.unit}
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
    size = len(body) if any(spec.datatype == "BYTES" for spec in model.inputs.values()) else json_length
    asked = await model.beside("parse", size, _asked, model, body, json_length, max_values)
    outputs = await model.infer(asked.feeds, list(asked.wanted))
    size = sum(array.size for array, binary in zip(outputs, asked.wanted.values(), strict=True) if not binary)
    return await model.beside("answer", size * BYTES_OF_A_NUMBER, _response, model, asked.id, asked.wanted, outputs)


class _Asked(NamedTuple):
    feeds: dict[str, Array]
    wanted: dict[str, bool]  # outputs, and whether each goes as bytes
    id: str | None


def _asked(model: OnnxModel, body: bytes, json_length: int, max_values: int) -> _Asked:
    request = parse(memoryview(body)[:json_length], max_values)
    with model.unused.said():
        feeds = _feeds(model, request.get("inputs"), memoryview(body)[json_length:])
    return _Asked(feeds, _wanted(model, request), request.get("id"))


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


def _feeds(model: OnnxModel, inputs: Any, binary: memoryview) -> dict[str, Array]:
    table = columns.matrix(model.inputs)
    if not isinstance(inputs, list) or not inputs:
        raise BadRequest(f'"inputs" must be a list of tensors; the model takes {listed(model.inputs)}')
    feeds: dict[str, Array] = {}
    at = 0
    for tensor in inputs:
        if not isinstance(tensor, dict):
            raise BadRequest(
                f'each of "inputs" must be an object with name, datatype, shape and data, got {shown(tensor)}'
            )
        name = tensor.get("name")
        spec = model.inputs.get(name) if isinstance(name, str) else None
        if spec is None and table and name in table.columns:
            spec = columns.column_of(table, name)
        if spec is None:
            raise columns.UnknownInput(name, table.columns if table else tuple(model.inputs))
        if spec.name in feeds:
            raise BadRequest(f"input {shown(name)} is given twice")
        feeds[spec.name], size = _tensor(spec, tensor, binary[at:], model.limits.rows)
        at += size
    if at != len(binary):
        raise BadRequest(f"{len(binary) - at} bytes behind the JSON belong to no input: set binary_data_size")
    if table and table.name not in feeds:
        return columns.assembled(table, feeds, model.limits.rows)
    if unused := feeds.keys() - model.inputs.keys():
        raise BadRequest(f"give {shown(table and table.name)}, or its columns ({listed(unused)}), not both")
    if len(feeds) < len(model.inputs):
        rows = len(next(iter(feeds.values())))
        for name, spec in model.inputs.items():
            if name not in feeds:
                feeds[name] = columns.left_out(spec, name, rows, tuple(model.inputs), model.limits.rows)
    return feeds


def _tensor(spec: TensorSpec, tensor: dict[str, Any], binary: memoryview, max_rows: int) -> tuple[Array, int]:
    """The values of an input, and how many of the bytes behind the JSON were its."""
    where = f"input {shown(spec.name)}"
    datatype: Any = tensor.get("datatype")
    if datatype != spec.datatype and not (spec.is_column and columns.takes_datatype(spec, datatype)):
        raise BadRequest(f"{where}: expected datatype {spec.datatype}, got {shown(datatype)}")
    shape = _shape(spec, tensor.get("shape"))
    sent = _as_sent(spec, shape)
    sent.check_shape(shape, max_rows)
    parameters = checked(tensor, INPUT, where, *([(BASE64,)] if spec.is_picture else []))
    size = parameters.get("binary_data_size")
    if size is None:
        array = _from_json(sent, tensor, shape, max_rows)
        # Of the input's own type already: a null in it is no longer told from a text.
        return (array.reshape(-1, *spec.shape[1:]) if spec.is_column else array), 0
    if type(size) is not int or size < 0 or size > len(binary):
        raise BadRequest(
            f"{where}: binary_data_size is {shown(size)}, but {len(binary)} bytes are left behind"
            " the JSON (is Inference-Header-Content-Length set?)"
        )
    if "data" in tensor:
        raise BadRequest(f"{where}: give data or binary_data_size, not both")
    if spec.is_picture and parameters.get("content_type") == BASE64:
        array = from_bytes(replace(sent, processed=False), binary[:size], shape)
    elif datatype == spec.datatype:
        array = from_bytes(sent, binary[:size], shape)
    else:
        array = from_bytes(replace(sent, datatype=datatype), binary[:size], shape)
    return (columns.of_tensor(spec, array, max_rows) if spec.is_column else array), size


def _as_sent(spec: TensorSpec, shape: Sequence[int]) -> TensorSpec:
    """A column may come as [-1] or [-1, 1], whichever of them the model takes."""
    if not spec.is_column or len(shape) == len(spec.axes) or len(shape) not in (1, 2):
        return spec
    return spec.flat if len(shape) == 1 else replace(spec, axes=(*spec.axes[:1], 1))


def _shape(spec: TensorSpec, shape: Any) -> Sequence[int]:
    if not isinstance(shape, list) or any(type(size) is not int or size < 0 for size in shape):
        raise BadRequest(
            f"input {shown(spec.name)}: shape must be a list of sizes for {spec.shape}, got {shown(shape)}"
        )
    if math.prod(shape) > 1 << 40:
        raise BadRequest(f"input {shown(spec.name)}: shape {shown(shape)} is too large")
    return shape


def _from_json(spec: TensorSpec, tensor: dict[str, Any], shape: Sequence[int], max_rows: int) -> Array:
    if "data" not in tensor:
        raise BadRequest(f"input {shown(spec.name)} has no data")
    if spec.datatype == "FP16":
        raise BadRequest(f"input {shown(spec.name)}: FP16 can't be sent as JSON; use the binary tensor extension")
    data = tensor["data"]
    if not spec.is_column or (tensor["datatype"] == spec.datatype and not spec.kind) or not isinstance(data, list):
        return from_json(spec, data, max_rows, shape)
    return _column(spec, tensor["datatype"], data, shape, max_rows)


def _column(spec: TensorSpec, datatype: str, data: list[Any], shape: Sequence[int], max_rows: int) -> Array:
    """A column's values, each as JSON writes it whatever type of the client's they were."""
    if spec.kind == "datetime" and datatype != "BYTES":
        spec = replace(spec, kind=None)  # seconds already
    if all(isinstance(value, list) and len(value) == 1 for value in data):
        data = [value for (value,) in data]
    if len(data) != shape[0]:
        raise BadRequest(f"input {shown(spec.name)}: shape says {shown(list(shape))}, but there are {len(data)} values")
    return columns.of_values(spec, data, max_rows)


def _wanted(model: OnnxModel, request: dict[str, Any]) -> dict[str, bool]:
    """The outputs to give, and whether each goes as bytes."""
    default = _flag(checked(request, REQUEST, "the request"), "binary_data_output", False)
    asked = request.get("outputs")
    if asked is None or asked == []:
        wanted = dict.fromkeys(model.outputs, default)
    elif isinstance(asked, list):
        wanted = {}
        for output in asked:
            name = output.get("name") if isinstance(output, dict) else None
            if not isinstance(name, str) or name not in model.outputs:
                raise BadRequest(
                    f"unknown output {shown(name)}: the model gives {', '.join(map(shown, model.outputs))}"
                )
            wanted[name] = _flag(checked(output, OUTPUT, f"output {shown(name)}"), "binary_data", default)
    else:
        raise BadRequest(f'"outputs" must be a list of objects with a name, got {shown(asked)}')
    for name, binary in wanted.items():
        if model.outputs[name].datatype == "FP16" and not binary:
            raise BadRequest(
                f"output {shown(name)} is FP16, which JSON can't carry: set its parameter binary_data to true"
            )
    if not isinstance(request.get("id", ""), str):
        raise BadRequest(f"id must be a string, got {shown(request['id'])}")
    return wanted


def _flag(parameters: dict[str, Any], name: str, default: bool) -> bool:
    value = parameters.get(name, default)
    if not isinstance(value, bool):
        raise BadRequest(f"{name} must be true or false, got {shown(value)}")
    return value


def _response(
    model: OnnxModel, request_id: str | None, wanted: dict[str, bool], outputs: list[Array]
) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    described: list[dict[str, Any]] = []
    binary: list[bytes] = []
    for (name, as_bytes), array in zip(wanted.items(), outputs, strict=True):
        tensor: dict[str, Any] = {"name": name, "datatype": model.outputs[name].datatype, "shape": array.shape}
        if as_bytes:
            raw = to_bytes(array)
            tensor["parameters"] = {"binary_data_size": len(raw)}
            binary.append(raw)
        elif array.dtype.kind == "O":
            tensor["data"] = array.ravel().tolist()
        else:
            tensor["data"] = pieces.numbers(array.ravel())
        described.append(tensor)
    document: dict[str, Any] = {"model_name": model.name, "outputs": described}
    if request_id is not None:
        document["id"] = request_id
    text = orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
    if not binary:
        return text, [(b"content-type", b"application/json")]
    headers = [(b"content-type", b"application/octet-stream"), (JSON_LENGTH, str(len(text)).encode())]
    return b"".join([text, *binary]), headers
