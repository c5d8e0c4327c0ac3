"""The part of a row by what is known of that row alone, so that rows can be divided a block at a time.

It is the same part as `splits` gives a row among all rows, once what a rule needs of all of them is known.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from tradewind_workload.data.splits import TEST, TRAINING, VALIDATION, places

if TYPE_CHECKING:
    from tradewind_workload.data.splits import Fractions


class Cut(Protocol):
    """A rule."""

    def parts(self, values: np.ndarray) -> np.ndarray:
        """The part of each row, int8 [n], by its hash, uint64 [n], or its time."""


class Whole:
    """All rows are in one part."""

    def parts(self, values: np.ndarray) -> np.ndarray:
        """See Cut."""
        return np.full(len(values), TRAINING, np.int8)


@dataclass(frozen=True)
class ByHash:
    """See splits.by_hash and splits.with_all_classes."""

    fractions: Fractions
    seed: int
    # Where no row fell into a part that is asked for: the place, from 0 to 1, of the row that is nearest to it.
    validation: float | None = None
    test: float | None = None
    learnt: tuple[int, ...] = ()  # hashes of rows that are for training, so that each class has one

    def parts(self, values: np.ndarray) -> np.ndarray:
        """See Cut."""
        where = places(values, self.seed)
        parts = np.full(len(values), TRAINING, np.int8)
        parts[where < self.fractions.validation] = VALIDATION
        parts[where >= 1 - self.fractions.test] = TEST
        for part, place in ((VALIDATION, self.validation), (TEST, self.test)):
            if place is not None:
                parts[where == place] = part
        if self.learnt:
            parts[np.isin(values, np.array(self.learnt, np.uint64))] = TRAINING
        return parts

    def mended(self, rows: np.ndarray, first: float, last: float) -> ByHash | None:
        """The rule where no part stays empty, of rows of each part; None where that is this one.

        `first` and `last` are the places of the first and the last training row.
        """
        if self.fractions.validation and not rows[VALIDATION] and rows[TRAINING]:
            return replace(self, validation=first)
        if self.fractions.test and not rows[TEST] and rows[TRAINING]:
            return replace(self, test=last)
        return None


@dataclass(frozen=True)
class ByTime:
    """See splits.by_time; from these times on, keys of `selection.sortable`, rows are for validation and for test."""

    validation: int | None
    test: int | None

    def parts(self, values: np.ndarray) -> np.ndarray:
        """See Cut."""
        parts = np.full(len(values), TRAINING, np.int8)
        for part, start in ((VALIDATION, self.validation), (TEST, self.test)):
            if start is not None:
                parts[values >= np.uint64(start)] = part
        return parts
