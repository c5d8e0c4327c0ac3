"""What a measured variant is worth: the rules of honesty."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

from tradewind_workload.io.fault import Fault

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tradewind.api.compressionjob import Goals
    from tradewind_workload.measure.measurement import Figures

Verdict = Literal["Accepted", "Regression", "NotFaster", "Infeasible", "Failed"]
METRICS = ("accuracy",)  # that are measured of a variant, the primary one first
NOISE = 0.95  # a median below that share of the baseline's speed is slower, whatever the interval says


@dataclass(frozen=True)
class Measured:
    """A variant with all its numbers."""

    accuracy: float
    size: int
    figures: Figures


def measured_metric(goals: Goals) -> str:
    """The metric that goals.maxQualityLoss bounds. Raises Fault(NotSupported) where it is not measured."""
    metric = goals.max_quality_loss.metric or METRICS[0]
    if metric not in METRICS:
        raise Fault(
            "NotSupported",
            f"goals.maxQualityLoss.metric is {metric!r}, which is not measured for this model; choose one of "
            f"{', '.join(METRICS)}, or leave it out.",
        )
    return metric


def lost(variant: Measured, baseline: Measured) -> Decimal:
    """What the variant loses of the accuracy, in its own scale, 0 to 1; below 0 where it is better."""
    return Decimal(repr(round(baseline.accuracy - variant.accuracy, 9)))


def judge(variant: Measured, baseline: Measured, goals: Goals) -> tuple[Verdict, str]:
    """The verdict and its sentence. Accepted is never slower than the baseline, and misses no goal."""
    figures = variant.figures
    loss, most = lost(variant, baseline), goals.max_quality_loss.value
    if loss > most:
        return "Regression", (
            f"loses {loss:.4f} of {METRICS[0]} ({variant.accuracy:.4f} after {baseline.accuracy:.4f}); "
            f"goals.maxQualityLoss is {most:f}"
        )
    if (missed := _infeasible(variant, goals)) is not None:
        return "Infeasible", missed
    share = variant.size / baseline.size
    speed = f"{figures.speedup:.2f}x the baseline's speed ({figures.low:.2f} to {figures.high:.2f})"
    size = f"{share:.2f}x its size"
    quality = f"{METRICS[0]} {variant.accuracy:.4f} after {baseline.accuracy:.4f}"
    if figures.high < 1 or figures.speedup < NOISE:
        return "NotFaster", f"slower: {speed}, {size}"
    if figures.low <= 1 and variant.size >= baseline.size:
        return "NotFaster", f"neither measurably faster nor smaller: {speed}, {size}"
    if figures.low <= 1:
        return "Accepted", f"smaller, as fast within what can be measured: {speed}, {size}, {quality}"
    return "Accepted", f"{speed}, {size}, {quality}"


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


def frontier(variants: Sequence[Measured]) -> list[bool]:
    """By variant: whether no other is at least as good in accuracy, median latency and size, and better in one."""

    def beats(other: Measured, one: Measured) -> bool:
        at_least = (
            other.accuracy >= one.accuracy and other.figures.p50_ms <= one.figures.p50_ms and other.size <= one.size
        )
        return at_least and (
            other.accuracy > one.accuracy or other.figures.p50_ms < one.figures.p50_ms or other.size < one.size
        )

    return [not any(beats(other, one) for other in variants) for one in variants]
