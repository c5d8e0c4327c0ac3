"""What a service costs an hour, for a million requests, and has cost so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from tradewind.api.config import Config, Pool
from tradewind.api.modeldeployment import ChosenVariant, ModelDeployment, ServingCost
from tradewind.core.labels import REVISION
from tradewind.core.plan import PodRecord
from tradewind.core.timestamps import moment
from tradewind.deployment.model import load
from tradewind.economics.bounds import number
from tradewind.economics.cost import Stay, charge, node_seconds, stay
from tradewind.economics.prices import money, share
from tradewind.economics.selection import per_million


@dataclass(frozen=True, slots=True)
class Price:
    """What the service costs at present, or Unknown."""

    per_hour: str
    per_million: str | None  # None: no load is expected


def price(item: ModelDeployment, pool: Pool, variant: ChosenVariant, replicas: int, config: Config) -> Price:
    """The price of that many replicas, and of a million requests under the expected load."""
    expected = load(item, pool, config)
    hourly = None if expected.per_hour is None else expected.per_hour * replicas
    if not expected.requests_per_second:
        return Price(money(hourly), None)
    return Price(money(hourly), money(per_million(expected, number(variant.requests_per_second))))


def spending(
    item: ModelDeployment, pool: str, pods: Sequence[PodRecord], price: Price, config: Config, now: datetime
) -> ServingCost:
    """The cost at that price, on the pool of what serves. `accrued` continues from what the status has, up to now."""
    since = moment(item.status.cost.as_of) if item.status.cost is not None else None
    used = {pool: Decimal(0)} | node_seconds(_stays(item, pool, pods, config, since), now, since)
    cost = charge(item.status.cost, used, config, now)
    return ServingCost(**dict(cost), per_hour=price.per_hour, per_million=price.per_million)


def _stays(
    item: ModelDeployment, pool: str, pods: Sequence[PodRecord], config: Config, since: datetime | None
) -> list[Stay]:
    """The replicas' time on the pools where they ran."""
    stays, still = [], 0
    serving = next((row for row in item.status.revisions or () if row.weight), None)
    for pod in pods:
        if (one := stay(pod, pool, config)) is not None:
            stays.append(one)
            ours = serving is None or pod.labels.get(REVISION) == serving.name
            still += since is not None and one.since <= since and ours
    there = config.pool(item.status.pool.name) if item.status.pool is not None else None
    if since is not None and item.status.replicas is not None and there is not None:
        # Replicas that were there when the status was written last and are gone by now were paid for in between.
        asked = item.spec.resources
        part = share(there, asked.cpu, asked.memory, asked.accelerators)
        stays += [Stay(since, None, there.name, part)] * max(0, item.status.replicas.ready - still)
    return stays
