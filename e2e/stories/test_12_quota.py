"""A quota that refuses pods: said within a minute in the words of Kubernetes, and over when the quota is raised."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from e2e.installation import Kubernetes, condition
from e2e.stories.jobs import deployment, run_python, training
from e2e.stories.test_5_serving import MAKE_ONNX
from e2e.stories.waiting import until, until_condition

TOLD_SECONDS = 75.0  # the operator says so after 60 s at most, and that is to be seen
RETRY_SECONDS = 300.0  # KubeRay and the Deployment's controller try again after pauses that double


@pytest.fixture
def quota(kubernetes: Kubernetes, data: str) -> Iterator[str]:
    """A quota that leaves no room for a pod; the namespace."""
    run_python(kubernetes, data, "make-onnx-for-quota", MAKE_ONNX)
    spec = {"hard": {"pods": "0"}}
    metadata = {"name": "full", "namespace": data}
    kubernetes.apply(json.dumps({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": spec}))
    limit = "{.status.hard.pods}"
    until("the quota", lambda: kubernetes.run("-n", data, "get", "quota", "full", "-o", f"jsonpath={limit}").stdout, 30)
    yield data
    kubernetes.run("-n", data, "delete", "resourcequota", "full", "--ignore-not-found")


def test_a_quota_is_told_of_and_heals_when_it_is_raised(kubernetes: Kubernetes, quota: str) -> None:
    began = time.monotonic()
    kubernetes.apply(yaml.safe_dump(training(quota, "full")))
    kubernetes.apply(yaml.safe_dump(deployment(quota, "full", {"storageUri": "pvc://digits/own/mine.onnx"})))

    def told(kind: str, about: str, reasons: set[str]) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            found = condition(kubernetes.find(kind, "full", "-n", quota), about)
            return found if found.get("reason") in reasons else None

        found: dict[str, Any] = until(
            f"{about} of the {kind} to tell of {reasons}", look, TOLD_SECONDS - (time.monotonic() - began)
        )
        assert found["status"] == "False"
        return found

    # KubeRay 1.5 keeps the API server's words to the RayCluster; 1.6 has them in the RayJob.
    running = told("trainingjob", "Running", {"QuotaExceeded", "PodsNotCreated"})
    assert "quota" in running["message"]
    if running["reason"] == "PodsNotCreated":
        [words] = [word for word in running["message"].split("`") if word.startswith("kubectl describe raycluster ")]
        told_there = kubernetes.get("raycluster", words.split()[-1], "-n", quota)["status"]["conditions"]
        assert any("exceeded quota" in one.get("message", "") for one in told_there), "where it points to says why"
    ready = told("modeldeployment", "Ready", {"QuotaExceeded"})
    assert "exceeded quota: full" in ready["message"]

    kubernetes.run(
        "-n", quota, "patch", "resourcequota", "full", "--type=merge", "-p", '{"spec":{"hard":{"pods":"50"}}}'
    )
    until_condition(kubernetes, "modeldeployment", quota, "full", "Ready", timeout=RETRY_SECONDS)
    done = until_condition(kubernetes, "trainingjob", quota, "full", "Complete", timeout=RETRY_SECONDS)
    assert done["status"]["attempt"]["number"] == 1, "waiting for a quota is no failure"
    kubernetes.run("-n", quota, "delete", "modeldeployment/full", "trainingjob/full")
