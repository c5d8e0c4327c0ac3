"""The EndpointSlices that Kubernetes makes of Services, where its controller does not run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

ENDPOINT_SLICES = "/apis/discovery.k8s.io/v1"


def endpoint_slice(service: dict[str, Any], pods: Iterable[str]) -> dict[str, Any]:
    """That of a Service whose selector finds those pods, all of them ready."""
    name = service["metadata"]["name"]
    labels = {**service["metadata"]["labels"], "kubernetes.io/service-name": name}
    endpoints = [
        {"addresses": ["192.0.2.1"], "conditions": {"ready": True}, "targetRef": {"kind": "Pod", "name": pod}}
        for pod in pods
    ]
    kind = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4"}
    return {**kind, "metadata": {"name": f"{name}-1", "labels": labels}, "endpoints": endpoints}
