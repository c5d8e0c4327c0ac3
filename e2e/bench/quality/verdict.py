"""Which of two models is the better one, on the same rows: the difference of a metric, and how sure it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

ROW_DRAWS = 200  # of the rows of one seed
DRAWS = 4000  # of seeds, each with one of the former


@dataclass(frozen=True)
class Judged:
    """The answers of two models to the rows of one seed."""

    ours: np.ndarray  # probabilities [n, classes] or values [n]
    theirs: np.ndarray
    truths: np.ndarray  # [n]


@dataclass(frozen=True)
class Difference:
    """What ours is better by, below 0 where it is worse, and its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def word(self) -> str:
        """What it says."""
        return "better" if self.low > 0 else "worse" if self.high < 0 else "equal"


def difference(metric: Any, seeds: Sequence[Judged]) -> Difference:
    """By a bootstrap over pairs of answers and over seeds. `metric` is a heads.metric.Metric.

    A class keeps its number of rows in a draw of rows, so that every draw can be measured.
    """
    random = np.random.default_rng(0)
    sign = 1 if metric.higher_is_better else -1

    def of(one: Judged, rows: np.ndarray) -> float:
        ours, theirs = (metric.measure(answers[rows], one.truths[rows]) for answers in (one.ours, one.theirs))
        return sign * float(ours - theirs)

    whole = [of(one, np.arange(len(one.truths))) for one in seeds]
    drawn = np.array([[of(one, _drawn(one.truths, random)) for _ in range(ROW_DRAWS)] for one in seeds])
    chosen = random.integers(len(seeds), size=(DRAWS, len(seeds)))
    means = drawn[chosen, random.integers(ROW_DRAWS, size=chosen.shape)].mean(1)
    low, high = np.quantile(means, [0.025, 0.975])
    return Difference(float(np.mean(whole)), float(low), float(high))


def _drawn(truths: np.ndarray, random: np.random.Generator) -> np.ndarray:
    if truths.dtype.kind == "f":
        return random.integers(len(truths), size=len(truths))
    return np.concatenate(
        [random.choice(here := np.flatnonzero(truths == one), len(here)) for one in np.unique(truths)]
    )
