"""How a csv file is written: its delimiter, decimal mark, encoding and quotes, as it was said or as its start shows."""

from __future__ import annotations

import codecs
import csv
import io
import re
import sys
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Literal

import pyarrow as pa

from tradewind_workload.io.fault import Fault

if TYPE_CHECKING:
    from tradewind.api.data import Csv
    from tradewind_workload.data.file import File

Decimal = Literal[".", ","]

SAMPLE = 1 << 18  # bytes of a file's start that delimiter and decimal mark are seen from
ENCODED = 1 << 23  # bytes that the encoding is seen from: a first letter with an accent may stand far down
DELIMITERS = (",", ";", "\t", "|")
NAMES = {",": "','", ";": "';'", "\t": "tabs", "|": "'|'"}
BOMS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
CALLED = {"utf-8": "UTF-8", "utf-16": "UTF-16"}

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
        encoding, bom = _encoding(raw, stream, said, file, field)
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
    body = "".join(text.splitlines(keepends=True)[skip:]) if skip else text
    delimiter = (said.delimiter if said else None) or hint or _delimiter(body, quote, whole, file, field)
    rows = _rows(body, delimiter, quote, whole)
    if not rows:
        raise Fault("InvalidData", f"{file.name} is empty: put data there, or correct {field}.storageUri.")
    names = _header(rows[0], delimiter, file, field)
    decimal = (said.decimal if said else None) or _decimal(
        dict(zip(names, map(set, zip_longest(*rows[1:], fillvalue="")), strict=False)), delimiter, file, field, missing
    )
    return Start(Dialect(delimiter, quote, encoding, decimal, bom, skip), names, len(rows) > 1 or not whole)


def _before_header(text: str) -> tuple[int, str | None]:
    """Lines before the header (empty ones, and `sep=;`), and the delimiter that they say."""
    skip, hint = 0, None
    for line in text.splitlines()[:100]:
        if found := _EXCEL.fullmatch(line.strip()):
            hint = found[1]
        elif line.strip():
            break
        skip += 1
    return skip, hint


def _encoding(raw: bytes, stream: pa.NativeFile, said: Csv | None, file: File, field: str) -> tuple[str, bool]:
    bom = next((mark for mark in BOMS if raw.startswith(mark)), None)
    if said is not None and said.encoding is not None:
        try:
            found = codecs.lookup(said.encoding)
        except LookupError:
            found = None
        if found is None or not _encodes_text(found):
            raise Fault(
                "InvalidData",
                f"{field}.csv.encoding {said.encoding!r} is not known: write for example utf-8, utf-16, cp1252 or "
                "latin-1.",
            )
        return "utf-8" if found.name == "utf-8-sig" else found.name, bom is not None
    if bom is not None:
        return BOMS[bom], True
    if b"\0" in raw:
        raise Fault(
            "InvalidData",
            f"{file.name} is no text as it stands (it has zero bytes): set {field}.csv.encoding, for example to "
            "utf-16-le, or correct the file.",
        )
    decoder, content, read = codecs.getincrementaldecoder("utf-8")(), raw, 0
    while content:
        try:
            decoder.decode(content)
        except UnicodeDecodeError:
            return _single_bytes(content, file, field), False
        read += len(content)
        content = stream.read(SAMPLE) if read < ENCODED else b""
    return "utf-8", False


def _encodes_text(found: codecs.CodecInfo) -> bool:
    """Whether a codec reads bytes as text; Python has some that pack bytes."""
    try:
        b"a".decode(found.name)
    except LookupError:
        return False
    except UnicodeDecodeError:
        pass
    return True


def _single_bytes(content: bytes, file: File, field: str) -> str:
    """cp1252 where the bytes read well so. Raises Fault with what else it may be: a wrong guess garbles every class."""
    if _western(content):
        return "cp1252"
    from charset_normalizer import from_bytes

    # Words with something to see in them, often enough to be counted.
    words = [word for word in dict.fromkeys(re.split(rb"[\s,;|\"]+", content)) if not word.isascii()][:500]
    best = from_bytes(b" ".join(words * 20)[:SAMPLE]).best()
    sample = " ".join(str(best).split()[: min(3, len(words))]) if best is not None else ""
    likely = f"; it may be {best.encoding} ({sample!r})" if best is not None else ""
    raise Fault(
        "InvalidData",
        f"{file.name} is not UTF-8, and its encoding is not clear{likely}: set {field}.csv.encoding, or save the file "
        "as UTF-8.",
    )


# In words as Western Europe writes them: a letter with an accent, or two that stand beside plain ones.
_ACCENTED = re.compile(r"(?<![^\x00-\x7f])[\u00c0-\u00ff](?![^\x00-\x7f])")
_TWO_ACCENTED = re.compile(
    r"(?<=[A-Za-z])[\u00df-\u00ff]{2}(?![^\x00-\x7f])|(?<![^\x00-\x7f])[\u00df-\u00ff]{2}(?=[A-Za-z])"
)
# Signs as they are used beside such words; bytes of other code pages would be other signs, and within words.
_QUOTES = r"\u2018-\u201e\u00ab\u00bb\u2013\u2014"
_SIGN = re.compile(
    rf"(?<![A-Za-z])[{_QUOTES}\u00a1\u00bf\u00a9]"
    rf"|[{_QUOTES}\u20ac\u00a3\u00a7\u00a9\u00ae\u2122\u00b5\u00b2\u00b3\u00bc-\u00be\u2022\u2026\u00a0](?![A-Za-z])"
    r"|\u00b0(?![A-BD-EG-Za-z])"
)


def _western(content: bytes) -> bool:
    """Whether most of what is not ASCII reads as cp1252 in the way that the languages of Western Europe use it."""
    try:
        text = " ".join({word.decode("cp1252") for word in content.split() if not word.isascii()})
    except UnicodeDecodeError:
        return False
    signs = [character for character in text if not character.isascii() and not character.isalpha()]
    good = len(_ACCENTED.findall(text)) + len(_TWO_ACCENTED.findall(text))
    letters = re.findall(r"[^\W\d_\x00-\x7f\u00b2\u00b3\u00b9\u00bc-\u00be]+", text)
    return len(_SIGN.findall(text)) == len(signs) and 2 * good >= len(letters) + bool(letters)


def _rows(text: str, delimiter: str, quote: str, whole: bool) -> list[list[str]]:
    """The rows of the sample that are complete, empty ones left out."""
    csv.field_size_limit(sys.maxsize)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quotechar=quote)
    found = [row for row in reader if row]
    return found if whole or len(found) < 2 else found[:-1]


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
