"""Whole lives, step by step: what is written to the API server, and what events people see."""

from __future__ import annotations

from typing import Any

from tests import objects
from tests.world import CONFIG, World, surroundings
from tradewind.api.report import Report
from tradewind.api.trainingjob import TrainingJob
from tradewind.compression.controller import CONTROLLER as COMPRESSION
from tradewind.core.plan import PODS
from tradewind.core.timestamps import stamp
from tradewind.ray.job import RAY_JOB
from tradewind.training.controller import CONTROLLER as TRAINING

RUNNING = ("Running", "RUNNING")


def pods(world: World, *roles: str) -> None:
    """KubeRay's pods of the present attempt."""
    number = str(world.status.get("attempt", {}).get("number", 1))
    for index, role in enumerate(roles):
        labels = {"tradewind.dev/run": world.run, "tradewind.dev/role": role}
        world.add_pod(f"{role}-{number}-{index}", cpu="300m", memory="1500Mi", labels=labels)


def ray(world: World, deployment: str, job: str, **about: Any) -> None:
    """KubeRay writes the RayJob's status."""
    info = {"rayJobInfo": {"startTime": stamp(world.now)}} if job else {}
    status = {"jobDeploymentStatus": deployment, "jobStatus": job, "startTime": stamp(world.now), **info, **about}
    world.see("RayJob", status)
    world.settle()


def report(world: World, **body: Any) -> None:
    """The program of the present attempt reports."""
    world.report = Report.model_validate({"run": world.run, **body})
    world.settle()


def train(world: World) -> None:
    """From the first pod to the first report."""
    world.settle()
    world.after(3)
    pods(world, "head", "worker", "worker")
    world.settle()
    ray(world, "Initializing", "")
    world.after(15)
    ray(world, *RUNNING)
    world.after(6)
    report(world, trainerStatus={"progressPercentage": 10})


def test_a_training_job_costs_five_writes_and_two_events() -> None:
    world = World(TRAINING, objects.training_job())
    train(world)
    world.after(30)
    report(world, model=objects.model())
    world.after(5)
    ray(world, "Complete", "SUCCEEDED", endTime=stamp(world.now))
    world.after(20)
    world.pods.clear()
    world.settle()
    world.after(10**6)
    world.settle()
    assert world.writes == ["apply NetworkPolicy digits-train", "apply RayJob digits-train-1", *["status"] * 3]
    assert [event.reason for event in world.events] == ["Running", "Complete"]
    assert world.status["trainerStatus"]["progressPercentage"] == 100


def test_a_compression_job_that_waited_costs_five_writes_with_its_first_report() -> None:
    world = World(COMPRESSION, objects.compression_job())
    world.reference = TrainingJob.read_object(objects.training_job())
    world.settle()
    for step in (
        {"attempt": objects.attempt()},
        {"attempt": objects.attempt(), "trainerStatus": {"progressPercentage": 50}},
    ):
        world.reference = TrainingJob.read_object(objects.training_job() | {"status": step})
        world.after(10)
        world.settle()
    assert world.writes == ["status"], "the training job's progress is no news to the one that waits for it"
    world.reference = TrainingJob.read_object(objects.complete(objects.training_job(), model=objects.model()))
    train_less(world)
    report(world, compression={"variants": [objects.variant("baseline")]})
    assert world.writes == [
        "status",
        "apply NetworkPolicy digits-compress",
        "apply RayJob digits-compress-1",
        *["status"] * 2,
    ]
    assert [event.reason for event in world.events] == ["Running", "Complete"]


def train_less(world: World) -> None:
    """The same as `train`, on one pod."""
    world.settle()
    pods(world, "head")
    world.after(15)
    ray(world, *RUNNING)
    report(world, trainerStatus={"progressPercentage": 10})


def test_an_interrupted_job_goes_on_with_another_ray_job_and_remembers_what_it_cost() -> None:
    world = World(TRAINING, objects.training_job())
    train(world)
    report(world, lastCheckpoint={"step": 100, "time": stamp(world.now)})
    world.after(60)
    del world.pods["head-1-0"]
    world.settle()
    assert world.condition("Running")["reason"] == "Interrupted"
    assert world.writes[-2:] == ["delete RayJob digits-train-1", "status"]
    before = world.status["cost"]
    world.bury()
    world.after(40)
    world.settle()
    assert world.writes[-2:] == ["apply RayJob digits-train-2", "status"]
    assert world.status["interruptions"] == 1
    assert "errors" not in world.status
    assert world.status["cost"]["accrued"] == before["accrued"], "nothing ran between the attempts"
    assert "from the checkpoint at step 100" in world.condition("Running")["message"]
    train(world)
    assert float(world.status["cost"]["accrued"]) > float(before["accrued"])
    assert world.status["cost"]["lost"] == before["lost"]


def test_the_second_attempt_waits_for_pods_that_still_end_but_not_for_ever() -> None:
    world = World(TRAINING, objects.training_job())
    train(world)
    del world.pods["head-1-0"]
    world.settle()
    del world.children["RayJob", "digits-train-1"]
    plan = world.settle()
    assert "RayJob" not in {child.resource.kind for child in plan.children}, "its workers could still write"
    assert plan.requeue_after is not None
    world.after(plan.requeue_after)
    assert "RayJob" in {child.resource.kind for child in world.settle().children}


