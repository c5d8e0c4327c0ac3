"""How well scores rank rows, the positive ones first: areas under curves, of each column of scores for itself.

Nothing tells rows with the same score apart, whatever order they come in. Scores are float [n, columns], positives bool
or 0 and 1 of the same shape. The numbers are scikit-learn's, which a test holds them against.
"""

from __future__ import annotations

import numpy as np


def average_precisions(scores: np.ndarray, positives: np.ndarray) -> np.ndarray:
    """Area under precision over recall, as steps, float64 [columns]; NaN of a column without a positive row."""
    order, _, ends = _runs(scores)
    hit = np.take_along_axis(positives, order, 0).astype(np.float64)
    precision = np.take_along_axis(np.cumsum(hit, 0), ends, 0) / (ends + 1)
    return _share((hit * precision).sum(0), hit.sum(0))


def aurocs(scores: np.ndarray, positives: np.ndarray) -> np.ndarray:
    """Share of the pairs of a positive and another row that are in order, a tie half, float64 [columns].

    NaN of a column whose rows are all alike.
    """
    order, starts, ends = _runs(scores)
    hit = np.take_along_axis(positives, order, 0).astype(np.float64)
    count = hit.sum(0)
    ranks = (hit * (starts + ends + 2)).sum(0) / 2  # the sum of the positive rows' ranks, the highest score first
    return 1 - _share(ranks - count * (count + 1) / 2, count * (len(scores) - count))


def roc(scores: np.ndarray, positives: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """False and true positive rate of each score as a limit, from the highest on, of one column [n]."""
    hits, told = _counted(scores, positives)
    return (told - hits) / (told - hits)[-1], hits / hits[-1]


def precision_recall(scores: np.ndarray, positives: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Precision and recall of each score as a limit, from the highest on, of one column [n]."""
    hits, told = _counted(scores, positives)
    precision = np.divide(hits, told, out=np.ones(len(told)), where=told > 0)
    return precision, hits / hits[-1]


def _counted(scores: np.ndarray, positives: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positive rows and all rows above no score, above the highest, and so on."""
    order, _, ends = _runs(scores[:, np.newaxis])
    ends = np.unique(ends)
    hits = np.cumsum(positives[order[:, 0]].astype(np.int64))[ends]
    return np.concatenate([[0], hits]), np.concatenate([[0], ends + 1])


def _runs(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows by falling score, and the first and last place of the run of equal scores of each, int64 [n, columns]."""
    order = np.argsort(-scores, axis=0, kind="stable")
    ranked = np.take_along_axis(scores, order, 0)
    places = np.arange(len(scores))[:, np.newaxis]
    other = ranked[1:] != ranked[:-1]
    edge = np.ones((1, scores.shape[1]), bool)
    starts = np.maximum.accumulate(np.where(np.concatenate([edge, other]), places, 0), axis=0)
    last = np.where(np.concatenate([other, edge]), places, len(scores))
    return order, starts, np.minimum.accumulate(last[::-1], axis=0)[::-1]


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    shares: np.ndarray = np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)
    return shares
