"""What the columns of a table are, seen from their values: counted a batch at a time, then decided."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from tradewind_processors.times import formats, moment
from tradewind_workload.data.cells import (
    is_bytes,
    is_text,
    leading_zeros,
    marked,
    numbers,
    several_words,
    true_or_false,
)
from tradewind_workload.data.names import names
from tradewind_workload.data.schema import ColumnSchema, Kind, Schema

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tradewind_workload.data.dialect import Decimal
    from tradewind_workload.data.table import Batch

MOST_DISTINCT = 10_000  # values of a column that are told apart
# How files of PNG, JPEG, GIF, BMP, TIFF and WebP start.
_PICTURES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"RIFF")
FEW = 50  # so many different texts are categories, even if hardly one occurs twice


@dataclass(frozen=True)
class Seen:
    """What was counted of a column's values."""

    rows: int = 0
    missing: int = 0
    numbers: int = 0
    marked: int = 0  # numbers with a sign of money or per cent
    codes: int = 0  # numbers with leading zeros
    booleans: int = 0
    datetimes: int = 0
    formats: Counter[str] = field(default_factory=Counter)  # of times: texts that each reads
    pictures: int = 0  # bytes that start as those of a picture do
    prose: int = 0  # texts of several words
    distinct: frozenset[str] | None = frozenset()  # None: too many
    size: int = 0  # bytes, of a value 8 and those of a text

    @property
    def present(self) -> int:
        """Values that are not missing."""
        return self.rows - self.missing

    def merge(self, other: Seen) -> Seen:
        """Of both together."""
        distinct = None if self.distinct is None or other.distinct is None else self.distinct | other.distinct
        return Seen(
            self.rows + other.rows,
            self.missing + other.missing,
            self.numbers + other.numbers,
            self.marked + other.marked,
            self.codes + other.codes,
            self.booleans + other.booleans,
            self.datetimes + other.datetimes,
            self.formats + other.formats,
            self.pictures + other.pictures,
            self.prose + other.prose,
            None if distinct is None or len(distinct) > MOST_DISTINCT else distinct,
            self.size + other.size,
        )


Partial = dict[str, Seen]  # by the name of the column


@dataclass(frozen=True)
class Told:
    """A kind that is not decided by the values, and why."""

    kind: Kind
    why: str
    format: str | None = None  # of a datetime
    unclear: bool = False  # as of ColumnSchema


def fit(batch: Batch) -> Partial:
    """Count the values of all columns of a batch."""
    cells = batch.cells
    found = {name: cells.column(i) for i, name in enumerate(cells.schema.names)}
    return {name: replace(_seen(column, batch.decimal), size=_size(column)) for name, column in found.items()}


def merge(one: Partial, other: Partial) -> Partial:
    """Of the rows of both together."""
    return {name: one.get(name, Seen()).merge(other.get(name, Seen())) for name in one | other}


def merged(partials: list[Partial]) -> Partial:
    """Of all rows together."""
    return reduce(merge, partials, {})


def finish(partial: Partial, inputs: tuple[str, ...], label: str, told: Mapping[str, Told]) -> Schema:
    """The kinds of the inputs and of the label; those in `told` are not decided anew."""

    def column(name: str) -> ColumnSchema:
        seen = partial.get(name, Seen())
        found = told.get(name) or _decide(seen)
        if found.kind == "datetime" and found.format is None and (time := _time(seen)) is not None:
            why = f"{found.why}; {time.why}" if time.unclear else found.why
            found = replace(found, why=why, format=time.format)
        distinct = len(seen.distinct) if seen.distinct is not None else None
        prose = seen.prose * 2 > seen.present
        # As text, a number of a csv file is longer than it is in memory.
        size = seen.size if found.kind in ("category", "text", "image") else 8 * seen.rows
        return ColumnSchema(
            name, found.kind, found.why, seen.rows, seen.missing, distinct, prose, size, found.format, found.unclear
        )

    return Schema(tuple(column(name) for name in inputs), column(label))


