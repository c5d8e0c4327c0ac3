"""Rows that a network learns from epoch by epoch, as it takes them, in files: dealt out to the workers by chance.

A worker's rows lie in chunks. Which one a row is in is drawn, so each chunk is a sample of all rows, whatever the order
of the data; an epoch takes the chunks in an order by chance, and the rows of a chunk in another one, with one chunk in
memory.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tradewind_workload.data.stored import writing
from tradewind_workload.data.streamed import Taken
from tradewind_workload.io.files import make_folder
from tradewind_workload.io.retries import patiently, require_length

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tradewind_workload.data.rows import Rows
    from tradewind_workload.data.stored import Stored
    from tradewind_workload.data.streamed import Streamed

CHUNK = 1 << 25  # bytes of the rows of a chunk, about
RUNS, RUN = 16, 16  # calls that deal at most, and blocks that one deals at least: each writes a file for each chunk


@dataclass(frozen=True)
class Pile:
    """Rows in files, one after the other; a record has the inputs of a row, and what it should give."""

    files: tuple[tuple[str, int], ...]  # paths, and the rows of each
    kind: np.dtype  # of a record

    def __len__(self) -> int:
        return sum(rows for _, rows in self.files)

    def load(self) -> np.ndarray:
        """All records."""
        return np.concatenate([np.zeros(0, self.kind), *(_records(path, self.kind, 0, n) for path, n in self.files)])

    def pieces(self) -> Iterator[np.ndarray]:
        """All records in their order, about a chunk's at a time."""
        most = max(1, CHUNK // self.kind.itemsize)
        for path, rows in self.files:
            for start in range(0, rows, most):
                yield _records(path, self.kind, start, min(most, rows - start))

    def __getitem__(self, numbers: slice) -> np.ndarray:
        """The inputs of the rows from one number to another, [n, *shape], of a pile of one file."""
        ((path, rows),) = self.files
        start, stop, _ = numbers.indices(rows)
        return np.ascontiguousarray(_records(path, self.kind, start, max(0, stop - start))["inputs"])


@dataclass(frozen=True)
class Dealt:
    """The training rows of all workers."""

    workers: tuple[tuple[Pile, ...], ...]  # chunks by rank

    @property
    def sizes(self) -> tuple[int, ...]:
        """Rows of each worker."""
        return tuple(sum(len(chunk) for chunk in chunks) for chunks in self.workers)


def deal(train: Streamed, workers: int, seed: int, folder: Path) -> Dealt:
    """Write the rows as the model takes them; no row more than a few blocks have is in memory."""
    make_folder(folder)
    blocks = list(train.blocks())
    taken = Taken.of(train)
    first, targets = taken.examples(blocks[0])
    rows, each = len(train), first[:1].nbytes + targets[:1].nbytes
    chunks = max(1, round(rows * each / workers / CHUNK))
    run = max(RUN, math.ceil(len(blocks) / RUNS))
    calls = (
        (blocks[start : start + run], start, workers * chunks, str(folder / f"{start:06d}"), taken, seed)
        for start in range(0, len(blocks), run)
    )
    parts = list(train.work.each(_dealt, calls))
    kind = parts[0][1]
    # Runs are in the order of the blocks, so what a chunk has does not depend on who wrote it.
    piles = [
        Pile(tuple(files[number] for files, _ in parts if files[number][1]), kind) for number in range(workers * chunks)
    ]
    return Dealt(tuple(tuple(piles[rank::workers]) for rank in range(workers)))


def pile(rows: Rows, path: Path) -> Pile:
    """Write rows with an index, in their order, into one file."""
    make_folder(path.parent)
    (made,) = rows.work.map(_piled, [(rows, str(path))])
    return made


def _dealt(
    blocks: Sequence[Stored], number: int, chunks: int, stem: str, taken: Taken, seed: int
) -> tuple[list[tuple[str, int]], np.dtype]:
    """Deal out the rows of some blocks; `number` is that of the first of them. The files, and the kind of a record."""
    counts, kind = np.zeros(chunks, np.int64), np.dtype(np.float32)
    for i, block in enumerate(blocks):
        inputs, targets = taken.examples(block)
        records, kind = _together(inputs, targets), _kind(inputs, targets)
        drawn = np.random.default_rng([seed, 7, number + i]).integers(0, chunks, len(records))
        order = np.argsort(drawn, kind="stable")
        edges = np.searchsorted(drawn[order], np.arange(chunks + 1))
        for chunk in range(chunks):
            some = records[order[edges[chunk] : edges[chunk + 1]]]
            _append(Path(f"{stem}-{chunk:06d}"), some, int(counts[chunk]))
            counts[chunk] += len(some)
    return [(f"{stem}-{chunk:06d}", int(counts[chunk])) for chunk in range(chunks)], kind


def _piled(rows: Rows, path: str) -> Pile:
    count, kind = 0, np.dtype(np.float32)
    for some in rows.by_block():
        inputs = some.load()
        records, kind = _together(inputs, some.targets), _kind(inputs, some.targets)
        _append(Path(path), records, count)
        count += len(records)
    return Pile(((path, count),), kind)


def _kind(inputs: np.ndarray, targets: np.ndarray) -> np.dtype:
    return np.dtype([("inputs", inputs.dtype, inputs.shape[1:]), ("target", targets.dtype, targets.shape[1:])])


def _together(inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    records = np.empty(len(inputs), _kind(inputs, targets))
    records["inputs"], records["target"] = inputs, targets
    return records


def _append(path: Path, records: np.ndarray, after: int) -> None:
    """Write records after so many others, over whatever an earlier attempt left there."""

    def write(path: Path) -> None:
        with path.open("r+b" if after else "wb") as file:
            file.truncate(after * records.dtype.itemsize)
            file.seek(0, 2)
            file.write(records.tobytes())

    writing(path, write)


def _records(path: str, kind: np.dtype, start: int, rows: int) -> np.ndarray:
    def read() -> np.ndarray:
        found = np.fromfile(path, kind, rows, offset=start * kind.itemsize)
        require_length(Path(path), len(found), rows)
        return found

    return patiently(read, path)
