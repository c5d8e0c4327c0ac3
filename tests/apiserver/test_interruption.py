"""An attempt whose head pod is lost: counted, deleted, and followed by the next one."""

from __future__ import annotations

from datetime import UTC, datetime

from tests.apiserver.cluster import Cluster, Manifest
from tests.apiserver.process import OperatorProcess, until
from tests.objects import training_job
from tradewind.core.labels import ROLE, RUN, labels


def _runs(cluster: Cluster, namespace: str) -> None:
    """KubeRay says that the program of the first attempt runs."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    status = {"jobDeploymentStatus": "Running", "jobStatus": "RUNNING", "rayJobInfo": {"startTime": now}}
    cluster.merge("RayJob", "digits-train-1", namespace, {"status": status}, subresource="status")


def _status(cluster: Cluster, namespace: str) -> Manifest:
    return (cluster.get("TrainingJob", "digits", namespace) or {}).get("status") or {}


def test_a_lost_head_is_an_interruption_and_the_next_attempt_has_a_rayjob_of_its_own(
    cluster: Cluster, operator: OperatorProcess, namespace: str
) -> None:
    cluster.create(training_job(), namespace)
    until(lambda: cluster.phase("TrainingJob", "digits", namespace) == "Starting", "the job does not start")
    _runs(cluster, namespace)  # without a head pod
    until(
        lambda: [rayjob["metadata"]["name"] for rayjob in cluster.list("RayJob", namespace)] == ["digits-train-2"],
        "there is no second attempt",
    )
    until(lambda: _status(cluster, namespace).get("attempt", {}).get("number") == 2, "the attempt is not counted")
    assert _status(cluster, namespace)["interruptions"] == 1
    cluster.quiet()
    said = [event["reason"] for event in cluster.list("Event", namespace)]
    assert said == ["Interrupted"]


def test_a_head_that_is_there_is_not_lost(cluster: Cluster, operator: OperatorProcess, namespace: str) -> None:
    cluster.create(training_job(), namespace)
    until(lambda: cluster.phase("TrainingJob", "digits", namespace) == "Starting", "the job does not start")
    marks = labels("TrainingJob", "digits") | {RUN: "attempt-1", ROLE: "head"}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "digits-head", "labels": marks}}
    cluster.create(pod | {"spec": {"containers": [{"name": "ray", "image": "any"}]}}, namespace)
    _runs(cluster, namespace)
    cluster.quiet(2.0)
    assert _status(cluster, namespace).get("interruptions") is None
    assert [rayjob["metadata"]["name"] for rayjob in cluster.list("RayJob", namespace)] == ["digits-train-1"]
