"""What holds for a ModelDeployment whatever happens to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
from tradewind.core.labels import REVISION
from tradewind.core.plan import Rejection
from tradewind.core.timestamps import moment
from tradewind.deployment.controller import CONTROLLER
from tradewind.deployment.inferenceservice import INFERENCE_SERVICE
from tradewind.deployment.prometheusrule import PROMETHEUS_RULE
from tradewind.deployment.rollout import DRAIN
from tradewind.deployment.service import SERVICE

Action = Callable[[World], None]

NUMBERS = st.sampled_from(["0.1", "0.5", "0.9", "0.96", "1", "2", "50", "1000", "2500"])
VARIANTS = st.lists(
    st.builds(
        objects.variant,
        st.sampled_from(["baseline", "int8", "pruned", "half"]),
        verdict=st.sampled_from(["Accepted", "Accepted", "Regression", "Failed"]),
        quality=NUMBERS.map(objects.quality),
        throughputPerSecond=NUMBERS,
        replica=st.none() | st.just(objects.REPLICA),
        latencies=NUMBERS.map(lambda tail: objects.latencies("0.1", tail)),
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
    elif "trainingJobRef" in world.manifest["spec"]["model"]:
        world.reference = TrainingJob.read_object(objects.training_job() | {"status": status})
    else:
        world.reference = CompressionJob.read_object(objects.compression_job() | {"status": status})


def change(world: World, **spec: Any) -> None:
    """The user changes the spec."""
    world.manifest["spec"].update(spec)
    world.manifest["metadata"]["generation"] += 1


def services(world: World) -> list[str]:
    """The InferenceServices that are there, the oldest first."""
    return [name for kind, name in world.bodies if kind == "InferenceService"]


def add_pod(world: World, which: int) -> None:
    """KServe's Deployment of one of the revisions gets a pod."""
    if names := services(world):
        labels = world.bodies["InferenceService", names[which % len(names)]]["spec"]["predictor"]["labels"]
        world.add_pod(f"p{len(world.pods)}-{world.serial}", cpu="200m", memory="512Mi", labels=labels)


def each_pod(world: World, **about: Any) -> None:
    """All pods change."""
    for name in list(world.pods):
        world.change_pod(name, **about)


def kserve(world: World, which: int, ready: str, transition: str, failure: dict[str, str] | None) -> None:
    """KServe writes the status of one of the InferenceServices."""
    model = {"transitionStatus": transition} | ({"lastFailureInfo": failure} if failure else {})
    if names := services(world):
        status = {"conditions": [{"type": "Ready", "status": ready}], "modelStatus": model}
        world.see("InferenceService", status, names[which % len(names)])


def deployment(world: World, which: int, replicas: int, refused: str) -> None:
    """KServe's Deployment of one of the revisions changes."""
    if names := services(world):
        failure = [{"type": "ReplicaFailure", "status": "True", "message": refused}] if refused else []
        body = {"spec": {"replicas": replicas}, "status": {"conditions": failure}}
        world.witness("Deployment", f"{names[which % len(names)]}-predictor", body)


def reject(world: World, service: bool) -> None:
    """The API server refuses the Service or the newest InferenceService, or no longer."""
    name = world.manifest["metadata"]["name"]
    if world.rejections:
        world.rejections = ()
    elif service:
        world.rejections = (Rejection(SERVICE, name, "", "conflict"),)
    elif names := services(world):
        world.rejections = (Rejection(INFERENCE_SERVICE, names[-1], "", "exceeded quota"),)


def delete_child(world: World, which: int) -> None:
    """Someone deletes a child by hand."""
    for key in list(world.children)[which : which + 1]:
        world.children[key] = replace(world.children[key], deleting=True)


def remodel(world: World, mark: str) -> None:
    """The training job that is referred to has another model."""
    refer(world, DONE | {"model": objects.model(digest="sha256:" + mark * 64)})


def lag(world: World, which: int) -> None:
    """The Service does not send requests to one of the pods yet, or does to all."""
    world.unreached = set(list(world.pods)[which : which + 1])


