"""Values of tensors in protocol v2 that are not JSON: as bytes, and one by one as protobuf has them."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from tradewind_server import pieces
from tradewind_server.refusal import BadRequest, shown
from tradewind_server.tensors import Array, TensorSpec


def from_bytes(spec: TensorSpec, raw: memoryview, shape: Sequence[int]) -> Array:
    """The values of the binary tensor extension: little-endian and row-major; BYTES each behind 4 bytes of length."""
    where = f"input {shown(spec.name)}"
    count = math.prod(shape)
    if spec.datatype == "BYTES":
        return _texts(spec, _strings(where, raw, count)).reshape(shape)
    expected = count * spec.dtype.itemsize
    if len(raw) != expected:
        raise BadRequest(
            f"{where}: shape {shown(list(shape))} of {spec.datatype} is {expected} bytes, but {len(raw)} were sent"
        )
    if spec.datatype == "BOOL":
        if (array := np.frombuffer(raw, dtype=np.uint8)).max(initial=0) > 1:
            raise BadRequest(f"{where}: a BOOL is a byte of 0 or 1")
        return array.view(np.bool_).reshape(shape)
    array = np.frombuffer(raw, dtype=spec.dtype.newbyteorder("<")).reshape(shape)
    # The tensors lie one after the other behind JSON of any length; kernels read whole words.
    return array if array.flags.aligned else array.copy()


def _strings(where: str, raw: memoryview, count: int) -> list[memoryview]:
    values: list[memoryview] = []
    at = 0
    while at + 4 <= len(raw) and len(values) < count:
        (length,) = struct.unpack_from("<I", raw, at)
        at += 4
        if at + length > len(raw):
            break
        values.append(raw[at : at + length])
        at += length
    if len(values) != count or at != len(raw):
        raise BadRequest(f"{where}: expected {count} strings, each behind its length as 4 bytes, little-endian")
    return values


def _texts(spec: TensorSpec, values: Sequence[bytes | memoryview]) -> Array:
    """Texts, or files as they are."""
    found = np.empty(len(values), dtype=object)
    try:
        for at, value in enumerate(values):
            found[at] = bytes(value) if spec.is_picture else str(value, "utf-8")
    except UnicodeDecodeError:
        raise BadRequest(f"input {shown(spec.name)}: a string is not UTF-8") from None
    return found


def from_typed(spec: TensorSpec, values: Sequence[Any], shape: Sequence[int]) -> Array:
    """Of a value each, row-major, as protobuf has them: a number or a bool, or the bytes of a text or of a file."""
    if len(values) != math.prod(shape):
        raise BadRequest(
            f"input {shown(spec.name)}: shape says {shown(list(shape))}, but there are {len(values)} values"
        )
    if spec.datatype == "BYTES":
        return _texts(spec, values).reshape(shape)
    try:
        return pieces.of_sequence(values, spec.dtype).reshape(shape)
    except OverflowError:
        raise BadRequest(f"input {shown(spec.name)}: a number is out of the range of {spec.datatype}") from None


def to_bytes(array: Array) -> bytes:
    """The reverse of `from_bytes`."""
    if array.dtype.kind in "OUS":
        encoded = [str(value).encode() for value in array.ravel()]
        return b"".join(struct.pack("<I", len(value)) + value for value in encoded)
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes()
