"""What the answers of a regression show: the predicted number beside the true one, and how far it is off."""

from __future__ import annotations

import numpy as np

from tradewind_workload.report.figures import all_rounded
from tradewind_workload.report.record import ROWS, Values

BINS = 30


def values_of(answers: np.ndarray, truths: np.ndarray, seed: int) -> Values:
    """Of predicted numbers and true ones, float [n]; of many rows a sample is drawn."""
    chosen = np.arange(len(truths))
    if len(truths) > ROWS:
        chosen = np.sort(np.random.default_rng([seed, 6]).choice(len(truths), ROWS, replace=False))
    counts, edges = np.histogram(answers.astype(np.float64) - truths, bins=BINS)
    return Values(
        truths=all_rounded(truths[chosen]),
        answers=all_rounded(answers[chosen]),
        edges=all_rounded(edges),
        counts=tuple(int(count) for count in counts),
    )
