"""Rows as a user's client sends them: one a request, as JSON of protocol v2."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tradewind.api.artefact import Tensor

ROWS, BYTES = 64, 16 << 20  # most of both that are asked by turns


def bodies_of(instances: Sequence[Any], inputs: Sequence[Tensor]) -> list[str]:
    """The bodies of some of the rows, which are as protocol v1 has them; a row that JSON can't say is None."""
    bodies: list[str] = []
    for instance in instances[: 4 * ROWS]:
        if instance is None:
            continue
        bodies.append(body_of(instance, inputs))
        if len(bodies) == ROWS or sum(map(len, bodies)) > BYTES:
            break
    return bodies


def body_of(instance: Any, inputs: Sequence[Tensor]) -> str:
    """The body of one row, which is as protocol v1 has it."""
    return json.dumps({"inputs": [_tensor(taken, instance, alone=len(inputs) == 1) for taken in inputs]})


def _tensor(taken: Tensor, instance: Any, *, alone: bool) -> dict[str, Any]:
    """The one value of an input."""
    if taken.columns and isinstance(instance, dict):
        data = [instance.get(column) for column in taken.columns]
        return {"name": taken.name, "datatype": taken.datatype, "shape": [1, len(data)], "data": data}
    by_name = isinstance(instance, dict) and (not alone or taken.name in instance)
    value = instance.get(taken.name) if by_name else instance
    tensor: dict[str, Any] = {"name": taken.name, "datatype": taken.datatype, "shape": [1, *taken.shape[1:]]}
    if isinstance(value, dict) and value.keys() == {"b64"}:
        return tensor | {"data": [value["b64"]], "parameters": {"content_type": "base64"}}
    if isinstance(value, bool):
        tensor["datatype"] = "BOOL"
    elif taken.kind == "datetime" and isinstance(value, str):
        tensor["datatype"] = "BYTES"
    return tensor | {"data": list(_flat(value))}


def _flat(value: Any) -> Iterator[Any]:
    """All values of nested lists."""
    if isinstance(value, list):
        for one in value:
            yield from _flat(one)
    else:
        yield value
