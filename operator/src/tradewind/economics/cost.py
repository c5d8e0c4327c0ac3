"""Accrued cost: pods' time on their nodes, times their price. An estimate of allocation, not a bill."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

_HOUR = Decimal(3600)


@dataclass(frozen=True, slots=True)
class Stay:
    """A pod's time on a node."""

    since: datetime
    until: datetime | None  # None: it is still there
    per_hour: Decimal | None  # None: the pool has no price


def spent(stays: Iterable[Stay], now: datetime, since: datetime | None = None) -> Decimal | None:
    """What the stays cost up to now, from `since` on if given; None as soon as one of them has no price."""
    total = Decimal(0)
    for stay in stays:
        start = stay.since if since is None else max(stay.since, since)
        end = now if stay.until is None else min(stay.until, now)
        if end <= start:
            continue
        if stay.per_hour is None:
            return None
        span = end - start
        seconds = Decimal(span.days * 86400 + span.seconds) + Decimal(span.microseconds) / 1_000_000
        total += seconds / _HOUR * stay.per_hour
    return total


def never_less(before: Decimal | None, after: Decimal | None) -> Decimal | None:
    """The later sum, but never below an earlier one: a pod that is gone has still been paid for."""
    if after is None:
        return None
    return after if before is None else max(before, after)
