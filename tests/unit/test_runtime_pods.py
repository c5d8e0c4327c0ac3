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
