"""Decide about a ModelDeployment: which model, on what, with which alerts, and whether it answers."""

from __future__ import annotations

from datetime import datetime

from tradewind.api.config import Config
from tradewind.api.modeldeployment import ModelDeployment
from tradewind.core.conditions import Reason, Verdict, holds
from tradewind.core.controller import Surroundings
from tradewind.core.labels import labels
from tradewind.core.names import child_name
from tradewind.core.plan import Child, Observed, Plan, Refusal
from tradewind.core.podmetadata import not_allowed
from tradewind.core.timestamps import whole
from tradewind.deployment.capacity import scaled
from tradewind.deployment.endpoints import reached
from tradewind.deployment.health import Health, health
from tradewind.deployment.inferenceservice import INFERENCE_SERVICE, Replica, inference_service
from tradewind.deployment.model import find, source
from tradewind.deployment.outcome import Decision, Situation, written
from tradewind.deployment.prometheusrule import PROMETHEUS_RULE, prometheus_rule
from tradewind.deployment.revision import revision_name, service_name
from tradewind.deployment.rollout import Rollout, Wanted, roll_out
from tradewind.deployment.service import SERVICE, service
from tradewind.deployment.status import progressing, ready, routed, waited_since
from tradewind.economics.pools import choose, misfit, misshapen, unservable

_FIELDS = {
    "cpu": "spec.resources.cpu",
    "memory": "spec.resources.memory",
    "accelerators": "spec.resources.accelerators",
}


def plan(item: ModelDeployment, observed: Observed, surroundings: Surroundings, now: datetime) -> Plan:
    """One pass over a ModelDeployment."""
    now = whole(now)
    name = child_name(item.kind, item.metadata.name)
    decision = _decide(item, observed, surroundings)
    wanted = _wanted(item, decision, surroundings.config)
    before = item.status.revisions or ()
    healths = _healths(item, observed, wanted, now)
    standings = {revision: health.standing for revision, health in healths.items()}
    rollout = roll_out(before, wanted, standings, routed(observed, name), now)
    serving = rollout.serving
    children, keep = _children(item, observed, decision, wanted, rollout, _image(item, surroundings.config))
    situation = Situation(
        decision,
        wanted.name if wanted is not None else None,
        rollout,
        ready(item, observed, name, rollout, healths),
        progressing(item, observed, name, rollout, healths, wanted.name if wanted is not None else ""),
        _alerts(item, observed, name, serving is not None),
    )
    status, events = written(item, observed, surroundings, situation, name, now)
    looks = [rollout.again, *(healths[row.name].look_again for row in rollout.revisions if row.name in healths)]
    return Plan(
        children=children,
        status=status,
        events=events,
        requeue_after=min((look for look in looks if look is not None), default=None),
        keep=keep,
    )


def _wanted(item: ModelDeployment, decision: Decision, config: Config) -> Wanted | None:
    if decision.variant is None or decision.pool is None:
        return None
    variant = decision.variant
    name = revision_name(item.spec, decision.pool, variant, _image(item, config))
    return Wanted(name, variant.name, variant.digest, scaled(item, decision.pool, variant, config))


def _image(item: ModelDeployment, config: Config) -> str | None:
    """The server of replicas with GPUs; None for the one of the ClusterServingRuntime."""
    return config.images.server_gpu if item.spec.resources.accelerators else None


def _healths(item: ModelDeployment, observed: Observed, wanted: Wanted | None, now: datetime) -> dict[str, Health]:
    """How each revision stands that the status or the spec names."""
    rows = item.status.revisions or ()
    names = dict.fromkeys([*(row.name for row in rows), *([wanted.name] if wanted is not None else [])])
    serving = next((row.name for row in rows if row.weight), wanted.name if wanted is not None else None)
    since = waited_since(item, now)
    service_of_ours = child_name(item.kind, item.metadata.name)
    selected = routed(observed, service_of_ours)
    # The first pod is ready some seconds before the Service sends requests to it; until then they are refused.
    first = None if holds(item.status.conditions, "Ready") else reached(observed, service_of_ours)
    return {
        name: health(
            item,
            observed,
            name,
            wanted.scaling if wanted is not None and name == wanted.name else None,
            since if name == serving else None,
            first if name == selected else None,
            now,
        )
        for name in names
    }


