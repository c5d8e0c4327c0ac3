"""The rows of the report: each variant with its numbers and its verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tradewind.api.bounds import MeasuredLatency, MeasuredQuality
from tradewind.api.compressionjob import (
    MeasuredOn,
    Replica,
    RequestPart,
    Runtime,
    SpeedUp,
    ThroughputInterval,
    Variant,
)
from tradewind_workload.measure import figures
from tradewind_workload.measure.verdict import exact, frontier, judge, judge_baseline
from tradewind_workload.train.judging import decimal, metric_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tradewind.api.compressionjob import CompressionJobSpec
    from tradewind_workload.compress.storing import Stored
    from tradewind_workload.heads.metric import Metric
    from tradewind_workload.measure.figures import Alone, Figures
    from tradewind_workload.measure.verdict import Measured, Quality

BASELINE = "baseline"
PERCENTILES = (50, 95, 99)  # of the latency


def judge_all(
    stored: Sequence[Stored],
    measured: Mapping[str, Measured],
    spec: CompressionJobSpec,
    metric: Metric,
    price_per_hour: str | None,
) -> tuple[Variant, ...]:
    """The rows of the report, the baseline first."""
    baseline, where = measured[BASELINE], spec.measure.resources
    names = [variant.name for variant in stored if variant.name in measured]
    best = dict(zip(names, frontier([measured[name] for name in names], metric), strict=True))
    rows = []
    for variant in stored:
        if (found := measured.get(variant.name)) is None:
            rows.append(
                Variant(
                    name=variant.name,
                    methods=_cut(variant.methods),
                    verdict=variant.verdict,
                    reason=(variant.failure or "could not be made")[:1024],
                )
            )
            continue
        verdict, reason = (
            judge_baseline(found, spec.goals)
            if variant.name == BASELINE
            else judge(found, baseline, spec.goals, metric)
        )
        rows.append(
            Variant(
                name=variant.name,
                methods=_cut(variant.methods),
                verdict=verdict,
                reason=reason,
                quality=_quality(found.shown, metric),
                judged_quality=_quality(found.judged, metric),
                latencies=_latencies(found.figures),
                throughput_per_second=_rate(found.figures.throughput),
                throughput_interval=_interval(found.figures),
                size_bytes=found.size,
                peak_memory_bytes=found.figures.peak_memory,
                cost_per_million=cost_per_million(found.figures, price_per_hour),
                speedup=SpeedUp(
                    value=decimal(found.figures.speedup, 3),
                    low=decimal(found.figures.low, 3),
                    high=decimal(found.figures.high, 3),
                ),
                pareto=best[variant.name],
                replica=_replica(found.figures),
                runtime=_runtime(found.alone),
                storage_uri=variant.uri,
                digest=variant.digest,
                measured_on=MeasuredOn(
                    pool=where.pool, cpu=where.cpu, memory=where.memory, accelerators=where.accelerators
                ),
            )
        )
    return tuple(rows)


def _quality(found: Quality, metric: Metric) -> MeasuredQuality:
    loss = found.loss
    low, high = (None if end is None else metric_of(float(exact(end))) for end in (loss.low, loss.high))
    return MeasuredQuality(
        metric=metric.name,
        value=metric_of(found.value),
        loss=metric_of(float(exact(loss.value))),
        loss_low=low,
        loss_high=high,
        part=found.part,
        rows=found.rows,
    )


def _cut(methods: tuple[str, ...]) -> str:
    return (" + ".join(methods) or "none")[:256]


def _latencies(of: Figures) -> tuple[MeasuredLatency, ...]:
    return tuple(
        MeasuredLatency(percentile=percentile, milliseconds=decimal(of.latency(percentile), 4))
        for percentile in PERCENTILES
    )


def _rate(throughput: float) -> str | None:
    """Of a second; None where no rate keeps the SLO."""
    return decimal(throughput, 1 if throughput >= 10 else 4) if throughput > 0 else None


def _interval(of: Figures) -> ThroughputInterval | None:
    """Of a replica that bears anything."""
    if not isinstance(of, figures.Replica) or not of.throughput:
        return None
    low, high = of.sweep.low, of.sweep.high
    return ThroughputInterval(low=_rate(low) or "0", high=_rate(high) or "0")


def _replica(of: Figures) -> Replica | None:
    if not isinstance(of, figures.Replica):
        return None
    slo = of.sweep.slo
    return Replica(
        within=MeasuredLatency(percentile=slo.percentile, milliseconds=decimal(slo.milliseconds, 4)),
        start_seconds=decimal(of.start_seconds, 2),
        parts=tuple(RequestPart(part=part, milliseconds=decimal(mean, 4)) for part, mean in of.parts.items()),
    )


def _runtime(alone: Alone | None) -> Runtime | None:
    if alone is None:
        return None
    return Runtime(latencies=_latencies(alone), throughput_per_second=_rate(alone.throughput))


def cost_per_million(of: Figures, price_per_hour: str | None) -> str:
    """Price of a million requests, or of a million rows where no replica was measured; Unknown without a price."""
    if price_per_hour is None or price_per_hour == "Unknown" or of.throughput <= 0:
        return "Unknown"
    return decimal(float(price_per_hour) / 3600 / of.throughput * 1e6, 9)
