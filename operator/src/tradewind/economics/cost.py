"""Accrued cost: pods' time on their nodes, times their price. An estimate of allocation, not a bill."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal

from tradewind.api.base import Cost, Unpriced
from tradewind.api.config import Config
from tradewind.core.labels import POOL
from tradewind.core.plan import PodRecord
from tradewind.core.timestamps import stamp
from tradewind.economics.prices import amount, money, share

_HOUR = Decimal(3600)
_PLACES = Decimal("0.001")


@dataclass(frozen=True, slots=True)
class Stay:
    """A pod's time on a node."""

    since: datetime
    until: datetime | None  # None: it is still there
    pool: str  # row of the price table; empty for unknown
    share: Decimal  # of a node


def stay(pod: PodRecord, otherwise: str, config: Config) -> Stay | None:
    """A pod's time on the pool whose label it carries, else on the pool `otherwise`; None before it has a node."""
    if pod.scheduled is None:
        return None
    name = pod.labels.get(POOL) or otherwise
    pool = config.pool(name) if name else None
    # Of a row that is gone the size of a node isn't known either: a whole one is Unknown money, and not none.
    part = share(pool, pod.cpu, pod.memory, pod.accelerators) if pool is not None else Decimal(1)
    return Stay(pod.scheduled, pod.finished, name, part)


def node_seconds(stays: Iterable[Stay], now: datetime, since: datetime | None = None) -> dict[str, Decimal]:
    """By pool, the seconds of the stays up to now, from `since` on if given, each times its share of a node."""
    used: dict[str, Decimal] = {}
    for stay in stays:
        start = stay.since if since is None else max(stay.since, since)
        end = now if stay.until is None else min(stay.until, now)
        if end > start:
            span = end - start
            seconds = Decimal(span.days * 86400 + span.seconds) + Decimal(span.microseconds) / 1_000_000
            used[stay.pool] = used.get(stay.pool, Decimal(0)) + seconds * stay.share
    return used


def priced(used: Mapping[str, Decimal], config: Config) -> tuple[Decimal, dict[str, Decimal]]:
    """What node seconds cost, and those of pools that have no price."""
    total, unpriced = Decimal(0), {}
    for name, seconds in used.items():
        pool = config.pool(name) if name else None
        if pool is None or pool.price is None:
            unpriced[name] = seconds
        else:
            total += seconds / _HOUR * Decimal(pool.price.per_hour)
    return total, unpriced


def charge(old: Cost | None, used: Mapping[str, Decimal], config: Config, now: datetime) -> Cost:
    """The cost with more node seconds, up to now. Zero of them on a pool without a price make it Unknown, too.

    What was priced stays as it was when the price table changes; what had no price gets one as soon as there is one.
    """
    entries = (old.unpriced or ()) if old is not None else ()
    waiting = {entry.pool: Decimal(entry.node_seconds) for entry in entries}
    for name, seconds in used.items():
        waiting[name] = waiting.get(name, Decimal(0)) + seconds
    before = (amount(old.accrued if old.priced is None else old.priced) if old is not None else None) or Decimal(0)
    more, unpriced = priced(waiting, config)
    return Cost(
        accrued=money(None if unpriced else before + more),
        lost=old.lost if old is not None else None,
        currency=config.currency,
        priced=money(before + more) if unpriced else None,
        unpriced=tuple(
            Unpriced(pool=name, node_seconds=str(seconds.quantize(_PLACES, rounding=ROUND_HALF_EVEN)))
            for name, seconds in sorted(unpriced.items())
        )
        or None,
        as_of=stamp(now),
    )


def told(cost: Cost | None) -> str | None:
    """The cost with its currency, for a column."""
    if cost is None or amount(cost.accrued) is None:
        return None if cost is None else cost.accrued
    return f"{cost.accrued} {cost.currency}"
