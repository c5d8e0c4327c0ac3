"""A file of a data set, and all of them together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from tradewind.api.data import Format

Compression = Literal["gzip", "bz2", "zstd"]


@dataclass(frozen=True)
class File:
    """A file of a data set, and the columns that the names of its folders are: `year=2024/part-0.csv`."""

    path: str
    name: str  # from the data set's folder on, for messages
    compression: Compression | None = None
    partition: tuple[tuple[str, str | None], ...] = ()
    label: str | None = None  # of a picture: the name of its folder


@dataclass(frozen=True)
class Files:
    """All files of a data set, in the order of their names; at least one."""

    format: Format
    files: tuple[File, ...]
    passed_over: tuple[str, ...]  # names that start with `_`, as of `_SUCCESS`
