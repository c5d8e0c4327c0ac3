"""What holds for a ModelDeployment whatever happens to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests import objects
from tests.property.checks import at_rest, every_pod_is_restricted, labelled, times_follow_statuses
from tests.world import CONFIG, World, surroundings
from tradewind.api.compressionjob import CompressionJob
from tradewind.api.trainingjob import TrainingJob
from tradewind.core.plan import Rejection
from tradewind.deployment.controller import CONTROLLER
from tradewind.deployment.inferenceservice import INFERENCE_SERVICE, MODEL_LABEL
from tradewind.deployment.prometheusrule import PROMETHEUS_RULE

Action = Callable[[World], None]

NUMBERS = st.sampled_from(["0.1", "0.5", "0.9", "0.96", "1", "2", "50", "1000", "2500"])
VARIANTS = st.lists(
    st.builds(
        objects.variant,
        st.sampled_from(["baseline", "int8", "pruned", "half"]),
        verdict=st.sampled_from(["Accepted", "Accepted", "Regression", "Failed"]),
        accuracy=NUMBERS,
        throughputPerSecond=NUMBERS,
        latencyP95Ms=NUMBERS,
        sizeBytes=st.sampled_from([100, 1000]),
        digest=st.sampled_from([objects.DIGEST, "sha256:" + "c" * 64]),
    ),
    max_size=4,
    unique_by=lambda row: row["name"],
)


def refer(world: World, status: dict[str, Any] | None) -> None:
    """The job that is referred to changes; None: it is gone."""
    if status is None:
        world.reference = None
    elif "trainingJob" in world.manifest["spec"]["model"]:
        world.reference = TrainingJob.read_object(objects.training_job() | {"status": status})
    else:
        world.reference = CompressionJob.read_object(objects.compression_job() | {"status": status})


def change(world: World, **spec: Any) -> None:
    """The user changes the spec."""
    world.manifest["spec"].update(spec)
    world.manifest["metadata"]["generation"] += 1


def add_pod(world: World, present: bool) -> None:
    """KServe's Deployment gets a pod, of the present model or of an earlier one."""
    body = next((body for key, body in world.bodies.items() if key[0] == "InferenceService"), None)
    if body is not None:
        label = body["spec"]["predictor"]["labels"][MODEL_LABEL] if present else "earlier"
        world.add_pod(f"p{len(world.pods)}-{world.serial}", cpu="200m", memory="512Mi", labels={MODEL_LABEL: label})


def each_pod(world: World, **about: Any) -> None:
    """All pods change."""
    for name in list(world.pods):
        world.change_pod(name, **about)


def kserve(world: World, ready: str, transition: str, failure: dict[str, str] | None) -> None:
    """KServe writes the InferenceService's status."""
    model = {"transitionStatus": transition} | ({"lastFailureInfo": failure} if failure else {})
    world.see("InferenceService", {"conditions": [{"type": "Ready", "status": ready}], "modelStatus": model})


def reject(world: World) -> None:
    """The API server refuses the InferenceService, or no longer."""
    name = world.manifest["metadata"]["name"]
    world.rejections = () if world.rejections else (Rejection(INFERENCE_SERVICE, name, "", "exceeded quota"),)


def delete_child(world: World) -> None:
    """Someone deletes a child by hand."""
    for key in list(world.children)[:1]:
        world.children[key] = replace(world.children[key], deleting=True)


def remove_pods(world: World) -> None:
    """All pods are gone."""
    world.pods.clear()


def serve(world: World) -> None:
    """What usually happens: the job that is referred to ends, and a replica answers."""
    rows = [objects.variant("baseline"), objects.variant("int8", throughputPerSecond="2500")]
    refer(world, DONE | {"variants": rows})
    world.execute()
    add_pod(world, True)
    world.after(5)
    each_pod(world, ready=True, message="")
    kserve(world, "True", "UpToDate", None)


DONE = {"conditions": [objects.condition("Complete")], "model": objects.model()}
KINDS = [frozenset(), frozenset({INFERENCE_SERVICE}), frozenset({PROMETHEUS_RULE})]
WHERE = st.fixed_dictionaries(
    {}, optional={"minAccuracy": st.sampled_from(["0.5", "0.95"]), "maxSizeBytes": st.just(500)}
)
ALERTS = st.sampled_from([[], [{"name": "errors", "errorRate": {"max": "0.01"}}]])
SCALING = st.sampled_from([(1, 1), (1, 3), (2, 2)]).map(lambda pair: {"minReplicas": pair[0], "maxReplicas": pair[1]})
MESSAGES = st.sampled_from(["", "0/3 nodes are available: 3 Insufficient cpu.", "ErrImagePull: no such image"])


