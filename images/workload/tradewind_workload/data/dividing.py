"""The rows of a table in files, divided by a rule: each block where it lies, of which counts alone come back."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from tradewind_workload.data import selection, splits
from tradewind_workload.data.blocks import LABEL, SPLIT
from tradewind_workload.data.comparison import absent
from tradewind_workload.data.cutting import ByHash, ByTime
from tradewind_workload.data.division import fractions_of, missing_by, require_alike, values_by
from tradewind_workload.data.reading import HASH
from tradewind_workload.data.splits import TEST, TRAINING, VALIDATION
from tradewind_workload.data.stored import GONE, writing
from tradewind_workload.data.streamed import Streamed, Tally

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

    from tradewind.api.data import Data
    from tradewind_workload.data.cutting import Cut
    from tradewind_workload.data.labels import Labels
    from tradewind_workload.data.layout import Layout
    from tradewind_workload.data.reading import Table
    from tradewind_workload.data.stored import Stored


@dataclass(frozen=True)
class _Seen:
    """What is known of a divided block."""

    tallies: tuple[Tally, ...]  # of TRAINING, VALIDATION and TEST
    ends: tuple[float, float]  # places of the first and the last training row, where they have places
    lonely: dict[int, int]  # by class or label without a training row here, the smallest hash of its rows


class Division:
    """The rows of a table, divided by a rule."""

    def __init__(self, table: Table, labels: Labels, cut: Cut, of: Callable[[pa.Table], np.ndarray]) -> None:
        self.table, self.labels, self.cut, self.of = table, labels, cut, of
        self.seen = list(table.each(_divide, labels, table.layout, cut, of))

    def part(self, number: int) -> Streamed:
        """The rows of a part."""
        return Streamed(
            self.table.index, number, tuple(seen.tallies[number] for seen in self.seen), shape=self.table.index.shape
        )

    def by(self, cut: Cut) -> Division:
        """The same rows by another rule."""
        return Division(self.table, self.labels, cut, self.of)

    def without_training_row(self) -> list[int]:
        """The classes or labels that have none, but rows of other parts."""
        lonely = sorted({label for seen in self.seen for label in seen.lonely})
        learnt = self.part(TRAINING).tally.classes
        return [label for label in lonely if not learnt[label]]


def mended(made: Division, *, classes: bool) -> Division:
    """Divided anew where a part came out empty, or, if `classes` says so, a class without a training row."""
    while True:
        assert isinstance(made.cut, ByHash)
        rows = np.array([len(made.part(part)) for part in (TRAINING, VALIDATION, TEST)])
        first, last = min(seen.ends[0] for seen in made.seen), max(seen.ends[1] for seen in made.seen)
        if (cut := made.cut.mended(rows, first, last)) is None:
            break
        made = made.by(cut)
    if classes and (unseen := made.without_training_row()):
        learnt = tuple(min(seen.lonely[label] for seen in made.seen if label in seen.lonely) for label in unseen)
        return made.by(replace(made.cut, learnt=learnt))
    return made


def _divide(
    block: Stored,
    start: int,
    kept: np.ndarray,
    labels: Labels,
    layout: Layout,
    cut: Cut,
    of: Callable[[pa.Table], np.ndarray],
) -> _Seen:
    about = block.about().take(kept)
    names = about[LABEL].combine_chunks().dictionary_encode()
    targets = labels.targets(names.dictionary.to_pylist(), layout)[names.indices.to_numpy(zero_copy_only=False)]
    values, hashes = of(about), own(about)
    parts = cut.parts(values)
    every, all_targets = np.full(block.rows, GONE, np.int8), np.zeros((block.rows, *targets.shape[1:]), targets.dtype)
    every[kept], all_targets[kept] = parts, targets
    block.divide(every, all_targets)
    for part in (TRAINING, VALIDATION, TEST):
        writing(block.path(f"hashes{part}"), np.sort(hashes[parts == part]).tofile)
    lonely = np.zeros(0, np.int64)
    if labels.names:
        lonely = np.setdiff1d(splits.occurring(targets), splits.occurring(targets[parts == TRAINING]))
    where = splits.places(values[parts == TRAINING], cut.seed) if isinstance(cut, ByHash) else np.zeros(0)
    return _Seen(
        tuple(Tally.of(targets[parts == part], len(labels.names)) for part in (TRAINING, VALIDATION, TEST)),
        (where.min(initial=math.inf), where.max(initial=-math.inf)),
        {int(label): int(hashes[splits.having(targets, int(label))].min()) for label in lonely},
    )


def first_of(block: Stored, start: int, kept: np.ndarray, labels: Labels, label: int) -> int | None:
    """The number of the first row with that label in a block; None where it has none."""
    here = kept[splits.having(block.targets()[kept], label)]
    return start + int(here[0]) if len(here) else None


def own(about: pa.Table) -> np.ndarray:
    """The hash of each row's inputs, uint64 [n]."""
    return np.asarray(about[HASH].to_numpy())


