"""References and faults: waiting, the operator killed in each phase, children edited and deleted by hand."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import yaml

from e2e.installation import OPERATOR_NAMESPACE, Kubernetes, condition
from e2e.stories.jobs import compression, deployment, training
from e2e.stories.waiting import Item, until, until_condition
from tradewind.ray.networkpolicy import CLOSED


def kill_operator(kubernetes: Kubernetes) -> None:
    """SIGKILL to the operator's process; its pod is removed too, so that no back-off delays the next one."""
    pods = kubernetes.get("pods", "-n", OPERATOR_NAMESPACE, "-l", "app.kubernetes.io/component=operator")["items"]
    assert pods, "there is no operator to kill"
    for pod in pods:
        for process in processes(pod["metadata"]["uid"]):
            os.kill(process, signal.SIGKILL)
        kubernetes.run(
            "-n", OPERATOR_NAMESPACE, "delete", "pod", pod["metadata"]["name"], "--grace-period=0", "--force"
        )


def processes(uid: str) -> list[int]:
    """This machine's processes of a pod; none where the pod runs on another machine."""
    return [
        int(path.parent.name)
        for path in Path("/proc").glob("[0-9]*/cgroup")
        if uid in read(path) and "tradewind" in read(path.parent / "cmdline")
    ]


def read(path: Path) -> str:
    """A file of /proc, empty where the process has gone."""
    try:
        return path.read_text()
    except OSError:
        return ""


def until_started(kubernetes: Kubernetes, resource: str, namespace: str, name: str) -> None:
    """Wait until the job runs; a short one may be over before an operator that took over has seen it run."""

    def look() -> bool:
        item = kubernetes.get(resource, name, "-n", namespace)
        return any(condition(item, kind).get("status") == "True" for kind in ("Running", "Complete", "Failed"))

    until(f"{resource} {name} to run", look, 240)


def test_a_pipeline_waits_then_proceeds_through_kills(kubernetes: Kubernetes, data: str) -> None:
    """A job whose reference is missing says so, goes on when it comes; the operator dies in each phase: same end."""
    kubernetes.apply(yaml.safe_dump(compression(data, "later", "first")))
    kubernetes.apply(yaml.safe_dump(deployment(data, "later", {"compressionJobRef": {"name": "later"}})))
    waiting = until_condition(kubernetes, "compressionjob", data, "later", "Accepted", "False", timeout=60)
    assert "first" in condition(waiting, "Accepted")["message"]
    until_condition(kubernetes, "modeldeployment", data, "later", "Accepted", "False", timeout=60)
    assert not kubernetes.get("rayjobs", "-n", data, "-l", "tradewind.dev/name=later")["items"]

    kill_operator(kubernetes)  # while all wait
    kubernetes.apply(yaml.safe_dump(training(data, "first")))
    until("its RayJob", lambda: kubernetes.find("rayjob", "first-train-1", "-n", data), timeout=90)
    kill_operator(kubernetes)  # just created
    until_started(kubernetes, "trainingjob", data, "first")
    kill_operator(kubernetes)  # running, about to report
    trained = until_condition(kubernetes, "trainingjob", data, "first", "Complete", timeout=240)
    kill_operator(kubernetes)  # complete, the next one about to start
    until_started(kubernetes, "compressionjob", data, "later")
    kill_operator(kubernetes)
    compressed = until_condition(kubernetes, "compressionjob", data, "later", "Complete", timeout=300)
    kill_operator(kubernetes)
    served = until_condition(kubernetes, "modeldeployment", data, "later", "Ready", timeout=180)

    assert trained["status"]["attempt"]["number"] == 1
    assert compressed["status"]["attempt"]["number"] == 1
    assert compressed["status"]["sourceDigest"] == trained["status"]["model"]["digest"]
    assert served["status"]["variant"]["name"] in {variant["name"] for variant in compressed["status"]["variants"]}
    names = sorted(job["metadata"]["name"] for job in kubernetes.get("rayjobs", "-n", data)["items"])
    assert names == ["first-train-1", "later-compress-1"], "no attempt was started twice"


def live(kubernetes: Kubernetes, namespace: str) -> Item:
    """The InferenceService of the one revision that there is; it is called NAME-REVISION."""
    items = kubernetes.get("inferenceservices", "-n", namespace, "-l", "tradewind.dev/name=later")["items"]
    assert len(items) == 1, [item["metadata"]["name"] for item in items]
    assert items[0]["metadata"]["name"] == f"later-{items[0]['metadata']['labels']['tradewind.dev/revision']}"
    item: Item = items[0]
    return item


def test_a_child_edited_by_hand_is_put_right(kubernetes: Kubernetes, data: str) -> None:
    service = live(kubernetes, data)
    maximum = service["spec"]["predictor"]["maxReplicas"]
    change = '{"spec":{"predictor":{"maxReplicas":7}}}'
    name = service["metadata"]["name"]
    kubernetes.run("-n", data, "patch", "inferenceservice", name, "--type=merge", "-p", change)
    until(
        "maxReplicas to be put right", lambda: live(kubernetes, data)["spec"]["predictor"]["maxReplicas"] == maximum, 30
    )


def test_a_child_deleted_is_made_again(kubernetes: Kubernetes, data: str) -> None:
    service = live(kubernetes, data)
    address = kubernetes.get("service", "later", "-n", data)
    for child, before in (("inferenceservice", service), ("service", address)):
        name, uid = before["metadata"]["name"], before["metadata"]["uid"]
        kubernetes.run("-n", data, "delete", child, name, "--wait=false")

        def again(child: str = child, name: str = name, uid: str = uid) -> bool:
            item = kubernetes.find(child, name, "-n", data)
            return bool(item and item["metadata"]["uid"] != uid)

        until(f"another {child}", again, 60)
    until_condition(kubernetes, "modeldeployment", data, "later", "Ready", timeout=120)


def test_deleting_the_object_removes_its_children(kubernetes: Kubernetes, data: str) -> None:
    kubernetes.run("-n", data, "delete", "modeldeployment/later", "compressionjob/later", "trainingjob/first")
    for child in ("inferenceservices", "rayjobs", "rayclusters"):
        until(f"no {child}", lambda child=child: not kubernetes.get(child, "-n", data)["items"], 60)  # type: ignore[misc]
    ours = "app.kubernetes.io/managed-by=tradewind"
    until("no address", lambda: kubernetes.find("service", "later", "-n", data) is None, 60)

    def policies() -> list[str]:
        found = kubernetes.get("networkpolicies", "-n", data, "-l", ours)["items"]
        return [item["metadata"]["name"] for item in found]

    # What closes the pods of all jobs here is nobody's, and stays for the next ones.
    until("no network policy of a job", lambda: policies() == [CLOSED.name], 60)
