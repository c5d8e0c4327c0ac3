"""What is fitted on the training rows: the values that missing ones become, means and deviations; a block at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from tradewind_workload.data.rows import block_inputs
from tradewind_workload.io.fault import Fault

if TYPE_CHECKING:
    import pyarrow as pa

    from tradewind.api.data import Data
    from tradewind_workload.data.layout import Layout
    from tradewind_workload.data.rows import Rows


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
        return ((rows - self.values) / self.scale).astype(np.float32)


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


def fit(train: Rows, data: Data, image: tuple[int, int, int] | None, layout: Layout) -> tuple[Stage, ...]:
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
            if step.impute.strategy == "median":  # exact, on the driver: one float32 a value of the training split
                whole = np.concatenate(train.each(_values, stages, image))
                values = np.nanmedian(np.where(np.isfinite(whole), whole, np.nan), axis=0)
            stages += (Stage("impute", values.astype(np.float32)),)
        elif step.standardize is not None:
            count, mean, squares = _merged(train, stages, image, by_channel=image is not None)
            deviation = np.sqrt(squares / np.maximum(count, 1))
            # A column that never varies is left at 0 rather than blown up by a division by (almost) nothing.
            flat = deviation <= 1e-7 * np.maximum(np.abs(mean), 1e-30)
            stages += (Stage("standardize", mean.astype(np.float32), np.where(flat, 1, deviation).astype(np.float32)),)
    return stages


def _merged(
    train: Rows, stages: tuple[Stage, ...], image: tuple[int, int, int] | None, *, by_channel: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The moments of all blocks as one (Chan et al., 1979), in the order of the blocks."""
    parts = train.each(_moments, stages, image, by_channel)
    count, mean, squares = parts[0]
    for more, other, others in parts[1:]:
        total = np.maximum(count + more, 1)
        delta = other - mean
        mean = mean + delta * more / total
        squares = squares + others + delta**2 * count * more / total
        count = count + more
    return count, mean, squares
