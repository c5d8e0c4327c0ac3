"""Values of a rank among numbers that are not held together: found exactly, in passes over their bits.

Each pass counts the next bits of those numbers that start as the wanted one does (a radix selection), so it holds a
count for each value of these bits, and no numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MOST = 1 << 22  # counts that a pass holds


def sortable(values: np.ndarray) -> np.ndarray:
    """Unsigned integers of the same size that sort as these int64, float64 or float32 do; -0 is 0."""
    kind = np.dtype(f"u{values.dtype.itemsize}")
    top = kind.type(1 << (8 * values.dtype.itemsize - 1))
    bits: np.ndarray
    if values.dtype.kind == "i":
        bits = values.view(kind) ^ top
        return bits
    bits = (values + values.dtype.type(0)).view(kind)
    return np.where(bits & top, ~bits, bits | top)


def restored(keys: np.ndarray, kind: np.dtype) -> np.ndarray:
    """The numbers that `sortable` made these of."""
    top = keys.dtype.type(1 << (8 * keys.dtype.itemsize - 1))
    bits: np.ndarray = keys ^ top if kind.kind == "i" else np.where(keys & top, keys ^ top, ~keys)
    return bits.view(kind)


def counts(keys: np.ndarray, start: int, done: int, bits: int) -> np.ndarray:
    """How many keys that start with the `done` bits `start` go on with each value of the next `bits`, int64 [2**bits].

    It is what `count` of `select` gives for each number that is wanted, added up over all keys.
    """
    width = 8 * keys.dtype.itemsize
    kind = keys.dtype.type
    if done:
        keys = keys[keys >> kind(width - done) == kind(start)]
    following = (keys >> kind(width - done - bits)) & kind((1 << bits) - 1)
    return np.bincount(following.astype(np.int64), minlength=1 << bits)


def select(
    count: Callable[[tuple[int, ...], int, int], Iterable[np.ndarray]], ranks: np.ndarray, kind: np.dtype
) -> np.ndarray:
    """The keys of these ranks (0 is the smallest), each among keys of its own; of the unsigned `kind`, [ranks].

    `count(starts, done, bits)` gives for some keys at a time, int64 [ranks, 2**bits], what `counts` says of each.
    """
    width, left = 8 * kind.itemsize, ranks.astype(np.int64).copy()
    starts, done = (0,) * len(ranks), 0
    bits = 16 if len(ranks) << 16 <= MOST else 8
    while done < width:
        total = np.zeros((len(ranks), 1 << bits), np.int64)
        for some in count(starts, done, bits):
            total += some
        upto = total.cumsum(axis=1)
        found = (upto <= left[:, np.newaxis]).sum(axis=1)
        before = np.where(found > 0, upto[np.arange(len(found)), np.maximum(found - 1, 0)], 0)
        left -= before
        starts = tuple((start << bits) | int(here) for start, here in zip(starts, found, strict=True))
        done += bits
    return np.array(starts, kind)