def groups(about: pa.Table, layout: Layout, data: Data) -> np.ndarray:
    """The hash of each row's group, uint64 [n]. Raises Fault(InvalidData)."""
    return values_by(about[SPLIT].combine_chunks(), splits.groups, layout, data)


def times(about: pa.Table, layout: Layout, data: Data) -> np.ndarray:
    """Keys that grow with each row's time, uint64 [n]. Raises Fault(InvalidData)."""
    return selection.sortable(values_by(about[SPLIT].combine_chunks(), splits.times, layout, data))


def require_values(table: Table, data: Data, of: Callable[[pa.Table], np.ndarray]) -> None:
    """Raises Fault(InvalidData) where a row has no value in the column of spec.data.split, or a useless one."""
    missing = [found for found in table.each(_missing, data) if found[0]]
    if missing:
        first = table.place(missing[0][1])
        raise missing_by(sum(rows for rows, _ in missing), first, table.layout, data)
    require_alike(set(table.each(_kind, of, table.layout, data)), table.layout, data)


def _missing(block: Stored, start: int, kept: np.ndarray, data: Data) -> tuple[int, int]:
    missing = absent(block.about()[SPLIT].combine_chunks())[kept]
    return int(missing.sum()), start + int(kept[missing.argmax()]) if missing.any() else -1


def _kind(
    block: Stored, start: int, kept: np.ndarray, of: Callable[[pa.Table], np.ndarray], layout: Layout, data: Data
) -> np.dtype:
    about = block.about().take(kept)
    assert data.split is not None
    if data.split.by == "Time":
        return values_by(about[SPLIT].combine_chunks(), splits.times, layout, data).dtype
    return of(about).dtype


def by_time(table: Table, data: Data, of: Callable[[pa.Table], np.ndarray]) -> ByTime:
    """The times from which on rows are held back; those of equal times stay together."""
    require_values(table, data, of)
    fractions, rows = fractions_of(data), len(table)
    starts: list[int | None] = []
    left = rows
    for fraction in (fractions.test, fractions.validation):
        count = round(rows * fraction)
        if not count or not left:
            starts.append(None)
            continue
        rank = np.array([max(0, left - count)])
        (start,) = selection.select(lambda *at: table.each(_counts, of, *at), rank, np.dtype(np.uint64))
        starts.append(int(start))
        left = sum(table.each(_before, of, int(start)))
    return ByTime(validation=starts[1], test=starts[0])


def _counts(
    block: Stored,
    start: int,
    kept: np.ndarray,
    of: Callable[[pa.Table], np.ndarray],
    starts: tuple[int, ...],
    done: int,
    bits: int,
) -> np.ndarray:
    return selection.counts(of(block.about().take(kept)), starts[0], done, bits)[np.newaxis]


def _before(block: Stored, start: int, kept: np.ndarray, of: Callable[[pa.Table], np.ndarray], time: int) -> int:
    return int((of(block.about().take(kept)) < np.uint64(time)).sum())
