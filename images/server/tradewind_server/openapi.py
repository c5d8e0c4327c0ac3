"""The model's own OpenAPI page: what a request has to look like, with examples that work when they are pasted."""

from __future__ import annotations

from typing import Any

from tradewind_server import __version__, columns
from tradewind_server.classes import PROBABILITIES
from tradewind_server.model import OnnxModel
from tradewind_server.parameters import BASE64
from tradewind_server.processing import EXAMPLE
from tradewind_server.tensors import TensorSpec
from tradewind_server.v1 import LABELS, gives_sets, is_classifier, units_of

_KINDS: dict[str, dict[str, Any]] = {
    "boolean": {"type": "boolean"},
    "category": {"type": "string"},
    "datetime": {"type": "string", "format": "date-time"},
    "text": {"type": "string"},
}
_PICTURE = {
    "type": "object",
    "required": [columns.BASE64],
    "properties": {columns.BASE64: {"type": "string", "contentEncoding": "base64", "contentMediaType": "image/*"}},
    "additionalProperties": False,
}
# What stands for each kind where the model has no golden samples.
_EXAMPLES: dict[str, Any] = {"text": "some words", "image": {columns.BASE64: EXAMPLE}}
_CODES = {
    "400": "The request can't be answered.",
    "408": "The body did not come in time.",
    "413": "The body is too large.",
    "429": "It would have to wait too long: ask again after Retry-After.",
    "503": "Not now: ask again after Retry-After.",
}


def page(model: OnnxModel) -> dict[str, Any]:
    """OpenAPI 3.1. The examples are the first golden sample, where the model has some, with a small picture in it."""
    return {
        "openapi": "3.1.0",
        "info": {"title": model.name, "version": __version__, "description": f"Model {model.digest}"},
        "paths": {
            f"/v1/models/{model.name}:predict": {
                "post": _operation("Predict by rows (KServe's protocol v1).", _v1_request(model), _v1_answer(model))
            },
            f"/v2/models/{model.name}/infer": {
                "post": _operation(
                    "Predict by tensors (Open Inference Protocol v2).", _v2_request(model), _v2_answer(model)
                )
            },
        },
    }


def _operation(summary: str, request: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    error = {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}}
    responses = {"200": _json("The answer.", {"schema": answer})} | {
        code: _json(words, {"schema": error}) for code, words in _CODES.items()
    }
    return {
        "summary": summary,
        "requestBody": {"required": True, "content": {"application/json": request}},
        "responses": responses,
    }


