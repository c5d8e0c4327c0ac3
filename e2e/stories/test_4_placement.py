"""Pools: a job that names a GPU or TPU pool lands on nodes with that cloud's labels (simulated by kwok)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from e2e.installation import Kubernetes, cluster, condition
from e2e.stories.jobs import training
from e2e.stories.waiting import Item, until, until_condition

NAMESPACE = "placement"
NODES: dict[str, dict[str, Any]] = {
    "sim-gke-l4": {
        "labels": {
            "cloud.google.com/gke-accelerator": "nvidia-l4",
            "node.kubernetes.io/instance-type": "g2-standard-24",
        },
        "taint": "nvidia.com/gpu",
        "capacity": {"cpu": "24", "memory": "96Gi", "nvidia.com/gpu": "2"},
    },
    "sim-eks-a100": {
        "labels": {"node.kubernetes.io/instance-type": "p4d.24xlarge", "eks.amazonaws.com/nodegroup": "gpu"},
        "taint": "nvidia.com/gpu",
        "capacity": {"cpu": "96", "memory": "1152Gi", "nvidia.com/gpu": "8"},
    },
    **{
        f"sim-tpu-{host}": {
            "labels": {
                "cloud.google.com/gke-tpu-accelerator": "tpu-v5-lite-podslice",
                "cloud.google.com/gke-tpu-topology": "2x4",
            },
            "taint": "google.com/tpu",
            "capacity": {"cpu": "112", "memory": "192Gi", "google.com/tpu": "4"},
        }
        for host in (0, 1)
    },
}


def node(name: str, labels: dict[str, str], taint: str, capacity: dict[str, str]) -> Item:
    """A node that kwok keeps alive; nothing runs on it, pods are only placed and said to run."""
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {**labels, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64", "type": "kwok"},
            "annotations": {"kwok.x-k8s.io/node": "fake"},
        },
        "spec": {"taints": [{"key": taint, "value": "present", "effect": "NoSchedule"}]},
        "status": {"capacity": {**capacity, "pods": "110"}, "allocatable": {**capacity, "pods": "110"}},
    }


@pytest.fixture(scope="module")
def nodes(local: Kubernetes) -> Iterator[Kubernetes]:
    """The simulated nodes, and a namespace with a volume claim."""
    cluster("up", "--with", "kwok")
    local.run("create", "namespace", NAMESPACE)
    local.run("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted")
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "digits", "namespace": NAMESPACE},
        "spec": {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    local.apply(yaml.safe_dump(claim))
    for name, about in NODES.items():
        local.apply(yaml.safe_dump(node(name, **about)))
        local.run(
            "patch",
            "node",
            name,
            "--subresource=status",
            "--type=merge",
            "-p",
            yaml.safe_dump({"status": node(name, **about)["status"]}),
        )
    yield local
    local.run("delete", "namespace", NAMESPACE, "--wait=false")
    local.run("delete", "node", *NODES)


def job(name: str, count: int = 1, **resources: Any) -> Item:
    item = training(NAMESPACE, name)
    item["spec"]["workers"] = count
    item["spec"]["resources"] = {"cpu": "1", "memory": "2Gi", **resources}
    return item


def workers(kubernetes: Kubernetes, name: str, count: int) -> list[Item]:
    """The job's worker pods, once they all have a node."""

    def look() -> list[Item] | None:
        pods = kubernetes.get("pods", "-n", NAMESPACE, "-l", f"tradewind.dev/name={name},ray.io/node-type=worker")[
            "items"
        ]
        placed = [pod for pod in pods if pod["spec"].get("nodeName")]
        return placed if len(placed) == count else None

    pods: list[Item] = until(f"{count} placed workers of {name}", look, 120)
    return pods


@pytest.mark.parametrize(
    ("pool", "per_worker", "count", "resource", "expected"),
    [
        ("gke-l4", 1, 2, "nvidia.com/gpu", {"sim-gke-l4"}),
        ("eks-a100", 4, 2, "nvidia.com/gpu", {"sim-eks-a100"}),
        ("gke-tpu-v5e", 4, 2, "google.com/tpu", {"sim-tpu-0", "sim-tpu-1"}),
    ],
)
def test_a_pool_decides_where_the_workers_run(
    nodes: Kubernetes, pool: str, per_worker: int, count: int, resource: str, expected: set[str]
) -> None:
    resources: dict[str, Any] = {"pool": pool, "accelerators": per_worker}
    if resource == "google.com/tpu":
        resources["topology"] = "2x4"
    nodes.apply(yaml.safe_dump(job(pool, count, **resources)))
    pods = workers(nodes, pool, count)
    assert {pod["spec"]["nodeName"] for pod in pods} == expected
    for pod in pods:
        limits = [container["resources"]["limits"].get(resource) for container in pod["spec"]["containers"]]
        assert str(per_worker) in limits
    nodes.run("-n", NAMESPACE, "delete", "trainingjob", pool)


@pytest.mark.parametrize(
    ("name", "resources", "words"),
    [
        ("no-such-pool", {"pool": "mars"}, ["mars", "local"]),
        ("no-accelerator", {"pool": "local", "accelerators": 1}, ["local", "accelerators"]),
    ],
)
def test_a_pool_that_cannot_serve_is_refused_with_the_remedy(
    nodes: Kubernetes, name: str, resources: dict[str, Any], words: list[str]
) -> None:
    nodes.apply(yaml.safe_dump(job(name, **resources)))
    item = until_condition(nodes, "trainingjob", NAMESPACE, name, "Accepted", "False")
    for word in words:
        assert word in condition(item, "Accepted")["message"]


def test_a_pool_without_a_price_costs_unknown(nodes: Kubernetes) -> None:
    nodes.apply(yaml.safe_dump(job("unpriced", pool="edge")))
    item = until_condition(nodes, "trainingjob", NAMESPACE, "unpriced", "Accepted")
    assert item["status"]["cost"]["accrued"] == "Unknown"
