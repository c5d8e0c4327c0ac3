"""What keeps an attempt from running: who is to blame, when it is said, and that it is said once."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tradewind.api.base import Condition
from tradewind.core.conditions import Reason
from tradewind.core.labels import ROLE
from tradewind.core.plan import PodRecord
from tradewind.ray import job
from tradewind.ray.hindrance import Hindrance, Start, find, next_look

CREATED = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
QUOTA = 'pods "a-x7k2p-head" is forbidden: exceeded quota: compute, requested: limits.cpu=2, used: limits.cpu=7'
SECURITY = 'pods "a-x7k2p-head" is forbidden: violates PodSecurity "restricted:latest": seccompProfile'


def after(seconds: float) -> datetime:
    """So long after the RayJob was made."""
    return CREATED + timedelta(seconds=seconds)


def pod(name: str, role: str = "worker", **about: Any) -> PodRecord:
    """A pod that was placed at 3 s."""
    record = PodRecord(name, name, after(3), None, "1", "1Gi", 0, False, {ROLE: role}, False, node="node-a")
    return replace(record, **about)


def ready(name: str, role: str = "worker", seconds: float = 20) -> PodRecord:
    """A pod that became ready then."""
    return pod(name, role, ready=True, started=after(4), ready_since=after(seconds))


def start(*pods: PodRecord, deployment: str = "Initializing", status: str = "", **about: Any) -> Start:
    """An attempt of a head and a worker."""
    seen = job.observe(
        {"status": {"jobDeploymentStatus": deployment, "jobStatus": status, "rayClusterName": "a-x7k2p"}}
    )
    return Start("a", CREATED, replace(seen, **about), pods, 2, "kuberay-system")


def reason(begun: Start, seconds: float) -> Reason | None:
    """What is found then."""
    found = find(begun, after(seconds))
    return found.reason if found else None


HEAD, WORKER = ready("head", "head"), ready("worker")
WAITS = pod("worker", waits="init container wait-gcs-ready")


@pytest.mark.parametrize(
    ("begun", "said", "at"),
    [
        (start(deployment=""), Reason.KUBERAY_NOT_WATCHING, 60),
        (start(refusal=QUOTA), Reason.QUOTA_EXCEEDED, 30),
        (start(HEAD, refusal=SECURITY), Reason.PODS_REFUSED, 30),
        (start(HEAD), Reason.PODS_NOT_CREATED, 60),
        (start(HEAD, pod("worker", scheduled=None, message="0/1 nodes")), Reason.UNSCHEDULABLE, 30),
        (start(HEAD, pod("worker", message="ImagePullBackOff")), Reason.POD_NOT_STARTING, 30),
        (start(HEAD, pod("worker", waits="image")), Reason.CONTAINER_CREATING, 63),
        (start(HEAD, pod("worker", waits="volumes or image")), Reason.CONTAINER_CREATING, 63),
        (start(HEAD, WAITS), Reason.POD_NOT_READY, 80),
        (start(pod("head", "head", started=after(10)), WAITS), Reason.POD_NOT_READY, 100),
        (start(HEAD, WORKER, deployment="Running"), Reason.DASHBOARD_UNREACHABLE, 80),
        (start(HEAD, WORKER), Reason.PROGRAM_NOT_STARTING, 80),
        (start(HEAD, WORKER, deployment="Running", status="PENDING"), Reason.PROGRAM_NOT_STARTING, 80),
    ],
)
def test_each_is_said_when_its_time_has_come(begun: Start, said: Reason, at: float) -> None:
    assert reason(begun, at - 1) is None
    assert reason(begun, at) == said
    # Whoever looks when told to sees it at that moment.
    now, looks = after(0), []
    while (look := next_look(begun, now)) is not None:
        looks.append(look)
        now = look
    assert after(at) in looks


@pytest.mark.parametrize(
    "begun",
    [
        start(ready("head", "head", 590), ready("worker", seconds=590), refusal=QUOTA),  # the quota was raised
        start(HEAD, WORKER, deployment="Running", status="RUNNING"),
        start(ready("head", "head", 590), pod("worker", waits="init container wait-gcs-ready")),  # the head was slow
        start(HEAD, WORKER, deployment="Suspending"),
    ],
)
def test_nothing_is_said_where_nothing_hinders(begun: Start) -> None:
    assert find(begun, after(600)) is None


def test_kuberay_in_another_namespace_is_told_from_other_causes() -> None:
    begun = start(HEAD, WORKER, deployment="Running")
    for seen, told in (({"ray"}, True), ({"ray", "kuberay-system"}, False), (set(), False)):
        found = find(replace(begun, kuberay=frozenset(seen)), after(80))
        assert found is not None and found.reason == Reason.DASHBOARD_UNREACHABLE
        assert ("KubeRay runs in namespace ray," in found.message) is told
    unseen = find(replace(start(deployment=""), kuberay=frozenset({"ray"})), after(60))
    assert unseen is not None and "runs in namespace ray," in unseen.message


def test_a_claim_that_cannot_be_shared_is_told_from_an_image_that_is_pulled() -> None:
    head = replace(HEAD, claims=("data", "models"))
    elsewhere = pod("worker", waits="volumes", node="node-b", claims=("models", "scratch"))
    found = find(start(head, elsewhere), after(40))
    assert found is not None and found.reason == Reason.CLAIM_NOT_SHARED
    assert "pod head on node node-a has models." in found.message and "ReadWriteMany" in found.message
    for other in (
        replace(elsewhere, waits="image"),
        replace(elsewhere, node="node-a"),
        replace(elsewhere, claims=("scratch",)),
        replace(elsewhere, waits="volumes or image"),
    ):
        assert reason(start(head, other), 40) is None


def test_the_scheduler_says_that_only_one_pod_may_have_a_claim() -> None:
    words = (
        "0/1 nodes are available: 1 node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod"
    )
    found = find(start(HEAD, pod("worker", scheduled=None, message=words)), after(30))
    assert found is not None and found.reason == Reason.CLAIM_NOT_SHARED and "ReadWriteMany" in found.message


def test_a_missing_limit_names_the_field() -> None:
    words = 'pods "a-head" is forbidden: failed quota: compute: must specify limits.cpu for: ray-head'
    found = find(start(refusal=words), after(30))
    assert found is not None and found.reason == Reason.QUOTA_EXCEEDED
    assert words in found.message and "cpuLimit" in found.message
    exceeded = find(start(refusal=QUOTA), after(30))
    assert exceeded is not None and "cpuLimit" not in exceeded.message


def test_other_numbers_are_no_news_and_another_cause_is() -> None:
    def condition(found: Hindrance | None) -> Condition:
        assert found is not None
        about = {"type": "Running", "status": "False", "lastTransitionTime": "2026-11-24T12:00:00Z"}
        return Condition.model_validate({**about, "reason": str(found.reason), "message": found.message})

    first = find(start(refusal=QUOTA), after(30))
    again = find(start(refusal=QUOTA.replace("=7", "=500m").replace("-head", "-head-2")), after(60))
    assert first is not None and again is not None and again.message != first.message
    assert again.after(condition(first)) == first
    other = find(start(refusal=QUOTA.replace("compute", "memory")), after(60))
    assert other is not None and other.after(condition(first)) == other
    scheduler = Hindrance(Reason.UNSCHEDULABLE, "0/3 nodes are available: 1 Insufficient cpu, 2 Insufficient memory.")
    before = Hindrance(Reason.UNSCHEDULABLE, "0/3 nodes are available: 3 Insufficient cpu.")
    assert scheduler.after(condition(before)) == before
    assert scheduler.after(condition(first)) == scheduler and scheduler.after(None) == scheduler


@pytest.mark.parametrize(
    ("condition", "refusal"),
    [
        ({"reason": "FailedCreateHeadPod", "message": f"FailedCreateHeadPod\n{QUOTA}"}, QUOTA),
        ({"reason": "FailedCreateWorkerPod", "message": f"FailedCreateWorkerPod\n{SECURITY}"}, SECURITY),
        ({"reason": "FailedDeleteWorkerPod", "message": "FailedDeleteWorkerPod\nnot found"}, ""),
        ({"reason": "FailedCreateHeadPod", "message": QUOTA, "status": "False"}, ""),
        ({"reason": 3, "message": None}, ""),
    ],
)
def test_a_refusal_is_read_as_kuberay_writes_it(condition: dict[str, Any], refusal: str) -> None:
    conditions = [{"type": "HeadPodReady", "status": "False"}, {"type": "ReplicaFailure", "status": "True"} | condition]
    assert job.observe({"status": {"rayClusterStatus": {"conditions": conditions}}}).refusal == refusal
    assert job.observe({"status": {"rayClusterStatus": {"conditions": "none"}}}).refusal == ""
