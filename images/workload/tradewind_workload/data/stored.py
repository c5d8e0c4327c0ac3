"""Blocks of rows in files, for tables that are larger than the memory of the pods.

A block is a file with the inputs of its rows, one with what else was read of each (label, hash, keys), and, after the
rows were divided, one with the part and the target of each. So a pass over the labels does not read the inputs.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.feather

from tradewind_workload.data.blocks import INPUTS
from tradewind_workload.io.files import storage_fault
from tradewind_workload.io.retries import patiently

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tradewind_workload.data.work import Block, Work

_Result = TypeVar("_Result")

BLOCK = 1 << 24  # bytes of rows that make such a block
GONE = -1  # in place of the part of a row that a step dropped


@dataclass(frozen=True)
class Stored:
    """A block, and where its rows stand in the data."""

    stem: str  # its files' path without their endings
    rows: int
    file: int  # number of the file of the data set that it is from
    first: int  # number of its first row in that file, from 1

    def inputs(self) -> pa.Table:
        """The one column INPUTS."""
        return _read(self.path("inputs"))

    def about(self) -> pa.Table:
        """The other columns that were read."""
        return _read(self.path("about"))

    def parts(self) -> np.ndarray:
        """The part of each row, int8 [rows]."""
        return _array(self.path("parts"))

    def targets(self) -> np.ndarray:
        """The index of each row's class, int64 [n], or its labels, int8 [n, labels], or its value, float64 [n]."""
        return _array(self.path("targets"))

    def path(self, of: str) -> Path:
        """Where one of its files is."""
        return Path(f"{self.stem}.{of}")

    def write(self, table: pa.Table) -> None:
        """Keep what was read. Raises Fault(StorageFailed) with what to do, and StorageUnavailable."""
        writing(self.path("inputs"), lambda path: _write(table.select([INPUTS]), path))
        writing(self.path("about"), lambda path: _write(table.drop_columns([INPUTS]), path))

    def divide(self, parts: np.ndarray, targets: np.ndarray) -> None:
        """Keep the part and the target of each row."""
        writing(self.path("parts"), parts.tofile)
        writing(self.path("targets"), lambda path: _save(targets, path))


def writing(path: Path, write: Callable[[Path], Any]) -> None:
    """Write a file below the run's own folder. Raises Fault(StorageFailed) with what to do, and StorageUnavailable."""
    try:
        patiently(lambda: write(path), path)
    except OSError as error:
        raise storage_fault(path, error) from error


def _write(table: pa.Table, path: Path) -> None:
    pyarrow.feather.write_feather(table, str(path), compression="lz4")


def _read(path: Path) -> pa.Table:
    return patiently(lambda: pyarrow.feather.read_table(str(path), memory_map=False), path)


def _save(array: np.ndarray, path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, array)


def _array(path: Path) -> np.ndarray:
    if path.suffix == ".parts":
        return patiently(lambda: np.fromfile(path, np.int8), path)
    return patiently(lambda: np.asarray(np.load(path, allow_pickle=False)), path)


class OnDisk:
    """See data.work.Work: another one, whose functions get the inputs of a Stored as their table."""

    def __init__(self, work: Work) -> None:
        self.work = work

    def keep(self, function: Callable[[Any], Iterator[pa.Table]], items: Iterable[Any]) -> list[Block]:
        """See Work; these tables stay in memory."""
        return self.work.keep(function, items)

    def map(self, function: Callable[..., _Result], calls: Iterable[tuple[Any, ...]]) -> list[_Result]:
        """See Work."""
        return list(self.each(function, calls))

    def each(self, function: Callable[..., _Result], calls: Iterable[tuple[Any, ...]]) -> Iterator[_Result]:
        """See Work."""
        return self.work.each(_with_inputs, ((function, *call) for call in calls))

    def fetch(self, block: Block) -> pa.Table:
        """See Work."""
        return block.inputs() if isinstance(block, Stored) else self.work.fetch(block)


def _with_inputs(function: Callable[..., _Result], *arguments: Any) -> _Result:
    return function(*(one.inputs() if isinstance(one, Stored) else one for one in arguments))
