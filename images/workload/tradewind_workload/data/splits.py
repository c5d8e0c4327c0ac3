"""Which rows are for training, validation and test. By hashes, a row's part depends on that row and the seed alone.

So a data set that grows keeps its split, whatever the order of its rows, and what is equal stays together. All
functions are pure.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Iterator

TRAINING, VALIDATION, TEST = 0, 1, 2  # the parts, int8
_BITS = 53  # of a hash, as a fraction that a float holds


@dataclass(frozen=True)
class Fractions:
    """Shares of the rows that are held back, each from 0 to 1."""

    validation: float
    test: float


def contents(rows: np.ndarray) -> np.ndarray:
    """A hash of each row's inputs, uint64 [n], of float32 [n, features]; -0 is 0, and missing values are equal."""
    plain = np.where(np.isnan(rows), np.float32(np.nan), rows + np.float32(0)).astype("<f4", copy=False)
    return _hashes([row.tobytes() for row in plain])


def groups(column: pa.Array) -> np.ndarray:
    """A hash of each value of a column, uint64 [n]; equal numbers are equal whatever type a file gave them.

    Raises ValueError where the values have no such form (lists, for example).
    """
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_nested(column.type):
        raise ValueError(f"a value is {column.type}, and a group is a text or a number")
    return _hashes([_text(value).encode() for value in column.to_pylist()])


def _text(value: object) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def times(column: pa.Array) -> np.ndarray:
    """Times as numbers that grow with them, int64 microseconds or float64 [n].

    Raises ValueError where the column has neither times nor numbers.
    """
    if pa.types.is_date(column.type):
        column = column.cast(pa.timestamp("us"))
    if pa.types.is_timestamp(column.type):
        exact = column.cast(pa.timestamp("us", column.type.tz), safe=False)
        return np.asarray(exact.cast(pa.int64()).to_numpy(zero_copy_only=False))
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        return np.asarray(column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False))
    raise ValueError(f"a value is {column.type}, and a time is written as 2026-01-31T12:00:00 or as a number")


def by_hash(hashes: np.ndarray, fractions: Fractions, seed: int) -> np.ndarray:
    """The part of each row, int8 [n], by its hash, uint64 [n]. The shares come out right but for chance.

    A part that would come out empty, as it may with a handful of rows, gets the row that is nearest to it.
    """
    where = places(hashes, seed)
    parts = np.full(len(hashes), TRAINING, np.int8)
    parts[where < fractions.validation] = VALIDATION
    parts[where >= 1 - fractions.test] = TEST
    for part, fraction, nearest in ((VALIDATION, fractions.validation, np.min), (TEST, fractions.test, np.max)):
        left = where[parts == TRAINING]
        if fraction and len(left) and not (parts == part).any():
            parts[where == nearest(left)] = part
    return parts


def by_time(moments: np.ndarray, fractions: Fractions) -> np.ndarray:
    """The part of each row, int8 [n]: the newest are test, those before them validation. Equal times stay together."""
    parts = np.full(len(moments), TRAINING, np.int8)
    parts[_newest(moments, round(len(moments) * fractions.test))] = TEST
    left = np.flatnonzero(parts == TRAINING)
    parts[left[_newest(moments[left], round(len(moments) * fractions.validation))]] = VALIDATION
    return parts


def _newest(moments: np.ndarray, count: int) -> np.ndarray:
    """bool [n]: the newest rows, at least `count` of them, and all that are as new as the oldest of these."""
    if not count or not len(moments):
        return np.zeros(len(moments), bool)
    return np.asarray(moments >= np.sort(moments)[max(0, len(moments) - count)])


def with_all_classes(parts: np.ndarray, hashes: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """The parts, int8 [n], where each class or label has a training row: of one without, that with the smallest hash.

    Rows that are equal to it go with it. It matters for classes with a handful of rows alone. Classes are int64 [n],
    labels int8 [n, labels].
    """
    kept = parts.copy()
    for label in np.setdiff1d(occurring(classes), occurring(classes[parts == TRAINING])):
        kept[hashes == hashes[having(classes, label)].min()] = TRAINING
    return kept


def occurring(classes: np.ndarray) -> np.ndarray:
    """The classes or labels that rows have, int64; of classes, int64 [n], or labels, int8 [n, labels]."""
    return np.flatnonzero(classes.any(0)) if classes.ndim == 2 else np.unique(classes)


def having(classes: np.ndarray, label: int) -> np.ndarray:
    """Which rows have a class or label, bool [n]."""
    return np.asarray(classes[:, label] > 0 if classes.ndim == 2 else classes == label)


def digest(parts: dict[str, np.ndarray]) -> str:
    """SHA-256 of which rows are where: hashes of the rows' inputs, uint64 [n], by the name of the part.

    Neither the order of the rows nor how the data is stored changes it.
    """
    return digest_of({name: (len(found), iter([np.sort(found)])) for name, found in parts.items()})


def digest_of(parts: dict[str, tuple[int, Iterator[np.ndarray]]]) -> str:
    """The same where the number of rows is known, and their hashes come in ascending order, some at a time."""
    whole = hashlib.sha256()
    for name in sorted(parts):
        rows, ordered = parts[name]
        whole.update(f"{name} {rows}\n".encode())
        for some in ordered:
            whole.update(some.astype("<u8").tobytes())
    return f"sha256:{whole.hexdigest()}"


def _hashes(values: list[bytes]) -> np.ndarray:
    joined = b"".join(hashlib.blake2b(value, digest_size=8).digest() for value in values)
    return np.frombuffer(joined, "<u8").astype(np.uint64)


def places(hashes: np.ndarray, seed: int) -> np.ndarray:
    """Where each hash lies between 0 and 1 by the seed, float64 [n]: evenly, and anew for another seed."""
    distinct, where = np.unique(hashes, return_inverse=True)
    salt = seed.to_bytes(8, "little")
    mixed = _hashes([salt + value.tobytes() for value in distinct.astype("<u8")])
    return ((mixed >> np.uint64(64 - _BITS)) / 2.0**_BITS)[where]
