"""What the answers of a multi-label classification show: how each label fares, and how often all of a row are right."""

from __future__ import annotations

import numpy as np

from tradewind_workload.heads.multilabel import answered
from tradewind_workload.heads.ranking import average_precisions
from tradewind_workload.report.figures import cut, rounded
from tradewind_workload.report.record import CLASSES, NAME, OfLabel, Sets


def sets_of(labels: tuple[str, ...], probabilities: np.ndarray, truths: np.ndarray) -> Sets:
    """Of probabilities, float [n, labels], and which labels rows have, int8 of the same shape."""
    told, is_it = answered(probabilities), truths > 0
    rows, calls, right = is_it.sum(0), told.sum(0), (told & is_it).sum(0)
    worst = np.sort(np.argsort(-(rows + calls - 2 * right), kind="stable")[:CLASSES])
    precisions = average_precisions(probabilities[:, worst], truths[:, worst])
    wrong = (told != is_it).sum(1)
    return Sets(
        labels=tuple(
            OfLabel(
                label=cut(labels[i], NAME),
                rows=int(rows[i]),
                answered=int(calls[i]),
                right=int(right[i]),
                average_precision=None if np.isnan(area) else rounded(float(area)),
            )
            for i, area in zip(worst, precisions, strict=True)
        ),
        labels_in_all=len(labels),
        rows=len(truths),
        all_right=int((wrong == 0).sum()),
        one_wrong=int((wrong == 1).sum()),
    )
