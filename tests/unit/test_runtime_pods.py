"""What is read of a pod."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tradewind.runtime.pods import pod_record

SCHEDULED = {"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-11-24T12:00:00Z"}


def _pod(spec: dict[str, Any] | None = None, **status: Any) -> dict[str, Any]:
    metadata = {"name": "a", "uid": "1", "creationTimestamp": "2026-11-24T11:59:00Z"}
    return {"metadata": metadata, "spec": spec or {}, "status": {"conditions": [SCHEDULED]} | status}


def _container(**resources: str) -> dict[str, Any]:
    return {"resources": {"requests": resources}}


def test_requests_are_what_the_scheduler_sets_aside() -> None:
    spec = {
        "containers": [
            _container(cpu="500m", memory="1Gi"),
            _container(cpu="1", memory="512Mi", **{"nvidia.com/gpu": "2"}),
        ],
        "initContainers": [_container(cpu="4"), _container(cpu="100m") | {"restartPolicy": "Always"}],
        "overhead": {"memory": "1Mi"},
    }
    record = pod_record(_pod(spec))
    assert (record.cpu, record.memory, record.accelerators) == ("4000m", str(1537 * 2**20), 2)


def test_a_limit_stands_for_a_request_that_is_not_given() -> None:
    assert pod_record(_pod({"containers": [{"resources": {"limits": {"cpu": "2"}}}]})).cpu == "2000m"


def test_times_of_a_finished_pod() -> None:
    ends = [{"state": {"terminated": {"finishedAt": f"2026-11-24T12:0{minute}:00Z"}}} for minute in (5, 7)]
    record = pod_record(_pod(phase="Succeeded", containerStatuses=ends))
    assert record.scheduled == datetime(2026, 11, 24, 12, tzinfo=UTC)
    assert record.finished == datetime(2026, 11, 24, 12, 7, tzinfo=UTC)
    assert pod_record(_pod(phase="Running")).finished is None


@pytest.mark.parametrize(
    ("status", "interrupted"),
    [
        ({"phase": "Failed", "reason": "Evicted"}, True),
        ({"conditions": [SCHEDULED, {"type": "DisruptionTarget", "status": "True"}]}, True),
        ({"phase": "Failed"}, False),
        ({"phase": "Failed", "reason": "DeadlineExceeded"}, False),
    ],
)
def test_an_interruption_is_not_the_programs_doing(status: dict[str, Any], interrupted: bool) -> None:
    assert pod_record(_pod(**status)).interrupted is interrupted


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ({"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/3 nodes"}]}, "0/3 nodes"),
        (
            {"containerStatuses": [{"state": {"waiting": {"reason": "ErrImagePull", "message": "no such image"}}}]},
            "ErrImagePull: no such image",
        ),
        ({"containerStatuses": [{"state": {"waiting": {"reason": "ContainerCreating"}}}]}, ""),
        (
            {"containerStatuses": [{"state": {"terminated": {"reason": "OOMKilled", "exitCode": 137}}}]},
            "OOMKilled (exit code 137)",
        ),
    ],
)
def test_why_a_pod_does_not_run_is_told_in_kubernetes_words(status: dict[str, Any], words: str) -> None:
    assert pod_record(_pod(**status)).message == words


def test_odd_bodies_do_not_make_it_fail() -> None:
    assert pod_record({"metadata": {"name": "a", "uid": "1"}}).cpu == "0m"
    odd = {"containers": [{"resources": {"requests": {"cpu": "what"}}}]}
    assert pod_record(_pod(odd, phase="Failed")).finished is not None


def test_the_node_the_claims_and_when_it_became_ready() -> None:
    volumes = [{"persistentVolumeClaim": {"claimName": "models"}}, {"emptyDir": {}}]
    volumes.append({"persistentVolumeClaim": {"claimName": "data"}})
    running = {"state": {"running": {"startedAt": "2026-11-24T12:00:05Z"}}}
    now_ready = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-11-24T12:00:20Z"}
    body = _pod({"nodeName": "a", "volumes": volumes}, conditions=[SCHEDULED, now_ready], containerStatuses=[running])
    record = pod_record(body)
    assert (record.node, record.claims, record.waits) == ("a", ("data", "models"), "")
    assert record.started == datetime(2026, 11, 24, 12, 0, 5, tzinfo=UTC)
    assert record.ready_since == datetime(2026, 11, 24, 12, 0, 20, tzinfo=UTC)
    bare = pod_record(_pod())
    assert (bare.node, bare.claims, bare.started, bare.ready_since) == ("", (), None, None)


@pytest.mark.parametrize(
    ("sandbox", "waits"),
    [("False", "volumes"), ("True", "image"), (None, "volumes or image"), ("Unknown", "volumes or image")],
)
def test_what_a_pod_waits_for_before_its_containers(sandbox: str | None, waits: str) -> None:
    creating = [{"state": {"waiting": {"reason": "ContainerCreating"}}}]
    conditions = [SCHEDULED] + ([{"type": "PodReadyToStartContainers", "status": sandbox}] if sandbox else [])
    record = pod_record(_pod(conditions=conditions, containerStatuses=creating))
    assert (record.waits, record.message) == (waits, "")


def test_an_init_container_that_runs_is_waited_for_and_a_sidecar_is_not() -> None:
    spec = {"initContainers": [{"name": "istio-proxy", "restartPolicy": "Always"}, {"name": "wait-gcs-ready"}]}
    states = [{"name": name, "state": {"running": {}}} for name in ("istio-proxy", "wait-gcs-ready")]
    status = {
        "initContainerStatuses": states,
        "containerStatuses": [{"state": {"waiting": {"reason": "PodInitializing"}}}],
    }
    assert pod_record(_pod(spec, **status)).waits == "init container wait-gcs-ready"
    status = {"initContainerStatuses": states[:1], "containerStatuses": [{"state": {"running": {}}}]}
    assert pod_record(_pod(spec, **status)).waits == ""
