"""How a csv file is written: its delimiter, decimal mark, encoding and quotes, as it was said or as its start shows."""

from __future__ import annotations

import codecs
import csv
import io
import re
import sys
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from tradewind_workload.data.encoding import CALLED, SAMPLE, encoding_of
from tradewind_workload.data.magic import require_text
from tradewind_workload.io.fault import Fault

if TYPE_CHECKING:
    from tradewind.api.data import Csv
    from tradewind_workload.data.file import File

Decimal = Literal[".", ","]

DELIMITERS = (",", ";", "\t", "|")
NAMES = {",": "','", ";": "';'", "\t": "tabs", "|": "'|'"}
# A number in each of the two ways to write it, with or without marks between the thousands.
_GROUPS = r"[1-9]\d{0,2}(?:[%s '\u00a0\u202f]\d{3})+"
_NUMBER: dict[Decimal, re.Pattern[str]] = {
    ".": re.compile(rf"[+-]?(?:(?:\d+|{_GROUPS % ','})(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?"),
    ",": re.compile(rf"[+-]?(?:(?:\d+|{_GROUPS % '.'})(?:,\d*)?|,\d+)(?:[eE][+-]?\d+)?"),
}
_EXCEL = re.compile(r'"?sep=(.)"?', re.IGNORECASE)  # a first line that tells a spreadsheet the delimiter


@dataclass(frozen=True)
class Dialect:
    """How one csv file is written."""

    delimiter: str
    quote: str
    encoding: str  # a name that Python knows
    decimal: Decimal | None  # None: no number of the sample has a mark, so a comma in one further down is not known
    bom: bool
    skip: int  # lines before the header

    def __str__(self) -> str:
        told = [f"separated by {NAMES.get(self.delimiter, repr(self.delimiter))}"]
        if self.decimal == ",":
            told.append("decimal ','")
        encoding = CALLED.get(self.encoding, self.encoding)
        told.append(f"{encoding} with a byte order mark" if self.bom else encoding)
        return ", ".join(told)


@dataclass(frozen=True)
class Start:
    """A csv file's dialect, the names of its columns, and whether it has rows besides the header."""

    dialect: Dialect
    names: tuple[str, ...]
    has_rows: bool


def open_bytes(file: File) -> pa.NativeFile:
    """The file's content, unpacked, as a stream."""
    return pa.input_stream(file.path, compression=file.compression)


def read_start(file: File, said: Csv | None, field: str, missing: tuple[str, ...]) -> Start:
    """See how a file is written. `field` (spec.data.train) is for messages.

    Raises Fault(InvalidData) where that is not clear, in a sentence with the field of the API to say it in; where
    the header has no names, or a name twice; OSError where the file can't be unpacked.
    """
    with open_bytes(file) as stream:
        raw = stream.read(SAMPLE)
        require_text(raw, file, "csv")
        encoding, bom = encoding_of(raw, stream, said, file, field)
    whole = len(raw) < SAMPLE
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(raw, final=whole).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise Fault(
            "InvalidData",
            f"{file.name} is not {CALLED.get(encoding, encoding)} (byte {error.start} is {raw[error.start]:#04x}): "
            f"set {field}.csv.encoding, for example to cp1252, or save it as UTF-8.",
        ) from None
    skip, hint = _before_header(text)
    quote = (said.quote if said else None) or '"'
    body = "".join(_lines(text)[skip:]) if skip else text
    delimiter = (said.delimiter if said else None) or hint or _delimiter(body, quote, whole, file, field)
    if _escapes(body, delimiter, quote, whole):
        raise Fault(
            "InvalidData",
            f"{file.name} writes a quote within a cell as \\{quote}: write it doubled, {quote}{quote} (in Spark with "
            "the option escape='\"'), or save the data as Parquet.",
        )
    rows = _rows(body, delimiter, quote, whole)
    if not rows:
        raise Fault("InvalidData", f"{file.name} is empty: put data there, or correct {field}.storageUri.")
    _require_no_space_before_quotes(rows, body, delimiter, quote, file)
    names = _header(rows[0], delimiter, file, field)
    decimal = (said.decimal if said else None) or _decimal(
        dict(zip(names, map(set, zip_longest(*rows[1:], fillvalue="")), strict=False)), delimiter, file, field, missing
    )
    return Start(Dialect(delimiter, quote, encoding, decimal, bom, skip), names, len(rows) > 1 or not whole)


def _lines(text: str) -> list[str]:
    """Lines with their ends, as Arrow counts them: str.splitlines also ends them at form feeds and the like."""
    return list(io.StringIO(text, newline=""))


def _before_header(text: str) -> tuple[int, str | None]:
    """Lines before the header (empty ones, and `sep=;`), and the delimiter that they say."""
    skip, hint = 0, None
    for line in _lines(text)[:100]:
        if found := _EXCEL.fullmatch(line.strip()):
            hint = found[1]
        elif line.strip():
            break
        skip += 1
    return skip, hint


