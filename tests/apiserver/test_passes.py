"""What the operator writes about an object, and when it writes nothing."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from typing import Any

from tests.apiserver.cluster import Cluster
from tests.apiserver.process import OperatorProcess, until
from tests.objects import compression_job, training_job
from tradewind.ray.networkpolicy import CLOSED

KUBERAY = "labelSelector=app.kubernetes.io/component%3Dkuberay-operator"


def _policy(cluster: Cluster, namespace: str) -> dict[str, Any]:
    """The job's own."""
    found = cluster.get("NetworkPolicy", "digits-train", namespace)
    assert found is not None
    return found


def _started(cluster: Cluster, namespace: str, name: str = "digits") -> None:
    cluster.create(training_job(name), namespace)
    until(lambda: cluster.phase("TrainingJob", name, namespace) == "Starting", "the job does not start")


def test_an_object_gets_its_children_and_one_status(
    cluster: Cluster, operator: OperatorProcess, namespace: str
) -> None:
    since = time.time()
    _started(cluster, namespace)
    cluster.quiet()
    assert sorted(cluster.written(since, namespace)) == [
        ("create", "rayjobs", "digits-train-1"),
        ("patch", "networkpolicies", "digits-train"),
        ("patch", "networkpolicies", CLOSED.name),  # since it is the first job in its namespace
        ("patch", "trainingjobs/status", "digits"),
    ]
    [rayjob] = cluster.list("RayJob", namespace)
    job = cluster.get("TrainingJob", "digits", namespace)
    assert job is not None
    [owner] = rayjob["metadata"]["ownerReferences"]
    assert (owner["uid"], owner["controller"]) == (job["metadata"]["uid"], True)
    assert not job["metadata"].get("annotations") and not job["metadata"].get("finalizers")


def test_applying_the_same_again_and_restarting_sends_nothing(
    cluster: Cluster, operator: OperatorProcess, launch: Callable[..., OperatorProcess], namespace: str
) -> None:
    _started(cluster, namespace)
    cluster.quiet()
    since = time.time()
    cluster.merge("TrainingJob", "digits", namespace, {"metadata": {"annotations": {"note": "applied again"}}})
    cluster.caught_up()
    assert cluster.written(since, namespace) == []
    operator.send(signal.SIGKILL)
    operator.wait()
    again = launch(name="shared").wait_ready()
    cluster.caught_up()
    again.stop()
    assert cluster.written(since, namespace) == []


def test_nothing_is_read_after_the_start(cluster: Cluster, operator: OperatorProcess, namespace: str) -> None:
    since = time.time()
    _started(cluster, namespace)
    cluster.merge("TrainingJob", "digits", namespace, {"spec": {"runPolicy": {"suspend": True}}})
    until(lambda: cluster.phase("TrainingJob", "digits", namespace) == "Suspended", "the job is not suspended")
    cluster.quiet()
    read = [request for request in cluster.asked(since) if request.verb in ("get", "list")]
    # Asked now and then, for all objects together: which kinds there are, and where KubeRay runs.
    assert [one for one in read if one.resource != "customresourcedefinitions" and KUBERAY not in one.uri] == []


def test_a_hand_edit_of_a_child_is_put_right(cluster: Cluster, operator: OperatorProcess, namespace: str) -> None:
    _started(cluster, namespace)
    cluster.quiet()
    since = time.time()
    cluster.merge("RayJob", "digits-train-1", namespace, {"spec": {"entrypoint": "python -c 1"}})
    until(
        lambda: cluster.list("RayJob", namespace)[0]["spec"]["entrypoint"] == "python -m tradewind_workload",
        "the edit stays",
    )
    edits = [
        # A field that we do not set is not ours to take away.
        ({"metadata": {"labels": {"team": "vision"}}}, lambda policy: True),
        ({"spec": {"policyTypes": ["Egress"]}}, lambda policy: policy["spec"]["policyTypes"] != ["Egress"]),
        (
            {"metadata": {"labels": {"app.kubernetes.io/managed-by": None}}},
            lambda policy: policy["metadata"]["labels"].get("app.kubernetes.io/managed-by") == "tradewind",
        ),
        ({"metadata": {"ownerReferences": None}}, lambda policy: policy["metadata"].get("ownerReferences")),
        (
            {"metadata": {"annotations": {"tradewind.dev/digest": "0"}}},
            lambda policy: policy["metadata"]["annotations"]["tradewind.dev/digest"] != "0",
        ),
    ]
    for edit, right in edits:
        cluster.merge("NetworkPolicy", "digits-train", namespace, edit)
        until(lambda right=right: right(_policy(cluster, namespace)), f"the edit {edit} stays")
    cluster.quiet()
    policy = _policy(cluster, namespace)
    assert policy["metadata"]["labels"]["team"] == "vision"
    assert sorted(cluster.written(since, namespace)) == [
        *[("patch", "networkpolicies", "digits-train")] * 5,  # see the next test
        ("patch", "rayjobs", "digits-train-1"),
    ]


