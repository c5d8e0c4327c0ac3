"""Decide about a ModelDeployment: which model, on what, with which alerts, and whether it answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tradewind.api.base import Columns
from tradewind.api.config import Config, Pool
from tradewind.api.job import PoolChoice
from tradewind.api.modeldeployment import ChosenVariant, ModelDeployment, ModelDeploymentStatus, Revision, ServingCost
from tradewind.core.conditions import Reason, Verdict, holds, merge, phase
from tradewind.core.controller import Surroundings
from tradewind.core.labels import labels
from tradewind.core.names import child_name
from tradewind.core.plan import Child, Event, Observed, Plan, Refusal
from tradewind.core.podmetadata import not_allowed
from tradewind.core.timestamps import whole
from tradewind.deployment.health import Health, health
from tradewind.deployment.inferenceservice import INFERENCE_SERVICE, Replica, inference_service
from tradewind.deployment.measured import measured_elsewhere
from tradewind.deployment.model import find
from tradewind.deployment.prometheusrule import PROMETHEUS_RULE, prometheus_rule
from tradewind.deployment.revision import revision_name, service_name
from tradewind.deployment.rollout import Rollout, Wanted, roll_out
from tradewind.deployment.service import SERVICE, service, url
from tradewind.deployment.spending import Price, price, spending
from tradewind.deployment.status import progressing, ready, routed, waited_since
from tradewind.economics.cost import told
from tradewind.economics.pools import choose, misfit, misshapen
from tradewind.economics.prices import UNKNOWN

_POOL = "spec.resources.pool"
_FIELDS = {
    "cpu": "spec.resources.cpu",
    "memory": "spec.resources.memory",
    "accelerators": "spec.resources.accelerators",
}


@dataclass(frozen=True, slots=True)
class _Decision:
    accepted: Verdict
    pool: Pool | None = None
    why: str = ""  # this pool
    variant: ChosenVariant | None = None  # None: nothing can be planned


@dataclass(frozen=True, slots=True)
class _Situation:
    """What is decided and observed, for the status."""

    decision: _Decision
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


def plan(item: ModelDeployment, observed: Observed, surroundings: Surroundings, now: datetime) -> Plan:
    """One pass over a ModelDeployment."""
    now = whole(now)
    name = child_name(item.kind, item.metadata.name)
    decision = _decide(item, observed, surroundings)
    wanted = _wanted(item, decision)
    before = item.status.revisions or ()
    healths = _healths(item, observed, wanted, now)
    standings = {revision: health.standing for revision, health in healths.items()}
    rollout = roll_out(before, wanted, standings, routed(observed, name), now)
    serving = rollout.serving
    children, keep = _children(item, observed, decision, wanted, rollout)
    situation = _Situation(
        decision,
        wanted.name if wanted is not None else None,
        rollout,
        ready(item, observed, name, rollout, healths),
        progressing(item, observed, name, rollout, healths, wanted.name if wanted is not None else ""),
        _alerts(item, observed, name, serving is not None),
    )
    status, events = _status(item, observed, surroundings, situation, name, now)
    looks = [rollout.again, *(healths[row.name].look_again for row in rollout.revisions if row.name in healths)]
    return Plan(
        children=children,
        status=status,
        events=events,
        requeue_after=min((look for look in looks if look is not None), default=None),
        keep=keep,
    )


def _wanted(item: ModelDeployment, decision: _Decision) -> Wanted | None:
    if decision.variant is None or decision.pool is None:
        return None
    variant = decision.variant
    name = revision_name(item.spec, decision.pool, variant)
    return Wanted(name, variant.name, variant.digest, item.spec.scaling)


def _healths(item: ModelDeployment, observed: Observed, wanted: Wanted | None, now: datetime) -> dict[str, Health]:
    """How each revision stands that the status or the spec names."""
    rows = item.status.revisions or ()
    names = dict.fromkeys([*(row.name for row in rows), *([wanted.name] if wanted is not None else [])])
    serving = next((row.name for row in rows if row.weight), wanted.name if wanted is not None else None)
    since = waited_since(item, now)
    return {
        name: health(
            item, observed, name, wanted is not None and name == wanted.name, since if name == serving else None, now
        )
        for name in names
    }


def _children(
    item: ModelDeployment, observed: Observed, decision: _Decision, wanted: Wanted | None, rollout: Rollout
) -> tuple[tuple[Child, ...], frozenset[tuple[str, str]]]:
    """What is to be, and what stays as it is though the spec does not ask for it any more."""
    name, own = child_name(item.kind, item.metadata.name), labels(item.kind, item.metadata.name)
    if rollout.route is None or rollout.serving is None:
        return (), frozenset()
    children: tuple[Child, ...] = (service(name, own, rollout.route),)
    planned = wanted.name if wanted is not None else None
    if wanted is not None and decision.variant is not None and decision.pool is not None:
        replica = Replica(wanted.name, item.metadata.name, decision.variant, decision.pool)
        its_name = service_name(item.metadata.name, wanted.name)
        after = ((SERVICE.kind, name),)
        children += (inference_service(its_name, own, item.spec, replica, rollout.floor, after),)
    if wanted is not None and item.spec.alerts and PROMETHEUS_RULE not in observed.missing:
        its_name = service_name(item.metadata.name, rollout.serving.name)
        children += (prometheus_rule(name, own, item.metadata, its_name, item.spec.alerts),)
    keep = {
        (INFERENCE_SERVICE.kind, service_name(item.metadata.name, row.name))
        for row in rollout.revisions
        if row.name != planned
    }
    if wanted is None:
        # It serves already: what can't be planned any more goes on as it is.
        keep.add((PROMETHEUS_RULE.kind, name))
    return children, frozenset(keep)


def _decide(item: ModelDeployment, observed: Observed, surroundings: Surroundings) -> _Decision:
    if INFERENCE_SERVICE in observed.missing:
        words = (
            "The API server does not serve InferenceService (serving.kserve.io/v1beta1). Install KServe 0.16 "
            "or later; the service then starts by itself."
        )
        return _refused(Refusal(Reason.DEPENDENCY_MISSING, words))
    asked, present = item.spec.resources, item.status.pool
    # What the price table chose stays when its rows move; what the spec named binds nobody once the spec names none.
    stays = present.name if present is not None and present.reason != f"named by {_POOL}" else None
    chosen = choose(surroundings.config, asked.pool, _POOL, stays)
    if isinstance(chosen, Refusal):
        return _refused(chosen)
    pool = chosen.pool
    reason = present.reason if present is not None and asked.pool is None and stays is not None else chosen.reason
    refusal = (
        misfit(pool, asked.cpu, asked.memory, asked.accelerators, _FIELDS)
        or misshapen(pool, asked.topology, "spec.resources.topology")
        or not_allowed(item.spec.pod_metadata, surroundings.config)
    )
    if refusal is not None:
        return _refused(refusal)
    found = find(item, observed.reference, pool, surroundings.config)
    if not isinstance(found, Refusal):
        words = f"The model to serve is {found.name}, on pool {pool.name}."
        return _Decision(Verdict("Accepted", "True", Reason.ACCEPTED, words), pool, reason, found)
    served = item.status.variant
    if served is None or found.reason == Reason.NO_VARIANT_FITS:
        return _Decision(Verdict("Accepted", "False", found.reason, found.message), pool, reason)
    words = f"It continues to serve {served.name} on pool {pool.name}. {found.message}"
    return _Decision(Verdict("Accepted", "True", Reason.ACCEPTED, words), pool, reason, served)


def _refused(refusal: Refusal) -> _Decision:
    return _Decision(Verdict("Accepted", "False", refusal.reason, refusal.message))


def _alerts(item: ModelDeployment, observed: Observed, name: str, served: bool) -> Verdict:
    kind = "AlertsConfigured"
    if not item.spec.alerts:
        return Verdict(kind, "True", Reason.NO_ALERTS, "The spec asks for no alerts.")
    if PROMETHEUS_RULE in observed.missing:
        words = (
            "The API server does not serve PrometheusRule: install the Prometheus operator, and the alerts "
            "are made by themselves."
        )
        return Verdict(kind, "False", Reason.PROMETHEUS_OPERATOR_MISSING, words)
    if not served:
        return Verdict(kind, "False", Reason.ALERTS_WAITING, "The alerts are made together with the service.")
    for rejection in observed.rejections:
        if rejection.resource.kind == PROMETHEUS_RULE.kind and rejection.name == name:
            return Verdict(
                kind, "False", Reason.REJECTED, f"The API server refused PrometheusRule {name}: {rejection.message}"
            )
    return Verdict(kind, "True", Reason.ALERTS_CONFIGURED, f"They are rules of PrometheusRule {name}.")


def _status(
    item: ModelDeployment,
    observed: Observed,
    surroundings: Surroundings,
    situation: _Situation,
    name: str,
    now: datetime,
) -> tuple[dict[str, Any], tuple[Event, ...]]:
    """The whole status, and events about what changed; cost that only time has moved is not a change."""
    old, decision, serving = item.status, situation.decision, situation.rollout.serving
    variant = decision.variant if situation.arrived else old.variant
    measured = measured_elsewhere(item, decision.pool, decision.variant or variant)
    verdicts = (decision.accepted, situation.ready, situation.progressing, situation.alerts, measured)
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


def _pool(old: ModelDeploymentStatus, situation: _Situation) -> PoolChoice | None:
    """The pool of what serves, as far as it is known."""
    pool = situation.decision.pool
    if situation.arrived and pool is not None:
        return PoolChoice(name=pool.name, reason=situation.decision.why)
    return old.pool if situation.rollout.serving is not None else None


def _price(item: ModelDeployment, situation: _Situation, variant: ChosenVariant | None, config: Config) -> Price:
    """The price of what serves; while the spec asks for something else, what it was."""
    serving, pool, old = situation.rollout.serving, situation.decision.pool, item.status.cost
    if situation.arrived and pool is not None and variant is not None and serving is not None:
        return price(item, pool, variant, serving.replicas.desired if serving.replicas else 1, config)
    return Price((old.per_hour if old else None) or UNKNOWN, old.per_million if old else None)


def _events(old: ModelDeploymentStatus, new: ModelDeploymentStatus, situation: _Situation) -> Iterator[Event]:
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
