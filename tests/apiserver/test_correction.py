"""A spec that is corrected in place, and a job that goes some time after its end."""

from __future__ import annotations

from typing import Any

import pytest
from kubernetes.client.exceptions import ApiException

from tests.apiserver.cluster import Cluster
from tests.apiserver.process import OperatorProcess, until
from tests.objects import training_job


def _job(cluster: Cluster, namespace: str) -> dict[str, Any]:
    return cluster.get("TrainingJob", "digits", namespace) or {}


def test_a_typo_in_a_pool_is_mended_by_applying_the_corrected_file(
    cluster: Cluster, operator: OperatorProcess, namespace: str
) -> None:
    cluster.create(training_job(resources={"pool": "locl"}), namespace)
    until(lambda: cluster.phase("TrainingJob", "digits", namespace) == "Invalid", "the typo is not found")
    condition = cluster.condition("TrainingJob", "digits", namespace, "Accepted")
    assert condition is not None and "Choose one of local" in condition["message"]
    cluster.merge("TrainingJob", "digits", namespace, {"spec": {"resources": {"pool": "local"}}})
    until(lambda: cluster.phase("TrainingJob", "digits", namespace) == "Starting", "it does not start")
    with pytest.raises(ApiException, match="is fixed since the first attempt started"):
        cluster.merge("TrainingJob", "digits", namespace, {"spec": {"resources": {"pool": "edge"}}})


def test_a_job_goes_some_time_after_its_end(cluster: Cluster, operator: OperatorProcess, namespace: str) -> None:
    cluster.create(training_job(runPolicy={"ttlSecondsAfterFinished": 2, "activeDeadlineSeconds": 1}), namespace)
    until(lambda: not _job(cluster, namespace), "the job is still there")
    said = [event["reason"] for event in cluster.list("Event", namespace)]
    assert "DeadlineExceeded" in said, "it ended before it went"
