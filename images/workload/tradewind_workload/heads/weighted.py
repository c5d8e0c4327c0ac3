"""The metrics of many draws of rows at once: a draw is a weight for each row.

Drawing rows and measuring anew would take seconds for each metric (see certainty.py, which does so for the one that
counts). Here the metrics of all draws come of matrix products and sums over rows that were sorted once. A test holds
them against scikit-learn's with `sample_weight`. A class or label without a row has no part in a mean.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from tradewind_workload.heads import multilabel
from tradewind_workload.heads.classification import Classification, losses

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tradewind_workload.heads.head import Head

Measure = Callable[[np.ndarray], np.ndarray]  # of weights, float64 [draws, n]: a number for each draw


def measure_of(head: Head, name: str, answers: np.ndarray, truths: np.ndarray) -> Measure:
    """A metric by its name, of answers and truths as the head has them. Raises KeyError where there is none."""
    if isinstance(head, Classification):
        return of_classes(head, (name,), answers, truths)[name]
    if isinstance(head, multilabel.MultiLabel):
        return of_sets((name,), answers, truths)[name]
    return of_values((name,), answers, truths)[name]


def of_classes(
    head: Classification, names: tuple[str, ...], probabilities: np.ndarray, truths: np.ndarray
) -> dict[str, Measure]:
    """These metrics, of probabilities, float [n, classes], and classes, int64 [n]."""
    told = probabilities.argmax(1)
    about = np.unique(truths) if head.positive is None else np.array([head.positive])
    made: dict[str, Callable[[], Measure]] = {
        "accuracy": lambda: partial(_mean, values=told == truths),
        "log_loss": lambda: partial(_mean, values=losses(probabilities, truths)),
        "balanced_accuracy": lambda: partial(_balanced_accuracy, told=told, truths=truths),
        "f1": lambda: partial(_f1, told=told, truths=truths, about=about),
        "auroc": lambda: _of_ranks(_auroc, [(probabilities[:, label], truths == label) for label in about]),
        "average_precision": lambda: _of_ranks(
            _average_precision, [(probabilities[:, label], truths == label) for label in about]
        ),
    }
    return {name: made[name]() for name in names if name in made}


def of_sets(names: tuple[str, ...], probabilities: np.ndarray, truths: np.ndarray) -> dict[str, Measure]:
    """These metrics, of probabilities, float [n, labels], and labels, int8 of the same shape."""
    told, is_it = multilabel.answered(probabilities), truths > 0
    about = np.flatnonzero(is_it.any(0))
    made: dict[str, Callable[[], Measure]] = {
        "average_precision": lambda: _of_ranks(
            _average_precision, [(probabilities[:, label], is_it[:, label]) for label in about]
        ),
        "f1_micro": lambda: partial(_f1_micro, told=told, is_it=is_it),
        "f1_macro": lambda: partial(_f1_macro, told=told[:, about], is_it=is_it[:, about]),
        "subset_accuracy": lambda: partial(_mean, values=(told == is_it).all(1)),
        "log_loss": lambda: partial(_mean, values=multilabel.losses(probabilities, truths)),
    }
    return {name: made[name]() for name in names if name in made}


def of_values(names: tuple[str, ...], answers: np.ndarray, truths: np.ndarray) -> dict[str, Measure]:
    """These metrics, of predicted numbers and true ones, float [n]."""
    exact = truths.astype(np.float64)
    off = answers.astype(np.float64) - exact
    made: dict[str, Measure] = {
        "rmse": lambda weights: np.sqrt(_mean(weights, off**2)),
        "mae": lambda weights: _mean(weights, np.abs(off)),
        "r2": lambda weights: _r2(weights, off, exact - exact.mean()),
    }
    return {name: made[name] for name in names if name in made}


def _mean(weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Of the rows of each draw."""
    return np.asarray(weights @ values.astype(np.float64) / weights.sum(1))


def _counted(weights: np.ndarray, classes: np.ndarray, count: int) -> np.ndarray:
    """Weights of the rows of each class, float64 [draws, classes]."""
    found = np.zeros((len(weights), count))
    for label in np.unique(classes):
        found[:, label] = weights[:, classes == label].sum(1)
    return found


