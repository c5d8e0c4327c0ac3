"""The PrometheusRule of a ModelDeployment: one alerting rule for each alert of the spec (monitoring.coreos.com/v1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tradewind.api.base import ObjectMeta
from tradewind.api.modeldeployment import Alert
from tradewind.core.plan import Child, Resource
from tradewind.deployment.promql import selector, template

PROMETHEUS_RULE = Resource("monitoring.coreos.com", "v1", "PrometheusRule", "prometheusrules")

_SUMMARIES = {
    "ErrorRate": "The share of requests that {name} answers with a server error is above {threshold}.",
    "Latency": "The 95th percentile of the latency of {name} is above {threshold} ms.",
    "ReplicasMissing": "More than {threshold} of the replicas that {name} should have are not available.",
}


def observe(body: Mapping[str, Any]) -> None:
    """Planners read nothing of it."""


def prometheus_rule(
    name: str, labels: Mapping[str, str], metadata: ObjectMeta, service: str, alerts: tuple[Alert, ...]
) -> Child:
    """The rules for the alerts on the InferenceService named `service`."""
    rules = [_rule(metadata, service, alert) for alert in alerts]
    group = {"name": f"tradewind.{metadata.namespace}.{metadata.name}", "rules": rules}
    return Child(PROMETHEUS_RULE, name, {"metadata": {"labels": dict(labels)}, "spec": {"groups": [group]}})


def _rule(metadata: ObjectMeta, service: str, alert: Alert) -> dict[str, Any]:
    summary = _SUMMARIES[alert.type].format(
        name=f"{metadata.namespace}/{metadata.name}", threshold=f"{alert.threshold:f}"
    )
    return {
        "alert": f"Tradewind{alert.type}",
        "expr": expression(metadata.namespace, service, alert),
        "for": f"{alert.for_seconds}s",
        "labels": {
            "severity": alert.severity,
            "alert": template(alert.name),
            "namespace": template(metadata.namespace),
            "modeldeployment": template(metadata.name),
        },
        "annotations": {"summary": template(summary)},
    }


def expression(namespace: str, service: str, alert: Alert) -> str:
    """The PromQL of an alert. Without requests there is nothing to compare, and nothing fires."""
    threshold = f"{alert.threshold:f}"
    served = {"namespace": namespace, "model": service}
    if alert.type == "ErrorRate":
        failed = selector("tradewind_request_total", served, 'code=~"5.."')
        return f"sum(rate({failed}[5m])) / sum(rate({selector('tradewind_request_total', served)}[5m])) > {threshold}"
    if alert.type == "Latency":
        buckets = selector("tradewind_request_seconds_bucket", served)
        return f"histogram_quantile(0.95, sum by (le) (rate({buckets}[5m]))) * 1000 > {threshold}"
    deployed = {"namespace": namespace, "deployment": f"{service}-predictor"}
    wanted = selector("kube_deployment_spec_replicas", deployed)
    return f"sum({wanted}) - sum({selector('kube_deployment_status_replicas_available', deployed)}) > {threshold}"
