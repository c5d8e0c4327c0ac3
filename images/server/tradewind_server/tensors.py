"""Inputs and outputs of a model, and their values as JSON."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tradewind_server import pieces
from tradewind_server.refusal import BadRequest, listed, raise_limit, shown

Array = NDArray[Any]

# ONNX Runtime's name of the type, the protocol's, and NumPy's.
_TYPES: tuple[tuple[str, str, Any], ...] = (
    ("tensor(bool)", "BOOL", np.bool_),
    ("tensor(uint8)", "UINT8", np.uint8),
    ("tensor(uint16)", "UINT16", np.uint16),
    ("tensor(uint32)", "UINT32", np.uint32),
    ("tensor(uint64)", "UINT64", np.uint64),
    ("tensor(int8)", "INT8", np.int8),
    ("tensor(int16)", "INT16", np.int16),
    ("tensor(int32)", "INT32", np.int32),
    ("tensor(int64)", "INT64", np.int64),
    ("tensor(float16)", "FP16", np.float16),
    ("tensor(float)", "FP32", np.float32),
    ("tensor(double)", "FP64", np.float64),
    ("tensor(string)", "BYTES", np.object_),
)
DATATYPES = {onnx: datatype for onnx, datatype, _ in _TYPES}
_DTYPES: dict[str, np.dtype[Any]] = {datatype: np.dtype(dtype) for _, datatype, dtype in _TYPES}


def is_number(datatype: str) -> bool:
    """Whether the protocol's datatype is one of numbers."""
    return datatype in _DTYPES and _DTYPES[datatype].kind in "iuf"


@dataclass(frozen=True)
class TensorSpec:
    """An input or output as the model declares it.

    An axis is its size, or its name in the graph where the size is the client's to choose ("" if it has none). What
    follows the axes is from the manifest: names of the columns in the last axis, whether a value may be missing, what a
    user sends for it, the unit of what comes back, whether the graph takes what a processor makes of it, and how a time
    is written.
    """

    name: str
    datatype: str
    axes: tuple[int | str, ...]
    columns: tuple[str, ...] = ()
    nullable: bool = False
    kind: str | None = None
    unit: str | None = None
    processed: bool = False
    format: str | None = None

    @property
    def is_picture(self) -> bool:
        """Whether its values are files of pictures, as bytes or as base64."""
        return self.processed and self.kind == "image"

    @property
    def shape(self) -> list[int]:
        """Sizes of the axes, -1 where any size will do."""
        return [axis if isinstance(axis, int) else -1 for axis in self.axes]

    @property
    def dtype(self) -> np.dtype[Any]:
        """NumPy's element type; object for BYTES."""
        return _DTYPES[self.datatype]

    @cached_property
    def is_column(self) -> bool:
        """Whether it has one value a row: [-1] or [-1, 1]."""
        return self.axes[1:] in ((), (1,)) and bool(self.axes) and isinstance(self.axes[0], str)

    @cached_property
    def flat(self) -> TensorSpec:
        """The same without the axes behind the rows."""
        return replace(self, axes=self.axes[:1])

    @cached_property
    def expected(self) -> str:
        """The shape, and what its columns are, for a sentence."""
        return f"expected shape {self.shape}" + (
            f" (a row has {listed(self.columns)}, in this order)" if self.columns else ""
        )

    def check_shape(self, shape: Sequence[int], max_rows: int) -> None:
        """Refuses a shape that the model doesn't take, an empty one, and more than `max_rows` rows."""
        if len(shape) != len(self.axes) or any(
            isinstance(axis, int) and axis != size for axis, size in zip(self.axes, shape, strict=True)
        ):
            raise BadRequest(f"input {shown(self.name)}: {self.expected}, got {shown(list(shape))}")
        if 0 in shape:
            raise BadRequest(
                f"input {shown(self.name)} is empty: its shape is {shown(list(shape))}; send at least one row"
            )
        if shape and not isinstance(self.axes[0], int) and shape[0] > max_rows:
            raise BadRequest(
                f"input {shown(self.name)} has {shape[0]} rows, the limit is {max_rows}:"
                f" send the others in further requests{raise_limit('maxRows')}"
            )


def check_axes(specs: Iterable[TensorSpec], feeds: dict[str, Array]) -> None:
    """Refuses inputs that disagree about an axis which the model gives the same name, such as the number of rows."""
    seen: dict[str, tuple[int, str]] = {}
    for spec in specs:
        for axis, size in zip(spec.axes, feeds[spec.name].shape, strict=True):
            if not isinstance(axis, str) or not axis:
                continue
            before, name = seen.setdefault(axis, (size, spec.name))
            if before != size:
                raise BadRequest(
                    f"inputs {shown(name)} and {shown(spec.name)} must have the same size in the axis {shown(axis)},"
                    f" got {before} and {size}"
                )


