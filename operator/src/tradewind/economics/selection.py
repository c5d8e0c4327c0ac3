"""Which variant of a compression job is served: the best in what is minimised, among those that keep the bounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

from tradewind.api.bounds import Latency, MeasuredQuality, Quality
from tradewind.api.compressionjob import Variant
from tradewind.api.modeldeployment import Scaling, Select, Where
from tradewind.economics.prices import money

BASELINE = "baseline"
# A replica is not planned to be busier than this, so that a burst finds room.
HEADROOM = Decimal("0.8")
# A service is only moved to another variant for at least this part of what is minimised.
HYSTERESIS = Decimal("0.1")


@dataclass(frozen=True, slots=True)
class Load:
    """What a replica costs and what it has to bear."""

    per_hour: Decimal | None  # of one replica; None: the pool has no price
    currency: str
    requests_per_second: Decimal | None
    scaling: Scaling


@dataclass(frozen=True, slots=True)
class Choice:
    """The variant to serve, and why."""

    variant: Variant
    reason: str
    runner_up: str | None
    rejected: tuple[tuple[str, str], ...] = ()  # variants that can't be served, and why


@dataclass(frozen=True, slots=True)
class NoChoice:
    """Why none can be served, by variant."""

    message: str


@dataclass(frozen=True, slots=True)
class _Candidate:
    variant: Variant
    value: Decimal  # what is minimised, in `unit`
    words: str  # the value with its unit and how it came about
    order: tuple[Decimal, Decimal, Decimal, str]


def number(text: str | None) -> Decimal | None:
    """A measured number; None where it was not measured."""
    if text is None:
        return None
    try:
        value = Decimal(text)
    except ArithmeticError:
        return None
    return value if value.is_finite() else None


def replicas(load: Load, throughput: Decimal | None) -> int:
    """Replicas for the expected load: max(scaling.minReplicas, ceil(load / (throughput x headroom)))."""
    least = load.scaling.min_replicas
    if load.requests_per_second is None or not throughput:
        return least
    needed = int((load.requests_per_second / (throughput * HEADROOM)).to_integral_value(ROUND_CEILING))
    return max(least, needed)


def per_million(load: Load, throughput: Decimal | None) -> Decimal | None:
    """Price of a million requests under the expected load, with the replicas that it needs; None for unknown.

    `throughput` is a replica's, in requests: how many replicas are needed is not known without it.

    The one formula, for the choice of a variant and for what is reported of the service.
    """
    if load.per_hour is None or not load.requests_per_second or not throughput:
        return None
    return load.per_hour * replicas(load, throughput) / (load.requests_per_second * 3600) * 1_000_000


def select(variants: Sequence[Variant], wanted: Select, load: Load, present: str | None = None) -> Choice | NoChoice:
    """Choose among the baseline and the accepted variants.

    `present` is the name of the variant that is served now; it stays unless another one is better by HYSTERESIS.
    """
    excluded: list[tuple[str, str]] = []
    candidates: list[_Candidate] = []
    for variant in variants:
        if why := _excluded(variant, wanted):
            excluded.append((variant.name, why))
        elif isinstance(candidate := _candidate(variant, wanted, load), str):
            excluded.append((variant.name, candidate))
        else:
            candidates.append(candidate)
    if not candidates:
        rows = "; ".join(f"{name}: {why}" for name, why in excluded) or "the compression job reported no variant"
        loosen = "Loosen spec.select.where, or name" if wanted.where != Where() else "Name"
        return NoChoice(
            f"No variant can be served: {rows}. {loosen} a CompressionJob with other candidates or goals in "
            "spec.model.compressionJobRef."
        )
    candidates.sort(key=lambda candidate: (candidate.value, *candidate.order))
    best = candidates[0]
    kept = next((candidate for candidate in candidates if candidate.variant.name == present), None)
    staying = kept is not None and kept is not best and best.value > kept.value * (1 - HYSTERESIS)
    chosen = kept if kept is not None and staying else best
    others = [candidate for candidate in candidates if candidate is not chosen]
    reason = _staying(chosen, best) if staying else _reason(chosen, others, wanted, load)
    numbers = _numbers(chosen.variant)
    return Choice(chosen.variant, f"{reason}{numbers}.", _runner_up(chosen, others), tuple(sorted(excluded)))


def _excluded(variant: Variant, wanted: Select) -> str | None:
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


def _candidate(variant: Variant, wanted: Select, load: Load) -> _Candidate | str:
    throughput, slow = number(variant.throughput_per_second), latency(variant, 95)
    unknown = Decimal("Infinity")
    size = Decimal(variant.size_bytes) if variant.size_bytes is not None else unknown
    slowness = 1 / throughput if throughput else unknown
    order = (slowness, slow if slow is not None else unknown, size, variant.name)
    if wanted.minimize == "Latency":
        if slow is None:
            return "its latency was not measured"
        return _Candidate(variant, slow, f"{slow} ms at the 95th percentile", order)
    if wanted.minimize == "Size":
        if variant.size_bytes is None:
            return "its size was not measured"
        return _Candidate(variant, size, f"{variant.size_bytes} bytes", order)
    if throughput is None or throughput <= 0:
        return "its throughput was not measured"
    return _Candidate(variant, *_cost(variant, throughput, load), order)


def _asked(variant: Variant) -> str:
    """What its throughput counts: requests to a replica, or rows that the model alone was given."""
    return "requests" if variant.replica is not None else "rows"


def _rate(variant: Variant, load: Load) -> Decimal | None:
    """The load that its replicas can be computed for; None where there is none, or no replica was measured."""
    return load.requests_per_second if variant.replica is not None else None


def _cost(variant: Variant, throughput: Decimal, load: Load) -> tuple[Decimal, str]:
    """What is to be minimised, and its words. Without a price, what is bought decides: replicas, or their time."""
    rate, asked = _rate(variant, load), _asked(variant)
    if rate is None:
        seconds = 1_000_000 / throughput
        if load.per_hour is None:
            return seconds, f"{seconds:.2f} seconds of a replica for a million {asked} (the pool has no price)"
        full = load.per_hour * seconds / 3600
        return full, f"{money(full)} {load.currency} for a million {asked} at full use"
    count = replicas(load, throughput)
    with_count = f"{count} replica{'' if count == 1 else 's'} at {rate.normalize():f} requests per second"
    if count > load.scaling.max_replicas:
        with_count += f" (scaling.maxReplicas is {load.scaling.max_replicas})"
    price = per_million(load, throughput)
    if price is None:
        return Decimal(count), with_count
    return price, f"{money(price)} {load.currency} for a million requests with {with_count}"


def _reason(chosen: _Candidate, others: Sequence[_Candidate], wanted: Select, load: Load) -> str:
    if not others:
        return f"The only one that keeps the bounds: {chosen.words}"
    what = {"Cost": "cheapest", "Latency": "fastest", "Size": "smallest"}[wanted.minimize]
    first = f"The {what} of the {len(others) + 1} that keep the bounds"
    if wanted.minimize == "Cost" and load.per_hour is None:  # no price, so none is the cheapest
        fastest = f"answers the most {_asked(chosen.variant)} per second"
        does = fastest if _rate(chosen.variant, load) is None else "needs the fewest replicas"
        first = f"Of the {len(others) + 1} that keep the bounds it {does}"
    if equals := [other for other in others if other.value == chosen.value]:
        most = all(chosen.order[0] < other.order[0] for other in equals)
        more = f", and it answers more {_asked(chosen.variant)} per second" if most else ""
        first += f" (equal to {' and '.join(other.variant.name for other in equals)}{more})"
    return f"{first}: {chosen.words}"


def _staying(chosen: _Candidate, best: _Candidate) -> str:
    least = f"{HYSTERESIS * 100:.0f} %"
    return f"It stays: {chosen.words}, and {best.variant.name} ({best.words}) isn't better by {least}"


def _numbers(variant: Variant) -> str:
    measured = (
        (f"{variant.quality.metric} {{}}", variant.quality.value) if variant.quality is not None else ("", None),
        ("95th percentile {} ms", latency(variant, 95)),
        (f"{{}} {_asked(variant)} per second", variant.throughput_per_second),
    )
    numbers = [words.format(value) for words, value in measured if value]
    return f"; {', '.join(numbers)}" if numbers else ""


def _runner_up(chosen: _Candidate, others: Sequence[_Candidate]) -> str | None:
    if not others:
        return None
    second = others[0]
    if chosen.value and second.value != chosen.value:
        return f"{second.variant.name}: {second.words} ({(second.value / chosen.value - 1) * 100:+.0f} %)"
    manages = second.variant.throughput_per_second
    more = f"; it manages {manages} {_asked(second.variant)} per second" if manages else ""
    return f"{second.variant.name}: {second.words} (the same{more})"
