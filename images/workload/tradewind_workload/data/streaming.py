"""From files to parts, for tables that are larger than memory: as `preparation` does it, and with the same result.

Each pass looks at a block at a time, where a process is free, and brings back counts. What is known of single rows
stays in files beside the blocks, but for a bit a row.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial, reduce
from typing import TYPE_CHECKING

import numpy as np

from tradewind_workload.data import selection, splits
from tradewind_workload.data.comparison import absent
from tradewind_workload.data.cutting import ByHash, ByTime, Whole
from tradewind_workload.data.division import (
    asked_of,
    fractions_of,
    missing_by,
    more_of,
    no_rows,
    no_training_row,
    require_alike,
    values_by,
)
from tradewind_workload.data.labelling import MOST_NAMES, Found, labels_of, require_labels
from tradewind_workload.data.reading import HASH, apart, cleaned, read_table
from tradewind_workload.data.rows import LABEL, SPLIT
from tradewind_workload.data.splits import TEST, TRAINING, VALIDATION
from tradewind_workload.data.stored import GONE, writing
from tradewind_workload.data.streamed import Streamed, Tally
from tradewind_workload.io.files import remove

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import pyarrow as pa

    from tradewind.api.data import Data
    from tradewind_workload.data.cutting import Cut
    from tradewind_workload.data.dropping import Dropped
    from tradewind_workload.data.holding import Sets
    from tradewind_workload.data.labels import Labels
    from tradewind_workload.data.layout import Layout
    from tradewind_workload.data.reading import Table
    from tradewind_workload.data.rows import Rows
    from tradewind_workload.data.stored import Stored
    from tradewind_workload.data.work import Work

_PARTS = {"train": TRAINING, "validation": VALIDATION, "test": TEST}
HELD = 1 << 22  # hashes that are held at once
# Rows that judge, and probabilities of all of them: each metric is measured hundreds of times for its interval.
JUDGED, VALUES, FEWEST = 1 << 20, 1 << 22, 10_000


def parts_in_files(
    sets: Sets, data: Data, seed: int, work: Work, folder: Path, steps: list[Dropped]
) -> tuple[Labels, Streamed, dict[str, Rows], str]:
    """As parts_in_memory, with blocks in files of a folder: labels, training rows, the rows that judge, and the digest.

    Of more rows than JUDGED, evenly spaced ones judge. Raises Fault(InvalidData).
    """
    remove(folder)
    table = cleaned(read_table(sets.train, data, sets.schemas[0], sets.form, work, folder), data, steps)
    others = []
    for layout, schema in zip(sets.others, sets.schemas[1:], strict=True):
        held = cleaned(read_table(layout, data, schema, sets.form, work, folder), data, steps)
        table = apart(table, held, data, steps)
        others.append(held)
    labels = _labelled(table, data, sets)
    parts = divided(table, labels, data, seed)
    parts |= {held.layout.part: held_back(held, labels) for held in others}
    found = digest(parts)
    train, most = parts.pop("train"), max(FEWEST, min(JUDGED, VALUES // max(1, len(labels.names))))
    for name, part in parts.items():
        if len(part) > most:
            print(f"{len(part)} {name} rows: {most} of them, evenly spaced, judge the model", flush=True)
    return labels, train, {name: part.evenly(most) for name, part in parts.items()}, found


def _labelled(table: Table, data: Data, sets: Sets) -> Labels:
    """See labels_of. Raises Fault(InvalidData)."""
    if sets.label == "labels":
        found = _cells(table, data.label_separator)
    else:
        found = _found(table, MOST_NAMES if sets.label == "category" else 2)
    return labels_of(found, table.place, table.layout, data, sets.label, sets.known)


def _found(table: Table, most: int) -> Found:
    return reduce(lambda one, other: one.merged(other, most), table.each(_names, most))


def _names(block: Stored, start: int, kept: np.ndarray, most: int | None) -> Found:
    return Found.of(block.about()[LABEL].combine_chunks().take(kept), kept + start, most)


def _cells(table: Table, separator: str | None) -> Found:
    return reduce(
        lambda one, other: one.merged(other, 2 * MOST_NAMES).telling(separator), table.each(_telling, separator)
    )


def _telling(block: Stored, start: int, kept: np.ndarray, separator: str | None) -> Found:
    return _names(block, start, kept, None).telling(separator)


def held_back(table: Table, labels: Labels) -> Streamed:
    """All rows of a data set that judges. Raises Fault(InvalidData) for one without a label, or with another one."""
    require_labels(_found(table, 1), table.place, f"the label of {table.layout.uri}")
    return _Division(table, labels, Whole(), _own).part(TRAINING)


def divided(table: Table, labels: Labels, data: Data, seed: int) -> dict[str, Streamed]:
    """The rows of the training data by part, as division.divide has them. Raises Fault(InvalidData)."""
    asked = asked_of(data)
    how = data.split.by if data.split is not None else "Row"
    if len(asked) == 1:
        made = _Division(table, labels, Whole(), _own)
    elif how == "Time":
        of: Callable[[pa.Table], np.ndarray] = partial(_times, layout=table.layout, data=data)
        made = _Division(table, labels, _by_time(table, data, of), of)
    else:
        of = _own if how == "Row" else partial(_groups, layout=table.layout, data=data)
        if how == "Group":
            _require_values(table, data, of)
        made = _mended(_Division(table, labels, ByHash(fractions_of(data), seed), of), classes=how == "Row")
    parts = {name: made.part(_PARTS[name]) for name in asked}
    for name, part in parts.items():
        if not len(part):
            remedy = f"choose another fraction, or give {more_of(data)}"
            together = ", of which equal ones stay together," if how == "Row" else ""
            raise no_rows(name, f"{len(table)} rows of {table.layout.uri}{together}", remedy, data)
    if labels.known is None and (unseen := made.without_training_row()):
        first = min(number for number in table.each(_first_of, labels, unseen[0]) if number is not None)
        raise no_training_row(how, len(unseen), table.place(first), table.layout)
    return parts


def digest(parts: dict[str, Streamed]) -> str:
    """As splits.digest has it."""
    return splits.digest_of({name: (len(part), _ordered(part)) for name, part in parts.items()})


def _ordered(part: Streamed) -> Iterator[np.ndarray]:
    """The hashes of all rows of a part, in ascending order."""
    files = [np.memmap(block.path(f"hashes{part.part}"), np.uint64, "r") for block in part.blocks()]
    pieces = max(1, math.ceil(len(part) / HELD))
    edges = [(1 << 64) * piece // pieces for piece in range(1, pieces)]
    starts = [[0, *np.searchsorted(file, np.array(edges, np.uint64)), len(file)] for file in files]
    for piece in range(pieces):
        some = [file[start[piece] : start[piece + 1]] for file, start in zip(files, starts, strict=True)]
        yield np.sort(np.concatenate([np.zeros(0, np.uint64), *some]))


@dataclass(frozen=True)
class _Seen:
    """What is known of a divided block."""

    tallies: tuple[Tally, ...]  # of TRAINING, VALIDATION and TEST
    ends: tuple[float, float]  # places of the first and the last training row, where they have places
    lonely: dict[int, int]  # by class or label without a training row here, the smallest hash of its rows


class _Division:
    """The rows of a table, divided by a rule."""

    def __init__(self, table: Table, labels: Labels, cut: Cut, of: Callable[[pa.Table], np.ndarray]) -> None:
        self.table, self.labels, self.cut, self.of = table, labels, cut, of
        self.seen = list(table.each(_divide, labels, table.layout, cut, of))

    def part(self, number: int) -> Streamed:
        """The rows of a part."""
        return Streamed(
            self.table.index, number, tuple(seen.tallies[number] for seen in self.seen), shape=self.table.index.shape
        )

    def by(self, cut: Cut) -> _Division:
        """The same rows by another rule."""
        return _Division(self.table, self.labels, cut, self.of)

    def without_training_row(self) -> list[int]:
        """The classes or labels that have none, but rows of other parts."""
        lonely = sorted({label for seen in self.seen for label in seen.lonely})
        learnt = self.part(TRAINING).tally.classes
        return [label for label in lonely if not learnt[label]]


def _mended(made: _Division, *, classes: bool) -> _Division:
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
    values, hashes = of(about), _own(about)
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


def _first_of(block: Stored, start: int, kept: np.ndarray, labels: Labels, label: int) -> int | None:
    here = kept[splits.having(block.targets()[kept], label)]
    return start + int(here[0]) if len(here) else None


def _own(about: pa.Table) -> np.ndarray:
    return np.asarray(about[HASH].to_numpy())


def _groups(about: pa.Table, layout: Layout, data: Data) -> np.ndarray:
    return values_by(about[SPLIT].combine_chunks(), splits.groups, layout, data)


def _times(about: pa.Table, layout: Layout, data: Data) -> np.ndarray:
    return selection.sortable(values_by(about[SPLIT].combine_chunks(), splits.times, layout, data))


def _require_values(table: Table, data: Data, of: Callable[[pa.Table], np.ndarray]) -> None:
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


def _by_time(table: Table, data: Data, of: Callable[[pa.Table], np.ndarray]) -> ByTime:
    """The times from which on rows are held back; those of equal times stay together."""
    _require_values(table, data, of)
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
