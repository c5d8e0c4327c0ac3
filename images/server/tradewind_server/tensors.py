"""Inputs and outputs of a model, and their values as JSON and as bytes in the Open Inference Protocol v2."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tradewind_server.refusal import BadRequest, shown

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


@dataclass(frozen=True)
class TensorSpec:
    """An input or output as the model declares it.

    An axis is its size, or its name in the graph where the size is the client's to choose ("" if it has none).
    """

    name: str
    datatype: str
    axes: tuple[int | str, ...]

    @property
    def shape(self) -> list[int]:
        """Sizes of the axes, -1 where any size will do."""
        return [axis if isinstance(axis, int) else -1 for axis in self.axes]

    @property
    def dtype(self) -> np.dtype[Any]:
        """NumPy's element type; object for BYTES."""
        return _DTYPES[self.datatype]

    def zeros(self, free: int, rows: int = 1) -> Array:
        """An input of zeros: a first axis of any size has `rows`, the others `free`."""
        sizes = [axis if isinstance(axis, int) else (rows if at == 0 else free) for at, axis in enumerate(self.axes)]
        return np.full(sizes, "", dtype=object) if self.datatype == "BYTES" else np.zeros(sizes, dtype=self.dtype)

    def check_shape(self, shape: Sequence[int], max_rows: int) -> None:
        """Refuses a shape that the model doesn't take, an empty one, and more than `max_rows` rows."""
        if len(shape) != len(self.axes) or any(
            isinstance(axis, int) and axis != size for axis, size in zip(self.axes, shape, strict=True)
        ):
            raise BadRequest(f"input {shown(self.name)}: expected shape {self.shape}, got {shown(list(shape))}")
        if 0 in shape:
            raise BadRequest(
                f"input {shown(self.name)} is empty: its shape is {shown(list(shape))}; send at least one row"
            )
        if shape and not isinstance(self.axes[0], int) and shape[0] > max_rows:
            raise BadRequest(
                f"input {shown(self.name)} has {shape[0]} rows, the limit is {max_rows}:"
                " send the others in further requests"
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
    _check_kinds(spec, kinds)
    try:
        with np.errstate(over="ignore"):
            array = np.array(data, dtype=spec.dtype)
    except OverflowError:
        raise BadRequest(f"{where}: a number is out of the range of {spec.datatype}") from None
    except ValueError:
        raise BadRequest(f"{where}: the lists have different lengths; expected shape {spec.shape}") from None
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise BadRequest(f"{where}: a number is too large for {spec.datatype}")
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
    found = set(map(type, data))
    if depth == 1 and list not in found:
        kinds |= found
        return
    if depth == 1 or found - {list}:
        raise BadRequest(f"input {shown(spec.name)}: lists are nested unevenly; expected shape {spec.shape}")
    for row in data:
        _add_kinds(row, depth - 1, kinds, spec)


def _check_kinds(spec: TensorSpec, kinds: set[type]) -> None:
    where = f"input {shown(spec.name)} is {spec.datatype}"
    if type(None) in kinds:
        raise BadRequest(f"{where}: null is not a value")
    if dict in kinds or list in kinds:
        raise BadRequest(f"{where}: expected plain values in shape {spec.shape}")
    if spec.datatype == "BYTES":
        if kinds - {str}:
            raise BadRequest(f"{where}: expected strings")
    elif str in kinds:
        raise BadRequest(
            f"{where}: got a string; write numbers without quotes (NaN and Infinity can't be sent as JSON)"
        )
    elif spec.datatype == "BOOL":
        if kinds - {bool}:
            raise BadRequest(f"{where}: expected true or false")
    elif bool in kinds:
        raise BadRequest(f"{where}: expected numbers, got true or false")
    elif spec.dtype.kind in "iu" and float in kinds:
        raise BadRequest(f"{where}: expected whole numbers of 64 bits at most, without a decimal point")


def from_bytes(spec: TensorSpec, raw: memoryview, shape: Sequence[int]) -> Array:
    """The values of the binary tensor extension: little-endian and row-major; BYTES each behind 4 bytes of length."""
    where = f"input {shown(spec.name)}"
    count = math.prod(shape)
    if spec.datatype == "BYTES":
        return _strings(where, raw, count).reshape(shape)
    expected = count * spec.dtype.itemsize
    if len(raw) != expected:
        raise BadRequest(
            f"{where}: shape {shown(list(shape))} of {spec.datatype} is {expected} bytes,"
            f" but binary_data_size is {len(raw)}"
        )
    if spec.datatype == "BOOL":
        if (array := np.frombuffer(raw, dtype=np.uint8)).max(initial=0) > 1:
            raise BadRequest(f"{where}: a BOOL is a byte of 0 or 1")
        return array.view(np.bool_).reshape(shape)
    array = np.frombuffer(raw, dtype=spec.dtype.newbyteorder("<")).reshape(shape)
    # The tensors lie one after the other behind JSON of any length; kernels read whole words.
    return array if array.flags.aligned else array.copy()


def _strings(where: str, raw: memoryview, count: int) -> Array:
    values: list[str] = []
    at = 0
    while at + 4 <= len(raw) and len(values) < count:
        (length,) = struct.unpack_from("<I", raw, at)
        at += 4
        if at + length > len(raw):
            break
        try:
            values.append(str(raw[at : at + length], "utf-8"))
        except UnicodeDecodeError:
            raise BadRequest(f"{where}: a string is not UTF-8") from None
        at += length
    if len(values) != count or at != len(raw):
        raise BadRequest(f"{where}: expected {count} strings, each behind its length as 4 bytes, little-endian")
    return np.array(values, dtype=object)


def to_bytes(array: Array) -> bytes:
    """The reverse of `from_bytes`."""
    if array.dtype.kind in "OUS":
        encoded = [str(value).encode() for value in array.ravel()]
        return b"".join(struct.pack("<I", len(value)) + value for value in encoded)
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes()