def test_suspending_and_resuming_counts_as_neither_interruption_nor_error() -> None:
    world = World(TRAINING, objects.training_job())
    train(world)
    world.manifest["spec"]["runPolicy"] = {"suspend": True}
    world.settle()
    assert world.status["phase"] == "Suspended"
    assert sorted(world.writes[-2:]) == ["delete RayJob digits-train-1", "status"]
    world.settle()
    assert ("NetworkPolicy", "digits-train") in world.children, "the pods that still end would be open to all"
    world.bury()
    world.settle()
    assert world.writes[-1] == "delete NetworkPolicy digits-train"
    world.bury()
    world.manifest["spec"]["runPolicy"] = {"suspend": False}
    world.settle()
    assert world.status["attempt"]["number"] == 2
    assert not {"interruptions", "errors"} & world.status.keys()


def test_a_status_names_no_ray_job_that_waits_for_a_network_policy_that_is_still_being_deleted() -> None:
    world = World(TRAINING, objects.training_job())
    train(world)
    world.manifest["spec"]["runPolicy"] = {"suspend": True}
    world.settle()
    world.bury()
    world.settle()
    assert world.children["NetworkPolicy", "digits-train"].deleting
    world.manifest["spec"]["runPolicy"] = {"suspend": False}
    world.settle()
    assert ("RayJob", "digits-train-2") not in world.children
    assert (world.status["attempt"]["number"], world.status["rayJobName"]) == (1, "digits-train-1")
    world.bury()
    world.settle()
    assert ("RayJob", "digits-train-2") in world.children
    assert (world.status["attempt"]["number"], world.status["rayJobName"]) == (2, "digits-train-2")


def test_a_pod_without_a_node_is_looked_for_before_an_error_is_taken_for_its_loss() -> None:
    world = World(TRAINING, objects.training_job(runPolicy={"retries": {"errors": 1}}))
    train(world)
    head = next(name for name in world.pods if name.startswith("head"))
    placed = world.pods[head].scheduled
    world.change_pod(head, scheduled=None)  # the watch has not shown that yet
    world.after(5)
    status = {"jobDeploymentStatus": "Failed", "jobStatus": "FAILED", "message": "exit code 1"}
    world.see("RayJob", status | {"rayJobInfo": {"startTime": stamp(world.now)}, "endTime": stamp(world.now)})
    assert world.plan().rests_on == (PODS, RAY_JOB)
    world.change_pod(head, scheduled=placed)
    world.settle()
    assert (world.status["errors"], world.status.get("interruptions")) == (1, None)


def test_a_job_that_is_suspended_from_the_start_makes_nothing() -> None:
    world = World(TRAINING, objects.training_job(runPolicy={"suspend": True}))
    world.settle()
    assert world.writes == ["status"]
    assert world.status["phase"] == "Suspended"


def test_a_deadline_ends_the_job_at_its_moment() -> None:
    world = World(TRAINING, objects.training_job(runPolicy={"activeDeadlineSeconds": 100}))
    train(world)
    plan = world.plan()
    assert plan.requeue_after is not None
    assert plan.requeue_after <= 100
    world.after(100)
    world.settle()
    assert world.condition("Failed")["reason"] == "DeadlineExceeded"
    assert "delete RayJob digits-train-1" in world.writes


def test_an_error_is_tried_again_as_often_as_allowed() -> None:
    world = World(TRAINING, objects.training_job(runPolicy={"retries": {"errors": 1}}))
    for attempt in (1, 2):
        train(world)
        assert world.status["attempt"]["number"] == attempt
        ray(world, "Failed", "FAILED", message="exit code 1", endTime=stamp(world.now))
        world.bury()
        world.settle()
    assert world.status["errors"] == 2
    assert world.condition("Failed")["reason"] == "ProgramFailed"
    assert "exit code 1" in world.condition("Failed")["message"]


def test_a_failure_that_the_program_explained_is_not_tried_again() -> None:
    world = World(TRAINING, objects.training_job(runPolicy={"retries": {"errors": 5}}))
    train(world)
    report(world, failure={"reason": "InvalidData", "message": "no such column"})
    ray(world, "Failed", "FAILED", endTime=stamp(world.now))
    assert world.condition("Failed")["message"] == (
        "no such column. A job that failed is not run again: delete this TrainingJob and create it again once the "
        "cause is corrected."
    )
    assert world.status["attempt"]["number"] == 1


def test_a_program_that_ended_without_its_report_gets_a_moment_for_it() -> None:
    world = World(TRAINING, objects.training_job())
    train(world)
    ray(world, "Complete", "SUCCEEDED", endTime=stamp(world.now))
    plan = world.plan()
    assert plan.requeue_after is not None
    assert world.status["phase"] == "Running"
    world.after(plan.requeue_after)
    world.settle()
    assert "without a report" in world.condition("Failed")["message"]


