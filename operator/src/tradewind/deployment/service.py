"""The Service of a ModelDeployment: its one address, which selects the replicas of the revision that serves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tradewind.core.labels import REVISION
from tradewind.core.plan import Child, Resource
from tradewind.core.reading import mapping, text

SERVICE = Resource("", "v1", "Service", "services")
PORT = 80
SERVER_PORT, GRPC_PORT = 8080, 8081  # of the model server; KServe has gRPC at this port in its own Services too


@dataclass(frozen=True, slots=True)
class ServiceSeen:
    """What planners read of a live Service."""

    revision: str  # that it selects


def observe(body: Mapping[str, Any]) -> ServiceSeen:
    """Read a live Service; what isn't there reads as empty."""
    return ServiceSeen(text(mapping(mapping(body.get("spec")).get("selector")).get(REVISION)))


def url(name: str, namespace: str) -> str:
    """The address, which never changes."""
    return f"http://{name}.{namespace}.svc"


def service(name: str, labels: Mapping[str, str], revision: str) -> Child:
    """The Service while that revision serves."""
    ports = [
        {"name": "http", "port": PORT, "targetPort": SERVER_PORT, "protocol": "TCP"},
        {"name": "grpc", "port": GRPC_PORT, "targetPort": GRPC_PORT, "protocol": "TCP"},
    ]
    spec = {"type": "ClusterIP", "selector": {**labels, REVISION: revision}, "ports": ports}
    return Child(SERVICE, name, {"metadata": {"labels": dict(labels)}, "spec": spec})
