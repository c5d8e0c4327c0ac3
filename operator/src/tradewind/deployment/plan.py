"""Decide about a ModelDeployment: which model, on what, with which alerts, and whether it answers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tradewind.api.base import Columns
from tradewind.api.config import Pool
from tradewind.api.job import PoolChoice
from tradewind.api.modeldeployment import ChosenVariant, ModelDeployment, ModelDeploymentStatus, ServingCost
from tradewind.core.conditions import Reason, Verdict, holds, merge, phase
from tradewind.core.controller import Surroundings
from tradewind.core.labels import labels
from tradewind.core.names import child_name
from tradewind.core.plan import Child, Event, Observed, Plan, Refusal
from tradewind.core.podmetadata import not_allowed
from tradewind.core.timestamps import whole
from tradewind.deployment.inferenceservice import INFERENCE_SERVICE, inference_service, url
from tradewind.deployment.model import find
from tradewind.deployment.prometheusrule import PROMETHEUS_RULE, prometheus_rule
from tradewind.deployment.spending import spending
from tradewind.deployment.status import Service, judge
from tradewind.economics.cost import told
from tradewind.economics.pools import choose, misfit, misshapen

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


def plan(item: ModelDeployment, observed: Observed, surroundings: Surroundings, now: datetime) -> Plan:
    """One pass over a ModelDeployment."""
    now = whole(now)
    decision = _decide(item, observed, surroundings)
    name = child_name(item.kind, item.metadata.name)
    own = labels(item.kind, item.metadata.name)
    children: tuple[Child, ...] = ()
    keep: frozenset[tuple[str, str]] = frozenset()
    if decision.variant is not None and decision.pool is not None:
        children = (inference_service(name, own, item.spec, decision.pool, decision.variant),)
        if item.spec.alerts and PROMETHEUS_RULE not in observed.missing:
            children += (prometheus_rule(name, own, item.metadata, name, item.spec.alerts),)
    elif item.status.variant is not None:
        # It serves already: what can't be planned any more goes on as it is.
        keep = frozenset({(INFERENCE_SERVICE.kind, name), (PROMETHEUS_RULE.kind, name)})
    serving = decision.variant or item.status.variant
    address = url(name, item.metadata.namespace) if serving else None
    service = judge(item, observed, name, serving, address, now)
    verdicts = (decision.accepted, service.ready, service.progressing, _alerts(item, observed, name, decision.variant))
    status, events = _status(item, observed, surroundings, decision, verdicts, service, serving, address, now)
    return Plan(children=children, status=status, events=events, requeue_after=service.look_again, keep=keep)


def _decide(item: ModelDeployment, observed: Observed, surroundings: Surroundings) -> _Decision:
    if INFERENCE_SERVICE in observed.missing:
        words = (
            "The API server does not serve InferenceService (serving.kserve.io/v1beta1). Install KServe 0.16 "
            "or later; the service then starts by itself."
        )
        return _refused(Refusal(Reason.DEPENDENCY_MISSING, words))
    asked, present = item.spec.resources, item.status.pool
    chosen = choose(surroundings.config, asked.pool, "spec.resources.pool", present.name if present else None)
    if isinstance(chosen, Refusal):
        return _refused(chosen)
    pool = chosen.pool
    reason = present.reason if present is not None and present.name == pool.name else chosen.reason
    refusal = (
        misfit(pool, asked.cpu, asked.memory, asked.accelerators, _FIELDS)
        or misshapen(pool, asked.topology, "spec.resources.topology")
        or not_allowed(item.spec.pod_metadata, surroundings.config)
    )
    if refusal is not None:
        return _refused(refusal)
    found = find(item, observed.reference, pool, surroundings.config)
    if not isinstance(found, Refusal):
        words = f"It serves {found.name} on pool {pool.name}."
        return _Decision(Verdict("Accepted", "True", Reason.ACCEPTED, words), pool, reason, found)
    served = item.status.variant
    if served is None or found.reason == Reason.NO_VARIANT_FITS:
        return _Decision(Verdict("Accepted", "False", found.reason, found.message), pool, reason)
    words = f"It continues to serve {served.name} on pool {pool.name}. {found.message}"
    return _Decision(Verdict("Accepted", "True", Reason.ACCEPTED, words), pool, reason, served)


def _refused(refusal: Refusal) -> _Decision:
    return _Decision(Verdict("Accepted", "False", refusal.reason, refusal.message))


def _alerts(item: ModelDeployment, observed: Observed, name: str, variant: ChosenVariant | None) -> Verdict:
    kind = "AlertsConfigured"
    if not item.spec.alerts:
        return Verdict(kind, "True", Reason.NO_ALERTS, "The spec asks for no alerts.")
    if PROMETHEUS_RULE in observed.missing:
        words = (
            "The API server does not serve PrometheusRule: install the Prometheus operator, and the alerts "
            "are made by themselves."
        )
        return Verdict(kind, "False", Reason.PROMETHEUS_OPERATOR_MISSING, words)
    if variant is None and (PROMETHEUS_RULE.kind, name) not in observed.children:
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
    decision: _Decision,
    verdicts: tuple[Verdict, ...],
    service: Service,
    serving: ChosenVariant | None,
    address: str | None,
    now: datetime,
) -> tuple[dict[str, Any], tuple[Event, ...]]:
    """The whole status, and events about what changed; cost that only time has moved is not a change."""
    old = item.status
    new = old.model_copy(
        update={
            "observed_generation": item.metadata.generation,
            "phase": phase(verdicts),
            "conditions": merge(old.conditions, verdicts, item.metadata.generation, now),
            "url": address,
            "variant": serving,
            "replicas": service.replicas,
            "columns": _columns(old, service),
        }
    )
    if decision.pool is not None and service.replicas is not None:
        cost = spending(item, decision.pool, observed.pods, service.replicas.desired, surroundings.config, now)
        pool = PoolChoice(name=decision.pool.name, reason=decision.why)
        new = new.model_copy(update={"pool": pool})
        if new.model_copy(update={"cost": _steady(old.cost, cost)}).dump() == old.dump():
            return old.dump(), ()
        columns = (new.columns or Columns()).model_copy(update={"cost": told(cost)})
        new = new.model_copy(update={"cost": cost, "columns": columns})
    events = []
    if serving is not None and (
        old.variant is None or old.variant.name != serving.name or old.variant.digest != serving.digest
    ):
        events.append(Event("Normal", "ModelChosen", f"{serving.name}: {serving.reason}"[:1024]))
    if service.ready.status == "True" and not holds(old.conditions, "Ready"):
        events.append(Event("Normal", "Ready", service.ready.message))
    if service.ready.status != "True" and holds(old.conditions, "Ready"):
        events.append(Event("Warning", "NotReady", service.ready.message[:1024]))
    if new.dump() == old.dump():
        return old.dump(), ()
    return new.dump(), tuple(events)


def _steady(old: ServingCost | None, new: ServingCost) -> ServingCost | None:
    """The cost as it was, but for what time alone does not move."""
    if old is None:
        return None
    return old.model_copy(update={"per_hour": new.per_hour, "per_million": new.per_million, "currency": new.currency})


def _columns(old: ModelDeploymentStatus, service: Service) -> Columns | None:
    replicas = service.replicas
    if replicas is None:
        return old.columns
    return (old.columns or Columns()).model_copy(update={"replicas": f"{replicas.ready}/{replicas.desired}"})
