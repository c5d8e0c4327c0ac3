"""The encoding of a table, of the statistics of its training rows: each column as a number or as codes, or why not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tradewind_workload.io.fault import Fault
from tradewind_workload.tasks.tabular.columns import PARTS
from tradewind_workload.tasks.tabular.encoding import Codes, Encoding, Number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tradewind_workload.data.schema import ColumnSchema, Kind, Schema
    from tradewind_workload.tasks.tabular.statistics import Distribution, Frequencies, Statistics

LEVELS = 1000  # values of a category that have a code of their own
OFTEN = 1000  # a value has one if it is at least one of so many rows, and never if it occurs only once
TAIL = 10  # deviations from the mean, beyond which a column has a long tail
PROSE = "A model of a table does not read free text: give it to a text task, or derive categories from it."


def finish(statistics: Statistics, schema: Schema, derived: frozenset[str] = frozenset()) -> Encoding:
    """The encoding of a table. Raises Fault(InvalidData) where no column is left to learn from.

    `derived` are columns that steps computed, in double precision.
    """
    return together([encoded(statistics, schema, derived)])


def together(parts: Iterable[Encoding]) -> Encoding:
    """One encoding of the columns of all. Raises Fault(InvalidData) where no column is left to learn from."""
    whole = Encoding((), (), ())
    for part in parts:
        whole = Encoding(
            whole.names + part.names, whole.numbers + part.numbers, whole.codes + part.codes, whole.notes + part.notes
        )
    if not whole.names:
        raise Fault("InvalidData", f"no column is left to learn from: {' '.join(whole.notes) or 'there is none'}")
    return whole


def encoded(statistics: Statistics, schema: Schema, derived: frozenset[str] = frozenset()) -> Encoding:
    """The encoding of these columns of a table, of which none may be left; `derived` as of finish."""
    numbers: list[Number] = []
    codes: list[Codes] = []
    notes: list[str] = []
    for column in schema.inputs:
        if column.name in statistics.categories:
            frequencies = statistics.categories[column.name]
            made = _category(column, frequencies, statistics.rows)
            if isinstance(made, str):
                notes.append(made)
            else:
                codes.append(made)
            continue
        distribution = statistics.numbers[column.name]
        if (why := _useless(distribution, column)) is not None:
            notes.append(f"the column {column.name!r} is left out: {why}.")
            continue
        numbers.append(_number(column, distribution, derived=column.name in derived))
        for part in PARTS:
            seen = sorted(statistics.parts.get((column.name, part), ()))
            if len(seen) > 1:
                codes.append(Codes(column.name, column.kind, part, tuple(seen), column.format))
    used = {number.name for number in numbers} | {code.name for code in codes}
    names = tuple(column.name for column in schema.inputs if column.name in used)
    return Encoding(names, tuple(numbers), tuple(codes), tuple(notes))


def _useless(found: Distribution, column: ColumnSchema) -> str | None:
    if not found.present:
        return "no training row has a value in it"
    if len(found.counts) == 1 and not found.missing and not found.shift:
        return f"every training row has the same value, {_worded(found.values[0], column)}"
    values = found.values
    if column.kind != "number" or found.missing or not np.array_equal(values, np.floor(values)):
        return None
    different = len(values) == found.present or (found.shift and column.distinct == column.rows)
    # A measurement in whole numbers can differ in every row too, but hardly ever fills its range like this.
    if different and found.present > 20 and values[-1] - values[0] < 2 * found.present:
        return "it numbers the rows, since every training row has another whole number"
    return None


def _worded(value: float, column: ColumnSchema) -> str:
    if column.kind == "boolean":
        return "true" if value else "false"
    if column.kind == "datetime":
        return str(np.datetime64(int(value * 1e6), "us"))
    return f"{value:g}"


def _number(column: ColumnSchema, found: Distribution, *, derived: bool) -> Number:
    values = found.values
    mean, deviation = found.moments(values)
    precise = derived or is_precise(column.kind, found)
    origin = float(np.round(values[0])) if precise else 0.0
    values = values - origin
    fill = found.quantile(0.5) - origin
    tail = None
    if deviation > 0 and np.abs(values - (mean - origin)).max() > TAIL * deviation:
        apart = np.abs(values - fill)
        order = np.argsort(apart, kind="stable")[np.sort(apart) > 0]
        half = np.searchsorted(np.cumsum(found.counts[order]), found.counts[order].sum() / 2)
        tail = (fill, float(apart[order][half]))
        spread = (values - tail[0]) / tail[1]
        values = np.sign(spread) * np.log(np.abs(spread) + 1)
    mean, deviation = found.moments(values)
    return Number(
        name=column.name,
        kind=column.kind,
        precise=precise,
        origin=origin,
        fill=fill,
        missing=found.missing > 0,
        tail=tail,
        mean=mean,
        # A column that never varies where it has a value is 0, rather than a rounding error made large.
        deviation=deviation if deviation > 1e-12 * max(abs(mean), 1e-30) else 1.0,
        format=column.format,
    )


def is_precise(kind: Kind, found: Distribution) -> bool:
    """Whether neighbouring values would be one in single precision, which has 24 bits: seconds since 1970, for one."""
    values, (_, deviation) = found.values, found.moments(found.values)
    largest = float(np.abs(values[[0, -1]]).max())
    return kind == "datetime" or (kind == "number" and largest * 2**-24 > deviation / 1000 > 0)


def _category(column: ColumnSchema, found: Frequencies, rows: int) -> Codes | str:
    """The codes of a column, or why it has none, in a sentence."""
    present = rows - found.missing
    least = max(2, min(10, rows // OFTEN))
    common = sorted((value for value, count in found.counts.items() if count >= least), key=_order(found))[:LEVELS]
    covered = sum(found.counts[value] for value in common)
    left = f"the column {column.name!r} is left out: "
    if column.unclear:
        return f"{left}{column.why}."
    if not present:
        return f"{left}no training row has a value in it."
    if column.kind == "text" and covered < present / 2:
        return f"{left}it is free text, since most of its values are rare. {PROSE}"
    if not common and not found.missing:
        return (
            f"{left}no value of it occurs {least} times or more in the training rows, as in names, numbers of rows or "
            f"free text. {PROSE}"
        )
    if len(common) == 1 and covered == rows:
        return f"{left}every training row has the same value, {common[0]!r}."
    return Codes(column.name, column.kind, None, tuple(common))


def _order(found: Frequencies) -> Callable[[str], tuple[int, str]]:
    return lambda value: (-found.counts[value], value)
