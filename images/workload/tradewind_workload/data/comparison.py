"""Which rows have a missing value, and which are equal: what dropNulls and dropDuplicates look at."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa

from tradewind_workload.data.cells import is_bytes
from tradewind_workload.data.inference import is_number
from tradewind_workload.data.names import is_plain_number, names


def is_list(column: pa.Array) -> bool:
    """Whether a column has an array's row in each cell."""
    return bool(pa.types.is_fixed_size_list(column.type))


def absent(column: pa.Array) -> np.ndarray:
    """bool [rows]: null, NaN or infinite."""
    if is_list(column):
        flat = column.flatten().cast(pa.float32(), safe=False).to_numpy(zero_copy_only=False)
        return np.asarray(~np.isfinite(flat).reshape(len(column), column.type.list_size).all(axis=1))
    missing = np.asarray(column.is_null().to_numpy(zero_copy_only=False))
    if pa.types.is_floating(column.type):
        return np.asarray(missing | ~np.isfinite(column.to_numpy(zero_copy_only=False)))
    return missing


def _number(text: str) -> bytes:
    """A number that a csv file has as a text, as the bytes of the same number in a column of numbers."""
    value = float(text) + 0.0
    lost = int(text) - int(value) if text.lstrip("-").isdigit() and abs(value) <= 2.0**62 else 0
    return np.float64(value).tobytes() + np.int64(lost).tobytes()


def keys(columns: list[pa.Array], rows: int) -> list[str]:
    """A hash of each row's values: equal where all are, whatever types the files gave them."""
    digests = [hashlib.blake2b(digest_size=16) for _ in range(rows)]
    for column in columns:
        if is_bytes(column.type):
            for digest, value in zip(digests, column, strict=True):
                content = memoryview(value.as_buffer()) if value.is_valid else b""
                digest.update(len(content).to_bytes(8, "little") + content)
            continue
        flat = column.flatten() if is_list(column) else column
        if not (is_number(flat.type) or is_list(column)):
            texts = column if pa.types.is_nested(column.type) else names(column)
            for digest, value in zip(digests, texts.to_pylist(), strict=True):
                if value is not None and is_plain_number(str(value)):
                    digest.update(_number(str(value)))
                    continue
                content = b"" if value is None else str(value).encode()
                digest.update(len(content).to_bytes(8, "little") + content)
            continue
        width = column.type.list_size if is_list(column) else 1
        # As 64-bit floats, and what those lose of large integers. -0 is 0, and every NaN is the same one.
        values = flat.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False) + 0.0
        values = np.where(np.isnan(values), np.nan, values)
        lost = np.zeros(len(values), np.int64)
        if pa.types.is_integer(flat.type):
            whole = flat.fill_null(0).cast(pa.int64(), safe=False).to_numpy(zero_copy_only=False)
            lost = whole - np.where(np.isnan(values), 0, values).clip(-(2.0**62), 2.0**62).astype(np.int64)
        for digest, value, rest in zip(digests, values.reshape(rows, width), lost.reshape(rows, width), strict=True):
            digest.update(value.tobytes() + rest.tobytes())
    return [digest.hexdigest() for digest in digests]
