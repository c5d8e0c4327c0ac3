"""KServe's protocol v1: `instances` (a row each) or `inputs` (a column each), answered by `predictions`.

For a classification model of Tradewind's a prediction is the class's name from model.json, and `probabilities` has
those of all classes, in the order of `labels` in the v2 metadata. Any other model's prediction is its output, or an
object of its outputs by name if there are several.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson

from tradewind_server.model import OnnxModel
from tradewind_server.refusal import BadRequest, shown
from tradewind_server.tensors import Array, from_json
from tradewind_server.v2 import parse

LABEL, PROBABILITIES = "label", "probabilities"


async def answer(
    model: OnnxModel, headers: Mapping[bytes, bytes], body: bytes, max_values: int
) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    """The response's body, and its headers besides content-length."""
    columns = _columns(model, parse(memoryview(body), max_values))
    feeds = {name: from_json(spec, columns[name], model.max_rows) for name, spec in model.inputs.items()}
    outputs = dict(zip(model.outputs, await model.infer(feeds, list(model.outputs)), strict=True))
    document = _classes(model, outputs) if _is_classifier(model) else {"predictions": _rows(outputs)}
    return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY), [(b"content-type", b"application/json")]


def _columns(model: OnnxModel, request: dict[str, Any]) -> dict[str, Any]:
    if ("instances" in request) == ("inputs" in request):
        raise BadRequest('give "instances" (a list of rows), or "inputs" (the values of each input), and not both')
    if "instances" in request:
        instances = request["instances"]
        if not isinstance(instances, list) or not instances:
            raise BadRequest(f'"instances" must be a list with at least one row, got {shown(instances)}')
        if not any(isinstance(row, dict) for row in instances) and len(model.inputs) == 1:
            return dict.fromkeys(model.inputs, instances)
        columns: dict[str, list[Any]] = {name: [] for name in model.inputs}
        for row in instances:
            _check_names(model, row)
            for name, column in columns.items():
                column.append(row[name])
        return columns
    inputs = request["inputs"]
    if len(model.inputs) == 1 and not isinstance(inputs, dict):
        return dict.fromkeys(model.inputs, inputs)
    _check_names(model, inputs)
    return dict(inputs)


def _check_names(model: OnnxModel, given: Any) -> None:
    names = ", ".join(map(shown, model.inputs))
    if not isinstance(given, dict):
        raise BadRequest(f"expected an object with {names}, got {shown(given)}")
    if unknown := [name for name in given if name not in model.inputs]:
        raise BadRequest(f"unknown input {shown(unknown[0])}: the model takes {names}")
    if missing := [name for name in model.inputs if name not in given]:
        raise BadRequest(f"input {shown(missing[0])} is missing: the model takes {names}")


def _is_classifier(model: OnnxModel) -> bool:
    return bool(model.labels) and LABEL in model.outputs and model.outputs[LABEL].datatype == "INT64"


def _classes(model: OnnxModel, outputs: dict[str, Array]) -> dict[str, Any]:
    labels = model.labels
    indices = outputs[LABEL].ravel().tolist()
    predictions = [labels[index] if 0 <= index < len(labels) else str(index) for index in indices]
    document: dict[str, Any] = {"predictions": predictions}
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
    return array.tolist() if array.dtype.kind == "O" else np.ascontiguousarray(_float(array))


def _float(array: Array) -> Array:
    """v1 names no datatypes, so half precision is given as the float that it equals."""
    return array.astype(np.float32) if array.dtype == np.float16 else array