def _children(
    item: ModelDeployment,
    observed: Observed,
    decision: Decision,
    wanted: Wanted | None,
    rollout: Rollout,
    image: str | None,
) -> tuple[tuple[Child, ...], frozenset[tuple[str, str]]]:
    """What is to be, and what stays as it is though the spec does not ask for it any more."""
    name, own = child_name(item.kind, item.metadata.name), labels(item.kind, item.metadata.name)
    if rollout.route is None or rollout.serving is None:
        return (), frozenset()
    children: tuple[Child, ...] = (service(name, own, rollout.route),)
    planned = wanted.name if wanted is not None else None
    if wanted is not None and decision.variant is not None and decision.pool is not None:
        replica = Replica(wanted.name, item.metadata.name, decision.variant, decision.pool, image)
        its_name = service_name(item.metadata.name, wanted.name)
        after = ((SERVICE.kind, name),)
        children += (inference_service(its_name, own, item.spec, replica, rollout.floor, after),)
    if item.spec.alerts and PROMETHEUS_RULE not in observed.missing:
        its_name = service_name(item.metadata.name, rollout.serving.name)
        children += (prometheus_rule(name, own, item.metadata, its_name, item.spec.alerts),)
    keep = {
        (INFERENCE_SERVICE.kind, service_name(item.metadata.name, row.name))
        for row in rollout.revisions
        if row.name != planned
    }
    return children, frozenset(keep)


def _decide(item: ModelDeployment, observed: Observed, surroundings: Surroundings) -> Decision:
    if INFERENCE_SERVICE in observed.missing:
        words = (
            "The API server does not serve InferenceService (serving.kserve.io/v1beta1). Install KServe 0.16 "
            "or later; the service then starts by itself."
        )
        return _refused(Refusal(Reason.DEPENDENCY_MISSING, words))
    asked = item.spec.resources
    chosen = choose(surroundings.config, asked.pool, "spec.resources.pool", item.status.pool)
    if isinstance(chosen, Refusal):
        return _refused(chosen)
    pool = chosen.pool
    refusal = (
        unservable(pool, asked.accelerators, surroundings.config.images, _FIELDS["accelerators"])
        or misfit(pool, asked.cpu, asked.memory, asked.accelerators, _FIELDS)
        or misshapen(pool, asked.topology, "spec.resources.topology")
        or not_allowed(item.spec.pod_metadata, surroundings.config)
    )
    if refusal is not None:
        return _refused(refusal)
    found = find(item, observed.references, pool, surroundings.config)
    if not isinstance(found, Refusal):
        words = f"The model to serve is {found.name}, on pool {pool.name}."
        return Decision(Verdict("Accepted", "True", Reason.ACCEPTED, words), pool, chosen.reason, found)
    served = item.status.variant
    if served is None or found.reason == Reason.NO_VARIANT_FITS:
        return Decision(Verdict("Accepted", "False", found.reason, found.message), pool, chosen.reason)
    words = f"It continues to serve {served.name} on pool {pool.name}. {found.message}"
    if served.source == source(item.spec.model):
        # What it came from may go: the service outlives it.
        return Decision(Verdict("Accepted", "True", Reason.ACCEPTED, words), pool, chosen.reason, served)
    return Decision(Verdict("Accepted", "False", found.reason, words), pool, chosen.reason, served)


def _refused(refusal: Refusal) -> Decision:
    return Decision(Verdict("Accepted", "False", refusal.reason, refusal.message))


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
