"""Columns by name: how what a user sends for a table becomes the tensors that the model takes.

A table's model has either one matrix, whose columns the manifest names, or an input for each column. In both a client
may name the columns in any order; what is left out or null is missing, which only a model that was trained for it
takes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from tradewind_processors.times import moment
from tradewind_server.refusal import BadRequest, listed, nearest, raise_limit, shown
from tradewind_server.tensors import Array, TensorSpec, from_json, is_number, untrained

Inputs = Mapping[str, TensorSpec]
# How protocol v1 writes bytes, after TensorFlow Serving: {"b64": "..."}.
BASE64 = "b64"
EXAMPLE = datetime(2026, 11, 25, 12, tzinfo=UTC)  # of a time


def names(inputs: Inputs) -> tuple[str, ...]:
    """Names of the columns, in the order of a plain row; empty where the model takes no table."""
    if spec := matrix(inputs):
        return spec.columns
    return tuple(inputs) if all(spec.is_column for spec in inputs.values()) else ()


def matrix(inputs: Inputs) -> TensorSpec | None:
    """The one input, if it has all the columns of a table."""
    (first, *others) = inputs.values()
    return first if first.columns and not others else None


def of_rows(inputs: Inputs, rows: list[Any], max_rows: int) -> dict[str, Array]:
    """The inputs for rows that are objects by name, lists with a value of each column, or values of the one input."""
    (name, only), *others = inputs.items()
    if not others and not any(_is_named(only, row) for row in rows):
        return {name: of_values(only, rows, max_rows)}
    if len(rows) > max_rows:
        raise BadRequest(
            f"{len(rows)} rows, the limit is {max_rows}: send the others in further requests{raise_limit('maxRows')}"
        )
    spec = matrix(inputs)
    if spec and not (isinstance(rows[0], dict) and spec.name in rows[0] and spec.name not in spec.columns):
        for number, row in enumerate(rows):
            _check_row(row, number, spec.columns, lambda _: spec)
        table = [[row.get(column) for column in spec.columns] for row in rows]
        return {spec.name: from_json(spec, table, max_rows)}
    if names(inputs) and all(isinstance(row, list) for row in rows):
        rows = [_named(row, number, names(inputs)) for number, row in enumerate(rows)]
    for number, row in enumerate(rows):
        _check_row(row, number, tuple(inputs), inputs.__getitem__)
    return {name: of_values(one, [row.get(name) for row in rows], max_rows) for name, one in inputs.items()}


def _is_named(only: TensorSpec, row: Any) -> bool:
    """Whether it is an object by name: a picture alone is one too."""
    return isinstance(row, dict) and not (only.is_picture and only.name != BASE64 and row.keys() == {BASE64})


def _named(row: list[Any], number: int, columns: Sequence[str]) -> dict[str, Any]:
    if len(row) != len(columns):
        raise BadRequest(
            f"row {number} has {len(row)} values: expected {len(columns)}, those of {listed(columns)}, in this order"
        )
    return dict(zip(columns, row, strict=True))


def _check_row(row: Any, number: int, columns: Sequence[str], spec_of: Callable[[str], TensorSpec]) -> None:
    if not isinstance(row, dict):
        raise BadRequest(f"row {number}: expected an object with {listed(columns)}, got {shown(row)}")
    if unknown := row.keys() - columns:
        name = next(name for name in row if name in unknown)
        raise UnknownInput(name, columns, f"row {number}: ")
    if len(row) < len(columns):
        for name in columns:
            if name not in row:
                _check_left_out(spec_of(name), name, f"row {number}: ", columns)
    if not row:  # nearly always a mistake of the client's, and a model that takes gaps would answer it
        raise BadRequest(
            f"row {number} is empty: name at least one of {listed(columns)}; a value that is not known is null"
        )


class UnknownInput(BadRequest):
    """A name that the model does not have."""

    def __init__(self, name: Any, columns: Sequence[str], where: str = "") -> None:
        super().__init__(
            f"{where}unknown input {shown(name)}: the model takes {listed(columns)}{nearest(name, columns)}"
        )
        self.name = name
        self.where = where


def _check_left_out(spec: TensorSpec, name: str, where: str, columns: Sequence[str]) -> None:
    if spec.nullable:
        return
    why = f"; {untrained(name)}" if spec.columns or spec.kind else ""
    raise BadRequest(f"{where}input {shown(name)} is missing: the model takes {listed(columns)}{why}")


def of_columns(inputs: Inputs, given: Any, max_rows: int) -> dict[str, Array]:
    """The inputs for an object with the values of all rows by name."""
    spec = matrix(inputs)
    by_column = spec is not None and isinstance(given, dict) and not (spec.name in given and len(given) == 1)
    columns = spec.columns if spec and by_column else tuple(inputs)
    if not isinstance(given, dict):
        raise BadRequest(f"expected an object with {listed(columns)}, got {shown(given)}")
    for name in given:
        if name not in columns:
            raise UnknownInput(name, columns)
    if spec is None or not by_column:
        rows = next((len(values) for values in given.values() if isinstance(values, list)), 0)
        return {
            name: of_values(one, given[name], max_rows)
            if name in given
            else left_out(one, name, rows, tuple(inputs), max_rows)
            for name, one in inputs.items()
        }
    return assembled(
        spec, {name: of_values(column_of(spec, name), values, max_rows) for name, values in given.items()}, max_rows
    )


def column_of(spec: TensorSpec, name: str) -> TensorSpec:
    """A column of a matrix, as an input of its own."""
    return TensorSpec(name, spec.datatype, spec.axes[:1], nullable=spec.nullable, kind="number")


def assembled(spec: TensorSpec, columns: Mapping[str, Array], max_rows: int) -> dict[str, Array]:
    """The matrix of these columns, in any order."""
    sizes = {name: len(values) for name, values in columns.items()}
    if len(set(sizes.values())) > 1:
        (one, few), (other, many) = min(sizes.items(), key=_size), max(sizes.items(), key=_size)
        raise BadRequest(f"columns {shown(one)} and {shown(other)} must have as many rows, got {few} and {many}")
    rows = next(iter(sizes.values()), 0)
    parts = [
        columns[name] if name in columns else left_out(column_of(spec, name), name, rows, spec.columns, max_rows)
        for name in spec.columns
    ]
    table = np.stack([part.reshape(rows) for part in parts], axis=1)
    spec.check_shape(table.shape, max_rows)
    return {spec.name: table}


def _size(entry: tuple[str, int]) -> int:
    return entry[1]


def left_out(spec: TensorSpec, name: str, rows: int, columns: Sequence[str], max_rows: int) -> Array:
    """A column of which nothing was sent. Refuses it where the model does not take missing values."""
    _check_left_out(spec, name, "", columns)
    return of_values(spec, [None] * rows, max_rows)


def of_values(spec: TensorSpec, values: Any, max_rows: int) -> Array:
    """An input of the values of all rows as JSON has them, by the kind of the column if it is one."""
    if not spec.is_column or not isinstance(values, list):
        return from_json(spec, values, max_rows)
    if len(spec.axes) > 1 and all(isinstance(value, list) and len(value) == 1 for value in values):
        values = [value for (value,) in values]
    spec.check_shape([len(values), *spec.shape[1:]], max_rows)
    if spec.is_picture:
        return np.array([_picture(spec, value, row) for row, value in enumerate(values)], dtype=object)
    if spec.kind == "datetime":
        values = [_seconds(spec, value, row) for row, value in enumerate(values)]
    elif spec.kind == "boolean":
        values = [_truth(spec, value, row) for row, value in enumerate(values)]
    array = from_json(spec.flat, values, max_rows)
    return array.reshape(-1, *spec.shape[1:])


def _picture(spec: TensorSpec, value: Any, row: int) -> Any:
    """Its base64, which is decoded where the picture is."""
    if isinstance(value, dict) and value.keys() == {BASE64}:
        value = value[BASE64]
    if isinstance(value, str) or (value is None and spec.nullable):
        return value
    where = f"input {shown(spec.name)} in row {row} is a picture"
    if value is None:
        raise BadRequest(f"{where}: null is not a value; {untrained(spec.name)}")
    raise BadRequest(f'{where}: expected {{"{BASE64}": "..."}} with its file in base64, got {shown(value)}')


def _seconds(spec: TensorSpec, value: Any, row: int) -> Any:
    """Seconds since 1970-01-01 in UTC, in which a time without a zone is read."""
    if value is None or spec.datatype == "BYTES":
        return value
    try:
        time = _time(value, spec.format)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    except (TypeError, ValueError, OverflowError):
        how = "in ISO 8601, for example '2026-11-25T12:00:00Z'"
        if spec.format is not None:
            how = f"as {spec.format}, for example {shown(EXAMPLE.strftime(spec.format))}, as the training data has it"
        raise BadRequest(
            f"column {shown(spec.name)} in row {row} is a time: write it as text {how}, got {shown(value)}"
        ) from None


def _time(value: Any, time_format: str | None) -> datetime:
    """As the training reads it; without a format all of ISO 8601. Raises TypeError, ValueError."""
    if not isinstance(value, str):
        raise TypeError("a time is a text")
    if (time := moment(value, time_format)) is not None:
        return time
    if time_format is not None:
        raise ValueError("it is written otherwise")
    return datetime.fromisoformat(value)


_TRUTHS = {"true": True, "false": False}


def _truth(spec: TensorSpec, value: Any, row: int) -> Any:
    if value is None:
        return None
    truth = value if isinstance(value, bool) else _TRUTHS.get(value) if isinstance(value, str) else None
    if truth is None:
        raise BadRequest(f"column {shown(spec.name)} in row {row} is true or false, got {shown(value)}")
    if spec.datatype == "BYTES":
        return "true" if truth else "false"
    return truth if spec.datatype == "BOOL" else int(truth)


def takes_datatype(spec: TensorSpec, datatype: object) -> bool:
    """Whether a column may be sent as a tensor of that type, from which its own is made without a loss.

    A data frame of a client has the types of its own: whole numbers for a column of floats, text for a time.
    """
    if datatype == spec.datatype:
        return True
    if spec.kind == "boolean":
        return datatype in ("BOOL", "BYTES")
    if spec.kind == "datetime":
        return datatype == "BYTES"
    return is_number(spec.datatype) and isinstance(datatype, str) and is_number(datatype)


def of_tensor(spec: TensorSpec, given: Array, max_rows: int) -> Array:
    """A column of the values of a tensor of a type that `takes_datatype` takes."""
    if given.dtype == spec.dtype and not (given.dtype.kind == "O" and spec.kind == "boolean"):
        return given.reshape(-1, *spec.shape[1:])
    if given.dtype.kind in "Ob":
        values = given.ravel().tolist()
        if spec.kind == "boolean":  # bytes have no null; an empty text is one, as in a category
            values = [None if value == "" and spec.nullable else value for value in values]
        return of_values(spec, values, max_rows)
    with np.errstate(over="ignore", invalid="ignore"):
        cast = given.astype(spec.dtype)
    exact = cast.dtype.kind == "f" and np.array_equal(np.isfinite(cast), np.isfinite(given))
    if not exact and not np.array_equal(cast, given):
        raise BadRequest(f"input {shown(spec.name)} is {spec.datatype}: a number is out of its range, or not whole")
    return cast.reshape(-1, *spec.shape[1:])
