"""The PrometheusRule of a ModelDeployment: one alerting rule for each alert of the spec (monitoring.coreos.com/v1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tradewind.api.base import ObjectMeta
from tradewind.api.modeldeployment import Alert
from tradewind.core.plan import Child, Resource
from tradewind.deployment.promql import selector, template
from tradewind.deployment.revision import deployment_name

PROMETHEUS_RULE = Resource("monitoring.coreos.com", "v1", "PrometheusRule", "prometheusrules")


def observe(body: Mapping[str, Any]) -> None:
    """Planners read nothing of it."""


def prometheus_rule(
    name: str, labels: Mapping[str, str], metadata: ObjectMeta, service: str, alerts: tuple[Alert, ...]
) -> Child:
    """The rules for the alerts, while the InferenceService named `service` serves."""
    rules = [_rule(metadata, service, alert) for alert in alerts]
    group = {"name": f"tradewind.{metadata.namespace}.{metadata.name}", "rules": rules}
    return Child(PROMETHEUS_RULE, name, {"metadata": {"labels": dict(labels)}, "spec": {"groups": [group]}})


def _rule(metadata: ObjectMeta, service: str, alert: Alert) -> dict[str, Any]:
    kind = alert.chosen()[0]
    summary = _summary(f"{metadata.namespace}/{metadata.name}", alert)
    return {
        "alert": f"Tradewind{kind[0].upper()}{kind[1:]}",
        "expr": expression(metadata.namespace, metadata.name, service, alert),
        "for": f"{alert.for_seconds}s",
        "labels": {
            "severity": alert.severity,
            "alert": template(alert.name),
            "namespace": template(metadata.namespace),
            "modeldeployment": template(metadata.name),
        },
        "annotations": {"summary": template(summary)},
    }


def _summary(name: str, alert: Alert) -> str:
    if alert.error_rate is not None:
        return f"The share of requests that {name} answers with a server error is above {alert.error_rate.max:f}."
    if alert.latency is not None:
        bound = alert.latency
        return f"The {bound.percentile}th percentile of the latency of {name} is above {bound.milliseconds:f} ms."
    most = alert.replicas_missing.max if alert.replicas_missing is not None else 0
    return f"More than {most} of the replicas that {name} should have are not available."


def expression(namespace: str, model: str, service: str, alert: Alert) -> str:
    """The PromQL of an alert. Without requests there is nothing to compare, and nothing fires.

    Requests are counted under the model's name, which is the same in all revisions.
    """
    served = {"namespace": namespace, "model": model}
    if alert.error_rate is not None:
        failed = selector("tradewind_request_total", served, 'code=~"5.."')
        asked = selector("tradewind_request_total", served)
        return f"sum(rate({failed}[5m])) / sum(rate({asked}[5m])) > {alert.error_rate.max:f}"
    if alert.latency is not None:
        buckets = selector("tradewind_request_seconds_bucket", served)
        part = f"0.{alert.latency.percentile}"
        bound = f"{alert.latency.milliseconds:f}"
        return f"histogram_quantile({part}, sum by (le) (rate({buckets}[5m]))) * 1000 > {bound}"
    deployed = {"namespace": namespace, "deployment": deployment_name(service)}
    wanted = selector("kube_deployment_spec_replicas", deployed)
    available = selector("kube_deployment_status_replicas_available", deployed)
    most = alert.replicas_missing.max if alert.replicas_missing is not None else 0
    return f"sum({wanted}) - sum({available}) > {most}"
