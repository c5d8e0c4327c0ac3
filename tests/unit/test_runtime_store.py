"""The store: old news change nothing, and what a list does not show is gone."""

from __future__ import annotations

from typing import Any

from tests.objects import compression_job, model_deployment, training_job
from tradewind.core.labels import labels
from tradewind.core.plan import PODS, Resource
from tradewind.runtime.controllers import CONTROLLERS
from tradewind.runtime.store import Key, Store

TRAINING = next(c.resource for c in CONTROLLERS if c.resource.kind == "TrainingJob")
COMPRESSION = next(c.resource for c in CONTROLLERS if c.resource.kind == "CompressionJob")
DEPLOYMENT = next(c.resource for c in CONTROLLERS if c.resource.kind == "ModelDeployment")
DEPLOYMENTS = Resource("apps", "v1", "Deployment", "deployments")
POLICY = Resource("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies")
KEY = Key("TrainingJob", "digits", "digits")


def _versioned(body: dict[str, Any], version: int, **metadata: Any) -> dict[str, Any]:
    return body | {"metadata": body["metadata"] | {"resourceVersion": str(version)} | metadata}


def _job(version: int, **metadata: Any) -> dict[str, Any]:
    return _versioned(training_job(), version, creationTimestamp="2026-11-24T12:00:00Z", **metadata)


def _policy(version: int, uid: str = "policy", owner: str | None = "uid-of-digits", **metadata: Any) -> dict[str, Any]:
    reference = {"apiVersion": "tradewind.dev/v1alpha1", "kind": "TrainingJob", "name": "digits", "controller": True}
    given = {"name": "digits-train", "namespace": "digits", "uid": uid, "labels": labels("TrainingJob", "digits")}
    if owner:
        given["ownerReferences"] = [reference | {"uid": owner}]
    return _versioned({"metadata": given, "spec": {}}, version, **metadata)


def _pod(version: int, created: str, uid: str = "pod") -> dict[str, Any]:
    metadata = {"name": uid, "namespace": "digits", "uid": uid, "labels": labels("TrainingJob", "digits")}
    return _versioned({"metadata": metadata, "spec": {}, "status": {}}, version, creationTimestamp=created)


def _held(store: Store) -> Any:
    held = store.get(KEY)
    assert held is not None
    return held


def test_old_news_change_nothing() -> None:
    store = Store(CONTROLLERS)
    assert store.observe(TRAINING, _job(10)) == {KEY}
    assert store.observe(TRAINING, _job(10)) == frozenset()
    assert store.observe(TRAINING, _job(9)) == frozenset()
    assert _held(store).version == 10
    assert store.observe(POLICY, _policy(12)) == {KEY}
    assert store.observe(POLICY, _policy(11)) == frozenset()


def test_a_late_answer_does_not_bring_a_deleted_child_back() -> None:
    store = Store(CONTROLLERS)
    store.observe(TRAINING, _job(10))
    store.observe(POLICY, _policy(11))
    assert store.observe(POLICY, _policy(13), deleted=True) == {KEY}
    assert store.observe(POLICY, _policy(12)) == frozenset()
    assert store.children(_held(store)) == {}
    # To the watch, a child without our label is deleted; our next apply shows it again.
    assert store.observe(POLICY, _policy(14)) == {KEY}
    assert list(store.children(_held(store))) == [("NetworkPolicy", "digits-train")]


def test_what_a_list_does_not_show_was_deleted_while_nobody_watched() -> None:
    store = Store(CONTROLLERS)
    store.observe(TRAINING, _job(10))
    store.observe(POLICY, _policy(11))
    store.observe(POLICY, _policy(30, uid="newer", name="other"))
    assert store.listed(POLICY, frozenset(), version=20) == {KEY}
    assert [child.record.uid for child in store.children(_held(store)).values()] == ["newer"]
    assert store.observe(POLICY, _policy(12)) == frozenset()
    assert store.listed(TRAINING, frozenset({"uid-of-digits"}), version=20) == frozenset()
    assert store.listed(TRAINING, frozenset(), version=20) == {KEY}
    assert store.get(KEY) is None


def test_a_list_of_what_an_object_has_tells_nothing_of_others() -> None:
    store = Store(CONTROLLERS)
    store.observe(TRAINING, _job(10))
    store.observe(POLICY, _policy(11))
    store.observe(POLICY, _policy(11, uid="of another", owner="uid-of-another", name="another"))
    store.observe(PODS, _pod(12, "2026-11-24T12:00:00Z"))
    held = _held(store)
    assert store.listed(POLICY, frozenset(), 20, held) == {KEY}
    assert store.children(held) == {}
    assert store.named(POLICY, "digits", "another") is not None
    assert store.observe(POLICY, _policy(19)) == frozenset(), "the watch is behind the list"
    assert store.listed(PODS, frozenset({"pod"}), 20, held) == frozenset()
    assert store.listed(PODS, frozenset(), 20, held) == {KEY}
    assert store.pods(held) == ()


