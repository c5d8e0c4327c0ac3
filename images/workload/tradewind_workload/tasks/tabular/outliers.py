"""Training rows with a number far from the others: Tukey's fences."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from tradewind_workload.data.streamed import tally_of
from tradewind_workload.io.fault import Fault
from tradewind_workload.tasks.tabular.columns import numbers_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from tradewind.api.data import Step
    from tradewind_workload.data.preparation import Prepared
    from tradewind_workload.data.schema import Schema
    from tradewind_workload.tasks.tabular.statistics import Statistics


@dataclass(frozen=True)
class Fences:
    """The numbers of each column that are near the others: from the first to the second, both included."""

    of: dict[str, tuple[float, float]]

    def __str__(self) -> str:
        return ", ".join(f"{name!r} outside of {low:g} to {high:g}" for name, (low, high) in self.of.items())


def require_as_they_stand(prepare: Sequence[Step], i: int) -> None:
    """Raises Fault(InvalidData) where a step before step `i`, a dropOutliers, changes or makes one of its columns.

    It looks at the numbers as the data has them, since rows are dropped before anything is fitted.
    """
    asked = prepare[i].drop_outliers
    assert asked is not None
    where = f"spec.data.prepare[{i}].dropOutliers"
    for k, step in enumerate(prepare[:i]):
        if step.combine is not None and step.combine.name in asked.columns:
            raise Fault(
                "InvalidData",
                f"{where} looks at columns of the data, and spec.data.prepare[{k}].combine makes "
                f"{step.combine.name!r}: remove it from columns, or name the two columns that it is made of.",
            )
        for name, of in (("clip", step.clip), ("log", step.log), ("bin", step.bin)):
            changed = [column for column in asked.columns if of is not None and column in of.columns]
            if changed:
                raise Fault(
                    "InvalidData",
                    f"{where} looks at the numbers of {changed[0]!r} as the data has them, and "
                    f"spec.data.prepare[{k}].{name} before it changes them: move dropOutliers before that step.",
                )


def looked_at(schema: Schema, columns: Sequence[str], where: str) -> Schema:
    """The schema of these columns alone. Raises Fault(InvalidData) where one is no input with numbers."""
    known = {column.name: column for column in schema.inputs}
    for name in columns:
        if name not in known or known[name].kind != "number":
            is_ = f"is a {known[name].kind}, not a number" if name in known else "is no input"
            raise Fault("InvalidData", f"{where}: the column {name!r} {is_}: remove it from columns.")
    return replace(schema, inputs=tuple(known[name] for name in columns))


def fences(statistics: Statistics, ranges: float) -> Fences:
    """Of the training rows: `ranges` interquartile ranges below the first quartile and above the third.

    A column without a value, or of which half the values are one, has none: every other value would be outside.
    """
    found = {}
    for name, distribution in statistics.numbers.items():
        if not distribution.present:
            continue
        first, third = distribution.quantile(0.25), distribution.quantile(0.75)
        if third > first:
            found[name] = (first - ranges * (third - first), third + ranges * (third - first))
    return Fences(found)


def near(table: pa.Table, fences: Fences) -> np.ndarray:
    """Whether no number of a row is outside, bool [n]; a missing one is not."""
    kept = np.ones(table.num_rows, bool)
    for name, (low, high) in fences.of.items():
        values = numbers_of(table[name], "number")
        kept &= ~((values < low) | (values > high))
    return kept


def require_classes(prepared: Prepared, where: str) -> None:
    """Raises Fault(InvalidData) where the rows that are left lack a class, or there are none."""
    left = tally_of(prepared.train, len(prepared.labels)).classes
    gone = [label for label, rows in zip(prepared.labels, left, strict=True) if not rows]
    if gone or not len(prepared.train):
        of = f" of class {gone[0]!r}" if gone else ""
        raise Fault("InvalidData", f"{where} leaves no training row{of}: raise its ranges, or remove the step.")
