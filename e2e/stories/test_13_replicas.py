"""Two replicas of the operator: both are ready, and when the active one is killed the other takes over every report."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import pytest
import yaml

from e2e.installation import OPERATOR_NAMESPACE, Kubernetes
from e2e.stories.jobs import digits_training
from e2e.stories.test_3_pipeline import processes
from e2e.stories.waiting import Item, until

TAKEOVER_SECONDS = 20.0  # the lease is good for 13 s, and a standby looks each second
EPOCHS = 100


@pytest.fixture
def replicas(local: Kubernetes) -> Iterator[Kubernetes]:
    """An installation with a standby beside the active replica."""
    scale(local, 2)
    yield local
    scale(local, 1)


def scale(kubernetes: Kubernetes, number: int) -> None:
    """Set the number of replicas, and wait until the Deployment says that all of them are ready."""
    where = ("-n", OPERATOR_NAMESPACE)
    kubernetes.run(*where, "scale", "deployment/tradewind-operator", f"--replicas={number}")
    kubernetes.run(*where, "rollout", "status", "deployment/tradewind-operator", "--timeout=120s")


def holder(kubernetes: Kubernetes) -> str:
    """The pod that is active, by the Lease."""
    lease = kubernetes.get("lease", "tradewind-operator", "-n", OPERATOR_NAMESPACE)
    return str(lease["spec"].get("holderIdentity") or "")


def test_reports_go_on_when_the_active_replica_is_killed(replicas: Kubernetes, data: str) -> None:
    kubernetes = replicas
    kubernetes.apply(yaml.safe_dump(digits_training(data, "watched", epochs=EPOCHS)))
    seen: list[tuple[int, int]] = []

    def look() -> Item:
        """The job now; what was once reported must stay reported."""
        item: Item = kubernetes.get("trainingjob", "watched", "-n", data)
        status = item.get("status", {})
        done = status.get("trainerStatus", {}).get("progressPercentage", 0)
        seen.append((done, status.get("lastCheckpoint", {}).get("step", 0)))
        assert len(seen) < 2 or (seen[-1][0] >= seen[-2][0] and seen[-1][1] >= seen[-2][1]), seen[-2:]
        return item

    until("a report on the way", lambda: look().get("status", {}).get("lastCheckpoint"), 240, every=0.2)
    leader, before = holder(kubernetes), seen[-1]
    assert before[0] < 90, "there is a way to go"
    pods = kubernetes.get("pods", "-n", OPERATOR_NAMESPACE, "-l", "app.kubernetes.io/component=operator")["items"]
    [pod] = [pod for pod in pods if pod["metadata"]["name"] == leader]
    killed = time.monotonic()
    for process in processes(pod["metadata"]["uid"]):
        os.kill(process, signal.SIGKILL)
    kubernetes.run("-n", OPERATOR_NAMESPACE, "delete", "pod", leader, "--grace-period=0", "--force")
    until("another replica to be active", lambda: holder(kubernetes) not in ("", leader), TAKEOVER_SECONDS, every=0.2)

    def told() -> bool:
        look()
        return seen[-1] > before

    until("the next report", told, 60, every=0.2)
    print(f"the first report was in the status {time.monotonic() - killed:.1f} s after the kill")

    def complete() -> bool:
        return bool(look()["status"].get("phase") == "Complete")

    until("the end of the training", complete, 240, every=0.2)
    status = kubernetes.get("trainingjob", "watched", "-n", data)["status"]
    assert (status["attempt"]["number"], status.get("interruptions", 0), status.get("errors", 0)) == (1, 0, 0)
    assert status["trainerStatus"]["progressPercentage"] == 100
    assert status["model"]["digest"].startswith("sha256:")
    kubernetes.run("-n", OPERATOR_NAMESPACE, "rollout", "status", "deployment/tradewind-operator", "--timeout=120s")
    kubernetes.run("-n", data, "delete", "trainingjob", "watched")