def test_a_kind_that_is_served_again_shows_its_objects_again() -> None:
    store = Store(CONTROLLERS)
    store.observe(TRAINING, _job(10))
    store.observe(POLICY, _policy(11))
    store.drop(POLICY)
    assert store.children(_held(store)) == {}
    assert store.observe(POLICY, _policy(11)) == {KEY}


def test_a_child_without_its_owner_reference_is_found_by_its_labels() -> None:
    store = Store(CONTROLLERS)
    store.observe(TRAINING, _job(10))
    store.observe(POLICY, _policy(11))
    assert store.observe(POLICY, _policy(12, owner=None)) == {KEY}
    [child] = store.children(_held(store)).values()
    assert child.record.owner_uid is None
    store.observe(POLICY, _policy(13, owner="somebody"))
    assert store.children(_held(store)) == {}
    other = store.named(POLICY, "digits", "digits-train")
    assert other is not None and other.record.owner_uid == "somebody"


def test_a_new_child_of_the_same_name_takes_the_place_of_the_old() -> None:
    store = Store(CONTROLLERS)
    store.observe(TRAINING, _job(10))
    store.observe(POLICY, _policy(11))
    store.observe(POLICY, _policy(15, uid="second"))
    assert [child.record.uid for child in store.children(_held(store)).values()] == ["second"]


def test_pods_of_an_earlier_object_of_the_name_do_not_count() -> None:
    store = Store(CONTROLLERS)
    store.observe(TRAINING, _job(10))
    assert store.observe(PODS, _pod(11, "2026-11-24T11:59:59Z", uid="old")) == {KEY}
    assert store.observe(PODS, _pod(12, "2026-11-24T12:00:00Z", uid="new")) == {KEY}
    assert [pod.name for pod in store.pods(_held(store))] == ["new"]
    assert store.observe(PODS, _pod(13, "2026-11-24T12:00:00Z", uid="new")) == frozenset(), (
        "nothing that counts changed"
    )
    assert store.observe(PODS, _pod(14, "2026-11-24T12:00:00Z", uid="new"), deleted=True) == {KEY}


def test_who_names_an_object_hears_of_it() -> None:
    store = Store(CONTROLLERS)
    dependent = Key("CompressionJob", "digits", "digits")
    store.observe(COMPRESSION, _versioned(compression_job(), 5))
    assert store.observe(TRAINING, _job(10)) == {KEY, dependent}
    elsewhere = compression_job(model={"storageUri": "pvc://models/x"})
    store.observe(COMPRESSION, _versioned(elsewhere, 11, generation=2))
    assert store.observe(TRAINING, _job(12)) == {KEY}


def test_children_of_equal_plans_share_their_set_of_fields() -> None:
    store = Store(CONTROLLERS)
    entry = {"manager": "tradewind", "operation": "Apply", "fieldsV1": {"f:spec": {"f:podSelector": {}}}}
    for number in range(2):
        body = _policy(11, uid=f"policy-{number}", name=f"policy-{number}", managedFields=[entry])
        store.observe(POLICY, body)
    first, second = (store.named(POLICY, "digits", f"policy-{number}") for number in range(2))
    assert first is not None and second is not None and first.fields is second.fields


def _deployment(version: int, replicas: int, uid: str = "deployment") -> dict[str, Any]:
    service = {"apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService", "uid": "x", "controller": True}
    given = {"name": "digits-1-predictor", "namespace": "digits", "uid": uid, "ownerReferences": [service]}
    given["labels"] = labels("ModelDeployment", "digits")
    return _versioned({"metadata": given, "spec": {"replicas": replicas}}, version)


def test_what_others_made_of_a_child_is_seen_and_is_no_child() -> None:
    store = Store(CONTROLLERS)
    key = Key("ModelDeployment", "digits", "digits")
    store.observe(DEPLOYMENT, _versioned(model_deployment(), 10))
    held = store.get(key)
    assert held is not None
    assert store.observe(DEPLOYMENTS, _deployment(11, 1)) == {key}
    assert store.observe(DEPLOYMENTS, _deployment(12, 1)) == frozenset(), "nothing that counts changed"
    assert store.observe(DEPLOYMENTS, _deployment(13, 3)) == {key}
    assert store.children(held) == {}
    [witness] = store.witnesses(held).values()
    assert witness.record.seen.desired == 3
    assert store.observe(DEPLOYMENTS, _deployment(14, 3), deleted=True) == {key}
    assert store.witnesses(held) == {}
    store.observe(DEPLOYMENTS, _deployment(15, 2, uid="second"))
    assert store.listed(DEPLOYMENTS, frozenset(), 20) == {key}
    assert store.witnesses(held) == {}
