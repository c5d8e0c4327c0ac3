"""KServe's protocol v1: `instances` (a row each) or `inputs` (a column each), answered by `predictions`.

A row is an object by name, of the inputs or of the columns of a table, or a plain list in their order. For a
classification model of Tradewind's a prediction is the class's name from model.json, or a list of labels where a row
may have any number, and `probabilities` has those of all classes or labels, in the order of `labels`. Any other model's
prediction is its output, or an object of its outputs by name if there are several. `units` has those of the outputs
that have one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson

from tradewind_server import columns, pieces
from tradewind_server.classes import PROBABILITIES
from tradewind_server.model import OnnxModel
from tradewind_server.parameters import check_v1
from tradewind_server.refusal import BadRequest, shown
from tradewind_server.tensors import Array
from tradewind_server.v2 import BYTES_OF_A_NUMBER, parse

LABEL, LABELS = "label", "labels"


async def answer(
    model: OnnxModel, headers: Mapping[bytes, bytes], body: bytes, max_values: int
) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    """The response's body, and its headers besides content-length."""
    feeds = await model.beside("parse", len(body), _asked, model, body, max_values)
    outputs = dict(zip(model.outputs, await model.infer(feeds, list(model.outputs)), strict=True))
    size = sum(array.size for array in outputs.values()) * BYTES_OF_A_NUMBER
    return await model.beside("answer", size, _response, model, outputs), [(b"content-type", b"application/json")]


def _asked(model: OnnxModel, body: bytes, max_values: int) -> dict[str, Array]:
    request = parse(memoryview(body), max_values)
    with model.unused.said():
        return _feeds(model, request)


def _response(model: OnnxModel, outputs: dict[str, Array]) -> bytes:
    document = _document(model, outputs)
    if units := units_of(model):
        document["units"] = units
    return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)


def _feeds(model: OnnxModel, request: dict[str, Any]) -> dict[str, Array]:
    if ("instances" in request) == ("inputs" in request):
        raise BadRequest('give "instances" (a list of rows), or "inputs" (the values of each input), and not both')
    if len(request) > 1:
        check_v1(request)
    if "instances" in request:
        given = request["instances"]
        if not isinstance(given, list) or not given:
            raise BadRequest(f'"instances" must be a list with at least one row, got {shown(given)}')
        return columns.of_rows(model.inputs, given, model.limits.rows)
    given = request["inputs"]
    if len(model.inputs) > 1 or isinstance(given, dict):
        return columns.of_columns(model.inputs, given, model.limits.rows)
    ((name, spec),) = model.inputs.items()
    return {name: columns.of_values(spec, given, model.limits.rows)}


def _document(model: OnnxModel, outputs: dict[str, Array]) -> dict[str, Any]:
    if is_classifier(model):
        return _classes(model, outputs)
    return _sets(model, outputs) if gives_sets(model) else {"predictions": _rows(outputs)}


def gives_sets(model: OnnxModel) -> bool:
    """Whether it tells of each of the manifest's labels whether a row has it."""
    return bool(model.labels) and LABELS in model.outputs and model.outputs[LABELS].datatype == "BOOL"


def units_of(model: OnnxModel) -> dict[str, str]:
    """The units of the outputs that have one, by name."""
    return {name: spec.unit for name, spec in model.outputs.items() if spec.unit}


def is_classifier(model: OnnxModel) -> bool:
    """Whether it tells which of the manifest's labels a row has."""
    return bool(model.labels) and LABEL in model.outputs and model.outputs[LABEL].datatype == "INT64"


def _classes(model: OnnxModel, outputs: dict[str, Array]) -> dict[str, Any]:
    labels = model.labels
    indices = outputs[LABEL].ravel().tolist()
    predictions = [labels[index] if 0 <= index < len(labels) else str(index) for index in indices]
    document: dict[str, Any] = {"predictions": predictions}
    if PROBABILITIES in outputs:
        document[PROBABILITIES] = _plain(outputs[PROBABILITIES])
        document[LABELS] = labels
    return document


def _sets(model: OnnxModel, outputs: dict[str, Array]) -> dict[str, Any]:
    labels = model.labels
    predictions = [[labels[index] for index in np.flatnonzero(row)] for row in outputs[LABELS]]
    document: dict[str, Any] = {"predictions": predictions, LABELS: labels}
    if PROBABILITIES in outputs:
        document[PROBABILITIES] = _plain(outputs[PROBABILITIES])
    return document


def _rows(outputs: dict[str, Array]) -> Any:
    if len(outputs) == 1:
        return _plain(next(iter(outputs.values())))
    sizes = {array.shape[0] if array.ndim else 0 for array in outputs.values()}
    if len(sizes) > 1:
        return {name: _plain(array) for name, array in outputs.items()}
    return [dict(zip(outputs, row, strict=True)) for row in zip(*map(_plain_rows, outputs.values()), strict=True)]


def _plain_rows(array: Array) -> list[Any]:
    rows: list[Any] = _float(array).tolist()
    return rows


def _plain(array: Array) -> Any:
    """What the JSON encoder takes: strings as lists, numbers as they are."""
    return array.tolist() if array.dtype.kind == "O" else pieces.numbers(_float(array))


def _float(array: Array) -> Array:
    """v1 names no datatypes, so half precision is given as the float that it equals."""
    return array.astype(np.float32) if array.dtype == np.float16 else array
