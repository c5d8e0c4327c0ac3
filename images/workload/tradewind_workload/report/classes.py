"""What the answers of a classification show: who is taken for whom, how sure it is and how right that is, curves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tradewind_workload.heads.certainty import wilson
from tradewind_workload.heads.ranking import precision_recall, roc
from tradewind_workload.report.figures import all_rounded, cut, evenly, rounded
from tradewind_workload.report.record import (
    CLASSES,
    MATRIX,
    NAME,
    PAIRS,
    POINTS,
    Bin,
    Calibration,
    Classes,
    Line,
    OfClass,
    Pair,
)

if TYPE_CHECKING:
    from tradewind_workload.heads.classification import Classification

BINS = 10
FEWEST = 15  # rows of a bin, where there are as many


def classes_of(head: Classification, labels: tuple[str, ...], probabilities: np.ndarray, truths: np.ndarray) -> Classes:
    """Of probabilities, float [n, classes], and the true classes, int64 [n]."""
    told = probabilities.argmax(1)
    names = tuple(cut(label, NAME) for label in labels)
    roc, precision_recall = _curves(head, probabilities, truths)
    return Classes(
        matrix=_matrix(told, truths, len(labels)) if len(labels) <= MATRIX else None,
        confused=_confused(told, truths, names),
        classes=_of_classes(told, truths, names),
        classes_in_all=len(labels),
        calibration=calibration(head, names, probabilities, truths),
        positive=None if head.positive is None else names[head.positive],
        roc=roc,
        precision_recall=precision_recall,
    )


def _matrix(told: np.ndarray, truths: np.ndarray, count: int) -> tuple[tuple[int, ...], ...]:
    counted = np.bincount(truths * count + told, minlength=count * count).reshape(count, count)
    return tuple(tuple(int(rows) for rows in row) for row in counted)


def _confused(told: np.ndarray, truths: np.ndarray, names: tuple[str, ...]) -> tuple[Pair, ...]:
    wrong = told != truths
    pairs, rows = np.unique(truths[wrong] * len(names) + told[wrong], return_counts=True)
    order = np.argsort(-rows, kind="stable")[:PAIRS]
    return tuple(
        Pair(truth=names[pairs[i] // len(names)], answer=names[pairs[i] % len(names)], rows=int(rows[i])) for i in order
    )


def _of_classes(told: np.ndarray, truths: np.ndarray, names: tuple[str, ...]) -> tuple[OfClass, ...]:
    count = len(names)
    rows, answered = np.bincount(truths, minlength=count), np.bincount(told, minlength=count)
    right = np.bincount(truths[told == truths], minlength=count)
    worst = np.sort(np.argsort(-(rows + answered - 2 * right), kind="stable")[:CLASSES])
    return tuple(
        OfClass(label=names[i], rows=int(rows[i]), answered=int(answered[i]), right=int(right[i])) for i in worst
    )


def calibration(
    head: Classification, names: tuple[str, ...], probabilities: np.ndarray, truths: np.ndarray
) -> Calibration:
    """Of the positive class of two; of more, of whichever class is the answer. Bins have about as many rows each."""
    if head.positive is None:
        said, was = probabilities.max(1), probabilities.argmax(1) == truths
    else:
        said, was = probabilities[:, head.positive], truths == head.positive
    order = np.argsort(said, kind="stable")
    parts = max(1, min(BINS, len(order) // FEWEST))
    bins = [_bin(said[here], was[here]) for here in np.array_split(order, parts)]
    error = sum(abs(found.probability - found.happened) * found.rows for found in bins) / len(order)
    about = None if head.positive is None else names[head.positive]
    return Calibration(about=about, error=rounded(error), bins=tuple(bins))


def _bin(said: np.ndarray, was: np.ndarray) -> Bin:
    share, rows = float(was.mean()), len(was)
    low, high = wilson(share, rows)
    return Bin(
        probability=rounded(float(said.mean())),
        happened=rounded(share),
        low=rounded(low),
        high=rounded(high),
        rows=rows,
    )


def _curves(
    head: Classification, probabilities: np.ndarray, truths: np.ndarray
) -> tuple[Line, Line] | tuple[None, None]:
    """Of two classes that the rows have both."""
    if head.positive is None or len(np.unique(truths)) < 2:
        return None, None
    is_it, scores = truths == head.positive, probabilities[:, head.positive]
    alarms, hits = roc(scores, is_it)
    precision, recall = precision_recall(scores, is_it)
    return _line(alarms, hits), _line(recall, precision)


def _line(x: np.ndarray, y: np.ndarray) -> Line:
    kept = evenly(range(len(x)), POINTS)
    return Line(x=all_rounded(x[kept]), y=all_rounded(y[kept]))
