"""A policy that closes the pods of all jobs of a namespace: with it a RayJob need not wait for its own policy."""

from __future__ import annotations

import time

from tests.apiserver.cluster import Cluster
from tests.apiserver.process import OperatorProcess, until
from tests.objects import training_job
from tradewind.core.labels import labels
from tradewind.ray.networkpolicy import CLOSED


def _started(cluster: Cluster, namespace: str, name: str) -> list[tuple[str, str, str]]:
    """What is written until a new job has started."""
    began = time.time()
    cluster.create(training_job(name), namespace)
    until(lambda: cluster.phase("TrainingJob", name, namespace) == "Starting", "it does not start")
    cluster.quiet()
    # A busy API server refuses a request at times, which is tried again.
    written = cluster.written(began, namespace, refused=False)
    return [write for write in written if not write[1].endswith("/status")]


def _made(name: str) -> list[tuple[str, str, str]]:
    return [("patch", "networkpolicies", f"{name}-train"), ("create", "rayjobs", f"{name}-train-1")]


def test_the_first_job_waits_for_its_policy_and_the_next_ones_do_not(
    cluster: Cluster, operator: OperatorProcess, namespace: str
) -> None:
    closing = ("patch", "networkpolicies", CLOSED.name)
    assert _started(cluster, namespace, "first") == [*_made("first"), closing]
    found = cluster.get("NetworkPolicy", CLOSED.name, namespace)
    assert found is not None and "ownerReferences" not in found["metadata"]
    # It selects the pods of all jobs, and not those that answer predictions.
    selector = found["spec"]["podSelector"]
    for kind, selected in (("TrainingJob", True), ("CompressionJob", True), ("ModelDeployment", False)):
        pod = labels(kind, "first")
        fits = selector["matchLabels"].items() <= pod.items()
        fits = fits and all(pod[one["key"]] in one["values"] for one in selector["matchExpressions"])
        assert fits == selected, kind
    assert not found["spec"].get("ingress")
    assert _started(cluster, namespace, "second") == _made("second")[::-1]


def test_where_it_was_opened_or_deleted_a_job_waits_again_and_it_is_mended(
    cluster: Cluster, operator: OperatorProcess, namespace: str
) -> None:
    _started(cluster, namespace, "first")
    cluster.merge("NetworkPolicy", CLOSED.name, namespace, {"spec": {"ingress": [{}]}})
    cluster.quiet()
    assert _started(cluster, namespace, "opened")[:2] == _made("opened")
    assert not cluster.get("NetworkPolicy", CLOSED.name, namespace)["spec"].get("ingress")  # type: ignore[index]
    cluster.delete("NetworkPolicy", CLOSED.name, namespace)
    cluster.quiet()
    assert _started(cluster, namespace, "deleted")[:2] == _made("deleted")
    assert cluster.get("NetworkPolicy", CLOSED.name, namespace) is not None


def test_a_strangers_policy_of_that_name_is_left_alone(
    cluster: Cluster, operator: OperatorProcess, namespace: str
) -> None:
    theirs = {"podSelector": {"matchLabels": {"app": "theirs"}}, "policyTypes": ["Ingress"]}
    body = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": CLOSED.name}}
    made = cluster.create(body | {"spec": theirs}, namespace)
    assert [_started(cluster, namespace, name)[:2] for name in ("first", "second")] == [_made("first"), _made("second")]
    found = cluster.get("NetworkPolicy", CLOSED.name, namespace)
    assert found is not None and found["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


def test_a_stranger_who_has_the_ray_jobs_name_is_told_and_left_alone(
    cluster: Cluster, operator: OperatorProcess, namespace: str
) -> None:
    template = {"template": {"spec": {"containers": []}}}
    spec = {"entrypoint": "theirs", "rayClusterSpec": {"headGroupSpec": template}}
    body = {"apiVersion": "ray.io/v1", "kind": "RayJob", "metadata": {"name": "digits-train-1"}, "spec": spec}
    made = cluster.create(body, namespace)
    cluster.create(training_job(), namespace)
    until(
        lambda: "belongs to somebody else" in str(cluster.get("TrainingJob", "digits", namespace)),
        "whose name it has is not told",
    )
    found = cluster.get("RayJob", "digits-train-1", namespace)
    assert found is not None and found["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]
    cluster.delete("TrainingJob", "digits", namespace)  # it would be tried again while other tests count requests