def _json(description: str, content: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": content}}


def _v1_request(model: OnnxModel) -> dict[str, Any]:
    rows = {"type": "array", "minItems": 1, "maxItems": model.limits.rows, "items": _row(model)}
    schema = {"type": "object", "required": ["instances"], "properties": {"instances": rows}}
    row = _example(model)
    return {"schema": schema} | ({} if row is None else {"example": {"instances": [row]}})


def _example(model: OnnxModel) -> Any:
    """A row that the model answers, as protocol v1 has it; None where nobody knows one."""
    pictures = {name: {columns.BASE64: EXAMPLE} for name, spec in model.inputs.items() if spec.is_picture}
    if model.samples is None:
        known = all(spec.processed for spec in model.inputs.values())
        return {name: _EXAMPLES[spec.kind or ""] for name, spec in model.inputs.items()} if known else None
    row = model.samples.instances[0]
    if not pictures or not isinstance(row, dict) or columns.BASE64 in row:
        return pictures or row
    return row | {name: picture for name, picture in pictures.items() if row.get(name) is not None}


def _row(model: OnnxModel) -> dict[str, Any]:
    table = columns.matrix(model.inputs)
    specs = {name: columns.column_of(table, name) for name in table.columns} if table else dict(model.inputs)
    if not table and len(specs) == 1:
        ((_, spec),) = specs.items()
        if not spec.is_column:
            return _values(spec, spec.shape[1:])
    return {
        "type": "object",
        "properties": {name: _values(spec, [] if spec.is_column else spec.shape[1:]) for name, spec in specs.items()},
        "required": [name for name, spec in specs.items() if not spec.nullable],
        "minProperties": 1,
        "additionalProperties": False,
    }


def _values(spec: TensorSpec, shape: list[int]) -> dict[str, Any]:
    """The schema of one row of it."""
    schema = dict(_PICTURE if spec.is_picture else _KINDS.get(spec.kind or "") or _element(spec))
    if spec.format is not None:
        schema = {"type": "string", "description": f"A time, written as {spec.format}."}
    if spec.nullable:
        schema["type"] = [schema["type"], "null"]
    for size in reversed(shape):
        schema = {"type": "array", "items": schema} | ({"minItems": size, "maxItems": size} if size >= 0 else {})
    return schema


def _element(spec: TensorSpec) -> dict[str, Any]:
    if spec.datatype == "BYTES":
        return {"type": "string"}
    return {"type": {"b": "boolean", "i": "integer", "u": "integer"}.get(spec.dtype.kind, "number")}


def _v1_answer(model: OnnxModel) -> dict[str, Any]:
    """What `v1.answer` gives."""
    found: dict[str, Any] = {"predictions": {"type": "array", "description": "One of each row."}}
    if (sets := gives_sets(model)) or is_classifier(model):
        name = {"type": "string", "enum": model.labels}
        found["predictions"]["items"] = {"type": "array", "items": name, "uniqueItems": True} if sets else name
        size = {"minItems": len(model.labels), "maxItems": len(model.labels)}
        if given := PROBABILITIES in model.outputs:
            row = {"type": "array", "items": {"type": "number"}} | size
            found[PROBABILITIES] = {
                "type": "array",
                "description": "Of each row, in the order of labels.",
                "items": row,
            }
        if given or sets:
            found[LABELS] = {"type": "array", "items": name, "const": model.labels}
    elif len(model.outputs) == 1:
        (spec,) = model.outputs.values()
        found["predictions"]["items"] = _values(spec, spec.shape[1:])
    if units := units_of(model):
        found["units"] = {"type": "object", "description": "By output.", "const": units}
    return {"type": "object", "required": [*found], "properties": found}


def _v2_request(model: OnnxModel) -> dict[str, Any]:
    tensors = {"type": "array", "minItems": 1, "items": _tensor(model.inputs)}
    schema = {"type": "object", "required": ["inputs"], "properties": {"inputs": tensors}}
    row = _example(model)
    if not isinstance(row, dict) or not row.keys() <= set(columns.names(model.inputs)):
        return {"schema": schema}
    return {"schema": schema, "example": {"inputs": [_sent(model, name, value) for name, value in row.items()]}}


def _sent(model: OnnxModel, name: str, value: Any) -> dict[str, Any]:
    """A value of an example as a tensor."""
    spec = model.inputs.get(name) or columns.matrix(model.inputs)
    assert spec is not None
    if spec.is_picture:
        value, parameters = value and value[columns.BASE64], {"parameters": {"content_type": BASE64}}
    else:
        parameters = {}
    datatype = {str: "BYTES", bool: "BOOL"}.get(type(value), spec.datatype)
    return {"name": name, "datatype": datatype, "shape": [1], "data": [value]} | parameters


def _v2_answer(model: OnnxModel) -> dict[str, Any]:
    outputs = {"type": "array", "items": _tensor(model.outputs)}
    return {"type": "object", "required": ["outputs"], "properties": {"outputs": outputs}}


def _tensor(specs: dict[str, TensorSpec]) -> dict[str, Any]:
    known = [f"{spec.name} {spec.datatype} {spec.shape}" for spec in specs.values()]
    table = columns.matrix(specs)
    return {
        "type": "object",
        "description": "; ".join(known),
        "required": ["name", "datatype", "shape"],
        "properties": {
            "name": {"type": "string", "enum": [*specs, *(table.columns if table else ())]},
            "datatype": {"type": "string"},
            "shape": {"type": "array", "items": {"type": "integer"}},
            "data": {"type": "array"},
            "parameters": {"type": "object"},
        },
    }
