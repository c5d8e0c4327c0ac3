"""The rows of a file as Arrow batches of cells: texts as they stand, null where they are missing, or the file's own
types."""

from __future__ import annotations

import io
import json
import re
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

BLOCK = 1 << 22  # bytes of a csv file that become a batch; no row is longer
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


class _Passing(io.RawIOBase):
    """A stream that remembers how what it gave ends."""

    def __init__(self, stream: pa.NativeFile) -> None:
        self._stream = stream
        self.end = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        content: bytes = self._stream.read(size)
        self.end = (self.end + content.rstrip(b"\r\n")[-1:])[-1:]
        return content


def _csv(source: Source) -> Iterator[pa.RecordBatch]:
    start = source.start
    assert start is not None
    if not start.has_rows:
        return
    dialect, names, ragged = start.dialect, list(start.names), list[pyarrow.csv.InvalidRow]()

    def refuse(row: pyarrow.csv.InvalidRow) -> str:
        ragged.append(row)
        return "error"

    stream = open_bytes(source.file)
    if dialect.encoding != "utf-8":
        stream = pa.transcoding_input_stream(stream, dialect.encoding, "utf-8")
    content = _Passing(stream)
    last: pa.RecordBatch | None = None
    try:
        with pyarrow.csv.open_csv(
            pa.PythonFile(content, mode="r"),
            read_options=pyarrow.csv.ReadOptions(
                use_threads=False,  # or rows have no numbers
                block_size=BLOCK,
                column_names=names,
                skip_rows=dialect.skip,
                skip_rows_after_names=1,
            ),
            parse_options=pyarrow.csv.ParseOptions(
                delimiter=dialect.delimiter,
                quote_char=dialect.quote,
                newlines_in_values=True,
                invalid_row_handler=refuse,
            ),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False, null_values=[]
            ),
        ) as reader:
            for last in reader:
                yield last
    except pa.ArrowInvalid as error:
        raise _csv_mistake(str(error), ragged, source) from None
    # Arrow takes all that follows a quote without a partner as one cell.
    cell = str(last.column(len(names) - 1)[-1]) if last is not None and last.num_rows else ""
    if "\n" in cell and content.end != dialect.quote.encode():
        raise Fault(
            "InvalidData",
            f"{source.file.name}: a quote is opened at {cell[:40]!r} and never closed: correct the file, or set "
            f"{source.field}.csv.quote.",
        )


def _csv_mistake(said: str, ragged: list[pyarrow.csv.InvalidRow], source: Source) -> Fault:
    """Arrow's refusal in words of the file's author."""
    assert source.start is not None
    name, dialect = source.file.name, source.start.dialect
    before = dialect.skip + 1  # lines that Arrow counts as rows: before the header, and the header
    if ragged:
        row = ragged[0]
        return Fault(
            "InvalidData",
            f"row {row.number - before} of {name} has {row.actual_columns} cells, and the header "
            f"{row.expected_columns}: {row.text[:80]!r}. Correct it: a cell with "
            f"{dialect.delimiter!r} or a line break in it stands in "
            f"{dialect.quote}quotes{dialect.quote}.",
        )
    if "UTF8" in said:
        place = f" in row {int(found[1]) - before}" if (found := re.search(r"Row #(\d+)", said)) else ""
        return Fault(
            "InvalidData",
            f"{name} is not UTF-8{place}: set {source.field}.csv.encoding, for example to cp1252, or save it as UTF-8.",
        )
    if "straddl" in said:
        return Fault(
            "InvalidData",
            f"{name} has a row of more than {BLOCK >> 20} MiB, or a quote that is never closed: correct the file, or "
            f"set {source.field}.csv.quote.",
        )
    return Fault("InvalidData", f"{name} can't be read as csv: {said[:300]}. Correct the file.")


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


_READERS = {"csv": _csv, "jsonl": _jsonl, "parquet": _parquet, "npz": _npz, "images": _images}
