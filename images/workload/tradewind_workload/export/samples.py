"""Golden samples of a classifier: a few raw rows and what the stored model answers, replayed before it serves."""

from __future__ import annotations

import math
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from tradewind.api.artefact import Samples
from tradewind_workload.export.inference import Predictions, predict, predict_by_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import onnxruntime

    from tradewind.api.artefact import Tensor

ROWS = 16
MOST_VALUES = 1 << 18  # of all rows together: the file is read whenever a replica starts
TOLERANCE = 1e-3
# Rounding to 8 bits turns on the last bit of a float, which another processor may have otherwise.
TOLERANCE_8_BITS = 1e-2
_FIRST_SECOND, _LAST_SECOND = -62135596800, 253402300800  # of the years 1 to 9999, which ISO 8601 has


def golden(
    session: onnxruntime.InferenceSession,
    rows: np.ndarray,
    classes: np.ndarray,
    taken: Tensor,
    tolerance: float = TOLERANCE,
) -> bytes | None:
    """The content of samples.json; None where no row is fit for it.

    `rows` are raw, float32 [n, *row shape], as the input `taken` has them, and `classes` int64 [n] are their labels.
    """
    # An infinite number is no JSON. A missing value is: null, where the model takes it.
    fit = ~np.isinf(rows).any(axis=tuple(range(1, rows.ndim)))
    if not taken.nullable:
        fit &= ~np.isnan(rows).any(axis=tuple(range(1, rows.ndim)))
    found = _sure(
        lambda chosen: predict(session, rows[chosen]),
        np.flatnonzero(fit),
        classes,
        math.prod(rows.shape[1:]),
        tolerance,
    )
    if found is None:
        return None
    chosen, answers = found
    return _written([_instance(row, taken) for row in rows[chosen]], answers, tolerance)


def golden_by_name(
    session: onnxruntime.InferenceSession, table: pa.Table, feeds: Mapping[str, np.ndarray], classes: np.ndarray
) -> bytes | None:
    """The same of a model with an input for each column.

    `table` has the typed columns, null where a value is missing, and `feeds` what the model gets for them.
    """
    fit = np.ones(len(classes), bool)
    for name, values in feeds.items():
        if values.dtype.kind == "f":
            fit &= ~np.isinf(values)
            if pa.types.is_timestamp(table[name].type):  # NaN is neither
                fit &= ~(values < _FIRST_SECOND) & ~(values >= _LAST_SECOND)
    found = _sure(
        lambda chosen: predict_by_name(session, {name: values[chosen] for name, values in feeds.items()}),
        np.flatnonzero(fit),
        classes,
        len(feeds),
        TOLERANCE,
    )
    if found is None:
        return None
    chosen, answers = found
    rows = table.select(list(feeds)).take(chosen).to_pylist()
    return _written([{name: _sent(value) for name, value in row.items()} for row in rows], answers, TOLERANCE)


def _sure(
    ask: Callable[[np.ndarray], Predictions], fit: np.ndarray, classes: np.ndarray, values: int, tolerance: float
) -> tuple[np.ndarray, Predictions] | None:
    """Numbers of rows whose answers are no close calls, of those that are fit, with so many values each."""
    room = max(1, min(ROWS, MOST_VALUES // max(1, values)))
    # More than there is room for, since some answers turn out to be close calls.
    chosen = _by_turns(fit, classes, 4 * room)
    while len(chosen):
        answers = ask(chosen)
        sure = _margin(answers) > 2 * tolerance
        if sure.all() and len(chosen) <= room:
            return chosen, answers
        # Asked anew: a model that rounds by the largest value of a request answers a row by what is beside it.
        chosen = chosen[sure][:room]
    return None


def _written(instances: list[Any], answers: Predictions, tolerance: float) -> bytes:
    document = Samples(
        instances=tuple(instances),
        outputs={"label": answers.label.tolist(), "probabilities": answers.probabilities.tolist()},
        tolerance=tolerance,
    )
    return document.model_dump_json(by_alias=True).encode()


def _margin(answers: Predictions) -> np.ndarray:
    """How far the best class of each row is before the second one."""
    best = np.sort(answers.probabilities, axis=1)
    return np.asarray(best[:, -1] - best[:, -2])


def _by_turns(numbers: np.ndarray, classes: np.ndarray, most: int) -> np.ndarray:
    """Of these rows the first of each class, then the second of each, and so on."""
    turns = np.zeros(len(numbers), np.int64)
    for label in np.unique(classes[numbers]):
        mine = classes[numbers] == label
        turns[mine] = np.arange(int(mine.sum()))
    return numbers[np.argsort(turns, kind="stable")[:most]]


def _sent(value: Any) -> Any:
    """A typed value as a client sends it."""
    return value.isoformat() if isinstance(value, datetime) else value


def _instance(row: np.ndarray, taken: Tensor) -> Any:
    values = [None if value != value else value for value in row.ravel().tolist()]  # noqa: PLR0124 -- NaN alone differs
    if taken.columns:
        return dict(zip(taken.columns, values, strict=True))
    return np.array(values, dtype=object).reshape(row.shape).tolist()
