"""What a variant loses against its baseline on the same rows, with a 95 % interval that is paired row by row.

It is a Bayesian bootstrap (Rubin, 1981): a draw gives each row, or each group where rows of a group belong together, a
weight, the same for both models, and the two metrics are compared. No draw is without a rare class, as those of a
bootstrap by counts may be. The ends are further out than 2.5 % of the draws by what few rows need (Hesterberg, 2015:
the expanded percentile).

A metric of what is decided, as accuracy is, differs only by the rows that one model answers rightly and the other one
does not. Where these are few or none, draws alone would tell an interval that is too narrow, or none. So the upper end
is that of the rows and one more, which is imagined and only the baseline answers rightly, and the lower end that of one
more which only the variant does; its class is drawn by chance. Of an accuracy where no row is won, that upper end is
Clopper's and Pearson's exact one (1934) for the share of the rows that are lost.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from tradewind_workload.heads.multilabel import answered
from tradewind_workload.heads.weighted import measure_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tradewind_workload.heads.head import Head
    from tradewind_workload.heads.metric import Metric

TAIL = 0.025  # on each side of the interval
DRAWS = 4000
FEWEST = 100  # of many rows, which need fewer
WORK = 20_000_000  # weights in all draws together
HELD = 1_000_000  # weights that are held at a time
DECIDED = frozenset({"accuracy", "balanced_accuracy", "f1", "f1_micro", "f1_macro", "subset_accuracy"})
IMAGINED = 100  # classes or labels of imagined rows, at most


@dataclass(frozen=True)
class Loss:
    """What a variant is worse by, in the metric's own scale; below 0 where it is better."""

    value: float
    # Of the 95 % interval; None where nothing tells one: no draw loses or wins anything, or there is one row or group.
    low: float | None = None
    high: float | None = None
    # Rows that only the baseline, and that only the variant answers rightly; None of a metric that does not decide.
    lost: int | None = None
    won: int | None = None
    alone: bool = False  # of one row or group, which tells nothing of others