def _rows(text: str, delimiter: str, quote: str, whole: bool) -> list[list[str]]:
    """The rows of the sample that are complete, empty ones left out."""
    csv.field_size_limit(sys.maxsize)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quotechar=quote)
    found = [row for row in reader if row]
    return found if whole or len(found) < 2 else found[:-1]


def _escapes(text: str, delimiter: str, quote: str, whole: bool) -> bool:
    """Whether cells can be read with a backslash before their own quotes, and not with these doubled."""

    def reads(**how: Any) -> bool:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quotechar=quote, strict=True, **how)
        try:
            for _ in reader:
                pass
        except csv.Error as error:
            return not whole and "unexpected end" in str(error)  # the sample ends within a cell
        return True

    return f"\\{quote}" in text and not reads() and reads(escapechar="\\", doublequote=False)


def _require_no_space_before_quotes(rows: list[list[str]], text: str, delimiter: str, quote: str, file: File) -> None:
    """Raises Fault for a row such as 1, "a", where the space makes the quotes a part of the value."""
    mark = re.escape(quote)
    spaced = re.compile(rf" +{mark}[^{mark}]*{mark}? *")  # without its last quote where the cell was cut at a delimiter
    for number, row in enumerate(rows):
        # What stands so in quotes of its own has other quotes in the file, doubled.
        found = [cell for cell in row[1:] if spaced.fullmatch(cell) and delimiter + cell in text]
        if found:
            where = f"row {number}" if number else "the header"
            raise Fault(
                "InvalidData",
                f"{where} of {file.name} has a space before a quote, {(delimiter + found[0])[:80]!r}, which makes the "
                "quotes a part of the value: save the file without spaces behind its delimiters.",
            )


def _delimiter(text: str, quote: str, whole: bool, file: File, field: str) -> str:
    """The one that cuts the header and each row into as many cells. Raises Fault where two do."""
    cut = {mark: [len(row) for row in _rows(text, mark, quote, whole)] for mark in DELIMITERS if mark in text}
    possible = [mark for mark, counts in cut.items() if counts and counts[0] > 1]
    even = [mark for mark in possible if len(set(cut[mark])) == 1 and len(cut[mark]) > 1]
    best = even or possible
    if len(best) > 1:
        raise Fault(
            "InvalidData",
            f"{file.name} can be read as separated by {' or by '.join(NAMES[mark] for mark in best)}: set "
            f"{field}.csv.delimiter.",
        )
    return best[0] if best else ","


def _header(cells: list[str], delimiter: str, file: File, field: str) -> tuple[str, ...]:
    names = tuple(cell.strip() for cell in cells)
    for position, name in enumerate(names, 1):
        if not name:
            raise Fault(
                "InvalidData",
                f"column {position} of {file.name} has no name in the header: give it one, or save the file without "
                f"that column (of {len(names)}; they are separated by {NAMES.get(delimiter, repr(delimiter))}).",
            )
        if names.index(name) != position - 1:
            raise Fault("InvalidData", f"{file.name} has the column {name!r} twice: give each a name of its own.")
    return names


def _decimal(
    columns: dict[str, set[str]], delimiter: str, file: File, field: str, missing: tuple[str, ...]
) -> Decimal | None:
    """The mark that the columns of numbers agree on; None where no column has one."""
    agreed: dict[Decimal, tuple[str, str]] = {}  # the first column that can be read with this mark alone, and a cell
    unclear: tuple[str, str] | None = None
    for name, texts in columns.items():
        cells = {text.strip() for text in texts} - {"", *missing}
        marked = sorted(cell for cell in cells if "," in cell or "." in cell)
        readable = [mark for mark, number in _NUMBER.items() if all(map(number.fullmatch, cells))]
        if not marked or not readable:
            continue
        if len(readable) == 1:
            agreed.setdefault(readable[0], (name, marked[0]))
        elif "," in marked[0] or delimiter == ";":
            # 1,234 and, in files of places that write a decimal comma, 1.234: a thousand or a little more than one.
            unclear = unclear or (name, marked[0])
    if len(agreed) == 2:
        told = " and ".join(f"{cell!r} in {name!r}" for name, cell in agreed.values())
        raise Fault(
            "InvalidData",
            f"{file.name} has numbers with both decimal marks, {told}: set {field}.csv.decimal to the right one, or "
            "correct the file.",
        )
    if agreed:
        return next(iter(agreed))
    if unclear is not None:
        raise Fault(
            "InvalidData",
            f"{file.name}: {unclear[1]!r} in {unclear[0]!r} can be a thousand or a decimal number: set "
            f"{field}.csv.decimal to '.' or ','.",
        )
    return None
