"""What a measured variant is worth: the rules of honesty."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import TYPE_CHECKING, Literal, NamedTuple

from tradewind_workload.io.fault import Fault

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tradewind.api.compressionjob import Goals
    from tradewind_workload.heads.metric import Metric
    from tradewind_workload.heads.paired import Loss
    from tradewind_workload.measure.figures import Alone, Figures

Verdict = Literal["Accepted", "Regression", "NotFaster", "Infeasible", "Inconclusive", "NotApplicable", "Failed"]
AS_FAST = 0.95  # of the baseline's speed: what may be slower than that, by the interval, is not as fast
IN_UNITS_OF_THE_LABEL = ("rmse", "mae")
LOSS, LOSS_PART = Decimal("0.01"), Decimal("0.01")  # where the goal says none: as it is, or of the baseline's value


@dataclass(frozen=True)
class Quality:
    """By the metric that is bounded, on the rows of one part."""

    part: str  # Test or Validation
    rows: int
    value: float
    baseline: float  # its value
    loss: Loss
    least: float = 0.0  # the smallest loss that these rows could show it to be within: see heads.paired.Comparison


@dataclass(frozen=True)
class Measured:
    """A variant with all its numbers."""

    judged: Quality  # on the validation rows, which decide
    shown: Quality  # on the test rows, by which nothing was chosen; where there are none, that of the validation rows
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


class Bound(NamedTuple):
    """The largest loss that is accepted, and how it is said."""

    most: Decimal
    said: str


def most_lost(goals: Goals, baseline: float, metric: Metric) -> Bound:
    """What may be lost beside a baseline of that value.

    Where the goal says none it is 0.01; what has the unit of the labels has no such number, there it is a hundredth
    of the baseline's value.
    """
    asked = goals.max_quality_loss.value
    if asked is not None:
        return Bound(asked, f"goals.maxQualityLoss is {asked:f}")
    if metric.name not in IN_UNITS_OF_THE_LABEL:
        return Bound(LOSS, f"goals.maxQualityLoss is {LOSS:f}")
    most = LOSS_PART * exact(abs(baseline))
    said = f"goals.maxQualityLoss is 1 % of the baseline's, {_shown(float(most), metric)}, where none is given"
    return Bound(most, said)


def exact(number: float) -> Decimal:
    """As exact as two floats can differ."""
    return Decimal(f"{number:.9g}")


def judge(variant: Measured, baseline: Measured, goals: Goals, metric: Metric) -> tuple[Verdict, str]:
    """The verdict and its sentence. Accepted is never slower than the baseline, and misses no goal."""
    figures, judged = variant.figures, variant.judged
    bound = most_lost(goals, judged.baseline, metric)
    if (worse := _regression(judged, bound, metric) or _regression_beyond(variant, goals, metric)) is not None:
        return "Regression", worse
    if (missed := _infeasible(variant, goals)) is not None:
        return "Infeasible", missed
    share = variant.size / baseline.size
    speed = f"{figures.speedup:.2f}x the baseline's speed ({figures.low:.2f} to {figures.high:.2f})"
    size = f"{share:.2f}x its size"
    if figures.high < 1:
        return "NotFaster", f"slower: {speed}, {size}"
    if figures.low < AS_FAST:
        unsure = "it may be slower; a job with more spec.measure.repeats, or where less else runs, tells more exactly"
        return "NotFaster", f"{speed}, {size}: {unsure}"
    if figures.low <= 1 and variant.size >= baseline.size:
        return "NotFaster", f"neither measurably faster nor smaller: {speed}, {size}"
    if (unknown := _inconclusive(judged, bound, metric)) is not None:
        return "Inconclusive", unknown
    quality = f"{metric.name} {_after(judged, metric)}{_interval(judged, metric)}{_few(judged, bound, metric)}"
    if figures.low <= 1:
        return "Accepted", f"smaller, as fast within what can be measured: {speed}, {size}, {quality}"
    return "Accepted", f"{speed}, {size}, {quality}"


def _regression(judged: Quality, bound: Bound, metric: Metric) -> str | None:
    """By the rows that judge."""
    if exact(judged.loss.value) <= bound.most:
        return None
    return f"{_loses(judged, metric)} ({_after(judged, metric)}); {bound.said}"


def _regression_beyond(variant: Measured, goals: Goals, metric: Metric) -> str | None:
    """By all of the interval of the rows that are only shown, which no chance explains."""
    judged, shown = variant.judged, variant.shown
    bound = most_lost(goals, shown.baseline, metric)
    if shown.loss.low is None or exact(shown.loss.low) <= bound.most:
        return None
    why = f"though the {judged.rows} {judged.part.lower()} rows do not show it"
    return f"{_loses(shown, metric)} ({_after(shown, metric)}{_interval(shown, metric)}), {why}; {bound.said}"


def _inconclusive(judged: Quality, bound: Bound, metric: Metric) -> str | None:
    """Why the rows that judge can't show that a variant loses no more than it may, and what to do.

    Of very few rows the interval is wider than the goal whatever the variant does; then it is held to be within what
    they show of one that decides each of them as the baseline.
    """
    loss = judged.loss
    if loss.alone:
        return (
            f"a loss of {_shown(loss.value, metric)} of {metric.name} ({_after(judged, metric)}) is that of a single "
            f"group of rows, or of a single row, which tells nothing of others; {bound.said}: give the job validation "
            "data of more groups, or of more rows"
        )
    if (high := loss.high) is None or exact(high) <= max(bound.most, exact(judged.least)):
        return None
    rows = ""
    if loss.lost is not None:
        rows = f"; of these rows {loss.lost} went from right to wrong and {loss.won} from wrong to right"
    return (
        f"may be worse by {_shown(high, metric)} in {metric.name}, and {bound.said}: it is {_after(judged, metric)}"
        f"{_interval(judged, metric)}{rows}; a job with more validation data that the model has not learnt from tells "
        f"more exactly, and one with goals.maxQualityLoss.value {_allowing(high)} accepts it"
    )


def _loses(quality: Quality, metric: Metric) -> str:
    loss = _shown(quality.loss.value, metric)
    return f"loses {loss} of {metric.name}" if metric.higher_is_better else f"is worse in {metric.name} by {loss}"


def _after(quality: Quality, metric: Metric) -> str:
    value, baseline = (_shown(number, metric) for number in (quality.value, quality.baseline))
    return f"{value} after {baseline} on {quality.rows} {quality.part.lower()} rows"


def _interval(quality: Quality, metric: Metric) -> str:
    low, high = quality.loss.low, quality.loss.high
    if low is None or high is None:
        return ", of which no part tells the two apart"
    loss, *ends = (_shown(number, metric) for number in (quality.loss.value, low, high))
    return f", a loss of {loss} (95 % interval {ends[0]} to {ends[1]})"


def _few(judged: Quality, bound: Bound, metric: Metric) -> str:
    """What is said of rows that are too few to show any variant to keep the goal."""
    high = judged.loss.high
    if exact(judged.least) <= bound.most or high is None or exact(high) <= bound.most:
        return ""
    return f"; even where no row differs, so few rows don't show a loss to be below {_shown(judged.least, metric)}"


def _allowing(loss: float) -> Decimal:
    """The shortest number, of two digits that count, which is no less."""
    found = exact(loss)
    return Decimal(f"{found.quantize(Decimal(1).scaleb(found.adjusted() - 1), ROUND_CEILING):f}")


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
        good, better = other.shown.value, metric.better(other.shown.value, one.shown.value)
        at_least = not metric.better(one.shown.value, good) and its <= mine and other.size <= one.size
        return at_least and (better or its < mine or other.size < one.size)

    return [not any(beats(other, one) for other in variants) for one in variants]
