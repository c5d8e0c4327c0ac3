"""Random lives of TrainingJobs and CompressionJobs: what may happen to them, in any order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from tests import objects
from tests.world import CONFIG, World, surroundings
from tradewind.api.report import Report
from tradewind.api.trainingjob import TrainingJob
from tradewind.compression.controller import CONTROLLER as COMPRESSION
from tradewind.core.plan import Rejection
from tradewind.core.timestamps import stamp
from tradewind.ray.job import RAY_JOB
from tradewind.training.controller import CONTROLLER as TRAINING

Action = Callable[[World], None]

RAY_STATES = [
    ("Initializing", ""),
    ("Running", "PENDING"),
    ("Running", "RUNNING"),
    ("Complete", "SUCCEEDED"),
    ("Complete", "STOPPED"),
    ("Failed", "FAILED"),
    ("Failed", "RUNNING"),
    ("ValidationFailed", ""),
]
MESSAGES = ["", "0/3 nodes are available: 3 Insufficient cpu.", "ImagePullBackOff: Back-off pulling image"]


def ray(world: World, state: tuple[str, str], message: str = "") -> None:
    """KubeRay writes the RayJob's status."""
    deployment, job = state
    status: dict[str, Any] = {"jobDeploymentStatus": deployment, "jobStatus": job, "message": message}
    status["startTime"] = stamp(world.now)
    if deployment not in ("Initializing", "ValidationFailed"):
        status |= {"dashboardURL": "head:8265", "rayJobInfo": {"startTime": stamp(world.now)}}
    if deployment in ("Complete", "Failed"):
        status["endTime"] = stamp(world.now)
    world.see("RayJob", status)


def add_pods(world: World, role: str) -> None:
    """A pod of the present attempt appears and is placed; without a RayJob there is none."""
    if not any(kind == "RayJob" for kind, _ in world.children):
        return
    name = f"{role}-{world.run}-{len(world.pods)}"
    labels = {"tradewind.dev/run": world.run, "tradewind.dev/role": role}
    world.add_pod(name, cpu="300m", memory="1500Mi", labels=labels)


def each_pod(world: World, **about: Any) -> None:
    """All pods change."""
    for name in list(world.pods):
        world.change_pod(name, **about)


def lose_pod(world: World, role: str) -> None:
    """A pod is gone without a trace."""
    for name in [name for name in world.pods if name.startswith(role)][:1]:
        del world.pods[name]


def report(world: World, body: dict[str, Any]) -> None:
    """The program reports, also one of a run that is over."""
    if "attempt" in world.status and not ended(world):
        world.report = Report.model_validate({"run": world.run, **body})


def ended(world: World) -> bool:
    """Whether the job is Complete or Failed."""
    return any(
        c["type"] in ("Complete", "Failed") and c["status"] == "True" for c in world.status.get("conditions", ())
    )


def result(world: World) -> dict[str, Any]:
    """The final report of the world's kind."""
    if world.controller.model is TrainingJob:
        return {"model": objects.model()}
    speedup = {"value": "2.5", "low": "2.4", "high": "2.6"}
    return {"compression": {"variants": [objects.variant("baseline"), objects.variant("int8", speedup=speedup)]}}


def policy(world: World, **changes: Any) -> None:
    """The user changes spec.runPolicy."""
    world.manifest["spec"].setdefault("runPolicy", {}).update(changes)
    world.manifest["metadata"]["generation"] += 1


def configure(world: World, pools: list[dict[str, Any]]) -> None:
    """The platform team changes the price table."""
    world.around = surroundings(CONFIG | {"pools": pools})


def reject(world: World) -> None:
    """The API server refuses the RayJob."""
    name = world.status.get("rayJobName", "")
    world.rejections = (Rejection(RAY_JOB, name, "", "exceeded quota"),) if not world.rejections else ()


def refer(world: World, status: dict[str, Any] | None) -> None:
    """The TrainingJob that is referred to changes; None: it is deleted."""
    world.reference = None if status is None else TrainingJob.read_object(objects.training_job() | {"status": status})


def delete_ray_job(world: World) -> None:
    """Someone deletes the RayJob by hand."""
    for key in [key for key in world.children if key[0] == "RayJob"]:
        world.children[key] = replace(world.children[key], deleting=True)


