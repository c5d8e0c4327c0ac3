"""A service and its revisions on a real API server: where requests go, what is left alone, and what is said."""

from __future__ import annotations

import time
from typing import Any

import pytest

from e2e.endpoints import endpoint_slice
from tests.apiserver.cluster import Cluster, Manifest
from tests.apiserver.process import OperatorProcess, until
from tests.objects import complete, compression_job, model_deployment, variant
from tradewind.core.labels import REVISION

ALERTS = [{"name": "errors", "errorRate": {"max": "0.01"}}]


def _deployment(**spec: Any) -> Manifest:
    return model_deployment(**({"model": {"storageUri": "pvc://models/first"}, "alerts": ALERTS} | spec))


def _service(cluster: Cluster, namespace: str, other_than: str = "") -> Manifest:
    """The InferenceService of a revision."""

    def there() -> Manifest | None:
        found = cluster.list("InferenceService", namespace)
        return next((one for one in found if one["metadata"]["labels"][REVISION] != other_than), None)

    found = until(there, "there is no InferenceService")
    assert found is not None
    return found


def _answers(cluster: Cluster, namespace: str, service: Manifest) -> None:
    """What Kubernetes and KServe do: a pod that is ready and gets requests, and an InferenceService that says so."""
    _starts(cluster, namespace, service)
    _gets_requests(cluster, namespace, service)


def _starts(cluster: Cluster, namespace: str, service: Manifest) -> None:
    name = service["metadata"]["name"]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"{name}-predictor-0"}}
    pod["metadata"] = {"name": f"{name}-predictor-0", "labels": service["spec"]["predictor"]["labels"]}
    cluster.create(pod | {"spec": {"containers": [{"name": "server", "image": "any"}]}}, namespace)
    ready = {"type": "Ready", "status": "True"}
    cluster.merge("Pod", f"{name}-predictor-0", namespace, {"status": {"conditions": [ready]}}, subresource="status")
    cluster.merge("InferenceService", name, namespace, {"status": {"conditions": [ready]}}, subresource="status")


def _gets_requests(cluster: Cluster, namespace: str, service: Manifest) -> None:
    ours = cluster.get("Service", "digits", namespace)
    assert ours is not None
    made = endpoint_slice(ours, [f"{service['metadata']['name']}-predictor-0"])
    there = cluster.get("EndpointSlice", made["metadata"]["name"], namespace)
    if there is None:
        cluster.create(made, namespace)
    else:
        cluster.merge("EndpointSlice", made["metadata"]["name"], namespace, {"endpoints": made["endpoints"]})


def _selected(cluster: Cluster, namespace: str) -> str:
    service = cluster.get("Service", "digits", namespace) or {}
    return str(service["spec"]["selector"].get(REVISION))


def _said(cluster: Cluster, namespace: str, kind: str) -> tuple[str, str]:
    found = cluster.condition("ModelDeployment", "digits", namespace, kind) or {}
    return str(found.get("reason")), str(found.get("message"))


def test_requests_move_to_the_next_revision_when_it_answers(
    cluster: Cluster, operator: OperatorProcess, namespace: str
) -> None:
    since = time.time()
    cluster.create(_deployment(), namespace)
    first = _service(cluster, namespace)
    revision = first["metadata"]["labels"][REVISION]
    assert first["metadata"]["name"] == f"digits-{revision}"
    _starts(cluster, namespace, first)
    cluster.quiet()
    assert _said(cluster, namespace, "Ready")[0] == "NotReady", "the Service refuses requests: it has no endpoints yet"
    _gets_requests(cluster, namespace, first)
    until(lambda: cluster.phase("ModelDeployment", "digits", namespace) == "Ready", "the service does not get ready")
    cluster.quiet()
    made = cluster.written(since, namespace)
    assert len(made) <= 8, made
    assert _selected(cluster, namespace) == revision
    since = time.time()
    cluster.merge("ModelDeployment", "digits", namespace, {"spec": {"model": {"storageUri": "pvc://models/second"}}})
    second = _service(cluster, namespace, other_than=revision)
    cluster.quiet()
    assert _selected(cluster, namespace) == revision, "requests moved before the new revision answers"
    assert _said(cluster, namespace, "Progressing")[0] == "RollingOut"
    assert _said(cluster, namespace, "Ready")[0] == "Ready"
    _answers(cluster, namespace, second)
    following = second["metadata"]["labels"][REVISION]
    until(lambda: _selected(cluster, namespace) == following, "requests do not move")
    names = {one["metadata"]["name"] for one in cluster.list("InferenceService", namespace)}
    assert names == {f"digits-{revision}", f"digits-{following}"}, "what requests were moved from has not drained"
    until(lambda: len(cluster.list("InferenceService", namespace)) == 1, "the old revision stays", seconds=120)
    assert _selected(cluster, namespace) == following
    cluster.quiet()
    moved = cluster.written(since, namespace)
    assert len(moved) <= 8, moved
    still = cluster.get("ModelDeployment", "digits", namespace)
    time.sleep(2)
    assert cluster.get("ModelDeployment", "digits", namespace) == still