@dataclass(frozen=True)
class Comparison:
    """The rows that variants are compared on with their baseline, and what that answers.

    Answers are probabilities, float [n, classes or labels], or values, float [n]. `groups`, int64 [n], are of rows that
    belong together, and None where each row is by itself.
    """

    head: Head
    metric: Metric
    truths: np.ndarray
    baseline: np.ndarray
    groups: np.ndarray | None
    seed: int

    def loss(self, answers: np.ndarray) -> Loss:
        """Of a variant with these answers to the same rows."""
        value = self._sign * (self._measured(self.baseline) - self._measured(answers)) + 0.0  # no -0
        lost, won = self._decided(answers)
        tail = _tail(self._units[0])
        if tail is None:
            return Loss(value, lost=lost, won=won, alone=True)
        more, less = self._draws(answers)
        low, high = float(np.quantile(less, tail)), float(np.quantile(more, 1 - tail))
        if not value and math.isclose(low, high, abs_tol=1e-12):
            return Loss(value, lost=lost, won=won)
        return Loss(value, min(low, value), max(high, value), lost, won)

    @cached_property
    def least(self) -> float:
        """The upper end that so few rows have at best: that of a variant which decides them all as the baseline does.

        0 of a metric that does not go by decisions.
        """
        return self.loss(self.baseline).high or 0.0 if self.metric.name in DECIDED else 0.0

    def _measured(self, answers: np.ndarray) -> float:
        return self.metric.measure(answers, self.truths)

    @property
    def _sign(self) -> int:
        return 1 if self.metric.higher_is_better else -1

    def _decided(self, answers: np.ndarray) -> tuple[int | None, int | None]:
        if self.metric.name not in DECIDED:
            return None, None
        before, after = (self._wrong(found) for found in (self.baseline, answers))
        return int(np.sum(after > before)), int(np.sum(after < before))

    def _wrong(self, answers: np.ndarray) -> np.ndarray:
        """Of each row, int64 [n]: whether its class is wrong, or how many of its labels are."""
        wrong = _decisions(answers, self.truths) != (self.truths > 0 if self.truths.ndim == 2 else self.truths)
        return np.asarray(wrong.sum(1) if wrong.ndim == 2 else wrong, np.int64)

    @cached_property
    def _units(self) -> tuple[int, np.ndarray | None]:
        """How many are drawn, rows or groups, and of each row the number of its group."""
        if self.groups is None:
            return len(self.truths), None
        found, numbers = np.unique(self.groups, return_inverse=True)
        return len(found), numbers

    @cached_property
    def _imagined(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Truths of imagined rows, one for each class or label, and the right and the wrong answers to them."""
        if self.metric.name not in DECIDED:
            return self.truths[:0], self.baseline[:0], self.baseline[:0]
        several = self.truths.ndim == 2
        about = np.flatnonzero(self.truths.any(0)) if several else np.unique(self.truths)
        if len(about) > IMAGINED:
            about = np.random.default_rng([self.seed, 8]).choice(about, IMAGINED, replace=False)
        right = np.zeros((len(about), self.baseline.shape[1]), self.baseline.dtype)
        right[np.arange(len(about)), about] = 1
        if several:
            return right.astype(self.truths.dtype), right, np.zeros_like(right)
        return about, right, np.roll(right, 1, axis=1)

    def _draws(self, answers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The loss of each draw, float64 [draws]: with one more row that is lost, and with one that is won."""
        kept, counts = self._kinds(answers)
        truths, right, wrong = self._imagined
        sides = [(right, wrong), (wrong, right)] if len(truths) else [(right, wrong)]
        every = np.concatenate([self.truths[kept], truths])
        pairs = [
            tuple(
                measure_of(self.head, self.metric.name, np.concatenate([found[kept], more]), every)
                for found, more in ((self.baseline, one), (answers, other))
            )
            for one, other in sides
        ]
        found: list[list[np.ndarray]] = [[] for _ in pairs]
        for weights in self._weights(kept, counts, len(truths)):
            for (before, after), losses in zip(pairs, found, strict=True):
                losses.append(self._sign * (before(weights) - after(weights)))
        draws = [np.concatenate(losses) for losses in found]
        return draws[0], draws[-1]

    def _kinds(self, answers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of some rows, and how many rows are as each of them: those that both models decide alike, in a group.

        Only what is decided counts then, so a million rows are drawn as fast as their few kinds.
        """
        if self.metric.name not in DECIDED:
            return np.arange(len(self.truths)), np.ones(len(self.truths), np.int64)
        columns = [self.truths, *(_decisions(found, self.truths) for found in (self.baseline, answers))]
        if (numbers := self._units[1]) is not None:
            columns.append(numbers)
        _, kept, counts = np.unique(np.column_stack(columns), axis=0, return_index=True, return_counts=True)
        return kept, counts

    def _weights(self, kept: np.ndarray, counts: np.ndarray, imagined: int) -> Iterator[np.ndarray]:
        """The weights of some draws, float64 [draws, kinds + imagined]; of the imagined rows each draw has one."""
        rows, kinds, random = len(self.truths), len(kept), np.random.default_rng([self.seed, 7])
        units, numbers = self._units
        count, at_once = max(FEWEST, min(DRAWS, WORK // kinds)), max(1, HELD // (kinds + imagined))
        for start in range(0, count, at_once):
            some = min(at_once, count - start)
            if numbers is None:
                weights = random.standard_gamma(counts, (some, kinds))  # what so many rows of weight 1 come to
            else:
                weights = random.standard_exponential((some, units))[:, numbers[kept]] * counts
            if imagined:
                more = np.zeros((some, imagined))
                chosen = random.integers(imagined, size=some)
                more[np.arange(some), chosen] = random.exponential(rows / units, some)
                weights = np.concatenate([weights, more], axis=1)
            yield weights


def _decisions(answers: np.ndarray, truths: np.ndarray) -> np.ndarray:
    """The class of each row, int64 [n], or which labels, bool [n, labels]."""
    return answered(answers) if truths.ndim == 2 else np.asarray(answers.argmax(1))


def _tail(units: int) -> float | None:
    """The share of the draws beyond each end; None of a single unit, which tells nothing."""
    if units < 2:
        return None
    from scipy.stats import t  # takes a second to import

    return NormalDist().cdf(-math.sqrt(units / (units - 1)) * float(t.ppf(1 - TAIL, units - 1)))
