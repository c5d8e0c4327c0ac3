"""Golden samples of a model: a few raw rows and what the stored model answers, replayed before it serves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tradewind.api.artefact import Samples
from tradewind_workload.data.splits import having, occurring
from tradewind_workload.export.inference import ask
from tradewind_workload.heads.answer import LABELS, PROBABILITIES, THRESHOLD

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import onnxruntime

    from tradewind.api.artefact import Tensor

ROWS = 16
MOST_VALUES = 1 << 18  # of all rows together: the file is read whenever a replica starts
TOLERANCE = 1e-3
# Rounding to 8 bits turns on the last bit of a float, which another processor may have otherwise.
TOLERANCE_8_BITS = 1e-2
TRIED = 64  # times the room: so many rows are looked at before there are no samples


@dataclass(frozen=True)
class Asked:
    """Rows as the graph takes them, and as a user sends them."""

    feeds: dict[str, np.ndarray]
    instances: Callable[[np.ndarray], list[Any]]  # of rows of these numbers; None for a row that JSON can't say


def golden_of(
    session: onnxruntime.InferenceSession, asked: Asked, targets: np.ndarray, tolerance: float = TOLERANCE
) -> bytes | None:
    """The content of samples.json; None where no row is fit for it.

    `targets` are the rows' classes, int64 [n], or labels, int8 [n, labels], each of which is to be there, or their
    values, float64 [n].
    """
    values = sum(int(np.prod(array.shape[1:])) for array in asked.feeds.values())
    room = max(1, min(ROWS, MOST_VALUES // max(1, values)))
    # More than there is room for, since some answers turn out to be close calls.
    order = _by_turns(targets)
    for start in range(0, min(len(order), TRIED * room), 4 * room):
        chosen = order[start : start + 4 * room]
        sent = asked.instances(chosen)
        fit = [i for i, one in enumerate(sent) if one is not None]
        if (found := _sure(session, asked.feeds, chosen[fit], room, tolerance)) is None:
            continue
        kept, answers = found
        by_number = dict(zip(chosen.tolist(), sent, strict=True))
        document = Samples(
            instances=tuple(by_number[number] for number in kept.tolist()),
            outputs={name: values.tolist() for name, values in answers.items()},
            tolerance=tolerance,
        )
        return document.model_dump_json(by_alias=True).encode()
    return None


def candidates(targets: np.ndarray) -> np.ndarray:
    """Numbers of the rows, int64 [n], among which `golden_of` would find samples, in the order that it tries them."""
    return _by_turns(targets)[: TRIED * ROWS]


def _sure(
    session: onnxruntime.InferenceSession,
    feeds: Mapping[str, np.ndarray],
    chosen: np.ndarray,
    room: int,
    tolerance: float,
) -> tuple[np.ndarray, dict[str, np.ndarray]] | None:
    """Numbers of rows, of these, whose answers are no close calls, and the answers."""
    while len(chosen):
        answers = ask(session, {name: values[chosen] for name, values in feeds.items()})
        sure = _margin(answers) > 2 * tolerance
        if sure.all() and len(chosen) <= room:
            return chosen, answers
        # Asked anew: a model that rounds by the largest value of a request answers a row by what is beside it.
        chosen = chosen[sure][:room]
    return None


def _margin(answers: Mapping[str, np.ndarray]) -> np.ndarray:
    """How far the best class of each row is before the second one, or the labels' probabilities from the threshold.

    A finite number is never a close call.
    """
    if PROBABILITIES not in answers:
        return np.where(np.isfinite(next(iter(answers.values()))), 1.0, 0.0)
    if LABELS in answers:
        return np.asarray(np.abs(answers[PROBABILITIES] - THRESHOLD).min(1))
    best = np.sort(answers[PROBABILITIES], axis=1)
    return np.asarray(best[:, -1] - best[:, -2])


def _by_turns(classes: np.ndarray) -> np.ndarray:
    """Numbers of the rows: the first of each class or label, then the second of each; numbers as they come."""
    if classes.dtype.kind != "i":
        return np.arange(len(classes))
    turns = np.full(len(classes), len(classes), np.int64)
    if classes.ndim == 2:  # rows without a label are a kind of their own
        none = ~classes.any(1)
        turns[none] = np.arange(int(none.sum()))
    for label in occurring(classes):
        mine = having(classes, label)
        turns[mine] = np.minimum(turns[mine], np.arange(int(mine.sum())))
    return np.argsort(turns, kind="stable")


def instance(row: np.ndarray, taken: Tensor) -> Any:
    """A row of an input as a user sends it; None where a number is infinite, or missing and may not be."""
    if np.isinf(row).any() or (not taken.nullable and np.isnan(row).any()):
        return None
    values = [None if value != value else value for value in row.ravel().tolist()]  # noqa: PLR0124 -- NaN alone differs
    if taken.columns:
        return dict(zip(taken.columns, values, strict=True))
    return np.array(values, dtype=object).reshape(row.shape).tolist()