# The second has no field that ours has too: applying ours would put both into one.
@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ({"selector": {"app": "shop"}, "ports": [{"port": 80, "targetPort": 3000}]}, "conflict"),
        ({"ports": [{"port": 8080, "name": "shop"}]}, "belongs to somebody else: remove or rename one"),
    ],
)
def test_a_service_of_a_stranger_is_left_alone_and_no_pods_are_asked_for(
    cluster: Cluster, operator: OperatorProcess, namespace: str, spec: Manifest, told: str
) -> None:
    stranger = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "digits"}, "spec": spec}
    before = cluster.create(stranger, namespace)
    cluster.create(_deployment(), namespace)
    until(lambda: _said(cluster, namespace, "Ready")[0] == "Rejected", "no condition says it")
    assert told in _said(cluster, namespace, "Ready")[1]
    assert "digits" in _said(cluster, namespace, "Ready")[1]
    until(lambda: cluster.list("PrometheusRule", namespace), "what does not need the Service is not made")
    assert cluster.list("InferenceService", namespace) == []
    assert cluster.get("Service", "digits", namespace) == before
    cluster.delete("Service", "digits", namespace)
    _answers(cluster, namespace, _service(cluster, namespace))
    until(lambda: cluster.phase("ModelDeployment", "digits", namespace) == "Ready", "it does not heal")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ('pods "x" is forbidden: exceeded quota: team, requested: limits.cpu=1', "QuotaExceeded"),
        ('pods "x" is forbidden: violates PodSecurity "restricted:latest"', "PodsRefused"),
    ],
)
def test_pods_that_are_refused_to_a_deployment_end_in_a_condition_and_heal(
    cluster: Cluster, operator: OperatorProcess, namespace: str, words: str, reason: str
) -> None:
    cluster.create(_deployment(), namespace)
    service = _service(cluster, namespace)
    marks = service["spec"]["predictor"]["labels"]
    template = {
        "metadata": {"labels": marks},
        "spec": {"containers": [{"name": "server", "image": "any"}]},
    }
    name = f"{service['metadata']['name']}-predictor"
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "labels": marks}}
    made = deployment | {"spec": {"selector": {"matchLabels": marks}, "template": template}}
    cluster.create(made, namespace)  # as KServe does
    failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": words}
    status = {"status": {"conditions": [failure]}}
    cluster.merge("Deployment", name, namespace, status, subresource="status")
    until(lambda: _said(cluster, namespace, "Ready")[0] == reason, "no condition says it", seconds=60)
    assert words in _said(cluster, namespace, "Ready")[1]
    cluster.merge("Deployment", name, namespace, {"status": {"conditions": []}}, subresource="status")
    until(lambda: _said(cluster, namespace, "Ready")[0] == "NotReady", "it does not heal")


def test_of_rows_of_the_model_alone_no_replicas_and_no_price_are_computed(
    cluster: Cluster, operator: OperatorProcess, namespace: str
) -> None:
    rows = {"alone": variant("int8", replica=None), "served": variant("int8")}
    for name, row in rows.items():
        job = complete(compression_job(name), variants=[row])
        cluster.create({key: value for key, value in job.items() if key != "status"}, namespace)
        cluster.merge("CompressionJob", name, namespace, {"status": job["status"]}, subresource="status")
    scaling = {"minReplicas": 1, "maxReplicas": 5}
    spec = {"model": {"compressionJobRef": {"name": "alone"}}, "scaling": scaling, "expectedRequestsPerSecond": "4000"}
    cluster.create(model_deployment(**spec), namespace)
    until(lambda: _said(cluster, namespace, "Underprovisioned")[0] == "LoadUnknown", "rows are taken for requests")
    service = _service(cluster, namespace)
    assert service["spec"]["predictor"]["minReplicas"] == 1
    status = (cluster.get("ModelDeployment", "digits", namespace) or {})["status"]
    assert "within" not in status["variant"] and status["cost"]["perMillion"] == "Unknown"
    served = {"spec": {"model": {"compressionJobRef": {"name": "served"}}}}
    cluster.merge("ModelDeployment", "digits", namespace, served)
    until(lambda: _said(cluster, namespace, "Underprovisioned")[0] == "EnoughReplicas", "no replicas are computed")
    until(
        lambda: _service(cluster, namespace)["spec"]["predictor"]["minReplicas"] == 5,
        "there are fewer replicas than the load needs",
    )
    status = (cluster.get("ModelDeployment", "digits", namespace) or {})["status"]
    assert status["variant"]["within"] == {"percentile": 95, "milliseconds": "0.5"}
