"""Columns of Arrow as the arrays that a model takes, and what a moment says of the day."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from tradewind_workload.data.schema import Kind

Part = Literal["month", "weekday", "hour"]  # 1 to 12; 0 (Monday) to 6; 0 to 23
PARTS: tuple[Part, ...] = ("month", "weekday", "hour")


def _whole(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def numbers_of(column: pa.Array | pa.ChunkedArray, kind: Kind) -> np.ndarray:
    """A column of numbers, booleans (0 and 1) or moments (seconds since 1970), float64 [n]; NaN for null."""
    whole = _whole(column)
    if kind != "datetime":
        return np.asarray(whole.cast(pa.float64()).to_numpy(zero_copy_only=False))
    microseconds = pc.fill_null(whole.cast(pa.timestamp("us", whole.type.tz)).cast(pa.int64()), 0)
    seconds = microseconds.to_numpy(zero_copy_only=False) / 1e6
    return np.where(pc.is_null(whole).to_numpy(zero_copy_only=False), np.nan, seconds)


def strings_of(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """A column of strings; the empty string for null."""
    return pc.fill_null(_whole(column), "")


def booleans_of(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """A column of booleans as the strings true and false; the empty string for null."""
    return strings_of(_whole(column).cast(pa.string()))


def day_parts(seconds: np.ndarray) -> dict[str, np.ndarray]:
    """Month, weekday and hour of finite seconds since 1970 in UTC, int64 [n] each.

    graph.py does the same arithmetic, which is exact: days to months as in Hinnant's `civil_from_days`. All that is
    divided is positive from the year 1 on.
    """
    days = np.floor(seconds / 86400)
    hour = np.floor((seconds - days * 86400) / 3600).astype(np.int64)
    since = days.astype(np.int64) + 719468  # since March 1 of the year 0
    day_of_era = since % 146097
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36524 - day_of_era // 146096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted = (5 * day_of_year + 2) // 153  # 0 is March
    return {"month": (shifted + 2) % 12 + 1, "weekday": (since + 2) % 7, "hour": hour}
