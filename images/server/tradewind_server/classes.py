"""Triton's classification extension: the classes that lead in each row, in place of an output's values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tradewind_server.refusal import BadRequest, shown
from tradewind_server.tensors import Array, TensorSpec, is_number

PROBABILITIES = "probabilities"
# A text takes twenty times the memory of its value.
_MOST = 1 << 20


def number(spec: TensorSpec, asked: Any) -> int:
    """How many classes of each row are asked for. Refuses it of an output that has none."""
    where = f"output {shown(spec.name)}: classification"
    if type(asked) is not int or asked < 1:
        raise BadRequest(f"{where} must be a whole number from 1, got {shown(asked)}")
    if len(spec.axes) != 2 or not is_number(spec.datatype):
        raise BadRequest(
            f"{where} is for outputs of numbers of shape [rows, classes], this one is {spec.datatype} {spec.shape}"
        )
    return asked


def leading(values: Array, most: int, labels: Sequence[str]) -> Array:
    """Texts `value:index` of shape [rows, classes], the largest value first and of equal ones the lower index; with
    `:label` where each class has a name. `most` is the most classes of a row, `values` have the shape [rows, classes].
    Raises BadRequest where these would be too many texts.
    """
    rows, count = len(values), min(most, values.shape[1])
    if rows * count > _MOST:
        raise BadRequest(
            f"classification of {rows} rows with {count} classes each is more than {_MOST} texts: ask for fewer"
            " classes, or send fewer rows"
        )
    # In this order NaN comes last, and no integer overflows.
    order = np.argsort(-values if values.dtype.kind == "f" else ~values, axis=1, kind="stable")[:, :most]
    names = [f":{label}" for label in labels] if len(labels) == values.shape[1] else [""] * values.shape[1]
    write = "{:f}".format if values.dtype.kind == "f" else str
    texts = np.empty(order.shape, dtype=object)
    for row, (indices, found) in enumerate(zip(order, values, strict=True)):
        texts[row] = [f"{write(found[index])}:{index}{names[index]}" for index in indices.tolist()]
    return texts
