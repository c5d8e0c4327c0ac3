"""The rows that a model is most wrong about, with their values as the data has them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from tradewind_workload.heads import multilabel
from tradewind_workload.heads.classification import losses
from tradewind_workload.report.figures import cut, cut_apart, rounded
from tradewind_workload.report.pictures import of_array, of_file
from tradewind_workload.report.record import CELLS, NAME, TEXT, Mistake, Picture

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import pyarrow as pa

ROOM = 400_000  # bytes of all rows together

Cell = float | int | bool | str | Picture | None


@dataclass(frozen=True)
class Shown:
    """Rows as people know them."""

    rows: tuple[dict[str, Cell], ...]
    places: tuple[str, ...]
    more_columns: int = 0


def wrong_classes(
    show: Callable[[np.ndarray], Shown],
    labels: tuple[str, ...],
    probabilities: np.ndarray,
    truths: np.ndarray,
    most: int,
) -> tuple[Mistake, ...]:
    """Of the rows with a wrong answer those to whose class the model gives the least probability."""
    told = probabilities.argmax(1)
    worst = _worst(np.where(told != truths, losses(probabilities, truths), 0), most)
    shown = show(worst)
    return _within_bounds(
        Mistake(
            place=shown.places[i],
            row=shown.rows[i],
            more_columns=shown.more_columns,
            truth=cut(labels[truths[row]], NAME),
            answer=cut(labels[told[row]], NAME),
            probability=rounded(float(probabilities[row, told[row]])),
            probability_of_truth=rounded(float(probabilities[row, truths[row]])),
        )
        for i, row in enumerate(worst)
    )


def wrong_sets(
    show: Callable[[np.ndarray], Shown],
    labels: tuple[str, ...],
    probabilities: np.ndarray,
    truths: np.ndarray,
    most: int,
) -> tuple[Mistake, ...]:
    """Of the rows with a label too many or too few, those whose labels are least likely by the model."""
    told, is_it = multilabel.answered(probabilities), truths > 0
    worst = _worst(np.where((told != is_it).any(1), multilabel.losses(probabilities, truths), 0), most)
    shown = show(worst)

    def named(of: np.ndarray) -> str:
        return cut(", ".join(labels[i] for i in np.flatnonzero(of)) or "no label", TEXT)

    return _within_bounds(
        Mistake(
            place=shown.places[i],
            row=shown.rows[i],
            more_columns=shown.more_columns,
            truth=named(is_it[row]),
            answer=named(told[row]),
        )
        for i, row in enumerate(worst)
    )


def wrong_values(
    show: Callable[[np.ndarray], Shown], answers: np.ndarray, truths: np.ndarray, most: int
) -> tuple[Mistake, ...]:
    """Those whose predicted number is furthest from the true one."""
    worst = _worst(np.abs(answers.astype(np.float64) - truths), most)
    shown = show(worst)
    return _within_bounds(
        Mistake(
            place=shown.places[i],
            row=shown.rows[i],
            more_columns=shown.more_columns,
            truth=rounded(float(truths[row])),
            answer=rounded(float(answers[row])),
        )
        for i, row in enumerate(worst)
    )


def _within_bounds(found: Iterable[Mistake]) -> tuple[Mistake, ...]:
    """The first ones, as many as there is room for."""
    kept, size = [], 0
    for mistake in found:
        size += len(mistake.model_dump_json().encode())
        if size > ROOM:
            break
        kept.append(mistake)
    return tuple(kept)


def _worst(off: np.ndarray, most: int) -> np.ndarray:
    """Numbers of the rows with the largest values above 0, the largest first; of equals the first."""
    return np.array([row for row in np.argsort(-off, kind="stable")[:most] if off[row] > 0], np.int64)


def of_table(table: pa.Table, places: tuple[str, ...]) -> Shown:
    """Rows of a table with typed columns; a column of bytes has pictures."""
    names = table.column_names[:CELLS]
    told = cut_apart(names, NAME)
    rows = table.select(names).to_pylist()
    return Shown(
        tuple(dict(zip(told, map(_cell, row.values()), strict=True)) for row in rows),
        places,
        table.num_columns - len(names),
    )


def of_arrays(
    rows: np.ndarray, places: tuple[str, ...], names: tuple[str, ...], image: tuple[int, int, int] | None
) -> Shown:
    """Rows that are arrays, float32 [n, ...]: pictures, or numbers with the names of their columns where they have any.

    `image` is the height, width and channels of a row, where it is a picture.
    """
    if image is not None and len(rows):
        low, high = min(0.0, float(np.nanmin(rows))), float(np.nanmax(rows))
        pictures = ((rows.reshape(len(rows), *image) - low) * (255 / ((high - low) or 1.0))).clip(0, 255)
        return Shown(
            tuple({"image": of_array(picture.astype(np.uint8))} for picture in np.nan_to_num(pictures)), places
        )
    flat = rows.reshape(len(rows), -1)
    width = min(CELLS, flat.shape[1])
    known = names if len(names) == flat.shape[1] else tuple(str(i) for i in range(flat.shape[1]))
    told = cut_apart(known[:width], NAME)
    return Shown(
        tuple({told[i]: _cell(float(row[i])) for i in range(width)} for row in flat),
        places,
        flat.shape[1] - width,
    )


def _cell(value: Any) -> Cell:
    if isinstance(value, bytes):
        return of_file(value) or f"{len(value)} bytes that are no picture"
    if isinstance(value, float):
        return rounded(value) if math.isfinite(value) else None
    if isinstance(value, datetime | date):
        return value.isoformat()
    if value is None or isinstance(value, bool | int):
        return value
    return cut(str(value), TEXT)
