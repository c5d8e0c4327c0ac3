"""What the attempts of a job have cost so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from tradewind.api.base import Cost
from tradewind.api.config import Config
from tradewind.api.job import AttemptState, JobStatus
from tradewind.core.labels import ROLE
from tradewind.core.plan import PodRecord
from tradewind.core.timestamps import moment
from tradewind.economics.cost import Stay, charge, node_seconds, priced, stay
from tradewind.economics.prices import amount, money
from tradewind.ray.groups import Group
from tradewind.ray.job import RayJobSeen


@dataclass(frozen=True, slots=True)
class Presence:
    """What of a job has been on nodes since its cost was written last."""

    status: JobStatus  # as it was written last
    groups: Sequence[Group]
    pods: Sequence[PodRecord]  # of all runs of the object
    seen: RayJobSeen | None


def spending(here: Presence, config: Config, now: datetime, *, lost: bool = False) -> Cost:
    """The cost up to now: what was written last, and what the pods used since then.

    `lost` adds what ran since the last checkpoint to what was lost.
    """
    old = here.status.cost
    since = moment(old.as_of) if old is not None else None
    stays = (*_stays(here.pods, here.groups, config), *_gone(here, since, now))
    used = {group.pool.name: Decimal(0) for group in here.groups} | node_seconds(stays, now, since)
    cost = charge(old, used, config, now)
    if not lost:
        return cost
    attempt, checkpoint = here.status.attempt, here.status.last_checkpoint
    started = moment(attempt.start_time) if attempt is not None else None
    saved = moment(checkpoint.time) if checkpoint is not None else None
    from_when = max((instant for instant in (started, saved) if instant is not None), default=None)
    more, unpriced = priced(node_seconds(stays, now, from_when), config)
    so_far = amount(cost.lost)
    return cost.model_copy(update={"lost": money(None if unpriced or so_far is None else so_far + more)})


def _stays(pods: Sequence[PodRecord], groups: Sequence[Group], config: Config) -> tuple[Stay, ...]:
    """The pods' time on the pools where they ran."""
    by_role = {group.role: group.pool.name for group in groups}
    found = (stay(pod, by_role.get(pod.labels.get(ROLE, ""), ""), config) for pod in pods)
    return tuple(one for one in found if one is not None)


def _gone(here: Presence, since: datetime | None, now: datetime) -> tuple[Stay, ...]:
    """Pods that were there when the cost was written last and are not any more: they were paid for in between."""
    attempt, seen = here.status.attempt, here.seen
    began = seen.started or seen.program_started if seen is not None and seen.program_started is not None else None
    if since is None or attempt is None or attempt.state.over:
        return ()
    if attempt.state == AttemptState.STARTING:
        # It may have run and ended unseen: what was planned, from the RayJob's start to its end.
        if began is None or here.pods or seen is None:
            return ()
        since = began
    until = seen.ended if seen is not None else None
    found = []
    for group in here.groups:
        pods = [pod for pod in here.pods if pod.labels.get(ROLE) == group.role]
        new = [pod for pod in pods if pod.scheduled is None or pod.scheduled > since]
        part = group.share
        for number in range(group.pods - (len(pods) - len(new))):
            if number >= len(new):
                found.append(Stay(since, until, group.pool.name, part))
            elif (placed := new[number].scheduled) is not None:
                # Its place is taken by now; of one that is not, nobody knows since when it is empty.
                found.append(Stay(since, placed, group.pool.name, part))
    return tuple(found)
