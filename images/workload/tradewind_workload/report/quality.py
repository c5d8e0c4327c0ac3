"""All metrics of a finished model on one part of the data, each with its interval and beside guessing."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from tradewind_workload.heads.certainty import SHARES, wilson
from tradewind_workload.heads.classification import Classification
from tradewind_workload.heads.multilabel import MultiLabel
from tradewind_workload.report import intervals
from tradewind_workload.report.figures import rounded
from tradewind_workload.report.record import Measured, Quality

if TYPE_CHECKING:
    import numpy as np

    from tradewind_workload.heads.head import Head


def quality_of(
    head: Head,
    part: Literal["validation", "test"],
    primary: str,
    answers: np.ndarray,
    truths: np.ndarray,
    seed: int,
) -> Quality:
    """Of probabilities, float [n, classes], and classes, int64 [n], or labels, int8 of the same shape; or of numbers.

    Predicted and true numbers are float [n].
    """
    found = head.measured(answers, truths, primary)
    guesses = head.guesses(len(truths))
    names = tuple(found)
    if isinstance(head, Classification):
        ends = intervals.of_classes(head, names, answers, truths, seed)
    elif isinstance(head, MultiLabel):
        ends = intervals.of_sets(names, answers, truths, seed)
    else:
        ends = intervals.of_values(names, answers, truths, seed)
    return Quality(
        part=part,
        rows=len(truths),
        metrics=tuple(
            Measured(
                name=name,
                value=rounded(value),
                **_interval(name, value, ends[name], len(truths)),
                guessing=rounded(head.metric(name).measure(guesses, truths)),
                higher_is_better=head.metric(name).higher_is_better,
            )
            for name, value in found.items()
        ),
    )


def _interval(name: str, value: float, ends: tuple[float, float], rows: int) -> dict[str, float]:
    """Both ends, or none where all draws have the same value; as heads/certainty.py has them."""
    low, high = wilson(value, rows) if name in SHARES else ends
    if math.isclose(low, high, rel_tol=1e-9, abs_tol=1e-12):
        return {}
    return {"low": rounded(min(low, value)), "high": rounded(max(high, value))}
