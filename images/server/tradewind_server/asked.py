"""What a request of the Open Inference Protocol v2 asks for, however it came: as JSON, as bytes, or as protobuf."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from tradewind_server import classes, columns
from tradewind_server.model import OnnxModel
from tradewind_server.packed import from_bytes, from_typed
from tradewind_server.parameters import BASE64, INPUT, OUTPUT, REQUEST, checked
from tradewind_server.refusal import BadRequest, listed, shown
from tradewind_server.tensors import Array, TensorSpec, from_json

NOTHING = object()


class Sent(NamedTuple):
    """A tensor as its client sent it; nothing of it has been checked.

    Its values are one of three: `data` as JSON has them, `raw` as bytes, little-endian and row-major, or `typed`, where
    each is a number, a bool or the bytes of a text.
    """

    name: Any
    datatype: Any
    shape: Any
    parameters: Any = None
    data: Any = NOTHING
    raw: memoryview | None = None
    typed: Sequence[Any] | None = None


class Form(NamedTuple):
    """How an output is to be given: as bytes or not, and in place of its values so many classes that lead in a row."""

    binary: bool
    classes: int | None = None


Wanted = dict[str, Form]


class Asked(NamedTuple):
    """The inputs by name, the outputs in the order of the answer, and what the client calls the request."""

    feeds: dict[str, Array]
    wanted: Wanted
    id: str | None


class Output(NamedTuple):
    """A tensor of the answer, of the protocol's datatype."""

    name: str
    datatype: str
    array: Array
    binary: bool


def feeds(model: OnnxModel, inputs: Iterable[Sent]) -> dict[str, Array]:
    """The model's inputs of tensors, each of which is an input or a column of a table."""
    table = columns.matrix(model.inputs)
    found: dict[str, Array] = {}
    for sent in inputs:
        name = sent.name
        spec = model.inputs.get(name) if isinstance(name, str) else None
        if spec is None and table and name in table.columns:
            spec = columns.column_of(table, name)
        if spec is None:
            raise columns.UnknownInput(name, table.columns if table else tuple(model.inputs))
        if spec.name in found:
            raise BadRequest(f"input {shown(name)} is given twice")
        found[spec.name] = _tensor(spec, sent, model.limits.rows)
    if table and table.name not in found:
        return columns.assembled(table, found, model.limits.rows)
    if unused := found.keys() - model.inputs.keys():
        raise BadRequest(f"give {shown(table and table.name)}, or its columns ({listed(unused)}), not both")
    if len(found) < len(model.inputs):
        rows = len(next(iter(found.values())))
        for name, spec in model.inputs.items():
            if name not in found:
                found[name] = columns.left_out(spec, name, rows, tuple(model.inputs), model.limits.rows)
    return found


def _tensor(spec: TensorSpec, sent: Sent, max_rows: int) -> Array:
    where = f"input {shown(spec.name)}"
    if sent.datatype != spec.datatype and not (spec.is_column and columns.takes_datatype(spec, sent.datatype)):
        raise BadRequest(f"{where}: expected datatype {spec.datatype}, got {shown(sent.datatype)}")
    shape = _shape(spec, sent.shape)
    as_sent = _as_sent(spec, shape)
    as_sent.check_shape(shape, max_rows)
    parameters = checked(sent.parameters, INPUT, where, *([(BASE64,)] if spec.is_picture else []))
    if sent.raw is None and sent.typed is None:
        array = _from_json(as_sent, sent, shape, max_rows)
        # Of the input's own type already: a null in it is no longer told from a text.
        return array.reshape(-1, *spec.shape[1:]) if spec.is_column else array
    if sent.data is not NOTHING:
        raise BadRequest(f"{where}: give data or binary_data_size, not both")
    if spec.is_picture and parameters.get("content_type") == BASE64:
        as_sent = replace(as_sent, processed=False)
    elif sent.datatype != spec.datatype:
        as_sent = replace(as_sent, datatype=sent.datatype)
    if sent.raw is not None:
        array = from_bytes(as_sent, sent.raw, shape)
    else:
        array = from_typed(as_sent, sent.typed or (), shape)
    return columns.of_tensor(spec, array, max_rows) if spec.is_column else array


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


def _from_json(spec: TensorSpec, sent: Sent, shape: Sequence[int], max_rows: int) -> Array:
    if sent.data is NOTHING:
        raise BadRequest(f"input {shown(spec.name)} has no data")
    if spec.datatype == "FP16":
        raise BadRequest(f"input {shown(spec.name)}: FP16 can't be sent as JSON; use the binary tensor extension")
    data = sent.data
    if not spec.is_column or (sent.datatype == spec.datatype and not spec.kind) or not isinstance(data, list):
        return from_json(spec, data, max_rows, shape)
    return _column(spec, sent.datatype, data, shape, max_rows)


def _column(spec: TensorSpec, datatype: str, data: list[Any], shape: Sequence[int], max_rows: int) -> Array:
    """A column's values, each as JSON writes it whatever type of the client's they were."""
    if spec.kind == "datetime" and datatype != "BYTES":
        spec = replace(spec, kind=None)  # seconds already
    if all(isinstance(value, list) and len(value) == 1 for value in data):
        data = [value for (value,) in data]
    if len(data) != shape[0]:
        raise BadRequest(f"input {shown(spec.name)}: shape says {shown(list(shape))}, but there are {len(data)} values")
    return columns.of_values(spec, data, max_rows)


def wanted(model: OnnxModel, parameters: Any, outputs: Iterable[tuple[Any, Any]], binary: bool) -> Wanted:
    """The outputs to give, of the request's parameters and of the name and the parameters of each output that it names;
    all outputs where it names none. `binary` is whether they go as bytes where the client says nothing."""
    default = _flag(checked(parameters, REQUEST, "the request"), "binary_data_output", binary)
    found: Wanted = {}
    for name, told in outputs:
        if not isinstance(name, str) or name not in model.outputs:
            raise BadRequest(f"unknown output {shown(name)}: the model gives {', '.join(map(shown, model.outputs))}")
        given = checked(told, OUTPUT, f"output {shown(name)}")
        most = classes.number(model.outputs[name], given["classification"]) if "classification" in given else None
        found[name] = Form(_flag(given, "binary_data", default), most)
    return found or dict.fromkeys(model.outputs, Form(default))


def _flag(parameters: Mapping[str, Any], name: str, default: bool) -> bool:
    value = parameters.get(name, default)
    if not isinstance(value, bool):
        raise BadRequest(f"{name} must be true or false, got {shown(value)}")
    return value


def given(model: OnnxModel, wanted: Wanted, outputs: Sequence[Array]) -> Iterator[Output]:
    """The tensors of the answer, of the model's outputs in the order in which they are wanted."""
    for (name, form), array in zip(wanted.items(), outputs, strict=True):
        if form.classes is None:
            yield Output(name, model.outputs[name].datatype, array, form.binary)
        else:
            labels = model.labels if name == classes.PROBABILITIES else ()
            yield Output(name, "BYTES", classes.leading(array, form.classes, labels), form.binary)


def written(wanted: Wanted, outputs: Sequence[Array]) -> int:
    """How many values of the answer are written one by one, not as bytes."""
    return sum(
        array.size
        for array, form in zip(outputs, wanted.values(), strict=True)
        if not form.binary or form.classes is not None
    )
