"""Rows of a data set in blocks: read once, then picked by number in any process of the job."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pyarrow as pa

from tradewind_workload.data.blocks import (
    FILE,
    INPUTS,
    LABEL,
    SPLIT,
    Encoder,
    block_inputs,
    block_table,
)
from tradewind_workload.data.dataset import Label, counted, schema_of
from tradewind_workload.data.schema import Schema
from tradewind_workload.data.work import Here
from tradewind_workload.io.fault import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tradewind.api.data import Data
    from tradewind_workload.data.blocks import Form
    from tradewind_workload.data.layout import Layout
    from tradewind_workload.data.work import Block, Work

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Rows:
    """Rows, in an order: row i is row `offset[i]` of block `block[i]`."""

    blocks: tuple[Block, ...]  # arrow tables, in the hands of `work`
    block: np.ndarray  # int64 [n]
    offset: np.ndarray  # int64 [n]
    shape: tuple[int, ...]  # of the inputs of one row, as in the file
    targets: (
        np.ndarray
    )  # int64 [n], the label's index, -1 before they are known; int8 [n, labels]; float64 [n], its value
    starts: np.ndarray  # int64 [blocks], the number of each block's first row in the data set
    files: tuple[str, ...]
    firsts: np.ndarray  # int64 [files], the number of each file's first row in the data set
    pictures: bool = False  # whether each file is one row
    encode: Callable[[pa.Table], np.ndarray] | None = None  # of a table by columns: its rows as a model takes them
    work: Work = field(default_factory=Here)

    def __len__(self) -> int:
        return len(self.block)

    def take(self, numbers: np.ndarray) -> Rows:
        """The rows of these numbers, in this order."""
        return replace(self, block=self.block[numbers], offset=self.offset[numbers], targets=self.targets[numbers])

    def with_targets(self, targets: np.ndarray) -> Rows:
        """The same rows with their labels: indices, int64 [n], sets, int8 [n, labels], or values, float64 [n]."""
        return replace(self, targets=targets)

    def encoded(self, encode: Callable[[pa.Table], np.ndarray], shape: tuple[int, ...]) -> Rows:
        """The same rows of a table by columns, with what makes an array of that shape of each."""
        return replace(self, encode=encode, shape=shape)

    def by_block(self) -> Iterator[Rows]:
        """The same rows, in this order, as many at a time as stand together in a block."""
        edges = np.flatnonzero(np.diff(self.block)) + 1
        for numbers in np.split(np.arange(len(self)), edges):
            yield self.take(numbers)

    def only(self, function: Callable[..., np.ndarray], *arguments: Any) -> Rows:
        """The rows for which function(table, offsets, *arguments), bool [n], holds."""
        kept = np.zeros(len(self), bool)
        for number, here in zip(self.numbers(), self.each(function, *arguments), strict=True):
            kept[self.block == number] = here
        return self.take(np.flatnonzero(kept))

    def load(self) -> np.ndarray:
        """The inputs, float32 or as they are encoded, [n, *shape]. Blocks are fetched one after another and let go."""
        out: np.ndarray | None = None
        for number in self.numbers():
            here = np.flatnonzero(self.block == number)
            rows = block_table(self.work.fetch(self.blocks[number])).take(self.offset[here])
            made = block_inputs(rows) if self.encode is None else self.encode(rows)
            out = np.empty((len(self), *self.shape), made.dtype) if out is None else out
            out[here] = made.reshape(len(here), *self.shape)
        return out if out is not None else np.empty((0, *self.shape), np.float32)

    def table(self) -> pa.Table:
        """The typed columns, or the one column INPUTS of a matrix, row by row in this order."""
        parts = [block_table(self.work.fetch(block)).take(offsets) for block, offsets in self.parts()]
        places = np.concatenate([np.flatnonzero(self.block == number) for number in self.numbers()])
        return pa.concat_tables(parts).take(np.argsort(places))

    def each(self, function: Callable[..., _Result], *arguments: Any) -> list[_Result]:
        """What function(table, offsets, *arguments) gives for each block that has rows, where the block is.

        `table` is the whole block, `offsets`, int64 [n], are those of the rows in it.
        """
        return self.work.map(function, [(block, offsets, *arguments) for block, offsets in self.parts()])

    def parts(self) -> Iterator[tuple[Block, np.ndarray]]:
        """Each block that has rows, and the offsets of the rows in it."""
        for number in self.numbers():
            yield self.blocks[number], self.offset[self.block == number]

    def numbers(self) -> np.ndarray:
        """The blocks that have rows."""
        return np.unique(self.block)

    def place(self, number: int) -> str:
        """Where the row of that number in the data set stands, counted from 1 in its file, for messages."""
        row, file = self._place(number)
        if self.pictures:
            return file
        return f"row {row} of {file}" if len(self.files) > 1 else f"row {row}"

    def places(self) -> tuple[str, ...]:
        """Where each of these rows stands, with its file."""
        found = (self._place(int(number)) for number in self.starts[self.block] + self.offset)
        return tuple(file if self.pictures else f"row {row} of {file}" for row, file in found)

    def _place(self, number: int) -> tuple[int, str]:
        file = int(np.searchsorted(self.firsts, number, side="right")) - 1
        return int(number - self.firsts[file] + 1), self.files[file]


@dataclass(frozen=True)
class Read:
    """What was read: all rows, and what the driver must know of each."""

    rows: Rows
    labels: list[str | None]  # names of values, None where it is missing
    null: dict[int, np.ndarray]  # by the number of a dropNulls step: bool [n]
    key: dict[int, np.ndarray]  # by the number of a dropDuplicates step: a hash of the compared columns, S16 [n]
    split: tuple[pa.Array, ...] = ()  # values of spec.data.split.column, by block


def read_schema(layout: Layout, data: Data, label: Label, work: Work) -> Schema:
    """The schema of a table, seen from all of its rows, a file a call. Raises Fault(InvalidData)."""
    partials = work.map(counted, [(source, data.missing) for source in layout.sources])
    return schema_of(layout, data, partials, label)


def read_rows(layout: Layout, data: Data, schema: Schema | None, form: Form, work: Work) -> Read:
    """Read a data set into blocks, in the order of the files.

    `schema` is that of the training data; npz files have none, and are always a matrix. Raises Fault(InvalidData) where
    a row can't be read.
    """
    # In order: the split and the weights depend on it.
    blocks = tuple(work.keep(Encoder(layout, data, schema, form), range(len(layout.sources))))
    narrow = work.map(_narrow, [(block,) for block in blocks])
    if not narrow:
        raise Fault("InvalidData", f"{layout.uri} has no rows.")
    counts = [part.num_rows for part in narrow]
    split = tuple(part[SPLIT].combine_chunks() for part in narrow if SPLIT in part.column_names)
    narrow = [part.drop_columns([SPLIT]) if SPLIT in part.column_names else part for part in narrow]
    table = pa.concat_tables(narrow)
    named = tuple(file.name for source in layout.sources for file in source.files)
    files = np.bincount(table[FILE].to_numpy(), minlength=len(named))
    rows = Rows(
        blocks,
        np.repeat(np.arange(len(blocks)), counts),
        np.concatenate([np.arange(count) for count in counts]),
        layout.row_shape(data),
        np.full(sum(counts), -1),
        np.cumsum([0, *counts[:-1]]),
        named,
        np.cumsum([0, *files[:-1]]),
        pictures=layout.format == "images",
        work=work,
    )
    return Read(
        rows,
        table[LABEL].to_pylist(),
        {
            int(name[1:]): table[name].to_numpy()
            for name in table.column_names
            if name.startswith("n") and name[1:].isdigit()
        },
        {
            int(name[1:]): np.array(table[name].to_pylist(), dtype="S32")
            for name in table.column_names
            if name.startswith("k") and name[1:].isdigit()
        },
        split,
    )


def _narrow(block: pa.Table) -> pa.Table:
    return block.drop_columns([INPUTS])