def remove_pods(world: World) -> None:
    """All pods are gone."""
    world.pods.clear()


def serve(world: World) -> None:
    """What usually happens: the job that is referred to ends, and a replica answers."""
    variants = [objects.variant("baseline"), objects.variant("int8", throughputPerSecond="2500")]
    refer(world, DONE | {"variants": variants})
    answer(world)


def answer(world: World) -> None:
    """The newest revision comes to answer."""
    almost(world, 3)
    kserve(world, -1, "True", "UpToDate", None)


def almost(world: World, count: int) -> None:
    """The newest revision has so many ready replicas, and KServe does not say so yet."""
    world.execute()
    for _ in range(count):
        add_pod(world, -1)
    world.after(5)
    each_pod(world, ready=True, message="")


def half(world: World) -> None:
    """KServe says that the newest revision is ready, of which one replica is."""
    almost(world, 1)
    kserve(world, -1, "True", "UpToDate", None)


DONE = {"conditions": [objects.condition("Complete")], "model": objects.model()}
KINDS = [frozenset(), frozenset({INFERENCE_SERVICE}), frozenset({PROMETHEUS_RULE})]
WHERE = st.fixed_dictionaries(
    {},
    optional={
        "quality": st.sampled_from(["0.5", "0.95"]).map(lambda least: {"metric": "accuracy", "min": least}),
        "maxSizeBytes": st.just(500),
    },
)
ALERTS = st.sampled_from(
    [[], [{"name": "errors", "errorRate": {"max": "0.01"}}], [{"name": "m", "replicasMissing": {}}]]
)
SCALING = st.sampled_from([(1, 1), (1, 3), (2, 2)]).map(lambda pair: {"minReplicas": pair[0], "maxReplicas": pair[1]})
MESSAGES = st.sampled_from(["", "0/3 nodes are available: 3 Insufficient cpu.", "ErrImagePull: no such image"])


