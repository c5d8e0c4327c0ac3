"""Tables that scikit-learn carries, and made ones with what those lack: categories, moments, missing values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from sklearn import datasets

from tradewind_workload.data.schema import ColumnSchema, Schema

if TYPE_CHECKING:
    from tradewind_workload.data.schema import Kind


@dataclass(frozen=True)
class Table:
    """Typed rows and their labels: int64 (classes) or float64 (values) [n]."""

    name: str
    rows: pa.Table
    kinds: dict[str, Kind]
    labels: np.ndarray

    @property
    def classes(self) -> int | None:
        """How many classes there are; None for values."""
        return None if self.labels.dtype == np.float64 else int(self.labels.max()) + 1

    @property
    def schema(self) -> Schema:
        """Of all columns."""

        def column(name: str, kind: Kind) -> ColumnSchema:
            return ColumnSchema(name, kind, "the benchmark says so", self.rows.num_rows, 0)

        label = column("label", "number" if self.classes is None else "category")
        return Schema(tuple(column(*of) for of in self.kinds.items()), label)


def carried(name: str) -> Table:
    """A data set of scikit-learn."""
    found = getattr(datasets, f"load_{name}")()
    kinds: dict[str, Kind] = dict.fromkeys((str(name) for name in found.feature_names), "number")
    rows = pa.table({name: found.data[:, i].astype(np.float64) for i, name in enumerate(kinds)})
    return Table(name, rows, kinds, found.target.astype(np.float64 if name == "diabetes" else np.int64))


def made(name: str, rows: int, *, bends: bool) -> Table:
    """Sales: what is asked is linear in the columns, or bends and depends on two of them together."""
    random = np.random.default_rng(11)
    town = random.choice(40, rows, p=(weights := 1 / np.arange(1, 41)) / weights.sum())
    effect = random.normal(0, 1, 40)[town]
    kind = random.choice(4, rows)
    amount = np.exp(random.normal(3, 1.5, rows))
    age = random.normal(45, 12, rows)
    start = np.datetime64("2023-01-01", "s").astype(np.int64)
    moments = start + random.integers(0, 2 * 365 * 24, rows) * 3600
    weekend = (moments // 86400 + 3) % 7 >= 5
    member = random.random(rows) < 0.4
    score = 0.8 * effect + np.array([-1, 0, 0.5, 1])[kind] + 0.5 * (np.log(amount) - 3) + 0.7 * weekend - 0.6 * member
    if bends:
        score = (
            2 * np.sin(age / 5) * np.where(member, 1, -1)
            + 1.5 * (np.abs(np.log(amount) - 3) < 0.8)
            + effect * (kind > 1)
        )
    labels = (score - np.median(score) + random.logistic(0, 0.5, rows) > 0).astype(np.int64)

    def some(values: np.ndarray, share: float, type_: pa.DataType) -> pa.Array:
        return pa.array(values, type_, mask=random.random(rows) < share)

    table = pa.table(
        {
            "town": some(np.array([f"town {i}" for i in range(40)])[town], 0.05, pa.string()),
            "kind": some(np.array(["new", "used", "rent", "gift"])[kind], 0, pa.string()),
            "amount": some(amount, 0.1, pa.float64()),
            "age": some(age, 0.05, pa.float64()),
            "sold at": some(moments.astype("datetime64[s]"), 0.02, pa.timestamp("us")),
            "member": some(member, 0.03, pa.bool_()),
        }
    )
    kinds: dict[str, Kind] = dict(
        zip(table.column_names, ("category", "category", "number", "number", "datetime", "boolean"), strict=True)
    )
    return Table(name, table, kinds, labels)


def tables() -> dict[str, Table]:
    """All, by name."""
    found = [carried(name) for name in ("breast_cancer", "wine", "digits", "diabetes")]
    found += [made("sales, linear", 3000, bends=False), made("sales, bent", 3000, bends=True)]
    return {table.name: table for table in found}
