"""What the training rows say of each column, counted a batch at a time and merged.

However the rows are cut into batches, numbers and dates give the same result. That is also true of categories with up
to VALUES different values.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.compute as pc

from tradewind_workload.tasks.tabular.columns import PARTS, day_parts, numbers_of, strings_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pyarrow as pa

    from tradewind_workload.data.schema import ColumnSchema, Schema

BUCKETS = 1 << 16  # of a column of numbers: so many different values are counted exactly
VALUES = 100_000  # of a category that are counted at a time
HELD = 1 << 25  # bytes of statistics that are held at once, about
_OF_A_BUCKET, _OF_A_VALUE = 16, 128  # bytes; those of a category's text come to its own length
_MINIMUM = np.iinfo(np.int64).min


@dataclass(frozen=True)
class Distribution:
    """Counts of the values of a column of numbers, in ascending order.

    As long as there are no more than BUCKETS different values, each has a count of its own. Beyond, values whose bits
    are the same up to the last `shift` are one bucket, with the smallest `shift` that suffices.
    """

    keys: np.ndarray  # int64, the bits of a float64 such that they sort as the numbers do, without the last `shift`
    counts: np.ndarray  # int64
    shift: int
    missing: int  # rows without a value

    @classmethod
    def of(cls, values: np.ndarray) -> Distribution:
        """Counts of float64 [n]; NaN and what is too large for single precision count as missing."""
        present = values[np.abs(values) <= np.finfo(np.float32).max] + 0.0  # no negative zero
        bits = present.view(np.int64)
        keys, counts = np.unique(np.where(bits < 0, _MINIMUM - bits, bits), return_counts=True)
        return cls._in_buckets(keys, counts, 0, len(values) - len(present))

    def merged(self, other: Distribution) -> Distribution:
        """Counts of the rows of both."""
        shift = max(self.shift, other.shift)
        keys = np.concatenate([part.keys >> (shift - part.shift) for part in (self, other)])
        keys, counts = _summed(keys, np.concatenate([self.counts, other.counts]))
        return self._in_buckets(keys, counts, shift, self.missing + other.missing)

    @classmethod
    def _in_buckets(cls, keys: np.ndarray, counts: np.ndarray, shift: int, missing: int) -> Distribution:
        while len(keys) > BUCKETS:
            keys, counts = _summed(keys >> 1, counts)
            shift += 1
        return cls(keys, counts, shift, missing)

    @property
    def present(self) -> int:
        """Rows with a value."""
        return int(self.counts.sum())

    @property
    def values(self) -> np.ndarray:
        """The value of each count, float64: itself, or the middle of its bucket."""
        bits = (self.keys << self.shift) + ((1 << self.shift) >> 1)
        return np.where(bits < 0, _MINIMUM - bits, bits).view(np.float64)

    def quantile(self, share: float) -> float:
        """The smallest value that at least this share of the rows do not exceed."""
        return float(self.values[np.searchsorted(np.cumsum(self.counts), share * self.present)])

    def moments(self, values: np.ndarray) -> tuple[float, float]:
        """Mean and deviation of `values`, one for each count."""
        mean = float(np.average(values, weights=self.counts))
        return mean, float(np.sqrt(np.average((values - mean) ** 2, weights=self.counts)))


def _summed(keys: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    unique, where = np.unique(keys, return_inverse=True)
    total = np.zeros(len(unique), np.int64)
    np.add.at(total, where, counts)
    return unique, total


@dataclass(frozen=True)
class Frequencies:
    """How often each value of a category occurs.

    Beyond VALUES different values, the rarest are forgotten and no count is too low by more than `short`, which is at
    most the number of rows divided by VALUES (Agarwal et al., Mergeable Summaries, 2012).
    """

    counts: dict[str, int]
    missing: int
    short: int = 0

    @classmethod
    def of(cls, column: pa.Array) -> Frequencies:
        """Counts of strings; null and the empty string count as missing."""
        found = pc.value_counts(strings_of(column))
        counts = dict(zip(found.field("values").to_pylist(), found.field("counts").to_pylist(), strict=True))
        return cls({}, counts.pop("", 0)).merged(cls(counts, 0))

    def merged(self, other: Frequencies) -> Frequencies:
        """Counts of the rows of both."""
        counts: Counter[str] = Counter(self.counts)
        counts.update(other.counts)
        less = 0
        if len(counts) > VALUES:
            less = sorted(counts.values(), reverse=True)[VALUES]
        kept = {value: count - less for value, count in counts.items() if count > less}
        return Frequencies(kept, self.missing + other.missing, self.short + other.short + less)


@dataclass(frozen=True)
class Statistics:
    """What is known of every input of a table."""

    rows: int
    numbers: dict[str, Distribution]  # number, boolean (0 and 1) and datetime (seconds since 1970)
    categories: dict[str, Frequencies]  # category and text
    parts: dict[tuple[str, str], frozenset[int]]  # by column and part: the months, weekdays and hours that occur


def fit(batch: pa.RecordBatch | pa.Table, schema: Schema) -> Statistics:
    """Statistics of one batch of training rows."""
    numbers: dict[str, Distribution] = {}
    categories: dict[str, Frequencies] = {}
    parts: dict[tuple[str, str], frozenset[int]] = {}
    for column in schema.inputs:
        name, cells = column.name, batch.column(column.name)
        if column.kind in ("category", "text"):
            categories[name] = Frequencies.of(cells)
            continue
        values = numbers_of(cells, column.kind)
        numbers[name] = Distribution.of(values)
        if column.kind == "datetime":
            found = day_parts(values[np.isfinite(values)])
            parts |= {(name, part): frozenset(np.unique(found[part]).tolist()) for part in PARTS}
    return Statistics(batch.num_rows, numbers, categories, parts)


def merge(partials: Iterable[Statistics]) -> Statistics:
    """Statistics of the rows of all batches, of which there is at least one."""
    rest = iter(partials)
    first = next(rest)
    for other in rest:
        first = Statistics(
            first.rows + other.rows,
            {name: found.merged(other.numbers[name]) for name, found in first.numbers.items()},
            {name: found.merged(other.categories[name]) for name, found in first.categories.items()},
            {key: found | other.parts[key] for key, found in first.parts.items()},
        )
    return first


def groups(schema: Schema) -> Iterator[Schema]:
    """The same columns, in their order, a few at a time: the statistics of these come to HELD bytes at most.

    So a table of very many columns is passed over several times, and what is held does not grow with them.
    """
    some: list[ColumnSchema] = []
    room = HELD
    for column in schema.inputs:
        needed = _bytes(column)
        if some and needed > room:
            yield replace(schema, inputs=tuple(some))
            some, room = [], HELD
        some.append(column)
        room -= needed
    if some:
        yield replace(schema, inputs=tuple(some))


def _bytes(column: ColumnSchema) -> int:
    """Of the statistics of a column, at most."""
    if column.kind in ("category", "text"):
        text = column.size // max(1, column.rows)
        return (_OF_A_VALUE + text) * min(VALUES, VALUES if column.distinct is None else column.distinct)
    return _OF_A_BUCKET * min(BUCKETS, BUCKETS if column.distinct is None else column.distinct)
