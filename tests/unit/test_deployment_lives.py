"""Whole lives of a ModelDeployment, step by step: what is written to the API server, and what people see."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests import objects
from tests.world import CONFIG, World, surroundings
from tradewind.api.compressionjob import CompressionJob
from tradewind.api.trainingjob import TrainingJob
from tradewind.core.labels import REVISION
from tradewind.core.plan import Rejection
from tradewind.deployment.controller import CONTROLLER
from tradewind.deployment.rollout import DRAIN
from tradewind.deployment.service import SERVICE

UP = {"conditions": [{"type": "Ready", "status": "True"}], "modelStatus": {"transitionStatus": "UpToDate"}}
DOWN = {"conditions": [{"type": "Ready", "status": "False"}], "modelStatus": {"transitionStatus": "InProgress"}}
ALERTS = [{"name": "errors", "errorRate": {"max": "0.01"}}, {"name": "missing", "replicasMissing": {}}]


def deployed(**spec: Any) -> World:
    """A service of a training job's model, not yet made."""
    world = World(CONTROLLER, objects.model_deployment(**({"model": {"trainingJobRef": {"name": "digits"}}} | spec)))
    trained(world, "a")
    return world


def trained(world: World, mark: str) -> None:
    """The training job has another model."""
    model = objects.model(digest="sha256:" + mark * 64)
    world.reference = TrainingJob.read_object(objects.complete(objects.training_job(), model=model))


def rows(world: World) -> dict[str, dict[str, Any]]:
    """The revisions of the status, by name."""
    return {row["name"]: row for row in world.status.get("revisions", ())}


def selected(world: World) -> str:
    """The revision that requests go to."""
    return str(world.bodies["Service", "digits"]["spec"]["selector"][REVISION])


def newest(world: World) -> str:
    """The revision whose InferenceService was made last."""
    names = [name for kind, name in world.bodies if kind == "InferenceService"]
    return str(world.bodies["InferenceService", names[-1]]["metadata"]["labels"][REVISION])


def start(world: World, revision: str, count: int = 1, first: int = 0) -> None:
    """KServe's Deployment makes pods."""
    labels = world.bodies["InferenceService", f"digits-{revision}"]["spec"]["predictor"]["labels"]
    for index in range(first, first + count):
        world.add_pod(f"{revision}-{index}", cpu="200m", memory="512Mi", labels=labels)
        world.settle()


def answer(world: World, revision: str) -> None:
    """Its pods become ready, and a second later KServe says so."""
    for name in [name for name in world.pods if name.startswith(revision)]:
        world.after(1)
        world.change_pod(name, ready=True)
        world.settle()
    world.after(1)
    world.see("InferenceService", UP, f"digits-{revision}")
    world.settle()


def serve(world: World, count: int = 1) -> str:
    """The newest revision comes to answer."""
    world.settle()
    revision = newest(world)
    world.after(2)
    start(world, revision, count)
    answer(world, revision)
    return revision


def test_a_deployment_that_waited_costs_six_writes_and_two_events() -> None:
    world = World(CONTROLLER, objects.model_deployment(alerts=ALERTS))
    world.settle()
    variants = [objects.variant("baseline"), objects.variant("int8", throughputPerSecond="2500")]
    world.reference = CompressionJob.read_object(objects.complete(objects.compression_job(), variants=variants))
    world.after(60)
    revision = serve(world)
    for _ in range(5):
        world.after(3600)
        world.settle()
    assert world.writes == [
        "status",
        "apply Service digits",
        f"apply InferenceService digits-{revision}",
        "apply PrometheusRule digits",
        *["status"] * 2,
    ]
    assert [event.reason for event in world.events] == ["ModelChosen", "Ready"]
    assert world.status["url"] == "http://digits.digits.svc"


