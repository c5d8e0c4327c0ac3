"""Rows of a table that is larger than memory: in blocks of files, which one process at a time looks at."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pyarrow as pa

from tradewind_workload.data.blocks import block_inputs, block_table
from tradewind_workload.data.labels import Spread
from tradewind_workload.data.rows import Rows
from tradewind_workload.data.stored import GONE, OnDisk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tradewind_workload.data.stored import Stored
    from tradewind_workload.data.work import Work

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Tally:
    """What is known of rows together: how many there are, and of which labels."""

    rows: int
    classes: np.ndarray  # int64 [classes], rows of each class or label; empty where labels are numbers
    spread: Spread  # of labels that are numbers

    @classmethod
    def of(cls, targets: np.ndarray, classes: int) -> Tally:
        """Of the rows with these targets; `classes` is 0 where these are numbers."""
        if targets.ndim == 2:  # any number of labels a row
            return cls(len(targets), targets.sum(0, dtype=np.int64), Spread.of(np.zeros(0)))
        if classes:
            return cls(len(targets), np.bincount(targets, minlength=classes), Spread.of(np.zeros(0)))
        return cls(len(targets), np.zeros(0, np.int64), Spread.of(targets))

    def merged(self, other: Tally) -> Tally:
        """Of both together."""
        return Tally(self.rows + other.rows, self.classes + other.classes, self.spread.merged(other.spread))


@dataclass(frozen=True)
class Streamed:
    """The rows of one part, in the order of the data set. No process holds them, and none an index of them.

    `each`, `numbers`, `starts`, `place` are as those of data.rows.Rows.
    """

    index: Rows  # no row, but the blocks and the files that all rows are in
    part: int
    tallies: tuple[Tally, ...]  # of the rows of this part in each block
    encode: Callable[[pa.Table], np.ndarray] | None = None  # as of Rows
    shape: tuple[int, ...] = ()

    def __len__(self) -> int:
        return sum(tally.rows for tally in self.tallies)

    @property
    def tally(self) -> Tally:
        """Of all rows."""
        first, *rest = self.tallies
        for other in rest:
            first = first.merged(other)
        return first

    @property
    def starts(self) -> np.ndarray:
        """See Rows."""
        return self.index.starts

    def place(self, number: int) -> str:
        """See Rows."""
        return self.index.place(number)

    def numbers(self) -> np.ndarray:
        """See Rows."""
        return np.flatnonzero([tally.rows for tally in self.tallies])

    @property
    def work(self) -> Work:
        """Where functions of a block run that read its files themselves."""
        assert isinstance(self.index.work, OnDisk)  # where it is streamed, it is that
        return self.index.work.work

    def blocks(self) -> Iterator[Stored]:
        """Those that have rows."""
        for number in self.numbers():
            block: Stored = self.index.blocks[number]  # where it is streamed, all are
            yield block

    def each(self, function: Callable[..., _Result], *arguments: Any) -> Iterator[_Result]:
        """See Rows; no more results are held than a few that are not yet asked for."""
        calls = ((function, block, self.part, *arguments) for block in self.blocks())
        return self.work.each(_on_part, calls)

    def take(self, numbers: np.ndarray) -> Rows:
        """The rows of these numbers, ascending, with an index of them: not of too many at once."""
        ends = np.cumsum([tally.rows for tally in self.tallies])
        block = np.searchsorted(ends, numbers, side="right")
        offset, targets = np.empty(len(numbers), np.int64), list[np.ndarray]()
        for number in np.unique(block):
            stored: Stored = self.index.blocks[number]
            here = block == number
            inside = numbers[here] - (ends[number] - self.tallies[number].rows)
            offset[here] = np.flatnonzero(stored.parts() == self.part)[inside]
            targets.append(stored.targets()[offset[here]])
        return replace(
            self.index,
            block=block,
            offset=offset,
            targets=np.concatenate(targets) if targets else np.zeros(0, np.int64),
            encode=self.encode,
            shape=self.shape,
        )

    def evenly(self, most: int) -> Rows:
        """So many rows at most with an index of them, evenly spaced."""
        rows = len(self)
        return self.take(np.arange(rows) if rows <= most else np.arange(most) * rows // most)

    def only(self, function: Callable[..., np.ndarray], *arguments: Any) -> Streamed:
        """The rows for which function(table, offsets, *arguments), bool [n], holds; the others are in no part then."""
        classes = len(self.tally.classes)
        calls = ((function, block, self.part, classes, *arguments) for block in self.blocks())
        left = self.work.each(_left, calls)
        tallies = list(self.tallies)
        for number, tally in zip(self.numbers(), left, strict=True):
            tallies[number] = tally
        return replace(self, tallies=tuple(tallies))

    def encoded(self, encode: Callable[[pa.Table], np.ndarray], shape: tuple[int, ...]) -> Streamed:
        """See Rows."""
        return replace(self, encode=encode, shape=shape)


def tally_of(rows: Rows | Streamed, classes: int) -> Tally:
    """What is known of rows together; `classes` is 0 where their labels are numbers."""
    return rows.tally if isinstance(rows, Streamed) else Tally.of(rows.targets, classes)


def answers_digest(parts: Iterable[Rows | Streamed]) -> str:
    """SHA-256 of the targets of these parts, each in the order of its rows."""
    whole = hashlib.sha256()
    for rows in parts:
        whole.update(len(rows).to_bytes(8, "little"))
        if isinstance(rows, Streamed):
            for block in rows.blocks():
                found = block.targets()[block.parts() == rows.part]
                whole.update(np.ascontiguousarray(found).data)
        else:
            whole.update(np.ascontiguousarray(rows.targets).data)
    return whole.hexdigest()


def _on_part(function: Callable[..., _Result], block: Stored, part: int, *arguments: Any) -> _Result:
    return function(block.inputs(), np.flatnonzero(block.parts() == part), *arguments)


def _left(function: Callable[..., np.ndarray], block: Stored, part: int, classes: int, *arguments: Any) -> Tally:
    parts, targets = block.parts(), block.targets()
    offsets = np.flatnonzero(parts == part)
    if len(offsets):
        parts[offsets[~function(block.inputs(), offsets, *arguments)]] = GONE
        block.divide(parts, targets)
    return Tally.of(targets[parts == part], classes)


@dataclass(frozen=True)
class Taken:
    """How the rows of a Streamed are taken from its blocks; it goes to where these are worked on."""

    part: int
    encode: Callable[[pa.Table], np.ndarray] | None
    shape: tuple[int, ...]

    @classmethod
    def of(cls, rows: Streamed) -> Taken:
        """As these are."""
        return cls(rows.part, rows.encode, rows.shape)

    def examples(self, block: Stored) -> tuple[np.ndarray, np.ndarray]:
        """The inputs of the rows in a block as a model takes them, [n, *shape], and their targets, [n, ...]."""
        offsets = np.flatnonzero(block.parts() == self.part)
        rows = block_table(block.inputs()).take(offsets)
        made = block_inputs(rows) if self.encode is None else self.encode(rows)
        return made.reshape(len(offsets), *self.shape), block.targets()[offsets]
