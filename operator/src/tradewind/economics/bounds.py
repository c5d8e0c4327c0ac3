"""Which variants may be served at all: those that were accepted, and keep the bounds of spec.select.where."""

from __future__ import annotations

from decimal import Decimal

from tradewind.api.bounds import Latency, MeasuredQuality, Quality
from tradewind.api.compressionjob import Variant
from tradewind.api.modeldeployment import Select

BASELINE = "baseline"


def number(text: str | None) -> Decimal | None:
    """A measured number; None where it was not measured."""
    if text is None:
        return None
    try:
        value = Decimal(text)
    except ArithmeticError:
        return None
    return value if value.is_finite() else None


def excluded(variant: Variant, wanted: Select) -> str | None:
    """Why it can't be served; None where it can."""
    if variant.name != BASELINE and variant.verdict != "Accepted":
        return f"{variant.verdict} ({variant.reason})" if variant.reason else variant.verdict
    if variant.verdict == "Failed":
        return f"Failed ({variant.reason})"
    if variant.storage_uri is None:
        return "its files are not in the store"
    where = wanted.where
    for broken in (_quality(variant, where.quality), _latency(variant, where.max_latency)):
        if broken is not None:
            return broken
    if where.max_size_bytes is not None:
        if variant.size_bytes is None:
            return f"its size was not measured, and maxSizeBytes is {where.max_size_bytes}"
        if variant.size_bytes > where.max_size_bytes:
            return f"its size {variant.size_bytes} bytes is above maxSizeBytes {where.max_size_bytes}"
    return None


def _quality(variant: Variant, bound: Quality | None) -> str | None:
    """By the test data where there is some: a variant is accepted by other rows, and none is ranked by its quality."""
    if bound is None:
        return None
    measured = variant.quality
    value = number(measured.value) if measured is not None and measured.metric == bound.metric else None
    if value is None:
        has = f"; {measured.metric} was" if measured is not None else ""
        return f"{bound.metric} was not measured, and where.quality bounds it{has}"
    if bound.min is not None and value < bound.min:
        return f"{bound.metric} {value}{_rows(measured)} is below where.quality.min {bound.min}"
    if bound.max is not None and value > bound.max:
        return f"{bound.metric} {value}{_rows(measured)} is above where.quality.max {bound.max}"
    return None


def _rows(measured: MeasuredQuality | None) -> str:
    """The rows that a metric is of, in words; nothing where an earlier version left them out."""
    if measured is None or measured.rows is None or measured.part is None:
        return ""
    return f" on {measured.rows} {measured.part.lower()} rows"


def latency(variant: Variant, percentile: int) -> Decimal | None:
    """A percentile of the variant's latency in milliseconds; None where it was not measured."""
    found = next((row.milliseconds for row in variant.latencies if row.percentile == percentile), None)
    return number(found)


def _latency(variant: Variant, bound: Latency | None) -> str | None:
    if bound is None:
        return None
    value = latency(variant, bound.percentile)
    if value is None:
        return f"the {bound.percentile}th percentile was not measured, and where.maxLatency bounds it"
    if value > bound.milliseconds:
        return f"{bound.percentile}th percentile {value} ms is above where.maxLatency {bound.milliseconds} ms"
    return None
