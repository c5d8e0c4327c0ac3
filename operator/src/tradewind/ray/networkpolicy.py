"""The NetworkPolicy of a job: Ray's dashboard runs what it is sent, so only KubeRay and the job's pods reach it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tradewind.core.labels import KIND, MANAGED_BY, MANAGER
from tradewind.core.plan import Child, Resource
from tradewind.ray.pods import DASHBOARD_PORT

NETWORK_POLICY = Resource("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies")


# Closes the pods of all jobs in a namespace to everybody; a job's own policy opens its pods to those who need them.
# Where it is there, no pod is open for a moment, whichever of a job's policy and RayJob is made first.
CLOSED = Child(
    NETWORK_POLICY,
    "tradewind-closed-jobs",
    {
        "metadata": {"labels": {MANAGED_BY: MANAGER}},
        "spec": {
            "podSelector": {
                "matchLabels": {MANAGED_BY: MANAGER},
                "matchExpressions": [{"key": KIND, "operator": "In", "values": ["CompressionJob", "TrainingJob"]}],
            },
            "policyTypes": ["Ingress"],
            "ingress": [],  # said, so that it is ours: who opens it takes it from us, and is seen
        },
    },
)


def observe(body: Mapping[str, Any]) -> None:
    """Planners read nothing of it."""


def network_policy(name: str, labels: Mapping[str, str], kuberay_namespace: str) -> Child:
    """Close the pods with these labels to all but one another and, at the dashboard, KubeRay's namespace."""
    own = {"podSelector": {"matchLabels": dict(labels)}}
    kuberay = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": kuberay_namespace}}}
    spec = {
        "podSelector": {"matchLabels": dict(labels)},
        "policyTypes": ["Ingress"],
        "ingress": [
            {"from": [own]},
            {"from": [kuberay], "ports": [{"port": DASHBOARD_PORT, "protocol": "TCP"}]},
        ],
    }
    return Child(NETWORK_POLICY, name, {"metadata": {"labels": dict(labels)}, "spec": spec})
