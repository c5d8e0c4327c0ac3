"""A rolling upgrade: definitions and objects of the next version, and this version of the operator loses no result."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml
from kubernetes.client.exceptions import ApiException

from tests.apiserver.cluster import Cluster, Manifest, status_of
from tests.apiserver.process import ROOT, OperatorProcess, until
from tests.apiserver.program import Program, pod_with_token
from tests.objects import attempt, compression_job, data, model, model_deployment, training_job
from tradewind.core.labels import RUN, labels
from tradewind.generate.crd import KINDS, definition

NEW = "fromTheFuture"
TASK = "image-segmentation"  # which this version does not know
PROGRESS = {"trainerStatus": {"progressPercentage": 40, "estimatedRemainingSeconds": 60}}
LATER = (403, 429, 503)  # a pod that the watch does not show yet, and what is asked to come again


def _grown(schema: Manifest, default: str | None) -> int:
    """Give every object of a schema a field more; how many that are. Maps have no fields."""
    grown = 0
    for part in (schema.get("properties") or {}).values():
        grown += _grown(part, default)
    if "items" in schema:
        grown += _grown(schema["items"], default)
    if "properties" in schema:
        schema["properties"][NEW] = {"type": "string", "maxLength": 63} | ({"default": default} if default else {})
        grown += 1
    return grown


def _next_version() -> list[Manifest]:
    """Our definitions with a further optional field at every level, a further task and a larger limit."""
    found = []
    for kind in KINDS:
        crd = copy.deepcopy(definition(kind))
        parts = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
        assert _grown(parts["spec"], "by default") > 5
        assert _grown(parts["status"], None) > 5
        fields = parts["spec"]["properties"]
        if "recipe" in fields:
            fields["recipe"]["properties"]["task"]["enum"].append(TASK)
        if "runPolicy" in fields:
            fields["runPolicy"]["properties"]["retries"]["properties"]["errors"]["maximum"] = 1000
        found.append(crd)
    return found


def _recipe(task: str = TASK) -> Manifest:
    return {"task": task, "model": {"architecture": "mlp"}}


@pytest.fixture(scope="module")
def upgraded(cluster: Cluster) -> Iterator[None]:
    """An API server with the definitions of the next version, until the last test here."""
    cluster.server.apply(yaml.safe_dump_all(_next_version()))
    namespace = cluster.namespace()

    def served() -> bool:
        try:
            made = cluster.create(training_job("probe", recipe=_recipe(), runPolicy={"suspend": True}), namespace)
        except ApiException as error:
            assert "Unsupported value" in str(error), error
            return False
        cluster.delete("TrainingJob", "probe", namespace)
        return NEW in made["spec"]["resources"]

    until(served, "the definitions of the next version are not served")
    yield
    for namespace in [found["metadata"]["name"] for found in _all(cluster, "Namespace")]:
        for kind in ("TrainingJob", "CompressionJob", "ModelDeployment"):
            for found in cluster.list(kind, namespace):
                if NEW in found["spec"]:
                    cluster.delete(kind, found["metadata"]["name"], namespace)
    cluster.server.apply(ROOT / "crds")


@pytest.fixture(scope="module")
def _started_since(upgraded: None, launch: Callable[..., OperatorProcess], _kept: list[OperatorProcess]) -> None:
    # For a moment after the upgrade the API server still serves the watches that were open before it, by the old
    # definition: the new fields are not in what they show. The first test has such a watch.
    if _kept:
        _kept[-1].stop()
    _kept.append(launch(name="shared"))


@pytest.fixture
def older(_started_since: None, operator: OperatorProcess) -> OperatorProcess:
    """This version of the operator, started beside the definitions of the next one."""
    return operator


def _all(cluster: Cluster, kind: str) -> list[Manifest]:
    found: list[Manifest] = cluster.api.get(cluster.resource(kind)).to_dict()["items"]
    return found


def _status(cluster: Cluster, namespace: str, kind: str = "TrainingJob", name: str = "digits") -> Manifest:
    return (cluster.get(kind, name, namespace) or {}).get("status") or {}


def _accepted(cluster: Cluster, namespace: str, kind: str = "TrainingJob", name: str = "digits") -> tuple[str, str]:
    found = cluster.condition(kind, name, namespace, "Accepted") or {}
    return str(found.get("reason")), str(found.get("message"))


def _is(cluster: Cluster, namespace: str, reason: str, kind: str = "TrainingJob") -> None:
    until(lambda: _accepted(cluster, namespace, kind)[0] == reason, f"{kind} is not {reason}")


def _program(cluster: Cluster, operator: OperatorProcess, namespace: str) -> Program:
    marks = labels("TrainingJob", "digits") | {RUN: "attempt-1"}
    return Program(cluster, operator, namespace, pod_with_token(cluster, namespace, "digits-head", marks), "digits")


def _taken(program: Program, body: Any) -> None:
    """Send a report as programs do: again until it is answered with 200."""
    code = until(lambda: [code for code in [program.post(body)[0]] if code not in LATER], "it is not taken")[0]
    assert code == 200


def _waits(program: Program, body: Any) -> None:
    """Send a report that may not be acknowledged."""
    code, message = until(lambda: [found for found in [program.post(body)] if found[0] not in (403, 429)], "refused")[0]
    assert (code, "send the report again" in message) == (503, True), (code, message)


def _starts(cluster: Cluster, namespace: str, **spec: Any) -> str:
    """A job whose first attempt starts; the uid of its RayJob."""
    cluster.create(training_job(**spec), namespace)
    until(lambda: cluster.phase("TrainingJob", "digits", namespace) == "Starting", "the job does not start")
    return _ray_job(cluster, namespace)


def _ray_job(cluster: Cluster, namespace: str) -> str:
    names = {one["metadata"]["name"]: one["metadata"]["uid"] for one in cluster.list("RayJob", namespace)}
    assert list(names) == ["digits-train-1"], names
    return str(names["digits-train-1"])


# Before the definitions are upgraded: its order in the file counts.
def test_a_job_lives_through_the_upgrade_of_its_definition(
    cluster: Cluster, operator: OperatorProcess, namespace: str, request: pytest.FixtureRequest
) -> None:
    ray_job = _starts(cluster, namespace)
    program = _program(cluster, operator, namespace)
    _taken(program, PROGRESS)
    request.getfixturevalue("upgraded")
    found = cluster.get("TrainingJob", "digits", namespace) or {}
    assert found["spec"]["recipe"][NEW] == found["spec"]["runPolicy"]["retries"][NEW] == "by default"
    _taken(program, {"trainerStatus": {"progressPercentage": 60}})
    assert _status(cluster, namespace)["trainerStatus"]["progressPercentage"] == 60
    assert _ray_job(cluster, namespace) == ray_job, "the upgrade started the attempt again"
    _taken(program, {"run": "attempt-1", "model": model()})
    assert _status(cluster, namespace)["phase"] == "Complete"


def test_new_fields_are_no_mistakes_and_what_a_newer_operator_wrote_stays(
    cluster: Cluster, older: OperatorProcess, namespace: str
) -> None:
    given = {NEW: "given"}
    spec = training_job()["spec"]
    spec |= given | {"resources": spec["resources"] | given, "runPolicy": {"retries": given} | given}
    spec["data"] = spec["data"] | given | {"train": spec["data"]["train"] | given}
    _starts(cluster, namespace, **spec)
    cluster.merge("TrainingJob", "digits", namespace, {"status": given | {"attempt": given}}, subresource="status")
    program = _program(cluster, older, namespace)
    _taken(program, PROGRESS)
    status = _status(cluster, namespace)
    assert status["trainerStatus"]["progressPercentage"] == 40
    assert status[NEW] == status["attempt"][NEW] == "given"
    assert (status["phase"], status["attempt"]["state"]) == ("Running", "Running")
    _taken(
        program, {"run": "attempt-1", "model": model(), "lastCheckpoint": {"step": 9, "time": "2026-11-25T12:00:00Z"}}
    )
    status = _status(cluster, namespace)
    assert (status["phase"], status["model"]["digest"]) == ("Complete", model()["digest"])
    assert status[NEW] == status["attempt"][NEW] == "given"


@pytest.mark.usefixtures("older")
@pytest.mark.parametrize("made", [compression_job(), model_deployment()], ids=lambda made: str(made["kind"]))
def test_the_other_kinds_take_new_fields_too(cluster: Cluster, namespace: str, made: Manifest) -> None:
    given, kind = {NEW: "given"}, made["kind"]
    cluster.create(made | {"spec": made["spec"] | given | {"podMetadata": given}}, namespace)
    until(lambda: cluster.phase(kind, "digits", namespace) == "Waiting", "it does not wait for what it names")
    cluster.merge(kind, "digits", namespace, {"status": given}, subresource="status")
    named = {"model": {"trainingJobRef": None, "compressionJobRef": None, "storageUri": "pvc://models/own"}}
    if kind == "CompressionJob":
        named["data"] = data()
    cluster.merge(kind, "digits", namespace, {"spec": named})
    _is(cluster, namespace, "Accepted", kind)
    assert _status(cluster, namespace, kind)[NEW] == "given"


@pytest.mark.usefixtures("older")
def test_a_value_that_is_not_known_is_said_and_corrected_before_the_start(cluster: Cluster, namespace: str) -> None:
    cluster.create(training_job(recipe=_recipe()), namespace)
    _is(cluster, namespace, "Invalid")
    message = _accepted(cluster, namespace)[1]
    assert "spec.recipe.task" in message and "Correct the field, or upgrade the operator" in message, message
    assert cluster.list("RayJob", namespace) == []
    cluster.merge("TrainingJob", "digits", namespace, {"spec": {"recipe": {"task": "tabular-classification"}}})
    until(lambda: cluster.phase("TrainingJob", "digits", namespace) == "Starting", "it does not start")


def test_a_job_of_a_newer_operator_keeps_its_children_and_its_report_waits(
    cluster: Cluster, older: OperatorProcess, namespace: str
) -> None:
    """The newer operator has started it, and was stopped."""
    made = cluster.create(training_job(recipe=_recipe()), namespace)
    cluster.merge("TrainingJob", "digits", namespace, {"status": {"attempt": attempt()}}, subresource="status")
    owner = {"apiVersion": made["apiVersion"], "kind": made["kind"], "name": "digits", "controller": True}
    pods = {"template": {"spec": {"containers": [{"name": "ray", "image": "any"}]}}, "rayStartParams": {}}
    body = {
        "apiVersion": "ray.io/v1",
        "kind": "RayJob",
        "spec": {"entrypoint": "true", "rayClusterSpec": {"headGroupSpec": pods}},
    }
    body["metadata"] = {
        "name": "digits-train-1",
        "labels": labels("TrainingJob", "digits"),
        "ownerReferences": [owner | {"uid": made["metadata"]["uid"]}],
    }
    cluster.create(body, namespace)
    ray_job = _ray_job(cluster, namespace)
    _is(cluster, namespace, "Invalid")
    until(lambda: "only runPolicy can be changed" in _accepted(cluster, namespace)[1], "it advises what is refused")
    with pytest.raises(ApiException, match="is fixed since the first attempt started"):
        cluster.merge("TrainingJob", "digits", namespace, {"spec": {"recipe": {"task": "tabular-classification"}}})
    _waits(_program(cluster, older, namespace), {"run": "attempt-1", "model": model()})
    assert "model" not in _status(cluster, namespace)
    assert _ray_job(cluster, namespace) == ray_job, "the RayJob of an object that can't be read was touched"


def test_a_report_that_waited_is_written_once_the_value_is_corrected(
    cluster: Cluster, older: OperatorProcess, namespace: str
) -> None:
    ray_job = _starts(cluster, namespace)
    program = _program(cluster, older, namespace)
    _taken(program, PROGRESS)
    retries = {"spec": {"runPolicy": {"retries": {"errors": 500}}}}
    cluster.merge("TrainingJob", "digits", namespace, retries)
    _is(cluster, namespace, "Invalid")
    assert "spec.runPolicy.retries.errors" in _accepted(cluster, namespace)[1]
    final = {"run": "attempt-1", "model": model()}
    _waits(program, final)
    assert _ray_job(cluster, namespace) == ray_job
    assert _status(cluster, namespace)["trainerStatus"]["progressPercentage"] == 40
    cluster.merge("TrainingJob", "digits", namespace, {"spec": {"runPolicy": {"retries": {"errors": 5}}}})
    # It waits in the operator; the program sends it again all the same.
    until(lambda: cluster.phase("TrainingJob", "digits", namespace) == "Complete", "the report that waited is lost")
    _taken(program, final)
    before = status_of(cluster.get("TrainingJob", "digits", namespace) or {})
    cluster.merge("TrainingJob", "digits", namespace, retries)
    cluster.quiet()
    found = cluster.get("TrainingJob", "digits", namespace) or {}
    assert (found["status"]["phase"], status_of(found)) == ("Complete", before), "a job that has ended does not stay so"
    _taken(program, final)


@pytest.mark.usefixtures("older")
@pytest.mark.parametrize(
    "made",
    [compression_job(), model_deployment(model={"trainingJobRef": {"name": "digits"}})],
    ids=lambda m: str(m["kind"]),
)
def test_who_names_a_job_that_cannot_be_read_waits_for_it(cluster: Cluster, namespace: str, made: Manifest) -> None:
    cluster.create(training_job(recipe=_recipe()), namespace)
    cluster.create(made, namespace)
    kind = made["kind"]
    _is(cluster, namespace, "ReferenceUnreadable", kind)
    assert cluster.phase(kind, "digits", namespace) == "Waiting"
    assert "can't read TrainingJob digits" in _accepted(cluster, namespace, kind)[1]
    cluster.merge("TrainingJob", "digits", namespace, {"spec": {"recipe": {"task": "tabular-classification"}}})
    _is(cluster, namespace, "TrainingJobNotComplete", kind)
