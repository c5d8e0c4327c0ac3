"""Which variant of a compression job is served: the best in what is minimised, among those that keep the bounds.

A throughput has an interval, so what is computed from it has one too. A variant is better than another one where their
intervals don't overlap; of those that no other one is better than, the one is served that loses the least quality.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import NamedTuple

from tradewind.api.compressionjob import Variant
from tradewind.api.modeldeployment import Scaling, Select, Where
from tradewind.economics.bounds import excluded, latency, number
from tradewind.economics.prices import money

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
    value: Decimal  # what is minimised
    words: str  # the value with its unit and how it came about
    ends: _Ends  # of the value
    throughput: _Ends  # 0 where it is not known
    loss: Decimal  # of quality, on the rows that judge; infinite where it is not known, and so is the size
    size: Decimal
    order: tuple[Decimal, Decimal, Decimal, str]  # of those that are equal


class _Ends(NamedTuple):
    """Between which a number is, as far as it was measured."""

    low: Decimal
    high: Decimal


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
    refused: list[tuple[str, str]] = []
    candidates: list[_Candidate] = []
    for variant in variants:
        if why := excluded(variant, wanted):
            refused.append((variant.name, why))
        elif isinstance(candidate := _candidate(variant, wanted, load), str):
            refused.append((variant.name, candidate))
        else:
            candidates.append(candidate)
    if not candidates:
        rows = "; ".join(f"{name}: {why}" for name, why in refused) or "the compression job reported no variant"
        loosen = "Loosen spec.select.where, or name" if wanted.where != Where() else "Name"
        return NoChoice(
            f"No variant can be served: {rows}. {loosen} a CompressionJob with other candidates or goals in "
            "spec.model.compressionJobRef."
        )
    best = _equals(candidates)[0]
    kept = next((candidate for candidate in candidates if candidate.variant.name == present), None)
    staying = kept is not None and kept is not best and not _worth_a_change(best, kept, candidates)
    chosen = kept if kept is not None and staying else best
    others = [candidate for candidate in candidates if candidate is not chosen]
    reason = _staying(chosen, best) if staying else _reason(chosen, others, wanted, load)
    numbers = _numbers(chosen.variant)
    return Choice(chosen.variant, f"{reason}{numbers}.", _runner_up(chosen, others), tuple(sorted(refused)))


def _cheapest(candidates: Sequence[_Candidate]) -> list[_Candidate]:
    """Those that no other one is measurably better than in what is minimised; the intervals of any two overlap."""
    least = min(candidate.ends.high for candidate in candidates)
    return [candidate for candidate in candidates if candidate.ends.low <= least]


def _equals(candidates: Sequence[_Candidate]) -> list[_Candidate]:
    """Of the cheapest those that no other one answers measurably more than, the one first that is to be served."""
    cheapest = _cheapest(candidates)
    most = max(candidate.throughput.low for candidate in cheapest)
    return sorted((one for one in cheapest if one.throughput.high >= most), key=lambda one: one.order)


def _worth_a_change(best: _Candidate, kept: _Candidate, candidates: Sequence[_Candidate]) -> bool:
    return best.value <= kept.value * (1 - HYSTERESIS) and kept not in _cheapest(candidates)


def _candidate(variant: Variant, wanted: Select, load: Load) -> _Candidate | str:
    throughput, slow = number(variant.throughput_per_second), latency(variant, 95)
    loss = number(variant.judged_quality.loss) if variant.judged_quality is not None else None
    unknown = Decimal("Infinity")
    size = Decimal(variant.size_bytes) if variant.size_bytes is not None else unknown
    loss, tail = (unknown if found is None else found for found in (loss, slow))
    bears, others = _bears(variant, throughput or Decimal(0)), (loss, size, (loss, size, tail, variant.name))
    if wanted.minimize == "Latency":
        if slow is None:
            return "its latency was not measured"
        return _Candidate(variant, slow, f"{slow} ms at the 95th percentile", _Ends(slow, slow), bears, *others)
    if wanted.minimize == "Size":
        if variant.size_bytes is None:
            return "its size was not measured"
        return _Candidate(variant, size, f"{variant.size_bytes} bytes", _Ends(size, size), bears, *others)
    if throughput is None or throughput <= 0:
        return "its throughput was not measured"
    cost, words = _cost(variant, throughput, load)
    ends = _Ends(cost, cost)  # of replicas that are planned, which are what they are
    if _rate(variant, load) is None:
        ends = _Ends(_full_use(bears.high, load), _full_use(bears.low, load) if bears.low else unknown)
    return _Candidate(variant, cost, words, ends, bears, *others)


def _bears(variant: Variant, throughput: Decimal) -> _Ends:
    """Its throughput, as far as it was measured: exactly, by jobs before there was an interval."""
    found = variant.throughput_interval
    ends = [number(found.low), number(found.high)] if found is not None else []
    known = [throughput, *(end for end in ends if end is not None)]
    return _Ends(min(known), max(known))


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
        full = _full_use(throughput, load)
        if load.per_hour is None:
            return full, f"{full:.2f} seconds of a replica for a million {asked} (the pool has no price)"
        return full, f"{money(full)} {load.currency} for a million {asked} at full use"
    count = replicas(load, throughput)
    with_count = f"{count} replica{'' if count == 1 else 's'} at {rate.normalize():f} requests per second"
    if count > load.scaling.max_replicas:
        with_count += f" (scaling.maxReplicas is {load.scaling.max_replicas})"
    price = per_million(load, throughput)
    if price is None:
        return Decimal(count), with_count
    return price, f"{money(price)} {load.currency} for a million requests with {with_count}"


def _full_use(throughput: Decimal, load: Load) -> Decimal:
    """Price of a million at that rate; the time that they take where there is no price."""
    seconds = 1_000_000 / throughput
    return seconds if load.per_hour is None else load.per_hour * seconds / 3600


def _reason(chosen: _Candidate, others: Sequence[_Candidate], wanted: Select, load: Load) -> str:
    if not others:
        return f"The only one that keeps the bounds: {chosen.words}"
    what = {"Cost": "cheapest", "Latency": "fastest", "Size": "smallest"}[wanted.minimize]
    first = f"The {what} of the {len(others) + 1} that keep the bounds"
    if wanted.minimize == "Cost" and load.per_hour is None:  # no price, so none is the cheapest
        fastest = f"answers the most {_asked(chosen.variant)} per second"
        does = fastest if _rate(chosen.variant, load) is None else "needs the fewest replicas"
        first = f"Of the {len(others) + 1} that keep the bounds it {does}"
    return f"{first}{_among_equals(chosen, others)}: {chosen.words}"


def _among_equals(chosen: _Candidate, others: Sequence[_Candidate]) -> str:
    """Why it of those that are equal to it."""
    asked = f"{_asked(chosen.variant)} per second"
    peers = [other for other in _equals([chosen, *others]) if other is not chosen and other.throughput.high]
    same = [other for other in others if other.value == chosen.value]
    told = []
    if same:
        told.append(f"equal to {_names(same)}")
    if peers and chosen.throughput.high:
        told.append(f"it answers as many {asked} as {_names(peers)} within what was measured{_prefers(chosen, peers)}")
    elif same and chosen.throughput.high > max(other.throughput.high for other in same):
        told.append(f"it answers more {asked}")
    return f" ({', and '.join(told)})" if told else ""


def _names(candidates: Sequence[_Candidate]) -> str:
    ordered = sorted(candidates, key=lambda one: (-one.throughput.high, one.order))
    return " and ".join(candidate.variant.name for candidate in ordered)


def _prefers(chosen: _Candidate, peers: Sequence[_Candidate]) -> str:
    """What it is better in than those that answer as many."""
    if all(chosen.loss < peer.loss for peer in peers):
        return ", and loses less quality"
    as_good = [peer for peer in peers if peer.loss == chosen.loss]
    if not all(chosen.size < peer.size for peer in as_good):
        return ""
    if not chosen.loss.is_finite():
        return ", and is smaller"
    if len(as_good) == len(peers):
        return ", loses no more quality and is smaller"
    return ", and is the smallest of those that lose the least quality"


def _staying(chosen: _Candidate, best: _Candidate) -> str:
    least = (
        f"by {HYSTERESIS * 100:.0f} %" if best.value > chosen.value * (1 - HYSTERESIS) else "within what was measured"
    )
    return f"It stays: {chosen.words}, and {best.variant.name} ({best.words}) isn't better {least}"


def _numbers(variant: Variant) -> str:
    measured = (
        (f"{variant.quality.metric} {{}}", variant.quality.value) if variant.quality is not None else ("", None),
        ("95th percentile {} ms", latency(variant, 95)),
        (f"{{}} {_asked(variant)} per second", _manages(variant)),
    )
    numbers = [words.format(value) for words, value in measured if value]
    return f"; {', '.join(numbers)}" if numbers else ""


def _runner_up(chosen: _Candidate, others: Sequence[_Candidate]) -> str | None:
    if not others:
        return None
    second = _equals(others)[0]
    told = f"{second.variant.name}: {second.words}"
    if second.ends.low > chosen.ends.high or second.ends.high < chosen.ends.low:
        return f"{told} ({(second.value / chosen.value - 1) * 100:+.0f} %)" if chosen.value else told
    same = "the same" if second.value == chosen.value else "the same within what was measured"
    manages = _manages(second.variant)
    return f"{told} ({same}{f'; it manages {manages} {_asked(second.variant)} per second' if manages else ''})"


def _manages(variant: Variant) -> str | None:
    """Its throughput with the interval."""
    found = variant.throughput_interval
    if variant.throughput_per_second is None or found is None:
        return variant.throughput_per_second
    return f"{variant.throughput_per_second} ({found.low} to {found.high})"