def test_a_child_without_its_labels_gets_them_again(
    cluster: Cluster, operator: OperatorProcess, namespace: str
) -> None:
    """The watch does not show it then, and it has the name of the child that seems to be missing."""
    _started(cluster, namespace)
    cluster.quiet()
    since = time.time()
    before = _policy(cluster, namespace)["metadata"]
    without = {"metadata": {"labels": dict.fromkeys(before["labels"])}}
    cluster.merge("NetworkPolicy", "digits-train", namespace, without)
    until(
        lambda: _policy(cluster, namespace)["metadata"].get("labels") == before["labels"],
        "the labels stay away",
    )
    cluster.quiet()
    assert _policy(cluster, namespace)["metadata"]["uid"] == before["uid"]
    # The first is refused: it would make a child that must not exist.
    assert cluster.written(since, namespace) == [("patch", "networkpolicies", "digits-train")] * 2


def test_a_deleted_child_is_made_again(cluster: Cluster, operator: OperatorProcess, namespace: str) -> None:
    _started(cluster, namespace)
    cluster.quiet()
    before = _policy(cluster, namespace)["metadata"]["uid"]
    cluster.delete("NetworkPolicy", "digits-train", namespace)
    until(
        lambda: (
            (cluster.get("NetworkPolicy", "digits-train", namespace) or {}).get("metadata", {}).get("uid")
            not in (None, before)
        ),
        "the policy is not made again",
    )


def test_a_stranger_of_the_same_name_is_left_alone_and_told(
    cluster: Cluster, operator: OperatorProcess, namespace: str
) -> None:
    stranger = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "digits-train"},
        "spec": {"podSelector": {"matchLabels": {"app": "shop"}}, "policyTypes": ["Ingress"]},
    }
    before = cluster.create(stranger, namespace)
    cluster.create(training_job(), namespace)

    def told() -> str | None:
        conditions = ((cluster.get("TrainingJob", "digits", namespace) or {}).get("status") or {}).get("conditions")
        said = [c["message"] for c in conditions or [] if "digits-train" in c["message"] and "conflict" in c["message"]]
        return said[0] if said else None

    until(told, "no condition tells of the conflict")
    time.sleep(2)
    assert cluster.tried_after_a_while(namespace, "networkpolicies", CLOSED.name), (
        "the refused child is tried in a loop"
    )
    after = cluster.get("NetworkPolicy", "digits-train", namespace)
    assert after is not None and after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
    assert cluster.list("RayJob", namespace) == [], "the job runs without its NetworkPolicy"
    cluster.delete("NetworkPolicy", "digits-train", namespace)
    until(lambda: cluster.list("RayJob", namespace), "the job does not start once the name is free")
    assert [owned["kind"] for owned in _policy(cluster, namespace)["metadata"]["ownerReferences"]] == ["TrainingJob"]


def test_a_child_that_is_not_planned_any_more_is_deleted(
    cluster: Cluster, operator: OperatorProcess, namespace: str
) -> None:
    _started(cluster, namespace)
    cluster.merge("TrainingJob", "digits", namespace, {"spec": {"runPolicy": {"suspend": True}}})
    until(lambda: not cluster.list("RayJob", namespace), "the RayJob stays")


def test_a_status_that_someone_changed_is_written_anew(
    cluster: Cluster, operator: OperatorProcess, namespace: str
) -> None:
    _started(cluster, namespace)
    cluster.quiet()
    since = time.time()
    edit = {"status": {"phase": "Complete", "dashboardURL": "http://elsewhere", "errors": 7}}
    cluster.merge("TrainingJob", "digits", namespace, edit, subresource="status")

    def right() -> bool:
        status = (cluster.get("TrainingJob", "digits", namespace) or {})["status"]
        return status["phase"] == "Starting" and "dashboardURL" not in status

    until(right, "the foreign fields stay")
    cluster.quiet()
    assert cluster.written(since, namespace) == [("patch", "trainingjobs/status", "digits")]


def test_a_dependent_goes_on_when_what_it_names_appears(
    cluster: Cluster, operator: OperatorProcess, namespace: str
) -> None:
    cluster.create(compression_job(), namespace)
    until(lambda: cluster.phase("CompressionJob", "digits", namespace), "there is no status")
    before = cluster.condition("CompressionJob", "digits", namespace, "Accepted")
    cluster.create(training_job(), namespace)
    until(
        lambda: (
            cluster.condition("CompressionJob", "digits", namespace, "Accepted") != before
            or "not ended" in str(cluster.get("CompressionJob", "digits", namespace))
        ),
        "the compression did not hear of its training job",
    )


def test_an_object_that_is_made_again_under_its_name_waits_for_the_old_children(
    cluster: Cluster, operator: OperatorProcess, namespace: str
) -> None:
    _started(cluster, namespace)
    cluster.quiet()

    def children() -> list[object]:
        found = [child["metadata"] for child in (*cluster.list("RayJob", namespace), _policy(cluster, namespace))]
        return [(child["uid"], child["resourceVersion"], child["ownerReferences"]) for child in found]

    old = children()
    cluster.delete("TrainingJob", "digits", namespace)
    cluster.create(training_job(), namespace)
    cluster.caught_up()
    assert children() == old, "no garbage collector runs here: the old children are there, and stay the old object's"
    cluster.delete("RayJob", "digits-train-1", namespace)
    cluster.delete("NetworkPolicy", "digits-train", namespace)
    job = until(lambda: cluster.get("TrainingJob", "digits", namespace), "the job is gone")
    until(
        lambda: (
            [r["metadata"]["ownerReferences"][0]["uid"] for r in cluster.list("RayJob", namespace)]
            == [job["metadata"]["uid"]]
        ),
        "the new object has no RayJob of its own",
    )
