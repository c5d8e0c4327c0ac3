"""The columns of a table as a report describes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from tradewind_workload.report.figures import cut
from tradewind_workload.report.record import COLUMNS, NAME, TEXT, Column

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tradewind_workload.data.schema import ColumnSchema, Schema


LABELS = 100  # that are described one by one
IS_LABEL, IS_SPLIT = "it is the label", "it divides the rows"  # why a column is no input


def described(schema: Schema | None, became: Mapping[str, str]) -> tuple[tuple[Column, ...], int]:
    """The label, what splits the rows, and the inputs, at most COLUMNS together; and how many there are.

    `became` says by name what a model gets of an input.
    """
    if schema is None:
        return (), 0
    inputs = {column.name for column in schema.inputs}
    found = [_column(label, "label", None) for label in schema.labels[:LABELS]]
    if schema.split is not None and schema.split.name not in inputs:
        found.append(_column(schema.split, "split", None))
    count = len(found) + len(schema.inputs) + len(schema.labels[LABELS:])
    shown = schema.inputs[: COLUMNS - len(found)]
    return (*found, *(_column(column, "input", became.get(column.name)) for column in shown)), count


def _column(of: ColumnSchema, role: Literal["input", "label", "split"], became: str | None) -> Column:
    return Column(
        name=cut(of.name, NAME),
        kind=of.kind,
        why=of.why,
        rows=of.rows,
        missing=of.missing,
        distinct=of.distinct,
        role=role,
        became=None if became is None else cut(became, TEXT),
    )
