"""The Open Inference Protocol v2 as KServe's protobuf messages.

Values of a request are in `raw_input_contents`, one of each input and as in the binary tensor extension, or in the
`contents` of each input; the answer has the form that the request had, unless its parameters name another.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from google.protobuf.message import DecodeError, Message

from tradewind_server import asked, wire
from tradewind_server.asked import Asked, Sent
from tradewind_server.model import LARGE, OnnxModel
from tradewind_server.packed import to_bytes
from tradewind_server.refusal import BadRequest, NotFound, listed, shown
from tradewind_server.tensors import Array


def _generated() -> ModuleType:
    """KServe's messages, from their file: the package around them is its SDK, whose import takes seconds."""
    package, name = importlib.util.find_spec("kserve"), "grpc_predict_v2_pb2"
    if package is None or not package.submodule_search_locations:
        raise ModuleNotFoundError("no module kserve: its protobuf messages are what gRPC is spoken in", name="kserve")
    path = Path(package.submodule_search_locations[0]) / "protocol" / "grpc" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


messages: Any = _generated()
SERVICE = messages.DESCRIPTOR.services_by_name["GRPCInferenceService"]

_REQUEST = messages.ModelInferRequest
_RAW = _REQUEST.DESCRIPTOR.fields_by_name["raw_input_contents"].number
# The field of `contents` for each datatype. FP16 has none.
_CONTENTS = {
    "BOOL": "bool_contents",
    **dict.fromkeys(("INT8", "INT16", "INT32"), "int_contents"),
    "INT64": "int64_contents",
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint_contents"),
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
# Values that are written at once, while no other thread has its turn.
_VALUES = 1 << 13


def parsed(kind: type[Message], content: bytes) -> Any:
    """A message of that kind. Raises BadRequest."""
    try:
        return kind.FromString(content)
    except (DecodeError, RecursionError):
        raise BadRequest(f"the message can't be read: it is not {shown(kind.DESCRIPTOR.full_name)}") from None


def check_name(model: OnnxModel, name: str, version: str) -> None:
    """Refuses every model but this one."""
    if name != model.name:
        raise NotFound(f"no model {shown(name)}: this server has {shown(model.name)}")
    if version:
        raise NotFound(f"no version {shown(version)} here: the model has no versions")


def read(model: OnnxModel, message: bytes, max_values: int) -> Asked:
    """What a ModelInferRequest asks for. It may have so many values outside of `raw_input_contents`."""
    content, raw = wire.split(memoryview(message), _RAW, max_values)
    if len(content) > LARGE:
        wire.check(memoryview(content), _REQUEST.DESCRIPTOR, max_values)
    request = parsed(_REQUEST, content)
    check_name(model, request.model_name, request.model_version)
    if not request.inputs:
        raise BadRequest(f"the request has no inputs; the model takes {listed(model.inputs)}")
    if raw and len(raw) != len(request.inputs):
        raise BadRequest(
            f"there are {len(raw)} raw_input_contents and {len(request.inputs)} inputs: give one for each input, in"
            " their order, or none"
        )
    with model.unused.said():
        feeds = asked.feeds(model, _sent(request.inputs, raw))
    outputs = [(output.name, _parameters(output.parameters)) for output in request.outputs]
    wanted = asked.wanted(model, _parameters(request.parameters), outputs, binary=bool(raw))
    return Asked(feeds, wanted, request.id)


def _sent(tensors: Sequence[Any], raw: Sequence[memoryview]) -> Iterator[Sent]:
    for at, tensor in enumerate(tensors):
        where, parameters = f"input {shown(tensor.name)}", _parameters(tensor.parameters)
        filled = {field.name: values for field, values in tensor.contents.ListFields()}
        size = len(raw[at]) if raw else 0
        if parameters.get("binary_data_size", size) != size:
            raise BadRequest(
                f"{where}: binary_data_size is {shown(parameters['binary_data_size'])}, but its raw_input_contents have"
                f" {size} bytes"
            )
        if raw and filled:
            raise BadRequest(f"{where}: give its values in raw_input_contents or in {listed(filled)}, not both")
        field = _CONTENTS.get(tensor.datatype)
        if others := filled.keys() - {field}:
            how = f"its values belong in {field}" if field else "it can only be sent in raw_input_contents"
            raise BadRequest(f"{where} is {shown(tensor.datatype)}: {how}, got {listed(others)}")
        told = (tensor.name, tensor.datatype, list(tensor.shape), parameters)
        yield Sent(*told, raw=raw[at]) if raw else Sent(*told, typed=filled.get(field or "", ()))


def _parameters(given: Mapping[str, Any]) -> dict[str, Any]:
    """By name; None where the value is of a kind that KServe's protocol does not have."""
    found = {}
    for name, parameter in given.items():
        choice = parameter.WhichOneof("parameter_choice")
        found[name] = getattr(parameter, choice) if choice else None
    return found


def written(model: OnnxModel, request: Asked, outputs: Sequence[Array]) -> bytes:
    """The ModelInferResponse. All its tensors are bytes where one of them is, or can't be anything else."""
    found = list(asked.given(model, request.wanted, outputs))
    raw = any(output.binary or output.datatype not in _CONTENTS for output in found)
    response = messages.ModelInferResponse(model_name=model.name, id=request.id)
    for name, datatype, array, _ in found:
        tensor = response.outputs.add(name=name, datatype=datatype, shape=array.shape)
        if raw:
            response.raw_output_contents.append(to_bytes(array))
        else:
            _fill(getattr(tensor.contents, _CONTENTS[datatype]), array.ravel())
    content: bytes = response.SerializeToString()
    return content


def _fill(contents: Any, values: Array) -> None:
    for at in range(0, len(values), _VALUES):
        some = values[at : at + _VALUES].tolist()
        contents.extend([str(value).encode() for value in some] if values.dtype.kind == "O" else some)
