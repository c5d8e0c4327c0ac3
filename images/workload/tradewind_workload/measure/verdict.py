"""What a measured variant is worth: the rules of honesty."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

from tradewind_workload.io.fault import Fault

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tradewind.api.compressionjob import Goals
    from tradewind_workload.heads.metric import Metric
    from tradewind_workload.measure.figures import Alone, Figures

Verdict = Literal["Accepted", "Regression", "NotFaster", "Infeasible", "NotApplicable", "Failed"]
AS_FAST = 0.95  # of the baseline's speed: what may be slower than that, by the interval, is not as fast
IN_UNITS_OF_THE_LABEL = ("rmse", "mae")
LOSS, LOSS_PART = Decimal("0.01"), Decimal("0.01")  # where the goal says none: as it is, or of the baseline's value


@dataclass(frozen=True)
class Measured:
    """A variant with all its numbers."""

    quality: float  # by the metric that is bounded
    size: int
    figures: Figures
    alone: Alone | None = None  # where the figures are a replica's


def measured_metric(goals: Goals, known: tuple[str, ...]) -> str:
    """The metric that goals.maxQualityLoss bounds: of those that are measured, the primary one first.

    Raises Fault(NotSupported) where it is not measured.
    """
    metric = goals.max_quality_loss.metric or known[0]
    if metric not in known:
        raise Fault(
            "NotSupported",
            f"goals.maxQualityLoss.metric is {metric!r}, which is not measured for this model; choose one of "
            f"{', '.join(known)}, or leave it out.",
        )
    return metric


def lost(variant: Measured, baseline: Measured, metric: Metric) -> Decimal:
    """What the variant is worse by, in the metric's own scale; below 0 where it is better."""
    worse = baseline.quality - variant.quality if metric.higher_is_better else variant.quality - baseline.quality
    return Decimal(f"{worse:.9g}")  # as exact as two floats can differ


def most_lost(goals: Goals, baseline: Measured, metric: Metric) -> tuple[Decimal, str]:
    """The largest loss that is accepted, and how it is said.

    Where the goal says none it is 0.01; what has the unit of the labels has no such number, there it is a hundredth
    of the baseline's value.
    """
    asked = goals.max_quality_loss.value
    if asked is not None:
        return asked, f"goals.maxQualityLoss is {asked:f}"
    if metric.name not in IN_UNITS_OF_THE_LABEL:
        return LOSS, f"goals.maxQualityLoss is {LOSS:f}"
    most = LOSS_PART * Decimal(f"{abs(baseline.quality):.9g}")
    said = f"goals.maxQualityLoss is 1 % of the baseline's, {_shown(float(most), metric)}, where none is given"
    return most, said


def judge(variant: Measured, baseline: Measured, goals: Goals, metric: Metric) -> tuple[Verdict, str]:
    """The verdict and its sentence. Accepted is never slower than the baseline, and misses no goal."""
    figures = variant.figures
    loss = lost(variant, baseline, metric)
    most, bound = most_lost(goals, baseline, metric)
    after = f"{_shown(variant.quality, metric)} after {_shown(baseline.quality, metric)}"
    if loss > most:
        worse = f"loses {_shown(float(loss), metric)} of" if metric.higher_is_better else "is worse in"
        by = "" if metric.higher_is_better else f" by {_shown(float(loss), metric)}"
        return "Regression", f"{worse} {metric.name}{by} ({after}); {bound}"
    if (missed := _infeasible(variant, goals)) is not None:
        return "Infeasible", missed
    share = variant.size / baseline.size
    speed = f"{figures.speedup:.2f}x the baseline's speed ({figures.low:.2f} to {figures.high:.2f})"
    size = f"{share:.2f}x its size"
    quality = f"{metric.name} {after}"
    if figures.high < 1:
        return "NotFaster", f"slower: {speed}, {size}"
    if figures.low < AS_FAST:
        unsure = "it may be slower; a job with more spec.measure.repeats, or where less else runs, tells more exactly"
        return "NotFaster", f"{speed}, {size}: {unsure}"
    if figures.low <= 1 and variant.size >= baseline.size:
        return "NotFaster", f"neither measurably faster nor smaller: {speed}, {size}"
    if figures.low <= 1:
        return "Accepted", f"smaller, as fast within what can be measured: {speed}, {size}, {quality}"
    return "Accepted", f"{speed}, {size}, {quality}"


def _shown(value: float, metric: Metric) -> str:
    return f"{value:.6g}" if metric.name in IN_UNITS_OF_THE_LABEL else f"{value:.4f}"


def judge_baseline(baseline: Measured, goals: Goals) -> tuple[Verdict, str]:
    """The uncompressed model is what the others are compared with; it can only miss a goal of latency or size."""
    if (missed := _infeasible(baseline, goals)) is not None:
        return "Infeasible", missed
    return "Accepted", "the uncompressed model, which the others are compared with"


def _infeasible(variant: Measured, goals: Goals) -> str | None:
    if (goal := goals.max_latency) is not None:
        latency = variant.figures.latency(goal.percentile)
        if Decimal(repr(latency)) > goal.milliseconds:
            return f"p{goal.percentile} latency is {latency:.3f} ms; goals.maxLatency is {goal.milliseconds:f} ms"
    if goals.max_size_bytes is not None and variant.size > goals.max_size_bytes:
        return f"model.onnx has {variant.size} bytes; goals.maxSizeBytes is {goals.max_size_bytes}"
    return None


def frontier(variants: Sequence[Measured], metric: Metric) -> list[bool]:
    """By variant: whether no other is at least as good in quality, median latency and size, and better in one."""

    def beats(other: Measured, one: Measured) -> bool:
        mine, its = (found.figures.p50_ms for found in (one, other))
        at_least = not metric.better(one.quality, other.quality) and its <= mine and other.size <= one.size
        return at_least and (metric.better(other.quality, one.quality) or its < mine or other.size < one.size)

    return [not any(beats(other, one) for other in variants) for one in variants]
