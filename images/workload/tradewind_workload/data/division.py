"""The training data divided as spec.data.split says, with a sentence where a part would be of no use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from tradewind_workload.data import splits
from tradewind_workload.data.blocks import SPLIT, block_columns, block_inputs, has_columns
from tradewind_workload.data.comparison import absent, keys
from tradewind_workload.data.stored import Stored
from tradewind_workload.io.fault import Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from tradewind.api.data import Data
    from tradewind_workload.data.layout import Layout
    from tradewind_workload.data.rows import Rows

_PARTS = {"train": splits.TRAINING, "validation": splits.VALIDATION, "test": splits.TEST}


def hashes(rows: Rows) -> np.ndarray:
    """A hash of each row's inputs, uint64 [n]."""
    out = np.empty(len(rows), np.uint64)
    for number, here in zip(rows.numbers(), rows.each(contents), strict=True):
        out[rows.block == number] = here
    return out


def groups_of(rows: Rows) -> np.ndarray | None:
    """A number for each row that rows of one group share, uint64 [n]; None where the data has no column of groups.

    A row whose group is missing is a group by itself.
    """
    out = np.empty(len(rows), np.uint64)
    for number in rows.numbers():
        block, here = rows.blocks[number], rows.block == number
        table = block.about() if isinstance(block, Stored) else rows.work.fetch(block)
        if SPLIT not in table.column_names:
            return None
        values = table[SPLIT].combine_chunks().take(pa.array(rows.offset[here]))
        found = splits.groups(values)
        found[absent(values)] = np.random.default_rng(number).integers(2**63, size=int(absent(values).sum()))
        out[here] = found
    return out


def contents(block: pa.Table, offsets: np.ndarray) -> np.ndarray:
    """The same of the rows at these offsets of a block."""
    if not has_columns(block):
        return splits.contents(block_inputs(block)[offsets])
    rows = block_columns(block).take(offsets).combine_chunks()
    columns = [column.combine_chunks() for column in rows.columns]
    return np.array([int(key[:16], 16) for key in keys(columns, rows.num_rows)], np.uint64)


def divide(
    rows: Rows, by: tuple[pa.Array, ...], kept: np.ndarray, layout: Layout, data: Data, seed: int, *, known: bool
) -> dict[str, Rows]:
    """The rows by part: train, and validation and test where a fraction asks for them.

    `by` has the values of spec.data.split.column of all rows that were read, by block; `kept` are the numbers of
    `rows` among these. A finished model has learnt the classes that are `known`.

    Raises Fault(InvalidData) where the column can't divide, a part comes out empty, or a class has no training row.
    """
    fractions, asked = fractions_of(data), asked_of(data)
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
    _require_rows(divided, rows, how, layout, data, known=known)
    return divided


def fractions_of(data: Data) -> splits.Fractions:
    """What is held back of the training data."""
    return splits.Fractions(float(data.validation_fraction or 0), float(data.test_fraction or 0))


def asked_of(data: Data) -> list[str]:
    """The parts that the training data is divided into."""
    return ["train", *(name for name in ("validation", "test") if getattr(data, f"{name}_fraction") is not None)]


def _are_classes(rows: Rows) -> bool:
    return bool(np.issubdtype(rows.targets.dtype, np.integer))


def _values(
    by: tuple[pa.Array, ...],
    kept: np.ndarray,
    rows: Rows,
    layout: Layout,
    data: Data,
    of: Callable[[pa.Array], np.ndarray],
) -> np.ndarray:
    """What the values of the column come to for the rows that are kept."""
    missing = np.concatenate([absent(values) for values in by])
    if missing[kept].any():
        raise missing_by(int(missing[kept].sum()), rows.place(int(kept[missing[kept].argmax()])), layout, data)
    found = [values_by(values, of, layout, data) for values in by]
    require_alike({values.dtype for values in found}, layout, data)
    return np.asarray(np.concatenate(found)[kept])


def _column(layout: Layout, data: Data) -> str:
    assert data.split is not None
    return f"the column {data.split.column!r} of {layout.uri}, which spec.data.split names,"


def missing_by(rows: int, first: str, layout: Layout, data: Data) -> Fault:
    """The refusal of so many rows without a value in the column of spec.data.split; `first` is where the first is."""
    assert data.split is not None
    return Fault(
        "InvalidData",
        f"{_column(layout, data)} is missing in {rows} rows (the first is {first}): fill it in, or add "
        f"dropNulls with columns [{data.split.column}] to spec.data.prepare.",
    )


def values_by(values: pa.Array, of: Callable[[pa.Array], np.ndarray], layout: Layout, data: Data) -> np.ndarray:
    """What values of that column come to. Raises Fault(InvalidData) where they can't divide rows."""
    try:
        return of(values)
    except (ValueError, pa.ArrowException) as error:
        raise Fault(
            "InvalidData",
            f"{_column(layout, data)} can't be used: {error}. Correct the data, or choose another column.",
        ) from None


def require_alike(kinds: set[np.dtype], layout: Layout, data: Data) -> None:
    """Raises Fault(InvalidData) where some values of that column are times and others numbers."""
    if len(kinds) > 1:
        raise Fault(
            "InvalidData", f"{_column(layout, data)} has times in one file and numbers in another: write them alike."
        )


def _require_rows(divided: dict[str, Rows], rows: Rows, how: str, layout: Layout, data: Data, *, known: bool) -> None:
    """Raises Fault(InvalidData) where a part has no row, or a class has none to learn from."""
    more = more_of(data)
    together, different = "", len(np.unique(hashes(rows))) if how == "Row" else len(rows)
    remedy = "" if different == 1 else "choose another fraction, or "
    if different < len(rows):
        more = "more rows with other inputs"
        together = f", which have {different} different inputs in all (equal ones stay together),"
    for name, part in divided.items():
        if not len(part):
            raise no_rows(name, f"{len(rows)} rows of {layout.uri}{together}", f"{remedy}give {more}", data)
    if known or not _are_classes(rows):
        return
    unseen = np.setdiff1d(splits.occurring(rows.targets), splits.occurring(divided["train"].targets))
    if len(unseen):
        first = int(np.flatnonzero(splits.having(rows.targets, unseen[0]))[0])
        where = rows.place(int(rows.starts[rows.block[first]] + rows.offset[first]))
        raise no_training_row(how, len(unseen), where, layout)


def more_of(data: Data) -> str:
    """What there is to be more of, where a part has too little."""
    if data.split is None or data.split.by == "Row":
        return "more rows"
    return f"rows of more values of {data.split.column!r}"


def no_rows(part: str, of: str, remedy: str, data: Data) -> Fault:
    """The refusal of a part without a row."""
    asked = " and ".join(
        f"{name} {value}"
        for name, value in (
            ("spec.data.validationFraction", data.validation_fraction),
            ("spec.data.testFraction", data.test_fraction),
        )
        if value is not None
    )
    return Fault("InvalidData", f"{asked} of {of} leaves no {'training' if part == 'train' else part} data: {remedy}.")


def no_training_row(how: str, classes: int, where: str, layout: Layout) -> Fault:
    """The refusal of so many classes or labels without a row to learn from; `where` is a row of one of them."""
    return Fault(
        "InvalidData",
        f"the split by {how} leaves {classes} classes or labels of {layout.uri} without a training row (one is that of "
        f"{where}): choose another fraction, split by Row, or give more rows of them.",
    )
