"""What is read of the EndpointSlices that Kubernetes makes of our Service: which replicas it sends requests to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tradewind.core.plan import Observed, Resource
from tradewind.core.reading import mapping, text

ENDPOINT_SLICE = Resource("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices")
SERVICE_NAME = "kubernetes.io/service-name"  # label: the Service whose endpoints these are


@dataclass(frozen=True, slots=True)
class EndpointsSeen:
    """What planners read of a live EndpointSlice."""

    service: str
    pods: frozenset[str]  # that get requests


def observe(body: Mapping[str, Any]) -> EndpointsSeen:
    """Read a live EndpointSlice; what isn't there or isn't as expected reads as empty."""
    endpoints = body.get("endpoints")
    found = (mapping(one) for one in (endpoints if isinstance(endpoints, list) else ()))
    ready = (one for one in found if mapping(one.get("conditions")).get("ready") is True)
    names = (text(mapping(one.get("targetRef")).get("name")) for one in ready)
    labels = mapping(mapping(body.get("metadata")).get("labels"))
    return EndpointsSeen(text(labels.get(SERVICE_NAME)), frozenset(name for name in names if name))


def reached(observed: Observed, service: str) -> frozenset[str]:
    """The pods to which the Service sends requests."""
    slices = (one.seen for one in observed.witnesses.values() if isinstance(one.seen, EndpointsSeen))
    return frozenset().union(*(one.pods for one in slices if one.service == service))
