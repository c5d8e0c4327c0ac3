"""Which variant of a compression job is served: the best in what is minimised, among those that keep the bounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

from tradewind.api.compressionjob import Variant
from tradewind.api.modeldeployment import Scaling, Select
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
    """Replicas for the expected load: max(min, ceil(load / (throughput x headroom))), at most scaling.maxReplicas."""
    least = load.scaling.min_replicas
    if load.requests_per_second is None or not throughput:
        return least
    needed = int((load.requests_per_second / (throughput * HEADROOM)).to_integral_value(ROUND_CEILING))
    return min(max(least, needed), load.scaling.max_replicas)


def per_million(per_hour: Decimal | None, requests_per_second: Decimal | None) -> Decimal | None:
    """Price of a million requests of a service that costs so much an hour under that load; None where one is unknown."""
    if per_hour is None or not requests_per_second:
        return None
    return per_hour / (requests_per_second * 3600) * 1_000_000


def select(variants: Sequence[Variant], wanted: Select, load: Load, present: str | None = None) -> Choice | NoChoice:
    """Choose among the baseline and the accepted variants.

    `present` is the name of the variant that is served now; it stays unless another one is better by HYSTERESIS.
    """
    excluded: list[str] = []
    candidates: list[_Candidate] = []
    for variant in variants:
        if why := _excluded(variant, wanted):
            excluded.append(f"{variant.name}: {why}")
        elif isinstance(candidate := _candidate(variant, wanted, load), str):
            excluded.append(f"{variant.name}: {candidate}")
        else:
            candidates.append(candidate)
    if not candidates:
        rows = "; ".join(excluded) or "the compression job reported no variant"
        return NoChoice(
            f"No variant can be served: {rows}. Loosen spec.select.where, or add candidates to the compression job."
        )
    candidates.sort(key=lambda candidate: (candidate.value, *candidate.order))
    best = candidates[0]
    kept = next((candidate for candidate in candidates if candidate.variant.name == present), None)
    staying = kept is not None and kept is not best and best.value > kept.value * (1 - HYSTERESIS)
    chosen = kept if kept is not None and staying else best
    others = [candidate for candidate in candidates if candidate is not chosen]
    return Choice(chosen.variant, _reason(chosen, best, staying, len(candidates), wanted), _runner_up(chosen, others))


def _excluded(variant: Variant, wanted: Select) -> str | None:
    if variant.name != BASELINE and variant.verdict != "Accepted":
        return f"{variant.verdict} ({variant.reason})" if variant.reason else variant.verdict
    if variant.verdict == "Failed":
        return f"Failed ({variant.reason})"
    if variant.storage_uri is None:
        return "its files are not in the store"
    where = wanted.where
    bounds = (
        ("minAccuracy", where.min_accuracy, "accuracy", number(variant.accuracy), ""),
        ("maxLatencyP50Ms", where.max_latency_p50_ms, "median latency", number(variant.latency_p50_ms), " ms"),
        (
            "maxLatencyP95Ms",
            where.max_latency_p95_ms,
            "95th percentile of latency",
            number(variant.latency_p95_ms),
            " ms",
        ),
        ("maxSizeBytes", where.max_size_bytes, "size", variant.size_bytes, " bytes"),
    )
    for field, bound, what, value, unit in bounds:
        if bound is None:
            continue
        if value is None:
            return f"{what} was not measured, and {field} is {bound}"
        if (value < bound) if field.startswith("min") else (value > bound):
            return f"{what} {value}{unit} is {'below' if field.startswith('min') else 'above'} {field} {bound}"
    return None


def _candidate(variant: Variant, wanted: Select, load: Load) -> _Candidate | str:
    throughput, latency = number(variant.throughput_per_second), number(variant.latency_p95_ms)
    unknown = Decimal("Infinity")
    size = Decimal(variant.size_bytes) if variant.size_bytes is not None else unknown
    slowness = 1 / throughput if throughput else unknown
    order = (slowness, latency if latency is not None else unknown, size, variant.name)
    if wanted.minimize == "latency":
        if latency is None:
            return "its latency was not measured"
        return _Candidate(variant, latency, f"{latency} ms at the 95th percentile", order)
    if wanted.minimize == "size":
        if variant.size_bytes is None:
            return "its size was not measured"
        return _Candidate(variant, size, f"{variant.size_bytes} bytes", order)
    if not throughput or throughput < 0:
        return "its throughput was not measured"
    count = replicas(load, throughput)
    if load.requests_per_second is None:
        seconds = 1_000_000 / throughput
        if load.per_hour is None:
            return _Candidate(
                variant, seconds, f"{seconds:.2f} replica-seconds for a million rows (the pool has no price)", order
            )
        price = load.per_hour * seconds / 3600
        return _Candidate(variant, price, f"{money(price)} {load.currency} for a million rows at full use", order)
    plural = "replica" if count == 1 else "replicas"
    at = f"with {count} {plural} at {load.requests_per_second.normalize():f} requests a second"
    # The price is the same for each replica: where it is unknown, the number of replicas decides.
    price = per_million(
        (load.per_hour if load.per_hour is not None else Decimal(1)) * count, load.requests_per_second
    ) or Decimal(0)
    words = (
        f"{money(price)} {load.currency} for a million requests {at}"
        if load.per_hour is not None
        else f"{count} {plural} {at[at.index(' at ') + 1 :]}"
    )
    return _Candidate(variant, price, words, order)


def _reason(chosen: _Candidate, best: _Candidate, staying: bool, count: int, wanted: Select) -> str:
    what = {"cost": "cheapest", "latency": "fastest", "size": "smallest"}[wanted.minimize]
    numbers = [f"accuracy {chosen.variant.accuracy}"] if chosen.variant.accuracy else []
    numbers += [f"95th percentile {chosen.variant.latency_p95_ms} ms"] if chosen.variant.latency_p95_ms else []
    numbers += [f"{chosen.variant.throughput_per_second} rows a second"] if chosen.variant.throughput_per_second else []
    tail = f"; {', '.join(numbers)}" if numbers else ""
    if staying:
        return f"It stays: {chosen.words}, and {best.variant.name} ({best.words}) isn't better by {HYSTERESIS * 100:.0f} %{tail}."
    if count == 1:
        return f"The only one that keeps the bounds: {chosen.words}{tail}."
    return f"The {what} of {count} that keep the bounds: {chosen.words}{tail}."


def _runner_up(chosen: _Candidate, others: Sequence[_Candidate]) -> str | None:
    if not others:
        return None
    second = others[0]
    if chosen.value and second.value != chosen.value:
        return f"{second.variant.name}: {second.words} ({(second.value / chosen.value - 1) * 100:+.0f} %)"
    return f"{second.variant.name}: {second.words} (the same; it manages {second.variant.throughput_per_second or 'unmeasured'} rows a second)"
