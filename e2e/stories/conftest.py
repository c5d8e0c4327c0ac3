"""One installation for all stories, and a namespace with the data for each that needs one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from e2e.cluster import cluster
from e2e.demo.digits import EXAMPLES
from e2e.installation import Kubernetes, install, prepare
from e2e.stories.waiting import until

DATA_JOB = "digits-data"


@pytest.fixture(scope="session")
def kubernetes() -> Kubernetes:
    """The cluster, with the operator installed and ready."""
    kubernetes = prepare()
    install(kubernetes)
    return kubernetes


@pytest.fixture(scope="session")
def local(kubernetes: Kubernetes) -> Kubernetes:
    """The cluster where it is our own; stories that look into its audit log or add nodes are left out elsewhere."""
    if os.environ.get("CONTEXT"):
        pytest.skip("needs the local cluster: its audit log, its nodes")
    return kubernetes


@pytest.fixture(scope="session")
def audit_log(local: Kubernetes) -> Path:
    """The API server's audit log."""
    return cluster.audit_log()


def digits_objects() -> list[dict]:  # type: ignore[type-arg]
    """The manifests of the digits example."""
    return list(yaml.safe_load_all((EXAMPLES / "digits.yaml").read_text()))


@pytest.fixture(scope="session")
def data(kubernetes: Kubernetes) -> Iterator[str]:
    """A namespace whose volume `digits` has the digits data; its name."""
    namespace = "stories"
    kubernetes.run("delete", "namespace", namespace, "--ignore-not-found")  # of an earlier run
    wanted = {"Namespace", "PersistentVolumeClaim", "Job"}
    for manifest in digits_objects():
        if manifest["kind"] not in wanted:
            continue
        if manifest["kind"] == "Namespace":
            manifest["metadata"]["name"] = namespace
        else:
            manifest["metadata"]["namespace"] = namespace
        kubernetes.apply(yaml.safe_dump(manifest))
    until(
        "the data on the volume",
        lambda: kubernetes.get("job", DATA_JOB, "-n", namespace).get("status", {}).get("succeeded"),
        timeout=180,
    )
    yield namespace
    kubernetes.run("delete", "namespace", namespace, "--wait=false")
