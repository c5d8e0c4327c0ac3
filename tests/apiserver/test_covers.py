"""After an apply a child is as planned, for every kind of child: nothing is applied twice, an edit is seen."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.apiserver.cluster import Cluster
from tests.objects import complete, compression_job, model, model_deployment, training_job
from tradewind.api.config import Config
from tradewind.api.trainingjob import TrainingJob
from tradewind.core import covers
from tradewind.core.controller import Surroundings
from tradewind.core.plan import Child, Observed
from tradewind.runtime.controllers import CONTROLLERS
from tradewind.runtime.settings import parse

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def _config(cluster: Cluster) -> Config:
    return parse(cluster.config.read_bytes(), cluster.config)


def _planned(cluster: Cluster, namespace: str) -> list[Child]:
    trained = TrainingJob.read_object(complete(training_job(), model=model()))
    objects: list[tuple[dict[str, Any], Any]] = [
        (training_job(), None),
        (compression_job(), trained),
        (
            model_deployment(
                model={"trainingJobRef": {"name": "digits"}},
                alerts=[
                    {"name": "errors", "errorRate": {"max": "0.01"}, "severity": "critical"},
                    {"name": "slow", "latency": {"milliseconds": "50"}},
                    {"name": "missing", "replicasMissing": {}},
                ],
            ),
            trained,
        ),
    ]
    found = []
    for manifest, reference in objects:
        manifest["metadata"]["namespace"] = namespace
        controller = next(c for c in CONTROLLERS if c.model.kind == manifest["kind"])
        given = controller.model.read_object(manifest)
        plan = controller.plan(
            given,
            Observed(references={("TrainingJob", "digits"): reference} if reference is not None else {}),
            Surroundings(_config(cluster), "CA"),
            NOW,
        )
        found += plan.children
    kinds = {"RayJob", "NetworkPolicy", "Service", "InferenceService", "PrometheusRule"}
    assert {child.resource.kind for child in found} == kinds
    return found


def _body(child: Child) -> dict[str, Any]:
    body = copy.deepcopy(dict(child.body)) | {"apiVersion": child.resource.api_version, "kind": child.resource.kind}
    body["metadata"] = dict(body.get("metadata") or {}) | {"name": child.name}
    return body


def _apply(cluster: Cluster, namespace: str, child: Child) -> dict[str, Any]:
    made: dict[str, Any] = cluster.api.server_side_apply(
        cluster.resource(child.resource.kind), _body(child), child.name, namespace, field_manager="tradewind"
    ).to_dict()
    return made


def _make(cluster: Cluster, namespace: str, child: Child) -> dict[str, Any]:
    """As the operator makes it: what nobody reads again is created, the rest applied."""
    if not child.fixed:
        return _apply(cluster, namespace, child)
    made: dict[str, Any] = cluster.api.create(
        cluster.resource(child.resource.kind), _body(child), namespace, field_manager="tradewind"
    ).to_dict()
    return made


def test_every_field_of_every_child_is_kept_as_applied(cluster: Cluster, namespace: str) -> None:
    for child in _planned(cluster, namespace):
        live = _make(cluster, namespace, child)
        assert covers.unowned(covers.owned_fields(live), child.body) is None, child.resource.kind
        applied = _apply(cluster, namespace, child)
        assert covers.unowned(covers.owned_fields(applied), child.body) is None, child.resource.kind
        again = _apply(cluster, namespace, child)
        assert again["metadata"]["resourceVersion"] == applied["metadata"]["resourceVersion"]


EDITS: list[tuple[str, dict[str, Any]]] = [
    ("RayJob", {"spec": {"backoffLimit": 3}}),
    ("RayJob", {"spec": {"rayClusterSpec": {"headGroupSpec": {"rayStartParams": {"num-cpus": "7"}}}}}),
    ("NetworkPolicy", {"spec": {"podSelector": {"matchLabels": {"app": "other"}}}}),
    ("NetworkPolicy", {"spec": {"ingress": None}}),
    ("Service", {"spec": {"selector": {"tradewind.dev/revision": "other"}}}),
    ("Service", {"spec": {"selector": {"app": "other"}}}),
    ("Service", {"spec": {"type": "NodePort"}}),
    ("InferenceService", {"spec": {"predictor": {"minReplicas": 9}}}),
    ("PrometheusRule", {"spec": {"groups": []}}),
    ("PrometheusRule", {"metadata": {"labels": {"app.kubernetes.io/managed-by": "other"}}}),
]


@pytest.mark.parametrize(("kind", "edit"), EDITS)
def test_an_edit_by_someone_else_is_seen(cluster: Cluster, namespace: str, kind: str, edit: dict[str, Any]) -> None:
    child = next(child for child in _planned(cluster, namespace) if child.resource.kind == kind)
    _make(cluster, namespace, child)
    edited = cluster.merge(kind, child.name, namespace, edit)
    assert covers.unowned(covers.owned_fields(edited), child.body) is not None


def test_a_changed_item_of_a_list_is_seen(cluster: Cluster, namespace: str) -> None:
    child = next(child for child in _planned(cluster, namespace) if child.resource.kind == "RayJob")
    live = _make(cluster, namespace, child)
    head = live["spec"]["rayClusterSpec"]["headGroupSpec"]
    head["template"]["spec"]["containers"][0]["env"][0]["value"] = "changed"
    edited = cluster.merge("RayJob", child.name, namespace, {"spec": {"rayClusterSpec": {"headGroupSpec": head}}})
    path = covers.unowned(covers.owned_fields(edited), child.body)
    assert path is not None and path.startswith(".spec.rayClusterSpec.headGroupSpec.template.spec.containers")


def test_what_others_add_is_not_an_edit_of_ours(cluster: Cluster, namespace: str) -> None:
    child = next(child for child in _planned(cluster, namespace) if child.resource.kind == "RayJob")
    _make(cluster, namespace, child)
    edit = {"metadata": {"finalizers": ["ray.io/rayjob-finalizer"], "annotations": {"team": "vision"}}}
    edited = cluster.merge("RayJob", child.name, namespace, edit)
    assert covers.unowned(covers.owned_fields(edited), child.body) is None
