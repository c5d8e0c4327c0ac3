"""Multi-label classification: metrics of the labels of rows, the weights of labels, and what guessing gives.

A row has any number of the labels, none too. Probabilities are float [n, labels], sets are 0 and 1 of the same shape;
a label is answered where its probability is at least THRESHOLD. The numbers are scikit-learn's, which a test holds them
against, of the labels that the rows have: of a label without a row nothing is measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tradewind_workload.heads.answer import THRESHOLD
from tradewind_workload.heads.classification import MANY_CLASSES
from tradewind_workload.heads.metric import Metric
from tradewind_workload.heads.ranking import average_precisions

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class MultiLabel:
    """The head of a model that gives a row any number of labels."""

    counts: np.ndarray  # int64 [labels], training rows with each; all have one
    rows: int  # training rows

    @classmethod
    def of(cls, sets: np.ndarray) -> MultiLabel:
        """The head for training rows with these labels, int8 [n, labels]."""
        return cls(sets.sum(0, dtype=np.int64), len(sets))

    def primary(self, asked: str | None) -> Metric:
        """The metric that counts: the mean average precision, which needs no threshold, unless another is asked for."""
        return self.metric(asked or "average_precision")

    def metric(self, name: str) -> Metric:
        """A metric by its name. Raises KeyError where there is none."""
        return Metric(name, name not in _LOWER_IS_BETTER, _METRICS[name])

    def undefined(self, name: str, sets: np.ndarray) -> bool:
        """Whether rows with these labels have no such metric: none of them has any label."""
        return name in _OF_LABELS and not sets.any()

    def measured(self, probabilities: np.ndarray, sets: np.ndarray, primary: str) -> dict[str, float]:
        """All metrics that the rows have, the primary one first."""
        names = dict.fromkeys([primary, *_METRICS])
        if len(self.counts) > MANY_CLASSES:
            names = {name: None for name in names if name == primary or name != "average_precision"}
        return {
            name: self.metric(name).measure(probabilities, sets) for name in names if not self.undefined(name, sets)
        }

    def guesses(self, rows: int) -> np.ndarray:
        """The same answer for each row, float64 [rows, labels]: the share of the training rows that has each label.

        It ranks no row above another, and nothing constant has less log_loss.
        """
        return np.broadcast_to(self.counts / self.rows, (rows, len(self.counts)))

    def balanced_weights(self) -> np.ndarray:
        """Weights in the loss of rows without and with each label, float32 [2, labels].

        Both weigh alike, and the mean over the rows is 1.
        """
        sides = np.stack([self.rows - self.counts, self.counts])
        return np.asarray(self.rows / (2 * np.maximum(sides, 1)), np.float32)


def answered(probabilities: np.ndarray) -> np.ndarray:
    """Which labels are the answer, bool [n, labels]."""
    return np.asarray(probabilities >= np.float32(THRESHOLD))


def losses(probabilities: np.ndarray, sets: np.ndarray) -> np.ndarray:
    """-log of the probability of what is so, the mean over the labels, float64 [n]; of 0 that of the least float."""
    least = np.finfo(np.float64).eps
    exact = probabilities.astype(np.float64)
    return np.asarray(-np.log(np.clip(np.where(sets > 0, exact, 1 - exact), least, 1)).mean(1))


def _average_precision(probabilities: np.ndarray, sets: np.ndarray) -> float:
    """Mean over the labels."""
    return float(np.nanmean(average_precisions(probabilities, sets)))


def _f1_micro(probabilities: np.ndarray, sets: np.ndarray) -> float:
    """Of all answers together."""
    told = answered(probabilities)
    return float(2 * np.sum(told & (sets > 0)) / max(1, np.sum(told) + np.sum(sets, dtype=np.int64)))


def _f1_macro(probabilities: np.ndarray, sets: np.ndarray) -> float:
    """Mean over the labels."""
    told, rows = answered(probabilities), sets.sum(0, dtype=np.int64)
    right, has = np.sum(told & (sets > 0), 0), rows > 0
    return float(np.mean(2 * right[has] / (told.sum(0) + rows)[has]))


def _subset_accuracy(probabilities: np.ndarray, sets: np.ndarray) -> float:
    """Share of the rows all of whose labels are told, and no others."""
    return float(np.mean((answered(probabilities) == (sets > 0)).all(1)))


def log_loss(probabilities: np.ndarray, sets: np.ndarray) -> float:
    """Mean over rows and labels of -log of the probability of what is so."""
    return float(np.mean(losses(probabilities, sets)))


# By name, in the order that they are told in.
_METRICS: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "average_precision": _average_precision,
    "f1_micro": _f1_micro,
    "f1_macro": _f1_macro,
    "subset_accuracy": _subset_accuracy,
    "log_loss": log_loss,
}
_OF_LABELS = frozenset({"average_precision", "f1_macro"})
_LOWER_IS_BETTER = frozenset({"log_loss"})
