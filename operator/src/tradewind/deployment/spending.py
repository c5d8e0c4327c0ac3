"""What a service costs an hour, for a million requests, and has cost so far."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from tradewind.api.config import Config, Pool
from tradewind.api.modeldeployment import ModelDeployment, ServingCost
from tradewind.core.labels import POOL
from tradewind.core.plan import PodRecord
from tradewind.core.timestamps import moment
from tradewind.deployment.model import replica_per_hour
from tradewind.economics.cost import Stay, charge, node_seconds
from tradewind.economics.prices import money, share
from tradewind.economics.selection import per_million


def spending(
    item: ModelDeployment, pool: Pool, pods: Sequence[PodRecord], replicas: int, config: Config, now: datetime
) -> ServingCost:
    """The cost with that number of replicas. `accrued` continues from what the status has, up to now."""
    rate = replica_per_hour(item, pool)
    hourly = None if rate is None else rate * replicas
    since = moment(item.status.cost.as_of) if item.status.cost is not None else None
    used = {pool.name: Decimal(0)} | node_seconds(_stays(item, pool, pods, config, since), now, since)
    cost = charge(item.status.cost, used, config, now)
    return ServingCost(**dict(cost), per_hour=money(hourly), per_million=_per_million(item, hourly))


def _per_million(item: ModelDeployment, hourly: Decimal | None) -> str | None:
    expected = item.spec.expected_requests_per_second
    return money(per_million(hourly, Decimal(expected))) if expected else None


def _stays(
    item: ModelDeployment, pool: Pool, pods: Sequence[PodRecord], config: Config, since: datetime | None
) -> list[Stay]:
    """The replicas' time on the pools where they ran, as far as the table has those."""
    stays = []
    for pod in pods:
        where = config.pool(pod.labels.get(POOL) or pool.name)
        if pod.scheduled is not None and where is not None:
            part = share(where, pod.cpu, pod.memory, pod.accelerators)
            stays.append(Stay(pod.scheduled, pod.finished, where.name, part))
    if since is not None and item.status.replicas is not None:
        # Replicas that were there when the status was written last and are gone by now were paid for in between.
        still = sum(1 for stay in stays if stay.since <= since)
        asked = item.spec.resources
        part = share(pool, asked.cpu, asked.memory, asked.accelerators)
        stays += [Stay(since, None, pool.name, part)] * max(0, item.status.replicas.ready - still)
    return stays