def test_a_replica_answers_only_when_the_service_sends_requests_to_it() -> None:
    world = deployed()
    world.settle()
    revision = newest(world)
    start(world, revision)
    world.unreached = {f"{revision}-0"}
    answer(world, revision)
    assert world.condition("Ready")["reason"] == "NotReady"
    assert world.status["replicas"] == {"desired": 1, "ready": 0}
    before = len(world.writes)
    world.unreached = set()
    world.settle()
    assert (world.condition("Ready")["status"], world.writes[before:]) == ("True", ["status"])
    # What answers is judged by its pods: the endpoints follow them some seconds later.
    start(world, revision, first=1)
    world.unreached = {f"{revision}-1"}
    answer(world, revision)
    assert world.condition("Ready")["status"] == "True"
    for name in list(world.pods):
        world.change_pod(name, ready=False)
    world.settle()
    assert world.condition("Ready")["message"] == "No replica answers any more."
    world.unreached = set(world.pods)
    for name in list(world.pods):
        world.change_pod(name, ready=True)
    world.settle()
    assert world.condition("Ready")["status"] == "False", "ready again, and without requests yet"
    world.unreached = set()
    world.settle()
    assert world.condition("Ready")["status"] == "True"


def test_ready_replicas_are_counted_once_one_of_them_gets_requests() -> None:
    """Counted one by one as the endpoints come, the number would depend on whether the condition is True already."""
    world = deployed(scaling={"minReplicas": 2, "maxReplicas": 2, "metric": "cpu", "target": 80})
    world.settle()
    revision = newest(world)
    start(world, revision, count=2)
    world.unreached = {f"{revision}-1"}
    answer(world, revision)
    assert (world.condition("Ready")["status"], world.status["replicas"]) == ("True", {"desired": 2, "ready": 2})


def test_requests_move_when_the_new_revision_answers_and_the_old_one_goes_after_it_drained() -> None:
    world = deployed(alerts=ALERTS)
    first = serve(world)
    world.after(3600)
    since, told = len(world.writes), len(world.events)
    trained(world, "b")
    world.settle()
    second = newest(world)
    assert (selected(world), world.condition("Ready")["status"]) == (first, "True")
    assert world.condition("Progressing")["reason"] == "RollingOut"
    assert world.status["variant"]["digest"] == "sha256:" + "a" * 64, "what is served is still the old one"
    assert [row["weight"] for row in rows(world).values()] == [100, 0]
    start(world, second)
    world.change_pod(f"{second}-0", ready=True)
    world.settle()
    assert selected(world) == first, "KServe does not say yet that it is ready"
    answer(world, second)
    assert selected(world) == second
    assert world.status["variant"]["digest"] == "sha256:" + "b" * 64
    assert (rows(world)[first]["state"], rows(world)[first]["weight"]) == ("Draining", 0)
    assert ("InferenceService", f"digits-{first}") in world.children
    plan = world.plan()
    assert plan.requeue_after == DRAIN.total_seconds()
    world.after(DRAIN.total_seconds() - 1)
    world.settle()
    assert not world.children["InferenceService", f"digits-{first}"].deleting
    world.after(1)
    world.settle()
    assert world.children["InferenceService", f"digits-{first}"].deleting
    del world.pods[f"{first}-0"]
    world.bury()
    world.settle()
    assert list(rows(world)) == [second]
    assert world.writes[since:] == [
        f"apply InferenceService digits-{second}",
        "status",
        "apply Service digits",
        "apply PrometheusRule digits",
        "status",
        f"delete InferenceService digits-{first}",
        "status",
    ]
    assert [event.reason for event in world.events[told:]] == ["ModelChosen", "TrafficMoved"]
    assert world.condition("Ready")["status"] == "True"


def test_a_new_revision_has_as_many_replicas_as_the_one_that_serves() -> None:
    world = deployed(scaling={"minReplicas": 1, "maxReplicas": 4})
    first = serve(world, 3)
    trained(world, "b")
    world.settle()
    second = newest(world)
    predictor = world.bodies["InferenceService", f"digits-{second}"]["spec"]["predictor"]
    assert (predictor["minReplicas"], predictor["maxReplicas"]) == (3, 4)
    del world.pods[f"{first}-2"]
    world.settle()
    start(world, second, 2)
    answer(world, second)
    assert selected(world) == first, "two answer, and three serve"
    start(world, second, 1, first=2)
    answer(world, second)
    assert selected(world) == second
    predictor_of = ("InferenceService", f"digits-{second}")
    assert world.bodies[predictor_of]["spec"]["predictor"]["minReplicas"] == 3, (
        "the autoscaler has seen three idle replicas"
    )
    world.after(DRAIN.total_seconds())
    world.settle()
    assert world.bodies[predictor_of]["spec"]["predictor"]["minReplicas"] == 1


