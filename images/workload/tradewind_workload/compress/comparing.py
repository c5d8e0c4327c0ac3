"""Variants beside their baseline on the rows that judge, and on those whose numbers are shown."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from tradewind_workload.heads.paired import Comparison, Loss
from tradewind_workload.measure.verdict import Quality

if TYPE_CHECKING:
    import numpy as np

    from tradewind_workload.compress.judged import Answers, Judged, Parts
    from tradewind_workload.compress.source import Source
    from tradewind_workload.heads.metric import Metric


@dataclass(frozen=True)
class Comparing:
    """All variants have one baseline, and one metric that is bounded."""

    source: Source
    parts: Parts
    metric: Metric
    before: Answers  # of the baseline

    def of(self, answers: Answers) -> tuple[Quality, Quality]:
        """By the rows that judge, and by those that are shown; the baseline itself loses nothing, surely."""
        judged = self._quality(self._judged, self.parts.judged, answers.judged)
        if self.parts.shown is self.parts.judged:
            return judged, judged
        return judged, self._quality(self._shown, self.parts.shown, answers.shown)

    @cached_property
    def _judged(self) -> Comparison:
        return self._comparison(self.parts.judged, self.before.judged)

    @cached_property
    def _shown(self) -> Comparison:
        return self._comparison(self.parts.shown, self.before.shown)

    def _comparison(self, part: Judged, baseline: np.ndarray) -> Comparison:
        source = self.source
        return Comparison(source.head, self.metric, part.targets, baseline, source.groups(part.rows), source.seed)

    def _quality(self, rows: Comparison, part: Judged, answers: np.ndarray) -> Quality:
        value, baseline = (self.metric.measure(found, part.targets) for found in (answers, rows.baseline))
        loss = Loss(0.0) if answers is rows.baseline else rows.loss(answers)
        return Quality(part.part, len(part), value, baseline, loss, rows.least)
