"""A data set read into blocks of files, and which of its rows the steps that drop some leave."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pyarrow as pa

from tradewind_workload.data import duplicates
from tradewind_workload.data.blocks import Encoder, Form
from tradewind_workload.data.division import contents
from tradewind_workload.data.dropping import Dropped, nothing_apart, nothing_left, step_apart
from tradewind_workload.data.rows import Rows
from tradewind_workload.data.stored import BLOCK, OnDisk, Stored, writing
from tradewind_workload.io.fault import Fault
from tradewind_workload.io.files import make_folder
from tradewind_workload.io.retries import patiently

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tradewind.api.data import Data
    from tradewind_workload.data.layout import Layout
    from tradewind_workload.data.schema import Schema
    from tradewind_workload.data.work import Work

_Result = TypeVar("_Result")

HASH = "hash"  # a column of the rows' hashes, uint64


@dataclass(frozen=True)
class Table:
    """A data set in files, and the rows of it that are left."""

    layout: Layout
    index: Rows  # no row, but the blocks and the files that all rows are in
    kept: tuple[np.ndarray, ...]  # by block, a bit for each row
    work: Work

    @property
    def blocks(self) -> list[tuple[Stored, int]]:
        """Each block, and the number of its first row in the data set."""
        found = []
        for block, start in zip(self.index.blocks, self.index.starts.tolist(), strict=True):
            assert isinstance(block, Stored)  # where a table is in files, all are
            found.append((block, start))
        return found

    def each(self, function: Callable[..., _Result], *arguments: Any) -> Iterator[_Result]:
        """What function(block, start, kept, *arguments) gives for each block, where the block is.

        `start` is the number of its first row in the data set, `kept` are the offsets of the rows that are left.
        """
        calls = ((function, *block, bits, *arguments) for block, bits in zip(self.blocks, self.kept, strict=True))
        return self.work.each(_on_kept, calls)

    def __len__(self) -> int:
        return sum(int(np.bitwise_count(bits).sum()) for bits in self.kept)

    def place(self, number: int) -> str:
        """Where the row of that number stands."""
        return self.index.place(number)

    def without(self, numbers: Iterable[np.ndarray]) -> Table:
        """The same without the rows of these numbers."""
        kept = [bits.copy() for bits in self.kept]
        for some in numbers:
            block = np.searchsorted(self.index.starts, some, side="right") - 1
            for number in np.unique(block):
                offsets = some[block == number] - self.index.starts[number]
                np.bitwise_and.at(kept[number], offsets >> 3, ~(np.uint8(128) >> (offsets & 7).astype(np.uint8)))
        return replace(self, kept=tuple(kept))


def _on_kept(function: Callable[..., _Result], block: Stored, start: int, bits: np.ndarray, *arguments: Any) -> _Result:
    return function(block, start, np.flatnonzero(np.unpackbits(bits, count=block.rows)), *arguments)


def read_table(layout: Layout, data: Data, schema: Schema | None, form: Form, work: Work, folder: Path) -> Table:
    """Read a data set into files of a folder, in the order of its own files. Raises Fault(InvalidData)."""
    make_folder(folder)
    encoder = Encoder(layout, data, schema, form, BLOCK)
    calls = ((encoder, number, str(folder / layout.part)) for number in range(len(layout.sources)))
    blocks = [block for some in work.each(_stored, calls) for block in some]
    if not blocks:
        raise Fault("InvalidData", f"{layout.uri} has no rows.")
    counts = [block.rows for block in blocks]
    named = tuple(file.name for source in layout.sources for file in source.files)
    pictures = layout.format == "images"  # of which each file is a row
    files = np.ones(len(named)) if pictures else np.bincount([block.file for block in blocks], counts, len(named))
    index = Rows(
        tuple(blocks),
        np.zeros(0, np.int64),
        np.zeros(0, np.int64),
        layout.row_shape(data),
        np.zeros(0, np.int64),
        np.array([0, *accumulate(counts[:-1])]),
        named,
        np.cumsum([0, *files[:-1].astype(np.int64)]),
        pictures=pictures,
        work=OnDisk(work),
    )
    return Table(layout, index, tuple(np.packbits(np.ones(count, bool)) for count in counts), work)


def _stored(encoder: Encoder, number: int, stem: str) -> list[Stored]:
    def store() -> list[Stored]:
        made, first = list[Stored](), 1
        for table in encoder(number):
            block = Stored(f"{stem}-{number:06d}-{len(made):06d}", table.num_rows, number, first)
            hashes = pa.array(contents(table, np.arange(table.num_rows)))
            block.write(table.append_column(HASH, hashes))
            made.append(block)
            first += table.num_rows
        return made

    return patiently(store, encoder.path(number))


def cleaned(table: Table, data: Data, steps: list[Dropped]) -> Table:
    """Without the rows that the steps drop; what each left is added to `steps`. Raises Fault(InvalidData)."""
    imputed = False
    for i, step in enumerate(data.prepare):
        before = len(table)
        imputed = imputed or step.impute is not None
        if step.drop_nulls is not None and not imputed:
            table = replace(table, kept=tuple(table.each(_without_nulls, i)))
        elif step.drop_duplicates is not None:
            table = table.without(duplicates.later(_keys(table, i)))
        else:
            continue
        steps.append(Dropped(table.layout.uri, step.chosen()[0], before, len(table)))
        if not len(table):
            raise nothing_left(table.layout.uri, step, i)
    return table


def _without_nulls(block: Stored, start: int, kept: np.ndarray, step: int) -> np.ndarray:
    left = np.zeros(block.rows, bool)
    left[kept] = ~block.about()[f"n{step}"].to_numpy()[kept]
    return np.packbits(left)


def _keys(table: Table, step: int) -> list[Path]:
    """Files with the sorted keys of a dropDuplicates step, of the rows that are left."""
    return list(table.each(_sorted, step))


def _sorted(block: Stored, start: int, kept: np.ndarray, step: int) -> Path:
    path = block.path(f"keys{step}")
    records = duplicates.sorted_keys(block.about()[f"k{step}"].take(kept), kept + start)
    writing(path, records.tofile)
    return path


def apart(table: Table, held: Table, data: Data, steps: list[Dropped]) -> Table:
    """With the duplicates go rows that stand in a data set that judges, too. Raises Fault(InvalidData)."""
    for i, step in enumerate(data.prepare):
        if step.drop_duplicates is None:
            continue
        left = table.without(duplicates.shared(_keys(table, i), _keys(held, i)))
        if not len(left):
            raise nothing_apart(held.layout)
        steps.append(Dropped(table.layout.uri, step_apart(held.layout), len(table), len(left)))
        table = left
    return table