def bring_up(world: World) -> None:
    """What usually happens: the old is gone, the pods of the present attempt come, and its program runs."""
    world.bury()
    world.execute()
    for role in ("head", "worker", "worker"):
        add_pods(world, role)
    world.after(20)
    ray(world, ("Running", "RUNNING"))


EDGE, LOCAL = CONFIG["pools"][3], CONFIG["pools"][0]
COMPLETE = {"conditions": [objects.condition("Complete")], "model": objects.model()}
RETRAINED = {"conditions": [objects.condition("Complete")], "model": objects.model(digest="sha256:" + "b" * 64)}


def actions() -> st.SearchStrategy[Action]:
    """Anything that may happen."""
    seconds = st.sampled_from([1, 5, 31, 121, 301, 4000])
    step = st.fixed_dictionaries({"progressPercentage": st.integers(0, 100)})
    usual = [bring_up, lambda w: refer(w, COMPLETE), lambda w: policy(w, suspend=False)]
    return st.one_of(
        st.sampled_from(usual),
        seconds.map(lambda s: lambda w: w.after(s)),
        st.tuples(st.sampled_from(RAY_STATES), st.sampled_from(["", "exit code 1", "exit code 75"])).map(
            lambda state: lambda w: ray(w, *state)
        ),
        st.sampled_from(["head", "worker"]).map(lambda role: lambda w: add_pods(w, role)),
        st.sampled_from(["head", "worker"]).map(lambda role: lambda w: lose_pod(w, role)),
        st.sampled_from(MESSAGES).map(lambda words: lambda w: each_pod(w, message=words, ready=False)),
        st.booleans().map(lambda ready: lambda w: each_pod(w, ready=ready)),
        st.just(lambda w: each_pod(w, finished=w.now)),
        st.just(lambda w: each_pod(w, interrupted=True, message="Evicted")),
        st.just(lambda w: each_pod(w, deleted=w.now)),
        step.map(lambda body: lambda w: report(w, {"trainerStatus": body})),
        st.just(lambda w: report(w, {"lastCheckpoint": {"step": 100, "time": stamp(w.now)}})),
        st.just(lambda w: report(w, result(w))),
        st.just(lambda w: report(w, {"failure": {"reason": "InvalidData", "message": "no such column"}})),
        st.booleans().map(lambda value: lambda w: policy(w, suspend=value)),
        st.sampled_from([10, 1000]).map(lambda s: lambda w: policy(w, activeDeadlineSeconds=s)),
        st.integers(0, 2).map(lambda n: lambda w: policy(w, retries={"interruptions": n, "errors": n})),
        st.sampled_from([[LOCAL], [EDGE], CONFIG["pools"]]).map(lambda pools: lambda w: configure(w, pools)),
        st.sampled_from([frozenset(), frozenset({RAY_JOB})]).map(lambda kinds: lambda w: setattr(w, "missing", kinds)),
        st.sampled_from([None, {}, COMPLETE, RETRAINED]).map(lambda status: lambda w: refer(w, status)),
        st.just(reject),
        st.just(delete_ray_job),
        st.just(lambda w: w.bury()),
    )


def worlds() -> st.SearchStrategy[World]:
    """A world with one job of either kind."""
    manifests = st.sampled_from(
        [
            (TRAINING, objects.training_job),
            (TRAINING, objects.program_job),
            (TRAINING, lambda: objects.training_job(resources={"pool": "edge"})),
            (TRAINING, lambda: objects.training_job(resources={"pool": "gke-l4", "accelerators": 1})),
            (COMPRESSION, objects.compression_job),
            (COMPRESSION, lambda: objects.compression_job(runPolicy={"retries": {"errors": 3}})),
        ]
    )
    return manifests.map(lambda made: World(made[0], made[1]()))


def lives() -> st.SearchStrategy[list[Action]]:
    """What happens to a job, one after the other; about half of them run before anything else happens."""
    usual: list[Action] = [lambda w: refer(w, COMPLETE), bring_up]
    return st.builds(lambda first, more: first + more, st.sampled_from([[], usual]), st.lists(actions(), max_size=25))
