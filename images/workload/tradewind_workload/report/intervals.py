"""95 % intervals of all metrics of a model at once, by a bootstrap over the rows; a draw is a weight for each row.

A draw says how often it has each row: see heads/weighted.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tradewind_workload.heads import weighted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tradewind_workload.heads.classification import Classification
    from tradewind_workload.heads.weighted import Measure

TAIL = 0.025  # on each side of an interval
DRAWS = 200
FEWEST = 50  # of a large part, which needs fewer
WORK = 10_000_000  # rows in all draws together
HELD = 2_000_000  # weights that are held at a time

Interval = tuple[float, float]


def draws(groups: np.ndarray, random: np.random.Generator) -> Iterator[np.ndarray]:
    """How often each draw has each row, float64 [some draws, n]; every group keeps its number of rows.

    `groups` are int64 [n]: the classes, so that no draw is without a rare one, or zeros.
    """
    rows = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    count = max(FEWEST, min(DRAWS, WORK // max(1, len(groups))))
    at_once = max(1, HELD // max(1, len(groups)))
    for start in range(0, count, at_once):
        weights = np.zeros((min(at_once, count - start), len(groups)))
        for draw in weights:
            for here in rows:
                draw[here] = np.bincount(random.integers(0, len(here), len(here)), minlength=len(here))
        yield weights


def of_classes(
    head: Classification, names: tuple[str, ...], probabilities: np.ndarray, truths: np.ndarray, seed: int
) -> dict[str, Interval]:
    """Of these metrics, of probabilities, float [n, classes], and classes, int64 [n]."""
    return _intervals(weighted.of_classes(head, names, probabilities, truths), truths, seed)


def of_sets(names: tuple[str, ...], probabilities: np.ndarray, truths: np.ndarray, seed: int) -> dict[str, Interval]:
    """Of these metrics, of probabilities, float [n, labels], and labels, int8 of the same shape."""
    some = np.asarray((truths > 0).any(1), np.int64)
    return _intervals(weighted.of_sets(names, probabilities, truths), some, seed)


def of_values(names: tuple[str, ...], answers: np.ndarray, truths: np.ndarray, seed: int) -> dict[str, Interval]:
    """Of these metrics, of predicted numbers and true ones, float [n]."""
    return _intervals(weighted.of_values(names, answers, truths), np.zeros(len(truths), np.int64), seed)


def _intervals(measures: dict[str, Measure], groups: np.ndarray, seed: int) -> dict[str, Interval]:
    found: dict[str, list[np.ndarray]] = {name: [] for name in measures}
    for weights in draws(groups, np.random.default_rng([seed, 5])):
        for name, measure in measures.items():
            found[name].append(measure(weights))
    ends = {name: np.nanquantile(np.concatenate(numbers), [TAIL, 1 - TAIL]) for name, numbers in found.items()}
    return {name: (float(low), float(high)) for name, (low, high) in ends.items()}