def from_json(spec: TensorSpec, data: Any, max_rows: int, shape: Sequence[int] | None = None) -> Array:
    """The values of a JSON list. With `shape` the list may be flat; without, its nesting is the shape."""
    where = f"input {shown(spec.name)}"
    if not isinstance(data, list) and (shape is not None or spec.axes):
        raise BadRequest(f"{where}: expected a list of values, got {shown(data)}")
    if (
        shape is None
        and spec.axes
        and isinstance(data, list)
        and not isinstance(spec.axes[0], int)
        and len(data) > max_rows
    ):
        spec.check_shape([len(data), *spec.shape[1:]], max_rows)
    flat = shape is not None and not (data and isinstance(data[0], list))
    kinds: set[type] = set()
    _add_kinds(data, 1 if flat else len(spec.axes), kinds, spec)
    _check_kinds(spec, kinds, data)
    try:
        with np.errstate(over="ignore"):
            array = pieces.array(data, spec.dtype)  # null is NaN here
    except OverflowError:
        raise BadRequest(f"{where}: a number is out of the range of {spec.datatype}") from None
    except ValueError:
        raise BadRequest(f"{where}: the lists have different lengths; {spec.expected}") from None
    if array.dtype.kind == "f" and np.isinf(array).any():
        raise BadRequest(f"{where}: a number is too large for {spec.datatype}")
    if type(None) in kinds and spec.datatype == "BYTES":
        array[np.equal(array, np.array(None))] = ""
    if shape is None:
        spec.check_shape(array.shape, max_rows)
        return array
    if flat and array.size == math.prod(shape):
        return array.reshape(shape)
    if array.shape != tuple(shape):
        given = f"{array.size} values" if flat else f"data of shape {list(array.shape)}"
        raise BadRequest(f"{where}: shape says {shown(list(shape))}, but there are {given}")
    return array


def _add_kinds(data: Any, depth: int, kinds: set[type], spec: TensorSpec) -> None:
    """Adds the types of the values to `kinds`; refuses lists that are nested less or more than `depth`.

    NumPy alone would read null as NaN and "1" as 1, cut 1.5 to 1, and make room for the longest string in every cell.
    """
    if depth == 0:
        kinds.add(type(data))
        return
    found = pieces.types(data)
    if depth == 1 and list not in found:
        kinds |= found
        return
    if depth == 1 or found - {list}:
        raise BadRequest(f"input {shown(spec.name)}: lists are nested unevenly; {spec.expected}")
    for row in data:
        _add_kinds(row, depth - 1, kinds, spec)


def _check_kinds(spec: TensorSpec, kinds: set[type], data: Any) -> None:
    """Refuses values that are not of the element type, and names the first of them."""
    if type(None) in kinds and not _takes_missing(spec):
        place, column = _place(spec, data, {type(None)})
        raise BadRequest(f"{place} is {spec.datatype}: null is not a value; {untrained(column)}")
    numbers = kinds - {type(None)}
    wrong: set[type]
    if dict in kinds or list in kinds:
        wrong, sentence = {dict, list}, f"expected plain values; {spec.expected}"
    elif spec.datatype == "BYTES":
        wrong, sentence = numbers - {str}, "expected strings: write the value in quotes"
    elif str in kinds:
        wrong = {str}
        sentence = "got a string; write numbers without quotes (NaN and Infinity can't be sent as JSON)"
    elif spec.datatype == "BOOL":
        wrong, sentence = numbers - {bool}, "expected true or false"
    elif bool in kinds:
        wrong, sentence = {bool}, "expected numbers, got true or false: write 1 for true and 0 for false"
    elif spec.dtype.kind in "iu" and float in kinds:
        wrong, sentence = {float}, "expected whole numbers of 64 bits at most, without a decimal point"
    else:
        return
    if wrong:
        raise BadRequest(f"{_place(spec, data, wrong)[0]} is {spec.datatype}: {sentence}")


def _takes_missing(spec: TensorSpec) -> bool:
    return spec.nullable and (spec.datatype == "BYTES" or spec.dtype.kind == "f")


def untrained(column: str | None) -> str:
    """Why nothing may be missing there."""
    return "the model was not trained for missing values" + (f" of {shown(column)}" if column is not None else "")


def _place(spec: TensorSpec, data: Any, wrong: set[type]) -> tuple[str, str | None]:
    """Words for where the first value of these types stands in a table, and its column if that has a name."""
    where = f"input {shown(spec.name)}"
    if spec.columns and isinstance(data, list):
        width = len(spec.columns)
        # A list of v2 may be flat.
        rows = (
            data if data and isinstance(data[0], list) else [data[at : at + width] for at in range(0, len(data), width)]
        )
        for row, values in enumerate(rows):
            for column, value in zip(spec.columns, values if isinstance(values, list) else (), strict=False):
                if type(value) in wrong:
                    return f"column {shown(column)} in row {row}", column
    elif (spec.kind or spec.nullable) and len(spec.axes) == 1:
        row = next((row for row, value in enumerate(data) if type(value) in wrong), 0)
        return f"{where} in row {row}", spec.name
    return where, None
