"""What is fitted on the training rows: the values that missing ones become, means and deviations; a block at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from tradewind_workload.data.blocks import block_inputs
from tradewind_workload.data.rows import Rows
from tradewind_workload.data.selection import counts, restored, select, sortable
from tradewind_workload.io.fault import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from tradewind.api.data import Data
    from tradewind_workload.data.layout import Layout
    from tradewind_workload.data.streamed import Streamed


@dataclass(frozen=True)
class Stage:
    """A fitted step. `impute`: what a missing value becomes; `standardize`: subtract `values`, divide by `scale`.

    For images both have one value a channel (standardize) or a pixel (impute), for tables one a column.
    """

    kind: Literal["impute", "standardize"]
    values: np.ndarray  # float32
    scale: np.ndarray | None = None  # float32

    def apply(self, rows: np.ndarray) -> np.ndarray:
        """The rows after this stage, float32 [n, ...]."""
        if self.scale is None:
            return np.where(np.isfinite(rows), rows, self.values).astype(np.float32)
        scaled: np.ndarray = (rows - self.values) / self.scale
        return scaled.astype(np.float32)


def arranged(rows: np.ndarray, image: tuple[int, int, int] | None) -> np.ndarray:
    """Rows as the stages see them: images [n, height, width, channels], tables [n, columns]."""
    return rows.reshape(len(rows), *(image or (-1,)))


def _moments(
    block: pa.Table,
    offsets: np.ndarray,
    stages: tuple[Stage, ...],
    image: tuple[int, int, int] | None,
    by_channel: bool,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Count, mean and sum of squared deviations of what is not missing; by column, pixel or channel."""
    rows = _staged(block, offsets, stages, image)
    axes = (0, 1, 2) if by_channel else (0,)
    valid = np.isfinite(rows)
    count = valid.sum(axis=axes)
    mean = np.where(valid, rows, 0).sum(axis=axes) / np.maximum(count, 1)
    return count, mean, np.where(valid, (rows - mean) ** 2, 0).sum(axis=axes)


def _values(
    block: pa.Table, offsets: np.ndarray, stages: tuple[Stage, ...], image: tuple[int, int, int] | None
) -> np.ndarray:
    return _staged(block, offsets, stages, image).astype(np.float32)


def _staged(
    block: pa.Table, offsets: np.ndarray, stages: tuple[Stage, ...], image: tuple[int, int, int] | None
) -> np.ndarray:
    rows = arranged(block_inputs(block)[offsets], image)
    for stage in stages:
        rows = stage.apply(rows)
    return rows.astype(np.float64)


def _medians(
    train: Rows | Streamed, stages: tuple[Stage, ...], image: tuple[int, int, int] | None, count: np.ndarray
) -> np.ndarray:
    """Of what is not missing, float32, by column or pixel; `count`, of the same shape, says how much that is."""
    if isinstance(train, Rows):
        whole = np.concatenate(train.each(_values, stages, image))
        return np.asarray(np.nanmedian(np.where(np.isfinite(whole), whole, np.nan), axis=0))
    size = count.reshape(-1)
    ranks = np.stack([(size - 1) // 2, size // 2], axis=1).reshape(-1)  # the two in the middle, which may be one

    def counted(starts: tuple[int, ...], done: int, bits: int) -> Iterator[np.ndarray]:
        return train.each(_counts, stages, image, starts, done, bits)

    middle = restored(select(counted, ranks, np.dtype(np.uint32)), np.dtype(np.float32)).reshape(-1, 2)
    return np.asarray(middle.mean(axis=1)).reshape(count.shape)


def _counts(
    block: pa.Table,
    offsets: np.ndarray,
    stages: tuple[Stage, ...],
    image: tuple[int, int, int] | None,
    starts: tuple[int, ...],
    done: int,
    bits: int,
) -> np.ndarray:
    """See selection.select, with two ranks for each column."""
    rows = _values(block, offsets, stages, image).reshape(len(offsets), -1)
    found = []
    for i, column in enumerate(rows.T):
        keys = sortable(column[np.isfinite(column)])
        found += [counts(keys, start, done, bits) for start in starts[2 * i : 2 * i + 2]]
    return np.stack(found)


def fit(train: Rows | Streamed, data: Data, image: tuple[int, int, int] | None, layout: Layout) -> tuple[Stage, ...]:
    """The stages of the steps, in their order. Raises Fault(InvalidData) where a column has nothing to fit on."""
    stages: tuple[Stage, ...] = ()
    for i, step in enumerate(data.prepare):
        if step.impute is not None:
            count, values, _ = _merged(train, stages, image, by_channel=False)
            if not count.all():
                empty = int(np.flatnonzero(count.reshape(-1) == 0)[0])
                chosen = layout.inputs(data)
                raise Fault(
                    "InvalidData",
                    f"{chosen[empty] if len(chosen) > 1 else chosen[0]!r} of {layout.uri} has no value at all in the "
                    "training split "
                    f"{'' if len(chosen) > 1 else f'at position {empty} '}for spec.data.prepare[{i}].impute: leave "
                    "it out of spec.data.inputs.",
                )
            if step.impute.strategy == "median":
                values = _medians(train, stages, image, count)
            stages += (Stage("impute", values.astype(np.float32)),)
        elif step.standardize is not None:
            count, mean, squares = _merged(train, stages, image, by_channel=image is not None)
            deviation = np.sqrt(squares / np.maximum(count, 1))
            # A column that never varies is left at 0 rather than blown up by a division by (almost) nothing.
            flat = deviation <= 1e-7 * np.maximum(np.abs(mean), 1e-30)
            stages += (Stage("standardize", mean.astype(np.float32), np.where(flat, 1, deviation).astype(np.float32)),)
    return stages


def _merged(
    train: Rows | Streamed, stages: tuple[Stage, ...], image: tuple[int, int, int] | None, *, by_channel: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The moments of all blocks as one (Chan et al., 1979), in the order of the blocks."""
    parts = iter(train.each(_moments, stages, image, by_channel))
    count, mean, squares = next(parts)
    for more, other, others in parts:
        total = np.maximum(count + more, 1)
        delta = other - mean
        mean = mean + delta * more / total
        squares = squares + others + delta**2 * count * more / total
        count = count + more
    return count, mean, squares
