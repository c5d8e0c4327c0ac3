"""Regression: metrics of predicted numbers, and what guessing gives. Numbers are float [n].

The metrics are scikit-learn's, which a test holds them against.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tradewind_workload.heads.metric import Metric

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Regression:
    """The head of a model that predicts a number."""

    mean: float  # of the training rows

    @classmethod
    def of(cls, values: np.ndarray) -> Regression:
        """The head for training rows of these values."""
        return cls(float(np.mean(values)))

    def primary(self, asked: str | None) -> Metric:
        """The metric that counts: rmse, which the loss goes down with, unless another one is asked for."""
        return self.metric(asked or "rmse")

    def metric(self, name: str) -> Metric:
        """A metric by its name. Raises KeyError where there is none."""
        return Metric(name, name not in _LOWER_IS_BETTER, _METRICS[name])

    def undefined(self, name: str, values: np.ndarray) -> bool:
        """Whether rows of these values have no such metric: r2 needs values that differ."""
        return name == "r2" and bool(np.ptp(values) == 0)

    def measured(self, predicted: np.ndarray, values: np.ndarray, primary: str) -> dict[str, float]:
        """All metrics that the rows have, the primary one first."""
        return {
            name: self.metric(name).measure(predicted, values)
            for name in dict.fromkeys([primary, *_METRICS])
            if not self.undefined(name, values)
        }

    def guesses(self, rows: int) -> np.ndarray:
        """The same answer for each row, float64 [rows]: the mean of the training rows."""
        return np.full(rows, self.mean)


def _rmse(predicted: np.ndarray, values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(_off(predicted, values) ** 2)))


def _mae(predicted: np.ndarray, values: np.ndarray) -> float:
    return float(np.mean(np.abs(_off(predicted, values))))


def _r2(predicted: np.ndarray, values: np.ndarray) -> float:
    """Of values that are all the same, as a draw of few rows may be, 1 where each is right, else 0."""
    missed, spread = np.sum(_off(predicted, values) ** 2), np.sum(_off(values, np.mean(values)) ** 2)
    return float(1 - missed / spread) if spread else float(not missed)


def _off(predicted: np.ndarray, values: np.ndarray) -> np.ndarray:
    return np.asarray(predicted.astype(np.float64) - values)


# By name, in the order that they are told in.
_METRICS: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {"rmse": _rmse, "mae": _mae, "r2": _r2}
_LOWER_IS_BETTER = frozenset({"rmse", "mae"})
