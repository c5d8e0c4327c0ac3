"""Cells as the types that a schema says, a batch at a time; a value of another kind is refused with its place."""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tradewind_workload.data.cells import TIMESTAMP, datetimes, is_bytes, is_text, numbers, truths
from tradewind_workload.data.inference import is_number, is_time
from tradewind_workload.data.names import names
from tradewind_workload.data.pictures import at_paths
from tradewind_workload.io.fault import Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from tradewind_workload.data.schema import ColumnSchema, Kind, Schema
    from tradewind_workload.data.table import Batch

TYPES: dict[Kind, pa.DataType] = {
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "category": pa.string(),
    "datetime": TIMESTAMP,
    "text": pa.string(),
    "image": pa.large_binary(),
}


def typed(batch: Batch, schema: Schema) -> pa.RecordBatch:
    """The inputs and the labels, in the schema's order and types; missing values are null, infinite numbers stay.

    Raises Fault(InvalidData) for a value that is not of its column's kind.
    """
    columns = (*schema.inputs, *schema.labels)
    return pa.RecordBatch.from_arrays(
        [typed_column(batch, column, label=column in schema.labels) for column in columns],
        schema=pa.schema([(column.name, TYPES[column.kind]) for column in columns]),
    )


def typed_column(batch: Batch, column: ColumnSchema, *, label: bool = False) -> pa.Array:
    """One column of `typed`; `label` says whether it is one of the labels."""
    cells = batch.cells.column(batch.cells.schema.get_field_index(column.name))
    if pa.types.is_null(cells.type):
        return pa.nulls(len(cells), TYPES[column.kind])
    if pa.types.is_floating(cells.type):  # an infinite number is a number, and names nothing
        gone = pc.is_nan(cells) if column.kind == "number" else pc.invert(pc.is_finite(cells))
        cells = pc.if_else(gone, pa.scalar(None, cells.type), cells)
    found = _AS[column.kind](cells, batch) if column.kind != "datetime" else _datetime(cells, column.format)
    odd = pc.and_(pc.is_valid(cells), pc.is_null(found)).to_numpy(zero_copy_only=False)
    if odd.any():
        offset = int(np.flatnonzero(odd)[0])
        raise _odd(batch, column, offset, cells[offset].as_py(), label=label)
    if column.kind == "number":
        return pc.if_else(pc.is_nan(found), pa.scalar(None, found.type), found)
    return found


def _number(cells: pa.Array, batch: Batch) -> pa.Array:
    if is_text(cells.type):
        return numbers(cells, batch.decimal)
    if is_number(cells.type) or pa.types.is_boolean(cells.type):
        return cells.cast(pa.float64(), safe=False)
    return pa.nulls(len(cells), pa.float64())


def _boolean(cells: pa.Array, batch: Batch) -> pa.Array:
    del batch
    return cells if pa.types.is_boolean(cells.type) else truths(names(cells))


def _datetime(cells: pa.Array, time_format: str | None) -> pa.Array:
    if is_time(cells.type) and time_format is None:
        return cells.cast(TIMESTAMP, safe=False)
    return datetimes(cells, time_format) if is_text(cells.type) else pa.nulls(len(cells), TIMESTAMP)


def _picture(cells: pa.Array, batch: Batch) -> pa.Array:
    if is_bytes(cells.type):
        return cells.cast(pa.large_binary())
    if not is_text(cells.type):
        return pa.nulls(len(cells), pa.large_binary())
    places = [f"row {batch.first_row + offset} of {batch.file}" for offset in range(len(cells))]
    return at_paths(cells, batch.folder, places)


def _name(cells: pa.Array, batch: Batch) -> pa.Array:
    del batch
    return pa.nulls(len(cells), pa.string()) if is_bytes(cells.type) else names(cells)


# Of the kinds that are read alike whatever the column is.
_AS: dict[Kind, Callable[[pa.Array, Batch], pa.Array]] = {
    "number": _number,
    "boolean": _boolean,
    "category": _name,
    "text": _name,
    "image": _picture,
}
_MEANT = {
    "number": "no number",
    "boolean": "neither true nor false",
    "datetime": "no time such as 2026-11-25T12:00:00Z",
    "category": "no name",
    "text": "no text",
    "image": "neither a picture nor the path of one",
}


_OF_LABELS: dict[Kind, str] = {
    "number": "set spec.recipe.task to a classification, if these are classes",
    "boolean": "remove the column from spec.data.labelColumns, which have 1 where a row has a label and 0 where not",
}
_OF_INPUTS = "say in spec.data.columns what the column is (ignore leaves it out)"


def _odd(batch: Batch, column: ColumnSchema, offset: int, value: object, *, label: bool) -> Fault:
    if isinstance(value, bytes) and column.kind in ("category", "text"):
        return Fault(
            "InvalidData",
            f"the column {column.name!r} has bytes in row {batch.first_row + offset} of {batch.file}, {value[:20]!r}, "
            "that are neither a picture nor UTF-8: save them as text, or set the column's type in spec.data.columns "
            "to ignore.",
        )
    if column.format is not None and isinstance(value, date):
        return Fault(
            "InvalidData",
            f"the column {column.name!r} has times and no texts in {batch.file} (row {batch.first_row + offset}: "
            f"{value.isoformat()}), so nothing is written as {column.format}: remove format from spec.data.columns.",
        )
    shown = str(value)[:80]
    comma = " (a decimal comma is said with csv.decimal)" if re.search(r"\d,\d", shown) else ""
    meant = _MEANT[column.kind] if column.format is None else f"no time written as {column.format}"
    markers = ", ".join(f'"{text}"' for text in (*batch.missing, shown.strip()))
    return Fault(
        "InvalidData",
        f"{shown!r} in row {batch.first_row + offset} of {batch.file} is {meant}, and the column "
        f"{column.name!r} is a {column.kind}: {column.why}{comma}. If it stands for a missing value, set "
        f"spec.data.missing to [{markers}]; otherwise correct it, or "
        f"{_OF_LABELS.get(column.kind, _OF_INPUTS) if label else _OF_INPUTS}.",
    )
