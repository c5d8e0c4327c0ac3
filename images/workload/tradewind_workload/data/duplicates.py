"""Rows that are equal to an earlier one, of more rows than are held together: by their sorted keys, a range at a time.

A key is a hash of 128 bits. Those of a block lie sorted in a file, so that a range of them is a piece of each file.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import pyarrow as pa

RECORD = np.dtype([("high", "<u8"), ("low", "<u8"), ("row", "<i8")])  # the key, and the number of its row
HELD = 1 << 20  # records of all files together that are looked at at once


def sorted_keys(keys: pa.Array | pa.ChunkedArray, numbers: np.ndarray) -> np.ndarray:
    """Records in the order of their keys, of keys in hexadecimal digits and the numbers of their rows, int64 [n]."""
    found = np.frombuffer(bytes.fromhex("".join(keys.to_pylist())), ">u8").reshape(-1, 2)
    records = np.empty(len(found), RECORD)
    records["high"], records["low"], records["row"] = found[:, 0], found[:, 1], numbers
    return records[np.lexsort((records["row"], records["low"], records["high"]))]


def later(files: Sequence[Path]) -> Iterator[np.ndarray]:
    """Numbers of the rows, int64 [n], before which another one has the same key, some at a time."""
    for (records,) in _ranges([files]):
        ordered = records[np.lexsort((records["row"], records["low"], records["high"]))]
        yield ordered["row"][1:][_equal(ordered[1:], ordered[:-1])]


def shared(files: Sequence[Path], others: Sequence[Path]) -> Iterator[np.ndarray]:
    """Numbers of the rows of `files`, int64 [n], whose keys are in `others` too, some at a time."""
    for records, known in _ranges([files, others]):
        both = np.concatenate([records, known])
        among = np.repeat([0, 1], [len(records), len(known)])
        order = np.lexsort((among, both["low"], both["high"]))
        ordered, among = both[order], among[order]
        group = np.concatenate([[0], np.cumsum(~_equal(ordered[1:], ordered[:-1]))]) if len(ordered) else order
        known_groups = np.zeros(len(ordered), bool)
        known_groups[group[among == 1]] = True
        yield ordered["row"][(among == 0) & known_groups[group]]


def _equal(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.asarray((one["high"] == other["high"]) & (one["low"] == other["low"]))


def _ranges(groups: Sequence[Sequence[Path]]) -> Iterator[list[np.ndarray]]:
    """The records of each group of files, a range of keys at a time."""
    opened = [[_open(path) for path in files if path.stat().st_size] for files in groups]
    total = sum(len(records) for files in opened for records in files)
    parts = max(1, -(-total // HELD))
    for part in range(parts):
        low, high = ((1 << 64) * edge // parts for edge in (part, part + 1))
        found = []
        for files in opened:
            pieces = [np.zeros(0, RECORD)]
            for records in files:
                start, end = (bisect_left(records, edge, key=_high) for edge in (low, high))  # copies nothing
                pieces.append(np.array(records[start:end]))
            found.append(np.concatenate(pieces))
        yield found


def _high(record: np.void) -> int:
    return int(record["high"])


def _open(path: Path) -> np.ndarray:
    return np.memmap(path, RECORD, "r")
