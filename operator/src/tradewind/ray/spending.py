"""What the attempts of a job have cost so far."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from tradewind.api.base import Cost
from tradewind.api.job import JobStatus
from tradewind.core.labels import ROLE
from tradewind.core.plan import PodRecord
from tradewind.core.timestamps import moment, stamp
from tradewind.economics.cost import Stay, never_less, spent
from tradewind.economics.prices import amount, money, per_hour
from tradewind.ray.groups import Group
from tradewind.ray.job import RayJobSeen


def spending(
    status: JobStatus,
    groups: Sequence[Group],
    pods: Sequence[PodRecord],
    seen: RayJobSeen | None,
    currency: str,
    now: datetime,
    *,
    lost: bool = False,
    new_attempt: bool = False,
) -> Cost:
    """The cost up to now.

    The present attempt is counted anew from its pods' own times, so a restart loses nothing; attempts before it are
    a sum in the status, because their pods are gone. `lost` adds what ran since the last checkpoint; `new_attempt`
    adds the attempt before to that sum.
    """
    old = status.cost
    before = amount(old.accrued) if old else Decimal(0)
    earlier = before if new_attempt else amount(old.earlier if old else None)
    stays = () if new_attempt else _stays(groups, pods, seen)
    present = spent(stays, now)
    priced = all(group.per_hour is not None for group in groups)
    accrued = None if earlier is None or present is None or not priced else never_less(before, earlier + present)
    wasted = old.lost if old else None
    if lost:
        checkpoint = moment(status.last_checkpoint.time) if status.last_checkpoint else None
        more, sofar = spent(stays, now, checkpoint), amount(wasted)
        wasted = money(None if more is None or sofar is None or accrued is None else sofar + more)
    pools = dict.fromkeys(group.pool.name for group in reversed(groups) if group.per_hour is not None)
    return Cost(
        accrued=money(accrued),
        lost=wasted,
        earlier=money(earlier) if earlier is None or earlier > 0 else None,
        currency=currency,
        price_source=", ".join(pools) or None,
        as_of=stamp(now),
    )


def _stays(groups: Sequence[Group], pods: Sequence[PodRecord], seen: RayJobSeen | None) -> tuple[Stay, ...]:
    by_role = {group.role: group for group in groups}
    found = tuple(
        Stay(pod.scheduled, pod.finished, per_hour(group.pool, pod.cpu, pod.memory, pod.accelerators))
        for pod in pods
        if pod.scheduled is not None and (group := by_role.get(pod.labels.get(ROLE, ""))) is not None
    )
    if found or seen is None or seen.program_started is None:
        return found
    # The pods are gone already: what was planned, from the RayJob's start to its end.
    start = seen.started or seen.program_started
    return tuple(Stay(start, seen.ended, group.per_hour) for group in groups for _ in range(group.pods))