def _balanced_accuracy(weights: np.ndarray, told: np.ndarray, truths: np.ndarray) -> np.ndarray:
    present = np.unique(truths)
    count = int(truths.max()) + 1
    right = _counted(weights * (told == truths), truths, count)[:, present]
    return np.asarray((right / _counted(weights, truths, count)[:, present]).mean(1))


def _f1(weights: np.ndarray, told: np.ndarray, truths: np.ndarray, about: np.ndarray) -> np.ndarray:
    count = int(max(truths.max(), told.max(), about.max())) + 1
    right = _counted(weights * (told == truths), truths, count)[:, about]
    either = _counted(weights, truths, count)[:, about] + _counted(weights, told, count)[:, about]
    return np.asarray((2 * right / np.where(either > 0, either, 1)).mean(1))


def _f1_micro(weights: np.ndarray, told: np.ndarray, is_it: np.ndarray) -> np.ndarray:
    either = weights @ (told.sum(1) + is_it.sum(1))
    return np.asarray(2 * (weights @ (told & is_it).sum(1)) / np.where(either > 0, either, 1))


def _f1_macro(weights: np.ndarray, told: np.ndarray, is_it: np.ndarray) -> np.ndarray:
    """Mean over the labels that a draw has."""
    right, rows = weights @ (told & is_it), weights @ is_it
    scores = 2 * right / np.where(rows > 0, rows + weights @ told, np.inf)
    return np.asarray(scores.sum(1) / (rows > 0).sum(1))


def _r2(weights: np.ndarray, off: np.ndarray, truths: np.ndarray) -> np.ndarray:
    """Of errors and true numbers, whose mean over all rows is 0."""
    spread = _mean(weights, truths**2) - _mean(weights, truths) ** 2
    return np.asarray(1 - _mean(weights, off**2) / np.where(spread > 0, spread, np.nan))


def _of_ranks(
    area: Callable[[np.ndarray, np.ndarray], np.ndarray], columns: Iterable[tuple[np.ndarray, np.ndarray]]
) -> Measure:
    """The mean over columns of an area under a curve; rows are sorted here, once.

    A column is the rows' scores, float [n], and which are positive, bool [n]. A draw without such a row has none.
    """
    ranked = []
    for scores, is_it in columns:
        order = np.argsort(-scores, kind="stable")
        # The last row of each run of equal scores.
        ends = np.flatnonzero(np.diff(scores[order], append=-np.inf) != 0)
        ranked.append((order, ends, is_it[order]))

    def measure(weights: np.ndarray) -> np.ndarray:
        total, defined = np.zeros(len(weights)), np.zeros(len(weights))
        for order, ends, is_it in ranked:
            ordered = weights[:, order]
            hits, told = np.cumsum(ordered * is_it, 1)[:, ends], np.cumsum(ordered, 1)[:, ends]
            areas = area(hits, told - hits)
            total += np.nan_to_num(areas)
            defined += ~np.isnan(areas)
        return np.asarray(total / np.where(defined > 0, defined, np.nan))

    return measure


def _auroc(hits: np.ndarray, alarms: np.ndarray) -> np.ndarray:
    """Area under true over false positive rate; `hits` and `alarms` are counted up from the highest score on."""
    before = np.pad(hits, ((0, 0), (1, 0)))
    area = ((before[:, 1:] + before[:, :-1]) / 2 * np.diff(alarms, axis=1, prepend=0)).sum(1)
    whole = hits[:, -1] * alarms[:, -1]
    return np.asarray(area / np.where(whole > 0, whole, np.nan))


def _average_precision(hits: np.ndarray, alarms: np.ndarray) -> np.ndarray:
    told = hits + alarms
    precision = hits / np.where(told > 0, told, 1)
    whole = hits[:, -1]
    return np.asarray((np.diff(hits, axis=1, prepend=0) * precision).sum(1) / np.where(whole > 0, whole, np.nan))