def test_never_more_replicas_are_asked_for_than_the_spec_allows() -> None:
    world = deployed(scaling={"minReplicas": 1, "maxReplicas": 3})
    serve(world, 3)
    world.manifest["spec"]["scaling"]["maxReplicas"] = 2
    trained(world, "b")
    world.settle()
    predictor = world.bodies["InferenceService", f"digits-{newest(world)}"]["spec"]["predictor"]
    assert (predictor["minReplicas"], predictor["maxReplicas"]) == (2, 2)


def test_a_broken_revision_leaves_the_old_one_serving_and_says_why() -> None:
    world = deployed()
    first = serve(world)
    trained(world, "b")
    world.settle()
    second = newest(world)
    start(world, second)
    failure = {"reason": "ModelLoadFailed", "message": "the digest of model.json differs"}
    status = {"modelStatus": {"transitionStatus": "BlockedByFailedLoad", "lastFailureInfo": failure}}
    since = len(world.writes)
    for words in ("CrashLoopBackOff: back-off 10s", "", "CrashLoopBackOff: back-off 20s", "Error (exit code 1)"):
        world.change_pod(f"{second}-0", message=words)
        world.see("InferenceService", status if words else DOWN, f"digits-{second}")
        world.after(60)
        world.settle()
    assert world.writes[since:] == ["status"], "the status flaps"
    progressing = world.condition("Progressing")
    assert (progressing["status"], progressing["reason"]) == ("False", "RevisionNotReady")
    assert "KServe says: ModelLoadFailed: the digest of model.json differs" in progressing["message"]
    assert f"Revision {first} of digits continues to serve" in progressing["message"]
    assert (world.condition("Ready")["status"], selected(world)) == ("True", first)
    assert world.status["phase"] == "Ready"
    assert [event.reason for event in world.events].count("RevisionNotReady") == 1


def test_a_third_revision_takes_the_place_of_one_that_never_answered() -> None:
    world = deployed()
    first = serve(world)
    trained(world, "b")
    world.settle()
    second = newest(world)
    trained(world, "c")
    world.settle()
    assert world.children["InferenceService", f"digits-{second}"].deleting
    world.bury()
    third = serve(world)
    assert selected(world) == third
    assert set(rows(world)) == {first, third}


def test_a_spec_that_goes_back_takes_the_new_revision_away() -> None:
    world = deployed()
    first = serve(world)
    trained(world, "b")
    world.settle()
    second = newest(world)
    trained(world, "a")
    world.settle()
    assert world.children["InferenceService", f"digits-{second}"].deleting
    assert list(rows(world)) == [first]
    assert world.condition("Progressing")["reason"] == "RolledOut"


def test_a_revision_that_drains_serves_again_at_once_when_it_is_wanted_again() -> None:
    world = deployed()
    first = serve(world)
    trained(world, "b")
    second = serve(world)
    world.after(10)
    trained(world, "a")
    world.settle()
    assert selected(world) == first
    assert {name: row["state"] for name, row in rows(world).items()} == {first: "Serving", second: "Draining"}


def test_an_operator_that_ended_before_it_wrote_the_status_continues() -> None:
    world = deployed()
    first = serve(world)
    trained(world, "b")
    world.settle()
    second = newest(world)
    start(world, second)
    world.change_pod(f"{second}-0", ready=True)
    world.see("InferenceService", UP, f"digits-{second}")
    assert world._apply(world.plan()), "the Service"
    assert (selected(world), rows(world)[first]["weight"]) == (second, 100)
    plan = world.plan()
    assert ("InferenceService", f"digits-{first}") in plan.keep, "it was deleted before it drained"
    world.settle()
    assert rows(world)[second]["weight"] == 100
    assert rows(world)[first]["state"] == "Draining"


