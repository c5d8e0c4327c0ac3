"""Which columns of a table are the texts that a model reads."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tradewind_workload.io.fault import Fault

if TYPE_CHECKING:
    from tradewind.api.data import Data
    from tradewind_workload.data.schema import ColumnSchema, Schema

NAMED = 5  # columns that a sentence lists
_STRINGS = ("text", "category")


def only_texts(schema: Schema, data: Data, uri: str) -> tuple[Schema, tuple[str, ...]]:
    """The schema with the texts alone as its inputs, and sentences on the columns that are not read.

    The texts are what spec.data.inputs names, or else what looks like texts. Raises Fault(InvalidData).
    """
    told = {choice.name for choice in data.columns if choice.type == "text"}
    if data.inputs:
        chosen = schema.inputs
        for column in chosen:
            _require_text(column, uri)
    else:
        chosen = _written(schema, told)
    if not chosen:
        named = ", ".join(f"{column.name} ({column.kind})" for column in schema.inputs[:NAMED])
        more = f" and {len(schema.inputs) - NAMED} more" if len(schema.inputs) > NAMED else ""
        raise Fault(
            "InvalidData",
            f"no column of {uri} has texts of several words: it has {named}{more}. Name the columns that the model is "
            "to read in spec.data.inputs.",
        )
    read = {column.name for column in chosen}
    notes = tuple(
        f"the column {column.name!r} is not read: it is a {column.kind}, {column.why}; a model of texts reads it only "
        "where spec.data.inputs names it with the others"
        for column in schema.inputs
        if column.name not in read
    )
    return replace(schema, inputs=tuple(replace(column, kind="text") for column in chosen)), notes


def _written(schema: Schema, told: set[str]) -> tuple[ColumnSchema, ...]:
    """Columns that spec.data.columns makes texts, or whose values mostly differ and have several words.

    Where there is none, those of several words that occur often, and else the one column of names or codes.
    """
    strings = [column for column in schema.inputs if column.kind in _STRINGS]
    texts = [column for column in strings if column.name in told or (column.prose and column.kind == "text")]
    found = texts or [column for column in strings if column.prose] or (strings if len(strings) == 1 else [])
    return tuple(found)


def _require_text(column: ColumnSchema, uri: str) -> None:
    if column.kind in _STRINGS or column.missing == column.rows:
        return
    raise Fault(
        "InvalidData",
        f"{uri}: the column {column.name!r} is a {column.kind}, not a text ({column.why}), and spec.data.inputs names "
        "it: remove it there, or set its type in spec.data.columns to text.",
    )
