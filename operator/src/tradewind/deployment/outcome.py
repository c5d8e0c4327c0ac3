"""The status of a ModelDeployment, and the Events about what changed in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tradewind.api.base import Columns
from tradewind.api.config import Config, Pool
from tradewind.api.job import PoolChoice
from tradewind.api.modeldeployment import ChosenVariant, ModelDeployment, ModelDeploymentStatus, Revision, ServingCost
from tradewind.core import guessing
from tradewind.core.conditions import Reason, Verdict, holds, merge, phase
from tradewind.core.controller import Surroundings
from tradewind.core.plan import Event, Observed
from tradewind.deployment.capacity import underprovisioned
from tradewind.deployment.measured import measured_elsewhere
from tradewind.deployment.rollout import Rollout
from tradewind.deployment.service import url
from tradewind.deployment.spending import Price, price, spending
from tradewind.economics.cost import told
from tradewind.economics.prices import UNKNOWN


@dataclass(frozen=True, slots=True)
class Decision:
    """What the spec comes to."""

    accepted: Verdict
    pool: Pool | None = None
    why: str = ""  # this pool
    variant: ChosenVariant | None = None  # None: nothing can be planned


@dataclass(frozen=True, slots=True)
class Situation:
    """What is decided and observed, for the status."""

    decision: Decision
    wanted: str | None  # the revision that the spec asks for
    rollout: Rollout
    ready: Verdict
    progressing: Verdict
    alerts: Verdict

    @property
    def arrived(self) -> bool:
        """Whether what the spec asks for is what serves."""
        serving = self.rollout.serving
        return serving is not None and serving.name == self.wanted


def written(
    item: ModelDeployment,
    observed: Observed,
    surroundings: Surroundings,
    situation: Situation,
    name: str,
    now: datetime,
) -> tuple[dict[str, Any], tuple[Event, ...]]:
    """The whole status, and events about what changed; cost that only time has moved is not a change."""
    old, decision, serving = item.status, situation.decision, situation.rollout.serving
    variant = decision.variant if situation.arrived else old.variant
    measured = measured_elsewhere(item, decision.pool, decision.variant or variant)
    capacity = underprovisioned(item, decision.pool, decision.variant or variant, surroundings.config)
    judged = _judged(decision.variant or variant)
    verdicts = (
        decision.accepted,
        situation.ready,
        situation.progressing,
        situation.alerts,
        measured,
        capacity,
        *judged,
    )
    new = old.model_copy(
        update={
            "observed_generation": item.metadata.generation,
            "phase": phase(verdicts),
            "conditions": merge(old.conditions, verdicts, item.metadata.generation, now),
            "url": url(name, item.metadata.namespace) if serving is not None else None,
            "variant": variant,
            "revisions": situation.rollout.revisions or None,
            "replicas": serving.replicas if serving is not None else None,
            "columns": _columns(old, serving),
        }
    )
    pool = _pool(old, situation)
    if pool is not None and decision.pool is not None:
        price = _price(item, situation, variant, surroundings.config)
        cost = spending(item, pool.name, observed.pods, price, surroundings.config, now)
        new = new.model_copy(update={"pool": pool})
        if new.model_copy(update={"cost": _steady(old.cost, cost)}).dump() == old.dump():
            return old.dump(), ()
        columns = (new.columns or Columns()).model_copy(update={"cost": told(cost)})
        new = new.model_copy(update={"cost": cost, "columns": columns})
    if new.dump() == old.dump():
        return old.dump(), ()
    return new.dump(), tuple(_events(old, new, situation))


def _judged(variant: ChosenVariant | None) -> tuple[Verdict, ...]:
    """Whether what is served is better than guessing, as far as that is known."""
    if variant is None:
        return ()
    made = variant.source or "its training job"
    return guessing.better_than_guessing(variant.evaluation, f"It is served all the same: see {made} for what to do.")


def _pool(old: ModelDeploymentStatus, situation: Situation) -> PoolChoice | None:
    """The pool of what serves, as far as it is known."""
    pool = situation.decision.pool
    if situation.arrived and pool is not None:
        return PoolChoice(name=pool.name, reason=situation.decision.why)
    return old.pool if situation.rollout.serving is not None else None


def _price(item: ModelDeployment, situation: Situation, variant: ChosenVariant | None, config: Config) -> Price:
    """The price of what serves; while the spec asks for something else, what it was."""
    serving, pool, old = situation.rollout.serving, situation.decision.pool, item.status.cost
    if situation.arrived and pool is not None and variant is not None and serving is not None:
        return price(item, pool, variant, serving.replicas.desired if serving.replicas else 1, config)
    return Price((old.per_hour if old else None) or UNKNOWN, old.per_million if old else None)


def _events(old: ModelDeploymentStatus, new: ModelDeploymentStatus, situation: Situation) -> Iterator[Event]:
    """What people should hear of the change."""
    chosen, ready = situation.decision.variant, situation.ready
    known = {row.name: row for row in old.revisions or ()}
    serving = situation.rollout.serving
    if chosen is not None and situation.wanted is not None and situation.wanted not in known:
        yield Event("Normal", "ModelChosen", f"{chosen.name}: {chosen.reason}"[:1024])
    before = next((row for row in known.values() if row.weight), None)
    if serving is not None and before is not None and before.name != serving.name:
        words = f"Requests go to revision {serving.name} of {serving.variant}, no longer to {before.name}."
        yield Event("Normal", "TrafficMoved", words)
    failing = situation.progressing.reason == Reason.REVISION_NOT_READY
    doubt, doubted = new.condition(guessing.KIND), old.condition(guessing.KIND)
    if doubt is not None and doubt.status == "False" and (doubted is None or doubted.status != "False"):
        yield Event("Warning", doubt.reason, doubt.message[:1024])
    told_before = old.condition("Progressing")
    if failing and (told_before is None or told_before.reason != Reason.REVISION_NOT_READY):
        yield Event("Warning", "RevisionNotReady", situation.progressing.message[:1024])
    if ready.status == "True" and not holds(old.conditions, "Ready"):
        yield Event("Normal", "Ready", ready.message)
    if ready.status != "True" and holds(old.conditions, "Ready"):
        yield Event("Warning", "NotReady", ready.message[:1024])


def _steady(old: ServingCost | None, new: ServingCost) -> ServingCost | None:
    """The cost as it was, but for what time alone does not move."""
    if old is None:
        return None
    return old.model_copy(update={"per_hour": new.per_hour, "per_million": new.per_million, "currency": new.currency})


def _columns(old: ModelDeploymentStatus, serving: Revision | None) -> Columns | None:
    if serving is None or serving.replicas is None:
        return old.columns
    replicas = serving.replicas
    return (old.columns or Columns()).model_copy(update={"replicas": f"{replicas.ready}/{replicas.desired}"})