def actions() -> st.SearchStrategy[Action]:
    """Anything that may happen."""
    complete = VARIANTS.map(lambda rows: DONE | {"variants": rows})
    other = st.sampled_from([None, {}, {"conditions": [objects.condition("Failed")]}])
    failure = st.sampled_from([None, {"reason": "ModelLoadFailed", "message": "digest differs"}])
    state = st.tuples(
        st.sampled_from(["True", "False", "Unknown"]),
        st.sampled_from(["UpToDate", "InProgress", "InvalidSpec"]),
        failure,
    )
    select = st.builds(
        lambda what, where: {"minimize": what, "where": where}, st.sampled_from(["cost", "latency", "size"]), WHERE
    )
    return st.one_of(
        st.just(serve),
        st.sampled_from([1, 31, 4000]).map(lambda s: lambda w: w.after(s)),
        (complete | other).map(lambda status: lambda w: refer(w, status)),
        state.map(lambda s: lambda w: kserve(w, *s)),
        st.booleans().map(lambda present: lambda w: add_pod(w, present)),
        st.booleans().map(lambda ready: lambda w: each_pod(w, ready=ready)),
        MESSAGES.map(lambda words: lambda w: each_pod(w, message=words)),
        st.just(lambda w: each_pod(w, finished=w.now)),
        st.just(remove_pods),
        SCALING.map(lambda scaling: lambda w: change(w, scaling=scaling)),
        ALERTS.map(lambda alerts: lambda w: change(w, alerts=alerts)),
        st.sampled_from(["0.5", "50", "100000"]).map(lambda rps: lambda w: change(w, expectedRequestsPerSecond=rps)),
        select.map(
            lambda s: lambda w: change(w, select=s) if "compressionJob" in w.manifest["spec"]["model"] else None
        ),
        st.sampled_from([CONFIG["pools"], CONFIG["pools"][3:], CONFIG["pools"][:1]]).map(
            lambda pools: lambda w: setattr(w, "around", surroundings(CONFIG | {"pools": pools}))
        ),
        st.sampled_from(KINDS).map(lambda kinds: lambda w: setattr(w, "missing", kinds)),
        st.just(reject),
        st.just(delete_child),
        st.just(lambda w: w.bury()),
    )


def worlds() -> st.SearchStrategy[World]:
    """A world with one deployment, of each kind of reference."""
    references = [
        {"compressionJobRef": {"name": "digits"}},
        {"trainingJobRef": {"name": "digits"}},
        {"storageUri": "pvc://own/mine.onnx"},
    ]
    return st.sampled_from(references).map(lambda model: World(CONTROLLER, objects.model_deployment(model=dict(model))))


LIVES = st.builds(lambda first, more: first + more, st.sampled_from([[], [serve]]), st.lists(actions(), max_size=25))


@settings(max_examples=150, deadline=None)
@given(worlds(), LIVES)
def test_planning_again_after_executing_changes_nothing(world: World, life: list[Action]) -> None:
    for action in [lambda w: None, *life]:
        action(world)
        world.execute()
        at_rest(world)


@settings(max_examples=120, deadline=None)
@given(worlds(), LIVES)
def test_what_holds_at_each_step(world: World, life: list[Action]) -> None:
    spent, served = Decimal(0), False
    for action in [lambda w: None, *life]:
        action(world)
        before = world.status
        plan = world.execute()
        labelled(world, plan)
        every_pod_is_restricted(plan)
        times_follow_statuses(before, world.status)
        accrued = world.status.get("cost", {}).get("accrued", "0")
        if accrued != "Unknown":
            assert Decimal(accrued) >= spent, "cost went down"
            spent = Decimal(accrued)
        live = {child.resource.kind for child in plan.children} | {kind for kind, _ in plan.keep}
        assert not served or "InferenceService" in live, "a service was taken down by something else than its user"
        served = served or "InferenceService" in live
        planned = [
            child.body["spec"]["predictor"]["model"] for child in plan.children if child.resource == INFERENCE_SERVICE
        ]
        for model in planned:
            chosen = world.status["variant"]
            digests = [variable["value"] for variable in model.get("env", ())]
            assert model["storageUri"] == chosen["storageUri"]
            assert digests == ([chosen["digest"]] if "digest" in chosen else [])
