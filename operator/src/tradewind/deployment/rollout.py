"""How requests move from one revision to the next: rows with weights, computed from what serves, what is wanted and
what is observed. Pure.

Weights are 0 and 100 today. The rows are what the status remembers, so an operator that starts anew continues.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tradewind.api.modeldeployment import Replicas, Revision, RevisionState, Scaling
from tradewind.core.timestamps import moment, stamp

# After this long no request goes to a revision any more that requests were moved away from: kube-proxy knows by then,
# and clients with an open connection were told to close it, or closed it themselves.
DRAIN = timedelta(seconds=30)
ROWS = 16  # that a status may have


@dataclass(frozen=True, slots=True)
class Wanted:
    """The revision that the spec asks for."""

    name: str
    variant: str
    digest: str | None
    scaling: Scaling


@dataclass(frozen=True, slots=True)
class Standing:
    """How a revision stands, as observed."""

    there: bool = False  # its InferenceService exists and isn't being deleted
    up: bool = False  # KServe says that it is ready
    ready: int = 0  # replicas that are
    desired: int = 0


@dataclass(frozen=True, slots=True)
class Rollout:
    """What is to run, and where requests go."""

    revisions: tuple[Revision, ...]  # the one that serves first
    route: str | None  # the revision that the Service is to select; it has the weight once the Service does
    floor: int  # fewest replicas of the revision that is wanted
    again: float | None  # seconds until time alone changes this

    @property
    def serving(self) -> Revision | None:
        """The revision that requests go to."""
        return next((row for row in self.revisions if row.weight), None)


NOTHING = Standing()


def roll_out(
    before: Sequence[Revision],
    wanted: Wanted | None,
    standings: Mapping[str, Standing],
    routed: str | None,
    now: datetime,
) -> Rollout:
    """The next step. `before` is what the status has, `routed` the revision that the live Service selects.

    Without a wanted revision (the spec can't be carried out now) what serves continues to serve.
    """
    rows = {row.name: row for row in before}
    holder = next((row for row in before if row.weight), None)
    floor = _floor(rows, holder, wanted, standings)
    route = _route(holder, wanted, standings, floor)
    # Requests have moved once the Service says so: an apply of it can be refused.
    moved = holder is None or route in (holder.name, routed)
    serving = route if moved else holder.name if holder is not None else None
    found: list[Revision] = []
    if serving is not None:
        found.append(_serving(serving, rows, wanted, standings.get(serving, NOTHING)))
    if wanted is not None and wanted.name != serving:
        found.append(_next(wanted, standings.get(wanted.name, NOTHING), floor))
    present = {row.name for row in found}
    others = (row for row in before if row.name not in present and standings.get(row.name, NOTHING).there)
    draining = [
        drained
        for row in others
        if (drained := _draining(row, standings.get(row.name, NOTHING), routed, now)) is not None
    ]
    found += sorted(draining, key=lambda row: row.draining_since or "", reverse=True)[: ROWS - len(found)]
    # The autoscaler has seen idle replicas until requests moved, and would take them away at once.
    settled = wanted is not None and wanted.name == serving and not any(row.draining_since for row in found)
    if wanted is not None and settled:
        floor = wanted.scaling.min_replicas
    elif wanted is not None and wanted.name == serving:
        found[0] = found[0].model_copy(update={"min_replicas": floor})
    ends = [DRAIN - (now - since) for row in found if (since := moment(row.draining_since)) is not None]
    return Rollout(tuple(found), route, floor, min(ends).total_seconds() if ends else None)


def _route(holder: Revision | None, wanted: Wanted | None, standings: Mapping[str, Standing], floor: int) -> str | None:
    """Where requests are to go: to what is wanted as soon as it answers as the one before it does, and not before."""
    if wanted is None or holder is None or holder.name == wanted.name:
        return wanted.name if wanted is not None else holder.name if holder is not None else None
    serving, following = standings.get(holder.name, NOTHING), standings.get(wanted.name, NOTHING)
    never_answered = not _has_answered(holder, serving)
    gone = not serving.there and not serving.ready
    if never_answered or gone or _answers(following, floor):
        return wanted.name
    return holder.name


def _answers(standing: Standing, floor: int) -> bool:
    return standing.there and standing.up and standing.ready >= max(1, floor)


def _floor(
    rows: Mapping[str, Revision], holder: Revision | None, wanted: Wanted | None, standings: Mapping[str, Standing]
) -> int:
    """Replicas that the wanted revision has to have before requests move to it: as many as those that serve now.

    It never falls meanwhile: a replica that is lost for a moment must not take another one with it.
    """
    if wanted is None:
        return 1
    least, most = wanted.scaling.min_replicas, wanted.scaling.max_replicas
    row = rows.get(wanted.name)
    before = (row.min_replicas if row is not None else None) or 0
    if holder is None or not _has_answered(holder, serving := standings.get(holder.name, NOTHING)):
        return least
    return min(most, max(least, before, serving.ready if holder.name != wanted.name else 0))


def _has_answered(holder: Revision, standing: Standing) -> bool:
    """Whether what has the weight has answered, so that requests may depend on it.

    The first time two facts come almost together, KServe's word and a ready pod: they make one write. Afterwards a
    ready replica answers, whatever KServe says of the others.
    """
    return holder.state == RevisionState.SERVING or _answers(standing, 1)


def _serving(name: str, rows: Mapping[str, Revision], wanted: Wanted | None, standing: Standing) -> Revision:
    old = rows.get(name)
    answers = _answers(standing, 1) or (old is not None and old.weight > 0 and _has_answered(old, standing))
    told = wanted if wanted is not None and wanted.name == name else None
    return Revision(
        name=name,
        variant=told.variant if told is not None else old.variant if old is not None else "",
        digest=told.digest if told is not None else old.digest if old is not None else None,
        weight=100,
        state=RevisionState.SERVING if answers else RevisionState.STARTING,
        replicas=Replicas(desired=standing.desired, ready=min(standing.ready, standing.desired) if answers else 0),
    )


def _next(wanted: Wanted, standing: Standing, floor: int) -> Revision:
    return Revision(
        name=wanted.name,
        variant=wanted.variant,
        digest=wanted.digest,
        weight=0,
        state=RevisionState.STARTING,
        # Told at once for all, not one by one: each would be a write.
        replicas=Replicas(desired=floor, ready=floor if _answers(standing, floor) else 0),
        min_replicas=floor,
    )


def _draining(row: Revision, standing: Standing, routed: str | None, now: datetime) -> Revision | None:
    """The row of a revision that gets no new requests; None where nobody needs it any more."""
    asked = row.name == routed or (row.weight and _has_answered(row, standing))
    if row.state == RevisionState.STARTING and not asked:
        return None  # no request went to it
    since = moment(row.draining_since)
    if since is None:
        return row.model_copy(
            update={
                "weight": 0,
                "state": RevisionState.DRAINING,
                "replicas": None,
                "min_replicas": None,
                "draining_since": stamp(now),
            }
        )
    return row if now - since < DRAIN else None
