"""The arrays of an npz file: what their headers say, and their rows, some at a time.

An npz file is a zip archive with a file in NumPy's own format for each array. Where an array has its rows one after the
other (C order), they are read as a stream, compressed or not. One that has its columns one after the other (Fortran
order, as `frame.to_numpy()` often leaves it) is read column by column from its place in the archive, which a compressed
one does not have: that one is held.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

import numpy as np

from tradewind_workload.io.retries import require_length

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Rows = Callable[[int, int], np.ndarray]  # of an array: from the number of the first, so many

BATCH = 1 << 22  # bytes of rows that are read at once, about
DAMAGED = (ValueError, EOFError, zipfile.BadZipFile, zlib.error)
_NPY = ".npy"
_LOCAL, _LENGTHS = 30, slice(26, 30)  # bytes of a member's own header in the archive, and where those of its names are


class Array(NamedTuple):
    """What the header of an array says."""

    name: str
    member: zipfile.ZipInfo
    start: int  # bytes of the header, after which the values stand
    shape: tuple[int, ...]  # of all rows; () where it has none
    dtype: np.dtype
    by_column: bool  # whether the values of a row are apart

    @property
    def size(self) -> int:
        """Bytes of all values."""
        return self.dtype.itemsize * int(np.prod(self.shape))

    @property
    def row_shape(self) -> tuple[int, ...]:
        """That of a row; () where it is one value, in however many axes (labels are often saved as [n, 1])."""
        return self.shape[1:] if int(np.prod(self.shape[1:])) != 1 else ()

    @property
    def is_held(self) -> bool:
        """Whether it is in memory as a whole while its rows are read."""
        return self.by_column and self.member.compress_type != zipfile.ZIP_STORED


def arrays_of(path: str) -> list[Array]:
    """The arrays of a file, in its order."""
    with zipfile.ZipFile(path) as archive:
        return list(_headers(archive))


def batches_of(path: str, most: int) -> Iterator[dict[str, np.ndarray]]:
    """The rows of all arrays, [n, ...] by name, about BATCH bytes and `most` rows at a time.

    Raises ValueError for arrays of Python objects, and DAMAGED where the file is that.
    """
    with zipfile.ZipFile(path) as archive, ExitStack() as opened:
        found = list(_headers(archive))
        rows = {array.name: opened.enter_context(_opened(archive, array, path)) for array in found}
        count = min((array.shape[0] for array in found), default=0)
        each = max(1, min(most, BATCH * count // max(1, sum(array.size for array in found))))
        for first in range(0, count, each):
            yield {name: read(first, min(each, count - first)) for name, read in rows.items()}


def _headers(archive: zipfile.ZipFile) -> Iterator[Array]:
    for member in archive.infolist():
        if not member.filename.endswith(_NPY):
            continue
        with archive.open(member) as stream:
            version = np.lib.format.read_magic(stream)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, by_column, dtype = read(stream)
            start = stream.tell()
        name = member.filename.removesuffix(_NPY)
        yield Array(name, member, start, shape, dtype, by_column and len(shape) > 1)


@contextmanager
def _opened(archive: zipfile.ZipFile, array: Array, path: str) -> Iterator[Rows]:
    """How its rows are read: each once, in their order."""
    if not array.dtype.hasobject and array.member.file_size < array.start + array.size:
        raise ValueError(f"the array {array.name!r} ends before its last row")
    with archive.open(array.member) as stream:
        if array.dtype.hasobject or array.is_held:
            whole = np.lib.format.read_array(stream, allow_pickle=False)
            yield lambda first, count: whole[first : first + count]
        elif array.by_column:
            while stream.read(BATCH):  # the zip's own checksum is looked at where all was read in order alone
                pass
            yield _Columns(array, path)
        else:
            stream.read(array.start)
            yield _Stream(array, stream)


@dataclass(frozen=True)
class _Stream:
    """Rows that stand one after the other."""

    array: Array
    stream: IO[bytes]

    def __call__(self, first: int, count: int) -> np.ndarray:
        """See Rows."""
        shape, kind = (count, *self.array.shape[1:]), self.array.dtype
        content = self.stream.read(kind.itemsize * int(np.prod(shape)))
        if first + count == self.array.shape[0]:
            self.stream.read(1)  # the zip's own checksum is looked at when its end is reached
        return np.ndarray(shape, kind, content)


@dataclass(frozen=True)
class _Columns:
    """Rows whose values are apart: the columns stand one after the other, in a file that is not compressed."""

    array: Array
    path: str

    def __call__(self, first: int, count: int) -> np.ndarray:
        """See Rows."""
        rows, *inner = self.array.shape
        columns, size = np.empty((int(np.prod(inner)), count), self.array.dtype), self.array.dtype.itemsize
        with Path(self.path).open("rb") as file:
            file.seek(self.array.member.header_offset)
            lengths = struct.unpack("<HH", file.read(_LOCAL)[_LENGTHS])
            start = self.array.member.header_offset + _LOCAL + sum(lengths) + self.array.start
            for number, column in enumerate(columns):
                file.seek(start + (number * rows + first) * size)
                require_length(Path(self.path), file.readinto(column.view(np.uint8)), column.nbytes)
        return columns.reshape(*reversed(inner), count).T
