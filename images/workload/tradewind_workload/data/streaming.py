"""From files to parts, for tables that are larger than memory: as `preparation` does it, and with the same result.

Each pass looks at a block at a time, where a process is free, and brings back counts. What is known of single rows
stays in files beside the blocks, but for a bit a row.
"""

from __future__ import annotations

import math
from functools import partial, reduce
from typing import TYPE_CHECKING

import numpy as np

from tradewind_workload.data import splits
from tradewind_workload.data.blocks import LABEL
from tradewind_workload.data.cutting import ByHash, Whole
from tradewind_workload.data.dividing import Division, by_time, first_of, groups, mended, own, require_values, times
from tradewind_workload.data.division import (
    asked_of,
    fractions_of,
    more_of,
    no_rows,
    no_training_row,
)
from tradewind_workload.data.labelling import MOST_NAMES, Found, labels_of, require_labels
from tradewind_workload.data.reading import apart, cleaned, read_table
from tradewind_workload.data.splits import TEST, TRAINING, VALIDATION
from tradewind_workload.data.streamed import Streamed
from tradewind_workload.io.files import remove

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import pyarrow as pa

    from tradewind.api.data import Data
    from tradewind_workload.data.dropping import Dropped
    from tradewind_workload.data.holding import Sets
    from tradewind_workload.data.labels import Labels
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
    return Division(table, labels, Whole(), own).part(TRAINING)


def divided(table: Table, labels: Labels, data: Data, seed: int) -> dict[str, Streamed]:
    """The rows of the training data by part, as division.divide has them. Raises Fault(InvalidData)."""
    asked = asked_of(data)
    how = data.split.by if data.split is not None else "Row"
    if len(asked) == 1:
        made = Division(table, labels, Whole(), own)
    elif how == "Time":
        of: Callable[[pa.Table], np.ndarray] = partial(times, layout=table.layout, data=data)
        made = Division(table, labels, by_time(table, data, of), of)
    else:
        of = own if how == "Row" else partial(groups, layout=table.layout, data=data)
        if how == "Group":
            require_values(table, data, of)
        made = mended(Division(table, labels, ByHash(fractions_of(data), seed), of), classes=how == "Row")
    parts = {name: made.part(_PARTS[name]) for name in asked}
    for name, part in parts.items():
        if not len(part):
            remedy = f"choose another fraction, or give {more_of(data)}"
            together = ", of which equal ones stay together," if how == "Row" else ""
            raise no_rows(name, f"{len(table)} rows of {table.layout.uri}{together}", remedy, data)
    if labels.known is None and (unseen := made.without_training_row()):
        first = min(number for number in table.each(first_of, labels, unseen[0]) if number is not None)
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
