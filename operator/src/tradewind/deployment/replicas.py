"""What is read of the Deployment that KServe makes of an InferenceService: how many replicas, and who refuses them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tradewind.core.plan import Resource

DEPLOYMENT = Resource("apps", "v1", "Deployment", "deployments")


@dataclass(frozen=True, slots=True)
class DeploymentSeen:
    """What planners read of a live Deployment."""

    desired: int | None  # replicas; the autoscaler changes them
    refused: str  # why the API server refuses its pods, in its words


def observe(body: Mapping[str, Any]) -> DeploymentSeen:
    """Read a live Deployment; what isn't there or isn't as expected reads as empty."""
    spec, status = _mapping(body.get("spec")), _mapping(body.get("status"))
    desired, refused = spec.get("replicas"), ""
    conditions = status.get("conditions")
    for condition in conditions if isinstance(conditions, list) else ():
        if _mapping(condition).get("type") == "ReplicaFailure" and condition.get("status") == "True":
            words = condition.get("message") or condition.get("reason")
            refused = words[:1024] if isinstance(words, str) else ""
    return DeploymentSeen(desired if isinstance(desired, int) else None, refused)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
