"""The training data divided as spec.data.split says, with a sentence where a part would be of no use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from tradewind_workload.data import splits
from tradewind_workload.data.comparison import absent, keys
from tradewind_workload.data.rows import block_columns, block_inputs, has_columns
from tradewind_workload.io.fault import Fault

if TYPE_CHECKING:
    from tradewind.api.data import Data
    from tradewind_workload.data.layout import Layout
    from tradewind_workload.data.rows import Rows

_PARTS = {"train": splits.TRAINING, "validation": splits.VALIDATION, "test": splits.TEST}


def hashes(rows: Rows) -> np.ndarray:
    """A hash of each row's inputs, uint64 [n]."""
    out = np.empty(len(rows), np.uint64)
    for number, here in zip(rows.numbers(), rows.each(_contents), strict=True):
        out[rows.block == number] = here
    return out


def _contents(block: pa.Table, offsets: np.ndarray) -> np.ndarray:
    if not has_columns(block):
        return splits.contents(block_inputs(block)[offsets])
    rows = block_columns(block).take(offsets).combine_chunks()
    columns = [column.combine_chunks() for column in rows.columns]
    return np.array([int(key[:16], 16) for key in keys(columns, rows.num_rows)], np.uint64)


def divide(
    rows: Rows, by: tuple[pa.Array, ...], kept: np.ndarray, layout: Layout, data: Data, seed: int
) -> dict[str, Rows]:
    """The rows by part: train, and validation and test where a fraction asks for them.

    `by` has the values of spec.data.split.column of all rows that were read, by block; `kept` are the numbers of
    `rows` among these. Raises Fault(InvalidData) where the column can't divide, or a part comes out empty.
    """
    fractions = splits.Fractions(float(data.validation_fraction or 0), float(data.test_fraction or 0))
    asked = ["train", *(name for name in ("validation", "test") if getattr(data, f"{name}_fraction") is not None)]
    if len(asked) == 1:
        return {"train": rows}
    how = data.split.by if data.split is not None else "Row"
    if how == "Row":
        own = hashes(rows)
        parts = splits.by_hash(own, fractions, seed)
        if _are_classes(rows):
            parts = splits.with_all_classes(parts, own, rows.targets)
    elif how == "Group":
        parts = splits.by_hash(_values(by, kept, rows, layout, data, splits.groups), fractions, seed)
    else:
        parts = splits.by_time(_values(by, kept, rows, layout, data, splits.times), fractions)
    divided = {name: rows.take(np.flatnonzero(parts == _PARTS[name])) for name in asked}
    _require_rows(divided, rows, how, layout, data)
    return divided


def _are_classes(rows: Rows) -> bool:
    return bool(np.issubdtype(rows.targets.dtype, np.integer))


def _values(by: tuple[pa.Array, ...], kept: np.ndarray, rows: Rows, layout: Layout, data: Data, of: Any) -> np.ndarray:
    """What the values of the column come to for the rows that are kept."""
    assert data.split is not None
    column = f"the column {data.split.column!r} of {layout.uri}, which spec.data.split names,"
    missing = np.concatenate([absent(values) for values in by])
    if missing[kept].any():
        first = rows.place(int(kept[missing[kept].argmax()]))
        raise Fault(
            "InvalidData",
            f"{column} is missing in {int(missing[kept].sum())} rows (the first is {first}): fill it in, or add "
            f"dropNulls with columns [{data.split.column}] to spec.data.prepare.",
        )
    try:
        found = [of(values) for values in by]
    except (ValueError, pa.ArrowException) as error:
        raise Fault(
            "InvalidData", f"{column} can't be used: {error}. Correct the data, or choose another column."
        ) from None
    if len({values.dtype for values in found}) > 1:
        raise Fault("InvalidData", f"{column} has times in one file and numbers in another: write them alike.")
    return np.concatenate(found)[kept]


def _require_rows(divided: dict[str, Rows], rows: Rows, how: str, layout: Layout, data: Data) -> None:
    """Raises Fault(InvalidData) where a part has no row, or a class has none to learn from."""
    asked = " and ".join(
        f"{name} {value}"
        for name, value in (
            ("spec.data.validationFraction", data.validation_fraction),
            ("spec.data.testFraction", data.test_fraction),
        )
        if value is not None
    )
    more = "more rows" if how == "Row" or data.split is None else f"rows of more values of {data.split.column!r}"
    together, different = "", len(np.unique(hashes(rows))) if how == "Row" else len(rows)
    remedy = "" if different == 1 else "choose another fraction, or "
    if different < len(rows):
        more = "more rows with other inputs"
        together = f", which have {different} different inputs in all (equal ones stay together),"
    for name, part in divided.items():
        if not len(part):
            raise Fault(
                "InvalidData",
                f"{asked} of {len(rows)} rows of {layout.uri}{together} leaves no "
                f"{'training' if name == 'train' else name} data: {remedy}give {more}.",
            )
    if not _are_classes(rows):
        return
    unseen = np.setdiff1d(splits.occurring(rows.targets), splits.occurring(divided["train"].targets))
    if len(unseen):
        first = int(np.flatnonzero(splits.having(rows.targets, unseen[0]))[0])
        where = rows.place(int(rows.starts[rows.block[first]] + rows.offset[first]))
        raise Fault(
            "InvalidData",
            f"the split by {how} leaves {len(unseen)} classes or labels of {layout.uri} without a training row (one is "
            f"that of {where}): choose another fraction, split by Row, or give more rows of them.",
        )
