"""A data set's rows as typed Arrow batches, and the schema that they show: loops over files, which Ray may run."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import pyarrow as pa

from tradewind_processors.times import mistake
from tradewind_workload.data.inference import Partial, Told, finish, fit, merge, merged
from tradewind_workload.data.pictures import labels
from tradewind_workload.data.table import Batch, Source, batches
from tradewind_workload.data.texts import only_texts
from tradewind_workload.data.typed import typed, typed_column
from tradewind_workload.io.fault import Fault
from tradewind_workload.io.retries import patiently

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tradewind.api.data import Data
    from tradewind_workload.data.layout import Layout
    from tradewind_workload.data.schema import ColumnSchema, Schema

NUMBERS = ("number", "boolean")  # kinds that a matrix of numbers has
TEXTS = ("category", "text")  # kinds whose values may be paths

# What a label is: one of some classes, a number, or any number of labels.
Label = Literal["category", "number", "labels"]
# What a model can take: one matrix of numbers, an input for each column, or whichever of the two the table needs; or of
# all columns those with texts.
Takes = Literal["matrix", "columns", "either", "texts"]
FILES = 16  # of the pictures that a table names, so many are opened before anything is started
LISTED = 100  # columns that are described one by one


def counted(source: Source, missing: tuple[str, ...]) -> Partial:
    """What the values of a file show of its columns."""

    if source.pictures:
        # What is in the pictures is looked at when they are read.
        cells = labels(source.pictures)
        partition = {name: pa.array([value] * cells.num_rows, pa.string()) for name, value in source.file.partition}
        columns = {name: cells.column(i) for i, name in enumerate(cells.schema.names)} | partition
        return fit(Batch(source.file.name, 1, pa.RecordBatch.from_pydict(columns)))

    def count() -> Partial:
        found: Partial = {}
        for batch in batches(source, missing):
            found = merge(found, fit(batch))
        return found

    return patiently(count, source.file.path)


def infer(layout: Layout, data: Data, label: Label = "category") -> Schema:
    """The schema of a table, read from all of its rows. Raises Fault(InvalidData)."""
    return schema_of(layout, data, [counted(source, data.missing) for source in layout.sources], label)


def schema_of(layout: Layout, data: Data, partials: list[Partial], label: Label = "category") -> Schema:
    """The schema of a table whose files show these."""
    for choice in data.columns:
        if choice.format is not None and (wrong := mistake(choice.format)) is not None:
            raise Fault(
                "InvalidData",
                f"the format {choice.format!r}, which spec.data.columns gives {choice.name!r}, is not right: {wrong}.",
            )
    told = {
        choice.name: Told(choice.type, "as spec.data.columns says", choice.format)
        for choice in data.columns
        if choice.type != "ignore"
    }
    told |= {
        name: Told("image", "a picture in each file")
        for name, column in layout.columns.items()
        if column.kind == "picture"
    }
    first, *others = data.labels()
    partial, told = merged(partials), told | _labels(data, label, told)
    schema = finish(partial, layout.inputs(data), first, told)
    if others:
        schema = replace(schema, more_labels=finish(partial, tuple(others), first, told).inputs)
    if data.split is None or data.split.column is None:
        return schema
    (split,) = finish(partial, (data.split.column,), first, told).inputs
    return replace(schema, split=split)


def _labels(data: Data, label: Label, told: dict[str, Told]) -> dict[str, Told]:
    """The kind of each column with labels. Raises Fault(InvalidData) where spec.data.columns says otherwise."""
    kind, why, needs = {
        "category": ("category", "it is the label", "a classification has classes"),
        "number": ("number", "it is the label", "a regression predicts a number"),
        "labels": ("category", "it has the labels", "spec.data.labelSeparator parts its texts"),
    }[label]
    if data.label_columns:
        kind, why, needs = "boolean", "it is one of the labels", "spec.data.labelColumns have 0 and 1"
    found = {name: told.get(name, Told(kind, why)) for name in data.labels()}  # type: ignore[arg-type]
    if wrong := next((name for name, asked in found.items() if asked.kind != kind), None):
        raise Fault(
            "InvalidData",
            f"spec.data.columns makes the label {wrong!r} a {found[wrong].kind}, and {needs}: set its type to {kind}, "
            "or remove it from spec.data.columns.",
        )
    return found


def typed_batches(layout: Layout, schema: Schema, data: Data) -> Iterator[tuple[Batch, pa.RecordBatch]]:
    """All rows of a table in the order of its files: each batch of cells, which has its place, and the same typed.

    Raises Fault(InvalidData) for a value that is not of its column's kind.
    """
    for source in layout.sources:
        for batch in batches(source, data.missing):
            yield batch, typed(batch, schema)


def look(layout: Layout, data: Data, label: Label = "category", takes: Takes = "either") -> Schema:
    """The schema that the first rows show. Raises Fault(InvalidData) for a value among them that is not of its kind."""
    if layout.format == "images":
        return schema_of(layout, data, [counted(layout.sources[0], data.missing)], label)
    first = next(batches(layout.sources[0], data.missing), None)
    schema = schema_of(layout, data, [fit(first)] if first is not None else [], label)
    if takes == "texts":
        schema, _ = only_texts(schema, data, layout.uri)
    if first is not None:
        some = FILES if any(column.kind == "image" for column in schema.inputs) else first.cells.num_rows
        typed(replace(first, cells=first.cells.slice(0, some)), schema)
    return schema


def first_pictures(layout: Layout, schema: Schema, data: Data) -> list[bytes]:
    """The files of the first pictures, of a schema whose one input is pictures."""
    first = next(batches(layout.sources[0], data.missing), None)
    if first is None:
        return []
    (column,) = schema.inputs
    some = replace(first, cells=first.cells.slice(0, FILES))
    return [content for content in typed_column(some, column).to_pylist() if content]


def by_columns(schema: Schema, data: Data, takes: Takes) -> bool:
    """Whether each column becomes an input of its own: where one is no number, or where values stay missing."""
    if takes != "either":
        return takes != "matrix"
    if any(step.is_for_columns() for step in data.prepare):
        return True
    filled = any(step.impute is not None or step.drop_nulls is not None for step in data.prepare)
    return any(column.kind not in NUMBERS or (column.missing and not filled) for column in schema.inputs)


def has_pictures(schema: Schema) -> bool:
    """Whether an input has files of pictures."""
    return any(column.kind == "image" for column in schema.inputs)


def pictures_alone(schema: Schema, uri: str) -> Schema:
    """The schema with the one column of pictures as its input. Raises Fault(InvalidData) where there are several."""
    found = [column for column in schema.inputs if column.kind == "image"]
    if len(found) > 1:
        raise Fault(
            "InvalidData",
            f"{uri} has {len(found)} columns of pictures ({', '.join(column.name for column in found)}), and a model "
            "takes one: name it in spec.data.inputs.",
        )
    return replace(schema, inputs=tuple(found))


def require_numbers(schema: Schema, uri: str) -> None:
    """Raises Fault(InvalidData) where an input can't stand in a matrix of numbers."""
    for column in schema.inputs:
        if column.kind not in NUMBERS:
            others = ", ".join(other.name for other in schema.inputs if other.kind in NUMBERS)
            raise Fault(
                "InvalidData",
                f"{uri}: the column {column.name!r} is a {column.kind}, not a number ({column.why}). Write it as "
                f"numbers, {_paths(column)}set its type in spec.data.columns to ignore, or name the other columns "
                f"({others or 'none'}) in spec.data.inputs.",
            )


def _paths(column: ColumnSchema) -> str:
    if column.kind not in TEXTS or column.unclear:
        return ""
    return "set its type in spec.data.columns to image if it has paths of pictures, "


def described(schema: Schema) -> Iterator[str]:
    """A line a column, for the log; of very many only their number."""
    columns = (*schema.inputs, *schema.labels)
    for column in columns if len(columns) <= LISTED else (*columns[: LISTED - 1], columns[-1]):
        missing = f", {column.missing} missing" if column.missing else ""
        yield f"column {column.name!r}: {column.kind}, {column.why}{missing}"
    if len(columns) > LISTED:
        kinds = Counter(column.kind for column in columns[LISTED - 1 : -1])
        yield f"and {', '.join(f'{count} of kind {kind}' for kind, count in kinds.items())}"