def test_an_operator_that_ended_before_it_wrote_the_status_goes_back_where_the_new_one_no_longer_answers() -> None:
    world = deployed()
    first = serve(world)
    trained(world, "b")
    world.settle()
    second = newest(world)
    start(world, second)
    world.change_pod(f"{second}-0", ready=True)
    world.see("InferenceService", UP, f"digits-{second}")
    world._apply(world.plan())
    world.change_pod(f"{second}-0", ready=False)
    world.settle()
    assert selected(world) == first
    assert rows(world)[first]["weight"] == 100


def test_a_service_of_a_stranger_is_reported_and_no_pods_are_started() -> None:
    world = deployed()
    world.rejections = (Rejection(SERVICE, "digits", "", 'conflict with "kubectl": .spec.selector'),)
    world.settle()
    assert "InferenceService" not in {kind for kind, _ in world.children}
    ready = world.condition("Ready")
    assert (ready["status"], ready["reason"]) == ("False", "Rejected")
    assert 'The API server refused Service digits: conflict with "kubectl": .spec.selector.' in ready["message"]
    world.rejections = ()
    serve(world)
    assert world.condition("Ready")["status"] == "True"


def test_requests_that_can_not_be_moved_stay_where_they_are() -> None:
    world = deployed()
    first = serve(world)
    trained(world, "b")
    world.settle()
    second = newest(world)
    start(world, second)
    world.rejections = (Rejection(SERVICE, "digits", "", "a webhook says no"),)
    answer(world, second)
    assert rows(world)[first]["weight"] == 100
    assert world.condition("Progressing")["reason"] == "Rejected"
    assert world.condition("Ready")["status"] == "True"
    world.rejections = ()
    world.settle()
    assert rows(world)[second]["weight"] == 100


