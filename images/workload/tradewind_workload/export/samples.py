"""Golden samples of a classifier: a few raw rows and what the stored model answers, replayed before it serves."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from tradewind.api.artefact import Samples
from tradewind_workload.export.inference import Predictions, predict

if TYPE_CHECKING:
    import onnxruntime

    from tradewind.api.artefact import Tensor

ROWS = 16
MOST_VALUES = 1 << 18  # of all rows together: the file is read whenever a replica starts
TOLERANCE = 1e-3
# Rounding to 8 bits turns on the last bit of a float, which another processor may have otherwise.
TOLERANCE_8_BITS = 1e-2


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
    room = max(1, min(ROWS, MOST_VALUES // max(1, math.prod(rows.shape[1:]))))
    # More than there is room for, since some answers turn out to be close calls.
    chosen = _by_turns(np.flatnonzero(fit), classes, 4 * room)
    while len(chosen):
        answers = predict(session, rows[chosen])
        sure = _margin(answers) > 2 * tolerance
        if sure.all() and len(chosen) <= room:
            break
        # Asked anew: a model that rounds by the largest value of a request answers a row by what is beside it.
        chosen = chosen[sure][:room]
    else:
        return None
    document = Samples(
        instances=tuple(_instance(row, taken) for row in rows[chosen]),
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


def _instance(row: np.ndarray, taken: Tensor) -> Any:
    values = [None if value != value else value for value in row.ravel().tolist()]  # noqa: PLR0124 -- NaN alone differs
    if taken.columns:
        return dict(zip(taken.columns, values, strict=True))
    return np.array(values, dtype=object).reshape(row.shape).tolist()
