"""How sure a metric is: a 95 % interval of it, and whether it is better than guessing beyond chance.

A share of rows has Wilson's interval, any other metric one by a bootstrap over the rows. Where few rows are wrong, many
draws have none of them, and a bootstrap of a share would go from 0.932 to 1 where 43 rows of 44 are right.
Where each class is answered all right or all wrong, every draw has the same value, and a bootstrap tells no interval.

The bootstrap alone would be too kind to few rows: the average precision of a model that ranks at random lies above the
share of the positive rows, the more so the fewer there are. So its value must also be one that hardly ever comes of the
same answers given to the rows in another order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tradewind_workload.heads.metric import Metric

DRAWS = 500  # of the bootstrap
ORDERS = 200  # of the answers; also the fewest draws
ORDERS_OF_LABELS = 50  # the same of several labels a row, which are sorted each: 40 would do for TAIL
WORK = 20_000_000  # truths in all draws together; a larger data set has fewer draws, and needs fewer
TAIL = 0.025  # on each side of the interval
SURE = 1.96  # standard deviations, 95 %
SHARES = frozenset({"accuracy", "subset_accuracy"})  # metrics that are the share of the rows that are right


@dataclass(frozen=True)
class Certainty:
    """The value of a metric, and what chance makes of it."""

    value: float
    low: float  # of the 95 % interval; both are the value where nothing tells how sure it is
    high: float
    guessing: float  # the metric of guesses on the same rows
    better_than_guessing: bool


def certainty(
    metric: Metric, answers: np.ndarray, guesses: np.ndarray, truths: np.ndarray, groups: np.ndarray | None, seed: int
) -> Certainty:
    """Judge answers by a metric, beside guesses that are the same for each row; rows first.

    `groups`, int64 [n], are drawn from apart: each class keeps its number of rows in every draw, so no draw is without
    a rare one, and guessing has the same value in all of them. (Of several labels a row only those with some and those
    with none are groups.)
    """
    random = np.random.default_rng([seed, 4])
    value, guessing = metric.measure(answers, truths), metric.measure(guesses, truths)
    draws, gains = [], []
    fixed = groups is not None and truths.ndim == 1
    for drawn in _drawn(truths, groups, random):
        draws.append(metric.measure(answers[drawn], truths[drawn]))
        against = guessing if fixed else metric.measure(guesses[drawn], truths[drawn])
        gains.append(draws[-1] - against if metric.higher_is_better else against - draws[-1])
    better = np.quantile(gains, TAIL) > 0 and _by_chance(metric, answers, truths, value, random) <= TAIL
    if metric.name in SHARES:
        low, high = wilson(value, len(truths))
        better = better and low > guessing
    else:
        low, high = np.quantile(draws, [TAIL, 1 - TAIL])
    return Certainty(value, min(float(low), value), max(float(high), value), guessing, bool(better))


def wilson(share: float, rows: int) -> tuple[float, float]:
    """95 % interval of a share of so many rows (Wilson, 1927)."""
    middle = (share + SURE**2 / (2 * rows)) / (1 + SURE**2 / rows)
    half = SURE / (1 + SURE**2 / rows) * math.sqrt(share * (1 - share) / rows + SURE**2 / (4 * rows**2))
    return max(0.0, middle - half), min(1.0, middle + half)


def _drawn(truths: np.ndarray, groups: np.ndarray | None, random: np.random.Generator) -> Iterator[np.ndarray]:
    """Numbers of the rows of each draw, with repetition."""
    apart = (
        [np.arange(len(truths))] if groups is None else [np.flatnonzero(groups == group) for group in np.unique(groups)]
    )
    for _ in range(max(_orders(truths), min(DRAWS, WORK // truths.size))):
        yield np.concatenate([numbers[random.integers(0, len(numbers), len(numbers))] for numbers in apart])


def _by_chance(
    metric: Metric, answers: np.ndarray, truths: np.ndarray, value: float, random: np.random.Generator
) -> float:
    """How often the answers, in an order by chance, are as good: 0 to 1, this order counted in."""
    count = _orders(truths)
    orders = (metric.measure(answers, truths[random.permutation(len(truths))]) for _ in range(count))
    return (1 + sum(not metric.better(value, other) for other in orders)) / (1 + count)


def _orders(truths: np.ndarray) -> int:
    if truths.ndim == 1:
        return ORDERS
    return max(ORDERS_OF_LABELS, min(ORDERS, WORK // truths.size))
