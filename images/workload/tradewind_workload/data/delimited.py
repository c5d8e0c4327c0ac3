"""The rows of a csv file as Arrow batches of texts as they stand, and its mistakes in words of the file's author."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.csv

from tradewind_workload.data.dialect import open_bytes
from tradewind_workload.io.fault import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tradewind_workload.data.table import Source

BLOCK = 1 << 22  # bytes that become a batch; no row is longer


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


def csv_rows(source: Source) -> Iterator[pa.RecordBatch]:
    """A batch at a time. Raises Fault(InvalidData) where a row can't be read."""
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
        raise _mistake(str(error), ragged, source) from None
    # Arrow takes all that follows a quote without a partner as one cell.
    cell = str(last.column(len(names) - 1)[-1]) if last is not None and last.num_rows else ""
    if "\n" in cell and content.end != dialect.quote.encode():
        raise Fault(
            "InvalidData",
            f"{source.file.name}: a quote is opened at {cell[:40]!r} and never closed: correct the file, or set "
            f"{source.field}.csv.quote.",
        )


def _mistake(said: str, ragged: list[pyarrow.csv.InvalidRow], source: Source) -> Fault:
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
