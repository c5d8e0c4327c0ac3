"""Children that nobody planned: someone made them with our labels and one of our objects as their owner."""

from __future__ import annotations

from typing import Any

from tradewind.core.labels import labels

NAME = "unplanned"
SPECS: dict[str, tuple[str, dict[str, Any]]] = {
    "RayJob": ("ray.io/v1", {"rayClusterSpec": {"headGroupSpec": {"template": {"spec": {"containers": []}}}}}),
    "NetworkPolicy": ("networking.k8s.io/v1", {"podSelector": {}}),
    "Service": ("v1", {"ports": [{"port": 80}]}),
    "InferenceService": ("serving.kserve.io/v1beta1", {"predictor": {}}),
    "PrometheusRule": ("monitoring.coreos.com/v1", {"groups": []}),
}


def stray(kind: str, owner: dict[str, Any]) -> dict[str, Any]:
    """A child of that kind for that object."""
    version, spec = SPECS[kind]
    reference = {key: owner[key] for key in ("apiVersion", "kind")}
    reference |= {key: owner["metadata"][key] for key in ("name", "uid")} | {"controller": True}
    mark = labels(owner["kind"], owner["metadata"]["name"])
    metadata = {"name": NAME, "labels": mark, "ownerReferences": [reference]}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}