def test_pods_that_a_quota_refuses_are_reported_in_kubernetes_words_and_heal() -> None:
    world = deployed()
    world.settle()
    revision = newest(world)
    words = 'pods "x" is forbidden: exceeded quota: q, requested: limits.cpu=1, used: limits.cpu=2'
    failure = {"conditions": [{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": words}]}
    world.witness("Deployment", f"digits-{revision}-predictor", {"spec": {"replicas": 1}, "status": failure})
    world.settle()
    ready = world.condition("Ready")
    assert (ready["status"], ready["reason"]) == ("False", "QuotaExceeded")
    assert words in ready["message"]
    world.witness("Deployment", f"digits-{revision}-predictor", {"spec": {"replicas": 1}})
    world.settle()
    assert world.condition("Ready")["reason"] == "NotReady"
    start(world, revision)
    answer(world, revision)
    assert world.condition("Ready")["status"] == "True"


def test_a_replica_that_is_lost_leaves_the_service_ready() -> None:
    world = deployed(scaling={"minReplicas": 2, "maxReplicas": 2})
    revision = serve(world, 2)
    world.see("InferenceService", DOWN, f"digits-{revision}")
    world.change_pod(f"{revision}-1", ready=False)
    world.settle()
    assert world.condition("Ready")["status"] == "True", "one still answers"
    assert world.status["replicas"] == {"desired": 2, "ready": 1}


def test_scaling_makes_no_revision() -> None:
    world = deployed()
    revision = serve(world)
    world.manifest["spec"]["scaling"] = {"minReplicas": 2, "maxReplicas": 5, "metric": "memory"}
    world.settle()
    assert list(rows(world)) == [revision]
    assert world.bodies["InferenceService", f"digits-{revision}"]["spec"]["predictor"]["minReplicas"] == 2


@pytest.mark.parametrize(
    "change",
    [
        {"resources": {"pool": "local", "cpu": "250m", "memory": "512Mi"}},
        {"resources": {"pool": "edge", "cpu": "200m", "memory": "512Mi"}},
        {"model": {"storageUri": "pvc://own/m.onnx"}},
    ],
)
def test_what_needs_new_pods_makes_a_revision(change: dict[str, Any]) -> None:
    world = deployed()
    first = serve(world)
    world.manifest["spec"].update(change)
    world.settle()
    assert newest(world) != first
    assert selected(world) == first


def test_a_quantity_written_in_another_way_makes_no_revision() -> None:
    world = deployed()
    first = serve(world)
    world.manifest["spec"]["resources"] = {"pool": "local", "cpu": "0.2", "memory": "524288Ki"}
    world.settle()
    assert list(rows(world)) == [first]


@pytest.mark.parametrize("fixed", [True, False])
def test_only_a_range_of_replicas_gets_an_autoscaler(fixed: bool) -> None:
    scaling = {"minReplicas": 2, "maxReplicas": 2 if fixed else 4, "metric": "memory", "target": 60}
    world = World(CONTROLLER, objects.model_deployment(model={"storageUri": "pvc://own/m.onnx"}, scaling=scaling))
    world.settle()
    body = world.bodies["InferenceService", f"digits-{newest(world)}"]
    predictor = body["spec"]["predictor"]
    assert body["metadata"]["annotations"]["serving.kserve.io/autoscalerClass"] == ("none" if fixed else "hpa")
    assert ("scaleMetric" in predictor) is not fixed
    assert predictor["minReplicas"] == 2
    assert REVISION in predictor["labels"]


def test_a_service_stays_on_its_pool_when_the_rows_of_the_price_table_move() -> None:
    world = deployed(resources={"cpu": "200m", "memory": "512Mi"})
    first = serve(world)
    local, *others = CONFIG["pools"]
    moved = [*others[:-1], others[-1] | {"default": True}, local | {"default": False}]
    world.around = surroundings(CONFIG | {"pools": moved})
    world.settle()
    assert list(rows(world)) == [first]
    assert world.status["pool"]["name"] == "local"


def test_a_pool_that_was_named_binds_nobody_once_the_spec_names_none() -> None:
    world = deployed(resources={"cpu": "200m", "memory": "512Mi"})
    first = serve(world)
    for pool in ("edge", None):
        named = {} if pool is None else {"pool": pool}
        world.manifest["spec"]["resources"] = {"cpu": "200m", "memory": "512Mi"} | named
        if pool is not None:
            serve(world)
        world.settle()
    assert world.condition("Progressing")["reason"] == "RolledOut"
    assert (selected(world), world.status["pool"]["name"]) == (first, "local"), "it goes back to what still drains"


def test_a_revision_that_was_deleted_by_hand_is_made_again() -> None:
    world = deployed()
    first = serve(world)
    key = ("InferenceService", f"digits-{first}")
    world.children[key] = replace(world.children[key], deleting=True)
    world.pods.clear()
    world.settle()
    assert world.condition("Ready")["reason"] == "NotReady"
    world.bury()
    serve(world)
    assert world.condition("Ready")["status"] == "True"


def test_the_chosen_variant_and_the_cost_of_the_service_name_one_price() -> None:
    spec = {"scaling": {"minReplicas": 1, "maxReplicas": 5}, "expectedRequestsPerSecond": "2000"}
    world = World(CONTROLLER, objects.model_deployment(**spec))
    variants = [objects.variant("int8", throughputPerSecond="800"), objects.variant("slow", verdict="NotFaster")]
    world.reference = CompressionJob.read_object(objects.complete(objects.compression_job(), variants=variants))
    serve(world)
    assert world.status["cost"]["perMillion"] == "0.066667"  # 4 replicas of 0.12 an hour for 7.2 million requests
    assert "0.066667 USD for a million requests with 4 replicas" in world.status["variant"]["reason"]
    assert [row["name"] for row in world.status["variant"]["rejected"]] == ["slow"]


@pytest.mark.parametrize(
    ("measured", "status"),
    [
        ({"pool": "local", "cpu": "0.2", "memory": "524288Ki"}, "False"),
        ({"pool": "local", "cpu": "500m", "memory": "512Mi"}, "True"),
        ({"pool": "edge", "cpu": "200m", "memory": "512Mi"}, "True"),
    ],
)
def test_numbers_of_other_resources_are_not_used_silently(measured: dict[str, str], status: str) -> None:
    world = World(CONTROLLER, objects.model_deployment())
    variants = [objects.variant("int8", measuredOn=measured)]
    world.reference = CompressionJob.read_object(objects.complete(objects.compression_job(), variants=variants))
    world.settle()
    assert world.condition("MeasuredElsewhere")["status"] == status
    world.reference = None
    world.settle()
    assert world.condition("MeasuredElsewhere")["status"] == status, "the job is gone, and the numbers are the same"
    if status == "True":
        assert "Set spec.resources to what was measured" in world.condition("MeasuredElsewhere")["message"]
        world.around = surroundings(CONFIG | {"pools": CONFIG["pools"][1:]})
        world.settle()
        assert world.condition("MeasuredElsewhere")["status"] == "True", (
            "the pool is gone, and the numbers are the same"
        )


def test_numbers_of_batches_are_not_used_silently_where_there_are_none() -> None:
    world = World(CONTROLLER, objects.model_deployment(limits={"maxBatchRows": 1}))
    variants = [objects.variant("int8", measuredOn={"pool": "local", "cpu": "200m", "memory": "512Mi"})]
    world.reference = CompressionJob.read_object(objects.complete(objects.compression_job(), variants=variants))
    world.settle()
    assert world.condition("MeasuredElsewhere")["status"] == "True"
    assert "spec.limits.maxBatchRows is 1" in world.condition("MeasuredElsewhere")["message"]
    del world.manifest["spec"]["limits"]["maxBatchRows"]  # as it advises
    world.settle()
    assert world.condition("MeasuredElsewhere")["status"] == "False"


@pytest.mark.parametrize(
    ("rate", "most", "floor", "reason", "words"),
    [
        (
            "200",
            5,
            3,
            "EnoughReplicas",
            "At least 3 replicas: one was measured to answer 100 requests per second, 80 %",
        ),
        ("200", 2, 2, "TooFewReplicas", "It needs 3 replicas ("),
        ("200", 2, 2, "TooFewReplicas", "and spec.scaling.maxReplicas is 2: set it to 3 or more."),
        ("1", 5, 1, "EnoughReplicas", "At least 1 replica: "),
        ("1000000", 5, 5, "TooFewReplicas", "1000 are the most that it can be. Give a replica more of spec.resources"),
        (None, 5, 1, "LoadUnknown", "spec.expectedRequestsPerSecond is not set."),
    ],
)
def test_there_are_replicas_for_the_expected_load(
    rate: str | None, most: int, floor: int, reason: str, words: str
) -> None:
    manifest = objects.model_deployment(scaling={"minReplicas": 1, "maxReplicas": most}, expectedRequestsPerSecond=rate)
    if rate is None:
        del manifest["spec"]["expectedRequestsPerSecond"]
    world = World(CONTROLLER, manifest)
    variants = [objects.variant("int8", throughputPerSecond="100")]
    world.reference = CompressionJob.read_object(objects.complete(objects.compression_job(), variants=variants))
    for _ in range(2):
        serve(world, floor)
        predictor = world.bodies["InferenceService", f"digits-{newest(world)}"]["spec"]["predictor"]
        assert (predictor["minReplicas"], predictor["maxReplicas"]) == (floor, most)
        assert world.status["replicas"] == {"desired": floor, "ready": floor}
        condition = world.condition("Underprovisioned")
        assert (condition["status"], condition["reason"]) == (str(reason == "TooFewReplicas"), reason)
        assert words in condition["message"]
        world.reference = None  # the job is gone, and the numbers are the same


def test_of_what_was_not_measured_no_replicas_are_computed() -> None:
    world = deployed(expectedRequestsPerSecond="1000", scaling={"minReplicas": 2, "maxReplicas": 5})
    serve(world, 2)
    assert world.status["replicas"] == {"desired": 2, "ready": 2}
    assert world.condition("Underprovisioned")["reason"] == "LoadUnknown"


@pytest.mark.parametrize("older", [False, True], ids=["measured alone", "a status before the field"])
def test_of_rows_of_the_model_alone_no_replicas_are_computed(older: bool) -> None:
    world = World(
        CONTROLLER,
        objects.model_deployment(expectedRequestsPerSecond="4000", scaling={"minReplicas": 1, "maxReplicas": 5}),
    )
    here = {"pool": "local", "cpu": "200m", "memory": "512Mi"}
    row = objects.variant("int8", measuredOn=here, **({} if older else {"replica": None}))
    world.reference = CompressionJob.read_object(objects.complete(objects.compression_job(), variants=[row]))
    serve(world, 5 if older else 1)
    assert world.condition("Underprovisioned")["reason"] == ("EnoughReplicas" if older else "LoadUnknown")
    if older:  # the job is gone, and so is the word that its rows had replicas
        del world.status["variant"]["within"]
        world.reference = None
        world.settle()
    predictor = world.bodies["InferenceService", f"digits-{newest(world)}"]["spec"]["predictor"]
    assert (predictor["minReplicas"], predictor["maxReplicas"]) == (1, 5)
    assert world.status["cost"]["perMillion"] == "Unknown"
    condition = world.condition("Underprovisioned")
    assert (condition["status"], condition["reason"]) == ("False", "LoadUnknown")
    assert "spec.scaling.minReplicas" in condition["message"]
    assert "in spec.model.compressionJobRef that measures replicas" in condition["message"]
    assert world.condition("MeasuredElsewhere")["reason"] == "NotMeasured", "not MeasuredHere: no replica was"


def test_replicas_with_a_gpu_run_the_server_for_gpus() -> None:
    resources = {"pool": "gke-l4", "cpu": "1", "memory": "2Gi", "accelerators": 1}
    world = deployed(resources=resources)
    first = serve(world)
    model = world.bodies["InferenceService", f"digits-{first}"]["spec"]["predictor"]["model"]
    assert model["image"] == "tradewind/server-gpu:dev"
    assert {"name": "TRADEWIND_DEVICE", "value": "gpu"} in model["env"]
    world.around = surroundings(CONFIG | {"images": CONFIG["images"] | {"serverGpu": "tradewind/server-gpu:next"}})
    second = serve(world)
    assert second != first, "another server answers beside the one before until it is ready"
    assert selected(world) == second
    world.manifest["spec"]["resources"] = resources | {"accelerators": 0}
    third = serve(world)
    model = world.bodies["InferenceService", f"digits-{third}"]["spec"]["predictor"]["model"]
    assert "image" not in model, "the ClusterServingRuntime's"
    assert "TRADEWIND_DEVICE" not in {variable["name"] for variable in model["env"]}


def test_what_serves_on_gpus_continues_where_the_server_for_gpus_is_not_set_any_more() -> None:
    world = deployed(resources={"pool": "gke-l4", "cpu": "1", "memory": "2Gi", "accelerators": 1})
    first = serve(world)
    world.around = surroundings(CONFIG | {"images": {"workload": "any", "server": "any"}})
    world.settle()
    assert (selected(world), world.condition("Ready")["status"]) == (first, "True")
    condition = world.condition("Accepted")
    assert (condition["status"], condition["reason"]) == ("False", "NoServerForAccelerator")
    assert "images.serverGpu of the operator's configuration" in condition["message"]


def test_no_service_is_made_of_accelerators_that_no_server_uses() -> None:
    world = deployed(resources={"pool": "gke-tpu-v5e", "accelerators": 4, "topology": "2x4"})
    world.settle()
    assert world.condition("Accepted")["reason"] == "NoServerForAccelerator"
    assert "InferenceService" not in {kind for kind, _ in world.bodies}
    world.manifest["spec"]["resources"] = {"pool": "gke-tpu-v5e"}  # as it advises
    world.settle()
    assert world.condition("Accepted")["status"] == "True"
