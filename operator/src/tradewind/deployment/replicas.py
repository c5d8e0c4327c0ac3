"""What is read of the Deployment that KServe makes of an InferenceService: how many replicas, and who refuses them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tradewind.core.plan import Resource
from tradewind.core.reading import condition, mapping, text

DEPLOYMENT = Resource("apps", "v1", "Deployment", "deployments")


@dataclass(frozen=True, slots=True)
class DeploymentSeen:
    """What planners read of a live Deployment."""

    desired: int | None  # replicas; the autoscaler changes them
    refused: str  # why the API server refuses its pods, in its words


def observe(body: Mapping[str, Any]) -> DeploymentSeen:
    """Read a live Deployment; what isn't there or isn't as expected reads as empty."""
    spec, status = mapping(body.get("spec")), mapping(body.get("status"))
    desired, failure = spec.get("replicas"), condition(status, "ReplicaFailure")
    refused = text(failure.get("message") or failure.get("reason")) if failure.get("status") == "True" else ""
    return DeploymentSeen(desired if isinstance(desired, int) else None, refused[:1024])