def _decide(seen: Seen) -> Told:
    present = seen.present
    if not present:
        return Told("number", "it has no value at all")
    if seen.pictures == present:
        return Told("image", f"all {present} values are pictures")
    if seen.codes:
        return Told("category", f"{seen.codes} of {present} values are digits after a zero, as codes are")
    if seen.numbers == present:
        return Told("number", f"all {present} values are numbers")
    if seen.booleans == present:
        return Told("boolean", f"all {present} values are true or false")
    if (time := _time(seen)) is not None:
        return time
    if (found := seen.numbers + seen.marked) * 2 > present:
        signs = f", {seen.marked} of them with a sign such as $ or %, which is to be left out" if seen.marked else ""
        return Told("number", f"{found} of {present} values are numbers{signs}")
    if seen.distinct is None:
        return Told("text", f"more than {MOST_DISTINCT} different texts in {present} rows")
    few = len(seen.distinct) <= FEW or len(seen.distinct) * 2 <= present
    return Told("category" if few else "text", f"{len(seen.distinct)} different texts in {present} rows")


def _time(seen: Seen) -> Told | None:
    """The column as times, where most of its values are; a format that is not the only one is not guessed."""
    present, most = seen.present, max(seen.datetimes, *seen.formats.values(), 0)
    if most * 2 <= present:
        return None
    values = f"all {present} values are times" if most == present else f"{most} of {present} values are times"
    if seen.datetimes == most:
        return Told("datetime", values)
    chosen = sorted(name for name, count in seen.formats.items() if count == most)
    if len(chosen) == 1 and "%y" not in chosen[0]:
        return Told("datetime", f"{values}, written as {chosen[0]}", chosen[0])
    unknown = "with years of two digits" if "%y" in chosen[0] else "of which day and month can't be told apart"
    return Told(
        "text",
        f"{values} {unknown}: name the column in spec.data.columns, with type datetime and the format that its values "
        f"are written in ({' or '.join(chosen)}), or with another type",
        unclear=True,
    )


def _seen(column: pa.Array, decimal: Decimal | None) -> Seen:
    rows = len(column)
    if pa.types.is_null(column.type):
        return Seen(rows, rows)
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
    missing = column.null_count
    present = rows - missing
    if pa.types.is_nested(column.type):
        return Seen(rows, missing, distinct=None)
    if is_bytes(column.type):
        pictures = sum(value.as_buffer()[:12].to_pybytes().startswith(_PICTURES) for value in column if value.is_valid)
        return Seen(rows, missing, pictures=pictures, distinct=None)
    distinct = _distinct(column)
    if is_number(column.type):
        return Seen(rows, missing, numbers=present, distinct=distinct)
    if pa.types.is_boolean(column.type):
        return Seen(rows, missing, booleans=present, distinct=distinct)
    if not is_text(column.type):
        return Seen(rows, missing, datetimes=present if is_time(column.type) else 0, distinct=distinct)
    found = numbers(column, decimal)
    read, written = _times(column.filter(pc.is_null(found)).drop_null())
    return Seen(
        rows,
        missing,
        numbers=rows - found.null_count,
        marked=(pc.sum(marked(column)).as_py() or 0) if found.null_count > missing else 0,
        codes=pc.sum(leading_zeros(column)).as_py() or 0,
        booleans=pc.sum(true_or_false(column)).as_py() or 0,
        datetimes=read,
        formats=written,
        prose=pc.sum(several_words(column)).as_py() or 0,
        distinct=distinct,
    )


def _times(texts: pa.Array) -> tuple[int, Counter[str]]:
    """How many are times by themselves, and how many each of the formats reads that others may need."""
    read, written = 0, Counter[str]()
    for value in pc.value_counts(texts).to_pylist():
        read += value["counts"] * (moment(value["values"]) is not None)
        for time_format in formats(value["values"]):
            written[time_format] += value["counts"]
    return read, written


def _size(column: pa.Array) -> int:
    texts = pc.sum(pc.binary_length(column)).as_py() if is_text(column.type) or is_bytes(column.type) else 0
    return 8 * len(column) + (texts or 0)


def _distinct(column: pa.Array) -> frozenset[str] | None:
    values = pc.unique(column)
    if len(values) > MOST_DISTINCT + 1:  # a missing one is among them
        return None
    return frozenset(name for name in names(values).to_pylist() if name is not None)


def is_number(kind: pa.DataType) -> bool:
    """Whether an Arrow type is a number's, truth values apart."""
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def is_time(kind: pa.DataType) -> bool:
    """Whether an Arrow type is a day's or a time's."""
    return bool(pa.types.is_timestamp(kind) or pa.types.is_date(kind))
