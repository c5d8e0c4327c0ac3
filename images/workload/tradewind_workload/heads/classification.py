"""Classification: metrics of probabilities, the one that suits the classes, their weights, and what guessing gives.

The numbers are scikit-learn's, which a test holds them against. Probabilities are float [n, classes], classes int64
[n].
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from tradewind_workload.heads.metric import Metric
from tradewind_workload.heads.ranking import aurocs, average_precisions

if TYPE_CHECKING:
    from collections.abc import Callable

# Classes are out of balance where the rarest has less than this share of the training rows of the commonest.
BALANCED = 0.25
# A curve for each class, and each a sorting of all rows: of more classes they are measured only where one is asked for.
MANY_CLASSES = 100


@dataclass(frozen=True)
class Classification:
    """The head of a model that tells classes apart, as the training rows have them; each class has one."""

    counts: np.ndarray  # int64 [classes], of the training rows
    judged_by: int | None = None  # the positive class, where a model was judged by other rows before

    @classmethod
    def of(cls, classes: np.ndarray, count: int) -> Classification:
        """The head for training rows of these classes."""
        return cls(np.bincount(classes, minlength=count))

    @property
    def positive(self) -> int | None:
        """Of two classes the one that curves and f1 are about: the rarer one, of equals the second.

        It stays the one that a model was judged by, whichever is rarer among the rows of its compression.
        """
        if len(self.counts) != 2:
            return None
        if self.judged_by is not None:
            return self.judged_by
        return 0 if self.counts[0] < self.counts[1] else 1

    @property
    def commonest(self) -> int:
        """The class with the most training rows; of equals the first."""
        return int(self.counts.argmax())

    @property
    def rarest(self) -> int:
        """The class with the fewest training rows; of equals the first."""
        return int(self.counts.argmin())

    def primary(self, asked: str | None) -> Metric:
        """The metric that counts: the one that is asked for, or the one that suits the training rows."""
        return self.metric(asked or self._suited())

    def _suited(self) -> str:
        if self.counts.min() >= BALANCED * self.counts.max():
            return "accuracy"
        return "average_precision" if len(self.counts) == 2 else "balanced_accuracy"

    def metric(self, name: str) -> Metric:
        """A metric by its name. Raises KeyError where there is none."""
        return Metric(name, name not in _LOWER_IS_BETTER, partial(_METRICS[name], positive=self.positive))

    def undefined(self, name: str, classes: np.ndarray) -> bool:
        """Whether rows of these classes have no such metric: one of two classes is not among them."""
        return name in _CURVES and len(np.unique(classes)) < 2

    def measured(self, probabilities: np.ndarray, classes: np.ndarray, primary: str) -> dict[str, float]:
        """All metrics that the rows have, the primary one first."""
        names = dict.fromkeys([primary, *_METRICS])
        if len(self.counts) > MANY_CLASSES:
            names = {name: None for name in names if name == primary or name not in _CURVES}
        return {
            name: self.metric(name).measure(probabilities, classes)
            for name in names
            if not self.undefined(name, classes)
        }

    def guesses(self, rows: int) -> np.ndarray:
        """The same answer for each row, float64 [rows, classes]: the shares of the training rows.

        Its label is always the commonest class, it ranks no row above another, and nothing constant has less log_loss.
        """
        return np.broadcast_to(self.counts / self.counts.sum(), (rows, len(self.counts)))

    def balanced_weights(self) -> np.ndarray:
        """Weights of the classes in the loss, float32 [classes]: all weigh alike, and the mean over the rows is 1."""
        return np.asarray(self.counts.sum() / (len(self.counts) * np.maximum(self.counts, 1)), np.float32)


def _accuracy(probabilities: np.ndarray, classes: np.ndarray, positive: int | None) -> float:
    return float(np.mean(probabilities.argmax(1) == classes))


def _balanced_accuracy(probabilities: np.ndarray, classes: np.ndarray, positive: int | None) -> float:
    """Mean recall of the classes that the rows have."""
    right = np.bincount(classes[probabilities.argmax(1) == classes], minlength=probabilities.shape[1])
    rows = np.bincount(classes, minlength=probabilities.shape[1])
    return float(np.mean(right[rows > 0] / rows[rows > 0]))


def _f1(probabilities: np.ndarray, classes: np.ndarray, positive: int | None) -> float:
    """Of the positive class; of more than two, the mean over the classes that the rows have."""
    told, count = probabilities.argmax(1), probabilities.shape[1]
    about = np.unique(classes) if positive is None else [positive]
    right = np.bincount(classes[told == classes], minlength=count)[about]
    either = (np.bincount(classes, minlength=count) + np.bincount(told, minlength=count))[about]
    return float(np.mean(2 * right / np.maximum(either, 1)))


def _auroc(probabilities: np.ndarray, classes: np.ndarray, positive: int | None) -> float:
    return _curve(aurocs, probabilities, classes, positive)


def _average_precision(probabilities: np.ndarray, classes: np.ndarray, positive: int | None) -> float:
    return _curve(average_precisions, probabilities, classes, positive)


def _curve(
    areas: Callable[[np.ndarray, np.ndarray], np.ndarray],
    probabilities: np.ndarray,
    classes: np.ndarray,
    positive: int | None,
) -> float:
    """Of the positive class against the other; of more than two, the mean over the classes that the rows have."""
    about = np.unique(classes) if positive is None else np.array([positive])
    return float(np.mean(areas(probabilities[:, about], classes[:, np.newaxis] == about)))


def losses(probabilities: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """-log of the probability of the true class, float64 [n]; of 0, as scikit-learn has it, -log of the least float."""
    exact = probabilities.astype(np.float64)
    exact /= exact.sum(1, keepdims=True)
    least = np.finfo(np.float64).eps
    return np.asarray(-np.log(np.clip(exact[np.arange(len(classes)), classes], least, 1)))


def log_loss(probabilities: np.ndarray, classes: np.ndarray, positive: int | None = None) -> float:
    """Mean of -log of the probability of the true class; the same for every positive class."""
    return float(np.mean(losses(probabilities, classes)))


# By name, in the order that they are told in.
_METRICS: dict[str, Callable[..., float]] = {
    "accuracy": _accuracy,
    "balanced_accuracy": _balanced_accuracy,
    "f1": _f1,
    "auroc": _auroc,
    "average_precision": _average_precision,
    "log_loss": log_loss,
}
_CURVES = frozenset({"auroc", "average_precision"})
_LOWER_IS_BETTER = frozenset({"log_loss"})
