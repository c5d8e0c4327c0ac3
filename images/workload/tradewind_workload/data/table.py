"""The rows of a file as Arrow batches of cells: texts as they stand, null where they are missing, or the file's own
types."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from tradewind.api.data import MISSING
from tradewind_workload.data.arrays import DAMAGED, batches_of
from tradewind_workload.data.cells import is_bytes, is_text, within_years, without_missing
from tradewind_workload.data.delimited import csv_rows
from tradewind_workload.data.dialect import open_bytes
from tradewind_workload.data.names import name_of
from tradewind_workload.data.pictures import contents
from tradewind_workload.io.fault import Fault
from tradewind_workload.io.retries import trouble_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tradewind.api.data import Format
    from tradewind_workload.data.dialect import Decimal, Start
    from tradewind_workload.data.file import File

ROWS = 1 << 14  # rows of a batch of the other tables
BUFFER = 1 << 20  # bytes of a column that are read at once


@dataclass(frozen=True)
class Source:
    """A file, and how it is read."""

    file: File
    format: Format
    field: str  # spec.data.train or spec.data.validation, for messages
    columns: tuple[str, ...]  # in the file, its partition apart
    start: Start | None = None  # of a csv file
    empty: str | None = None  # a column whose empty cells are not missing: of several labels a row has none there
    pictures: tuple[File, ...] = ()  # of a folder of pictures: those that are read together; `file` is the first

    @property
    def files(self) -> tuple[File, ...]:
        """All files that it is read from."""
        return self.pictures or (self.file,)


@dataclass(frozen=True)
class Batch:
    """Some rows of a file."""

    file: str
    first_row: int  # the number of the first of them in the file, counted from 1; a header is no row
    cells: pa.RecordBatch
    decimal: Decimal | None = "."  # the mark of numbers in texts; None: no number of the file is known to have one
    missing: tuple[str, ...] = MISSING
    folder: Path = Path()  # where paths of pictures start


def batches(source: Source, missing: tuple[str, ...]) -> Iterator[Batch]:
    """The rows of a file, in order; of an npz file, an array's row is a list.

    Raises Fault(InvalidData) where a row can't be read, and OSError as it is where the volume has trouble that passes.
    """
    first = 1
    decimal = source.start.dialect.decimal if source.start is not None else "."
    try:
        for cells in _READERS[source.format](source):
            if not cells.num_rows:
                continue
            columns = {name: cells.column(i) for i, name in enumerate(cells.schema.names)}
            if not source.pictures:  # the name of a folder is a label whatever it is
                for name, column in columns.items():
                    if not within_years(column):
                        raise ValueError(f"the column {name!r} has a time outside of the years 1 to 9999")
                columns = {
                    name: _plain(column, missing, empty=name != source.empty) for name, column in columns.items()
                }
            for name, value in source.file.partition:
                columns[name] = without_missing(pa.array([value] * cells.num_rows, pa.string()), missing)
            folder = Path(source.file.path).parent
            yield Batch(source.file.name, first, pa.RecordBatch.from_pydict(columns), decimal, missing, folder)
            first += cells.num_rows
    except UnicodeDecodeError:
        encoding = source.start.dialect.encoding if source.start is not None else "UTF-8"
        advice = f"set {source.field}.csv.encoding, or save" if source.start is not None else "save"
        raise Fault(
            "InvalidData", f"{source.file.name} has text that is not {encoding}: {advice} it as UTF-8."
        ) from None
    except (pa.ArrowException, OSError, *DAMAGED) as error:
        if trouble_in(error) is not None:
            raise  # the volume's, not the data's
        said = " ".join(str(error).split())[:300]
        raise Fault(
            "InvalidData", f"{source.file.name} can't be read as {source.format}: {said}. Correct the file."
        ) from None


def _plain(column: pa.Array, missing: tuple[str, ...], *, empty: bool) -> pa.Array:
    """Dictionaries and bytes as texts (some programs write texts so), and missing texts as null.

    Bytes that are no text, as those of pictures, stay what they are. `empty` says whether an empty text is missing.
    """
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if is_bytes(column.type):
        try:
            column = column.cast(pa.string())
        except pa.ArrowInvalid:
            return column
    return without_missing(column, missing, empty=empty) if is_text(column.type) else column


def json_rows(file: File) -> Iterator[dict[str, Any]]:
    """The objects of a file of JSON lines. Raises Fault(InvalidData) where a line is none."""
    number = 0
    with open_bytes(file) as stream:
        for raw in io.BufferedReader(stream):
            line = raw.removeprefix(b"\xef\xbb\xbf").strip()
            if not line:
                continue
            number += 1
            try:
                row = json.loads(line.decode())
            except json.JSONDecodeError as error:
                raise Fault(
                    "InvalidData", f"row {number} of {file.name} is not JSON ({error.msg}): write one object a line."
                ) from None
            if not isinstance(row, dict):
                raise Fault("InvalidData", f"row {number} of {file.name} is no object: write one object a line.")
            yield row


def _jsonl(source: Source) -> Iterator[pa.RecordBatch]:
    columns: dict[str, list[Any]] = {name: [] for name in source.columns}
    count = 0
    for number, row in enumerate(json_rows(source.file), 1):
        if unknown := row.keys() - columns.keys():
            raise Fault(
                "InvalidData",
                f"row {number} of {source.file.name} has the field {min(unknown)!r}, which no row at the start of a "
                "file has: give the first row all fields, with null where it has no value.",
            )
        for name, values in columns.items():
            values.append(row.get(name))
        count += 1
        if count == ROWS:
            yield pa.RecordBatch.from_pydict({name: _json_column(values) for name, values in columns.items()})
            columns, count = {name: [] for name in columns}, 0
    if count:
        yield pa.RecordBatch.from_pydict({name: _json_column(values) for name, values in columns.items()})


def _json_column(values: list[Any]) -> pa.Array:
    """Values of one type as they are, others as the texts that stand in the file."""
    types = {type(value) for value in values if value is not None}
    if types <= {bool}:
        return pa.array(values, pa.bool_())
    if types <= {int, float}:
        try:
            return pa.array(values, pa.int64() if types <= {int} else pa.float64())
        except (OverflowError, pa.ArrowInvalid):
            pass  # an integer of more than 64 bits
    nested = (list, dict)
    texts = [json.dumps(value) if isinstance(value, nested) else name_of(value) for value in values]
    return pa.array(texts, pa.string())


def _parquet(source: Source) -> Iterator[pa.RecordBatch]:
    # By default, all of the file is read ahead, and stays in memory until the last row was read.
    with pyarrow.parquet.ParquetFile(source.file.path, pre_buffer=False, buffer_size=BUFFER) as file:
        yield from file.iter_batches(ROWS, use_threads=False)


def _npz(source: Source) -> Iterator[pa.RecordBatch]:
    for arrays in batches_of(source.file.path, ROWS):
        yield pa.RecordBatch.from_pydict({name: _array(array, name, source) for name, array in arrays.items()})


def _array(array: np.ndarray, name: str, source: Source) -> pa.Array:
    if array.dtype.kind == "S":
        try:
            array = np.char.decode(array, "utf-8")
        except UnicodeDecodeError:
            raise Fault(
                "InvalidData",
                f"{source.file.name}: the array {name!r} has bytes that are not UTF-8: save it as text (dtype U).",
            ) from None
    array = array.astype(array.dtype.newbyteorder("="), copy=False)  # Arrow has the machine's own order of bytes alone
    width = int(np.prod(array.shape[1:]))
    if width == 1:
        return pa.array(array.reshape(-1))
    return pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(array).reshape(-1)), width)


def _images(source: Source) -> Iterator[pa.RecordBatch]:
    return contents(source.pictures)


_READERS = {"csv": csv_rows, "jsonl": _jsonl, "parquet": _parquet, "npz": _npz, "images": _images}