def test_after_the_end_deleted_pods_are_no_interruption() -> None:
    world = World(TRAINING, objects.training_job())
    train(world)
    world.after(10)
    ended = stamp(world.now)
    world.after(11)
    for name in world.pods:
        world.change_pod(name, deleted=world.now)
    start = {"rayJobInfo": {"startTime": "2026-11-24T12:00:18Z"}}
    failed = {"jobDeploymentStatus": "Failed", "jobStatus": "FAILED", "endTime": ended, **start}
    world.see("RayJob", failed)
    world.settle()
    assert world.condition("Failed")["reason"] == "ProgramFailed"


def test_a_program_that_says_that_it_lost_a_worker_is_believed() -> None:
    world = World(TRAINING, objects.training_job())
    train(world)
    start = {"rayJobInfo": {"startTime": "2026-11-24T12:00:18Z"}}
    words = "Job entrypoint command failed with exit code 75, last available logs"
    status = {"jobDeploymentStatus": "Failed", "jobStatus": "FAILED", "message": words, "endTime": stamp(world.now)}
    world.see("RayJob", status | start)
    world.settle()
    assert world.condition("Running")["reason"] == "Interrupted"


def test_a_price_that_becomes_known_is_applied_to_the_running_attempt() -> None:
    world = World(TRAINING, objects.training_job(resources={"pool": "edge"}))
    train(world)
    assert world.status["cost"]["accrued"] == "Unknown"
    priced = [pool | {"price": {"perHour": "1"}} for pool in CONFIG["pools"]]
    world.around = surroundings(CONFIG | {"pools": priced})
    report(world, trainerStatus={"progressPercentage": 20})
    assert float(world.status["cost"]["accrued"]) > 0


def test_interruptions_are_borne_as_often_as_allowed() -> None:
    world = World(TRAINING, objects.training_job(runPolicy={"retries": {"interruptions": 1}}))
    for attempt in (1, 2):
        train(world)
        assert world.status["attempt"]["number"] == attempt
        world.change_pod(f"head-{attempt}-0", interrupted=True, message="Evicted")
        world.settle()
        world.bury()
        world.settle()
    assert world.status["interruptions"] == 2
    assert world.condition("Failed")["reason"] == "TooManyInterruptions"


def test_before_a_failure_counts_as_an_error_the_pods_are_looked_at_again() -> None:
    """KubeRay's word that the program failed can come before the watch shows the pod that was evicted."""
    world = World(TRAINING, objects.training_job())
    train(world)
    ended = {"jobDeploymentStatus": "Failed", "jobStatus": "FAILED", "endTime": stamp(world.now)}
    world.see("RayJob", {**ended, "message": "exit code 1", "startTime": stamp(world.now)})
    plan = world.plan()
    assert [resource.kind for resource in plan.rests_on] == ["Pod", "RayJob"]
    world.change_pod("worker-1-1", interrupted=True, message="Evicted")
    world.settle()
    assert world.condition("Running")["reason"] == "Interrupted"


def test_after_the_end_the_next_step_is_looked_for_though_nothing_else_happens() -> None:
    """What is left to clear away, and the deletion of the job itself, would never come without another pass."""
    world = World(TRAINING, objects.training_job(runPolicy={"ttlSecondsAfterFinished": 60}))
    train(world)
    world.report = Report.model_validate({"run": world.run, "model": objects.model()})
    first = world.plan()
    assert first.requeue_after is not None and first.requeue_after <= 1
    world.settle()
    following = world.plan()
    assert following.requeue_after is not None and following.requeue_after <= 60
    world.after(60)
    assert world.plan().expired


def test_a_result_of_the_spec_before_a_correction_is_not_the_result_of_the_new_one() -> None:
    world = World(COMPRESSION, objects.compression_job())
    world.settle()
    world.reference = TrainingJob.read_object(objects.complete(objects.training_job(), model=objects.model()))
    world.settle()
    assert "attempt" not in world.status, "the RayJob is there, and the status does not say so yet"
    world.manifest["spec"]["measure"]["repeats"] = 50
    world.manifest["metadata"]["generation"] += 1
    world.report = Report.model_validate(
        {"run": "attempt-1", "compression": {"variants": [objects.variant("baseline")]}}
    )
    plan = world.plan()
    assert (plan.heard, plan.superseded) == (frozenset(), {"attempt-1"})
    world.settle()
    world.bury()
    world.settle()
    assert world.status["phase"] != "Complete"


def test_a_last_report_that_comes_again_is_heard_only_if_the_status_says_the_same() -> None:
    """The answer to the first may have been lost; another one is not written, so it is not answered as if it were."""
    world = World(TRAINING, objects.training_job())
    train(world)
    report(world, failure={"reason": "InvalidData", "message": "no such column"})
    for message, heard in (("no such column", True), ("no such", False)):
        failure = {"reason": "InvalidData", "message": message}
        world.report = Report.model_validate({"run": world.run, "failure": failure})
        plan = world.plan()
        assert (world.run in plan.heard, world.run in plan.superseded) == (heard, not heard)
        world.report = None
