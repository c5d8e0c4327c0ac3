"""What a service costs an hour, for a million requests, and has cost so far."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from tradewind.api.config import Pool
from tradewind.api.modeldeployment import ModelDeployment, ServingCost
from tradewind.core.plan import PodRecord
from tradewind.core.timestamps import moment, stamp
from tradewind.deployment.model import replica_per_hour
from tradewind.economics.cost import Stay, never_less, spent
from tradewind.economics.prices import amount, money, per_hour
from tradewind.economics.selection import per_million


def spending(
    item: ModelDeployment, pool: Pool, pods: Sequence[PodRecord], replicas: int, currency: str, now: datetime
) -> ServingCost:
    """The cost with that number of replicas. `accrued` goes on from what the status has, up to now."""
    rate = replica_per_hour(item, pool)
    hourly = None if rate is None else rate * replicas
    return ServingCost(
        accrued=money(_accrued(item, pool, pods, rate, now)),
        currency=currency,
        price_source=pool.name if pool.price else None,
        as_of=stamp(now),
        per_hour=money(hourly),
        per_million=_per_million(item, hourly),
    )


def _per_million(item: ModelDeployment, hourly: Decimal | None) -> str | None:
    expected = item.spec.expected_requests_per_second
    return money(per_million(hourly, Decimal(expected))) if expected else None


def _accrued(
    item: ModelDeployment, pool: Pool, pods: Sequence[PodRecord], rate: Decimal | None, now: datetime
) -> Decimal | None:
    old = item.status.cost
    before = amount(old.accrued) if old else Decimal(0)
    since = moment(old.as_of) if old else None
    stays = [
        Stay(pod.scheduled, pod.finished, per_hour(pool, pod.cpu, pod.memory, pod.accelerators))
        for pod in pods
        if pod.scheduled is not None
    ]
    if since is not None and item.status.replicas is not None:
        # Replicas that were there when the status was written last and are gone by now were paid for in between.
        still = sum(1 for stay in stays if stay.since <= since)
        stays += [Stay(since, None, rate)] * max(0, item.status.replicas.ready - still)
    more = spent(stays, now, since)
    return None if before is None or more is None or rate is None else never_less(before, before + more)
