"""Tables that tests make: typed columns with all that goes wrong in real ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from tradewind_workload.data.schema import ColumnSchema, Schema

if TYPE_CHECKING:
    from tradewind_workload.data.schema import Kind

TYPES = {
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "datetime": pa.timestamp("us"),
    "category": pa.string(),
    "text": pa.string(),
}


def schema_of(kinds: dict[str, Kind], label: Kind = "category") -> Schema:
    def column(name: str, kind: Kind) -> ColumnSchema:
        return ColumnSchema(name, kind, "the test says so", 0, 0)

    return Schema(tuple(column(*of) for of in kinds.items()), column("the answer", label))


def table_of(kinds: dict[str, Kind], columns: dict[str, list[object]]) -> pa.Table:
    return pa.table({name: pa.array(columns[name], TYPES[kind]) for name, kind in kinds.items()})


KINDS: dict[str, Kind] = {
    "Stadt": "category",
    "Größe in m²": "number",
    "a.b/c d": "number",
    "_axis": "number",
    "bought at": "number",
    "ja?": "boolean",
    "Zeit 時刻": "datetime",
    "日本 🍣": "text",
}


def mixed(rows: int, seed: int) -> pa.Table:
    """Rows of KINDS: nulls, a long tail, seconds since 1970 as a number, accents, empty strings."""
    random = np.random.default_rng(seed)

    def some(values: list[object], share: float) -> list[object]:
        return [None if gone else value for value, gone in zip(values, random.random(rows) < share, strict=True)]

    moments = random.integers(-5_000_000_000, 4_000_000_000, rows) * 1_000_000 + random.integers(0, 1_000_000, rows)
    cities = ["Zürich", "Zu\u0308rich", "", "são paulo", "東京", 'it\'s, "x"\n', " Zürich"]
    tail = np.exp(random.normal(0, 3, rows)) * random.choice([-1, 1], rows)
    return table_of(
        KINDS,
        {
            "Größe in m²": some(random.normal(70, 12, rows).tolist(), 0.1),
            "a.b/c d": some(tail.tolist(), 0.05),
            "_axis": random.integers(0, 5, rows).astype(float).tolist(),
            "bought at": (1.76e9 + random.integers(0, 3000, rows)).tolist(),
            "ja?": some((random.random(rows) < 0.3).tolist(), 0.2),
            "Zeit 時刻": some(moments.tolist(), 0.1),
            "Stadt": some(random.choice(cities, rows).tolist(), 0.1),
            "日本 🍣": some(random.choice(["寿司", "ラーメン"], rows, p=[0.9, 0.1]).tolist(), 0.3),
        },
    )