def actions() -> st.SearchStrategy[Action]:
    """Anything that may happen."""
    complete = VARIANTS.map(lambda rows: DONE | {"variants": rows})
    other = st.sampled_from([None, {}, {"conditions": [objects.condition("Failed")]}])
    failure = st.sampled_from([None, {"reason": "ModelLoadFailed", "message": "digest differs"}])
    which = st.integers(0, 3)
    state = st.tuples(
        which,
        st.sampled_from(["True", "False", "Unknown"]),
        st.sampled_from(["UpToDate", "InProgress", "InvalidSpec"]),
        failure,
    )
    select = st.builds(
        lambda what, where: {"minimize": what, "where": where}, st.sampled_from(["Cost", "Latency", "Size"]), WHERE
    )
    return st.one_of(
        st.just(serve),
        st.just(answer),
        st.just(half),
        st.just(lambda w: almost(w, 3)),
        st.sampled_from(["b", "c"]).map(lambda mark: lambda w: remodel(w, mark)),
        st.sampled_from(["200m", "0.2", "400m"]).map(
            lambda cpu: lambda w: change(w, resources={"pool": "local", "cpu": cpu, "memory": "512Mi"})
        ),
        st.sampled_from([1, 10, 31, 4000]).map(lambda s: lambda w: w.after(s)),
        (complete | other).map(lambda status: lambda w: refer(w, status)),
        state.map(lambda s: lambda w: kserve(w, *s)),
        which.map(lambda number: lambda w: add_pod(w, number)),
        st.tuples(which, st.integers(0, 4), st.sampled_from(["", "exceeded quota: q", "violates PodSecurity"])).map(
            lambda about: lambda w: deployment(w, *about)
        ),
        st.booleans().map(lambda ready: lambda w: each_pod(w, ready=ready)),
        MESSAGES.map(lambda words: lambda w: each_pod(w, message=words)),
        st.just(lambda w: each_pod(w, finished=w.now)),
        st.just(remove_pods),
        SCALING.map(lambda scaling: lambda w: change(w, scaling=scaling)),
        ALERTS.map(lambda alerts: lambda w: change(w, alerts=alerts)),
        st.sampled_from(["0.5", "50", "100000"]).map(lambda rps: lambda w: change(w, expectedRequestsPerSecond=rps)),
        select.map(
            lambda s: lambda w: change(w, select=s) if "compressionJobRef" in w.manifest["spec"]["model"] else None
        ),
        st.sampled_from([CONFIG["pools"], CONFIG["pools"][3:], CONFIG["pools"][:1]]).map(
            lambda pools: lambda w: setattr(w, "around", surroundings(CONFIG | {"pools": pools}))
        ),
        st.sampled_from(KINDS).map(lambda kinds: lambda w: setattr(w, "missing", kinds)),
        st.booleans().map(lambda service: lambda w: reject(w, service)),
        which.map(lambda number: lambda w: delete_child(w, number)),
        which.map(lambda number: lambda w: lag(w, number)),
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
        for child in plan.children:
            if child.resource == INFERENCE_SERVICE:
                model = child.body["spec"]["predictor"]["model"]
                environment = {variable["name"]: variable["value"] for variable in model["env"]}
                assert environment["TRADEWIND_MODEL_NAME"] == "digits"
                row = rows(world.status)[child.body["metadata"]["labels"][REVISION]]
                assert environment.get("TRADEWIND_MODEL_DIGEST") == row.get("digest")
        chosen = world.status.get("variant", {})
        if "throughputPerSecond" in chosen and "within" not in chosen:
            assert world.status.get("cost", {}).get("perMillion", "Unknown") == "Unknown"


def rows(status: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The revisions of a status, by name."""
    return {row["name"]: row for row in status.get("revisions", ())}


def route(world: World) -> str | None:
    """The revision that the live Service selects."""
    body = world.bodies.get(("Service", "digits"))
    return None if body is None else str(body["spec"]["selector"][REVISION])


def ready(world: World, revision: str | None) -> int:
    """Pods of a revision that can answer."""
    pods = [pod for pod in world.pods.values() if pod.labels.get(REVISION) == revision and pod.ready]
    return sum(pod.finished is None and pod.deleted is None for pod in pods)


def answering(world: World, revision: str | None, as_many: int) -> bool:
    """Whether KServe and that many pods say that a revision answers, said once more in the plainest words."""
    record = world.children.get(("InferenceService", f"digits-{revision}"))
    most = world.manifest["spec"]["scaling"]["maxReplicas"]
    enough = ready(world, revision) >= max(1, min(most, as_many))
    return record is not None and not record.deleting and record.seen.ready and enough


def alive(world: World, revision: str | None) -> bool:
    """Whether a revision has anything left that could answer, now or later."""
    record = world.children.get(("InferenceService", f"digits-{revision}"))
    return (record is not None and not record.deleting) or ready(world, revision) > 0


@settings(max_examples=300, deadline=None)
@given(worlds(), LIVES)
def test_requests_never_lose_what_answers_them(world: World, life: list[Action]) -> None:
    for action in [lambda w: None, *life]:
        action(world)
        old, before, since = world.status, route(world), len(world.writes)
        world.execute()
        status = world.status
        weights = [row["weight"] for row in rows(status).values()]
        assert sum(weights) in ((100,) if weights else (0,))
        deleted = [write.split()[-1] for write in world.writes[since:] if write.startswith("delete InferenceService")]
        for name, row in rows(status).items():
            assert row["weight"] == 0 or f"digits-{name}" not in deleted, "what serves was deleted"
        for name in deleted:
            gone = rows(old).get(name.removeprefix("digits-"))
            if gone is not None and gone["state"] != "Starting":
                drained = moment(gone.get("drainingSince"))
                assert drained is not None, "it was deleted without draining"
                assert world.now - drained >= DRAIN, "it was deleted before it drained"
        after = route(world)
        serving = next((row for row in rows(old).values() if row["weight"]), None)
        if after != before and serving is not None and after != serving["name"]:
            lost = serving["state"] == "Starting" or not alive(world, serving["name"])
            as_many = ready(world, serving["name"])
            assert lost or answering(world, after, as_many), "requests moved to what does not answer"
