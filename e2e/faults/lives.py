"""One faultless life of each kind. Who plays KubeRay, KServe and the pods waits for each step of the operator's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from e2e.faults.history import APPLY, CHILDREN, RESOURCES, Manifest
from e2e.faults.stage import NAME, REVISION, Stage, now, ray_cluster
from tradewind.core import covers
from tradewind.core.labels import MANAGER
from tradewind.ray.networkpolicy import CLOSED
from tradewind.runtime.children import manifest

MISSED_SECONDS = 3.0  # in which an operator that missed a deletion would make the children again
NOTICED_SECONDS = 0.5  # in which an operator without a fault has seen what we have
DIGEST = "sha256:" + "a" * 64


@dataclass(frozen=True)
class Life:
    """A kind's life, from its creation to its end."""

    name: str
    plural: str
    play: Callable[[Stage], Awaitable[None]]
    phases: tuple[str, ...]  # that it goes through, in this order and never back
    loses: frozenset[str] = frozenset()  # children that are deleted on the way: resource and name
    remade: frozenset[str] = frozenset()  # children that are deleted on the way and made a second time
    strays: frozenset[str] = frozenset()  # what someone else makes as if it were a child
    slow: bool = False  # mostly waits for a clock: played in the whole run only, and there with a few faults

    def may_lose(self, child: str) -> bool:
        """Whether that child (resource and name) may be deleted; revisions have names of their own, so `*` is one."""
        return _named(child, self.loses | self.remade | self.strays)

    def may_return(self, child: str) -> bool:
        """Whether that child may be made a second time."""
        return _named(child, self.remade)


def _named(child: str, patterns: frozenset[str]) -> bool:
    return any(fnmatchcase(child, pattern) for pattern in patterns)


DATA: Manifest = {
    "train": {"storageUri": "pvc://data/train.npz", "format": "npz"},
    "validation": {"storageUri": "pvc://data/validation.npz", "format": "npz"},
    "inputs": ["image"],
    "label": "digit",
}
PROGRESS: Manifest = {"trainerStatus": {"progressPercentage": 40, "estimatedRemainingSeconds": 60}}


TRAINED: Manifest = {
    "model": {
        "storageUri": "pvc://models/digits",
        "digest": DIGEST,
        "metrics": [{"name": "accuracy", "value": "0.975"}],
        "sizeBytes": 100000,
    }
}


@dataclass(frozen=True)
class Attempt:
    """An attempt that runs on Ray."""

    number: int
    rayjob: str
    head: str
    token: str


async def create_training(stage: Stage, pool: str = "local", **run_policy: Any) -> None:
    """A user's TrainingJob."""
    recipe = {"task": "image-classification", "model": {"architecture": "cnn"}}
    resources = {"pool": pool, "cpu": "300m", "memory": "1500Mi"}
    output = {"storageUri": "pvc://models/digits"}
    spec = {"recipe": recipe, "data": DATA, "workers": 2, "resources": resources, "output": output}
    spec |= {"runPolicy": run_policy} if run_policy else {}
    await stage.create("trainingjobs", "TrainingJob", spec)


async def create_compression(stage: Stage) -> None:
    """A user's CompressionJob."""
    spec = {
        "model": {"storageUri": "pvc://models/digits"},
        "data": DATA,
        "candidates": [{"name": "int8", "methods": [{"quantize": {"scheme": "dynamic-int8"}}]}],
        "measure": {"resources": {"pool": "local", "cpu": "500m", "memory": "2Gi"}},
        "output": {"storageUri": "pvc://models/variants"},
    }
    await stage.create("compressionjobs", "CompressionJob", spec)


def _variant(name: str) -> Manifest:
    row: Manifest = {"name": name, "methods": name, "verdict": "Accepted", "reason": "It keeps all goals."}
    row |= {"quality": {"metric": "accuracy", "value": "0.97", "loss": "0"}, "throughputPerSecond": "1000"}
    row |= {"latencies": [{"percentile": 50, "milliseconds": "0.10"}, {"percentile": 95, "milliseconds": "0.20"}]}
    row |= {"measuredOn": {"pool": "local", "cpu": "500m", "memory": "2Gi"}}
    row |= {"replica": {"within": {"percentile": 95, "milliseconds": "0.5"}, "startSeconds": "0.50"}}
    return row | {"sizeBytes": 1000, "storageUri": f"pvc://models/variants/{name}", "digest": DIGEST}


async def started(stage: Stage, number: int = 1) -> Attempt:
    """Play until an attempt runs."""
    name = f"{NAME}-{'train' if stage.plural == 'trainingjobs' else 'compress'}-{number}"
    rayjob = await stage.child("rayjobs", name)
    await stage.phase("Starting", number)
    return await running(stage, number, rayjob)


async def running(stage: Stage, number: int, rayjob: Manifest) -> Attempt:
    """KubeRay and the program: a head pod, a RayJob that runs, a report of progress."""
    name = rayjob["metadata"]["name"]
    template = rayjob["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]
    pod = await stage.pod(f"{name}-head", template["metadata"]["labels"], name)
    token = await stage.token(pod)
    status: dict[str, Any] = {"jobDeploymentStatus": "Running", "jobStatus": "RUNNING", "startTime": now()}
    status |= {"rayClusterName": ray_cluster(name)["name"]}
    status |= {"dashboardURL": f"{name}-head-svc:8265", "rayJobInfo": {"startTime": now()}}
    await stage.status("rayjobs", name, status)
    await stage.report(token, {"run": f"attempt-{number}", **PROGRESS})
    await stage.phase("Running", number)
    return Attempt(number, name, f"{name}-head", token)


async def completed(stage: Stage, attempt: Attempt, result: Manifest) -> None:
    """The program's result, its end, and that of its pod."""
    await stage.report(attempt.token, {"run": f"attempt-{attempt.number}", **result})
    await stage.phase("Complete", attempt.number)
    ended = {"jobDeploymentStatus": "Complete", "jobStatus": "SUCCEEDED", "endTime": now()}
    await stage.status("rayjobs", attempt.rayjob, ended)
    await stage.remove_pod(attempt.head)


async def serving(stage: Stage) -> None:
    """A user's ModelDeployment, and its service until it is ready."""
    await answers(stage, await create_deployment(stage))
    await stage.phase("Ready")


async def create_deployment(stage: Stage) -> Manifest:
    """A user's ModelDeployment; the InferenceService that is made for it."""
    spec = {
        "model": {"storageUri": "pvc://models/digits"},
        "expectedRequestsPerSecond": "50",
        "resources": {"pool": "local", "cpu": "200m", "memory": "512Mi"},
        "scaling": {"minReplicas": 1, "maxReplicas": 2, "metric": "cpu", "target": 80},
        "alerts": [{"name": "slow", "latency": {"milliseconds": "200"}, "forSeconds": 60}],
    }
    await stage.create("modeldeployments", "ModelDeployment", spec)
    service = await stage.service()
    await stage.phase("Progressing")
    return service


async def answers(stage: Stage, service: Manifest) -> None:
    """KServe: a Deployment, its pod that gets requests, and an InferenceService that becomes ready."""
    name, labels = service["metadata"]["name"], service["spec"]["predictor"]["labels"]
    await stage.status("inferenceservices", name, {"conditions": [{"type": "Ready", "status": "False"}]})
    await stage.deployment(predictor(service), labels, service["spec"]["predictor"]["minReplicas"])
    await stage.pod(f"{predictor(service)}-0", labels)
    await stage.reached(f"{predictor(service)}-0")
    await stage.status("inferenceservices", name, {"conditions": [{"type": "Ready", "status": "True"}]})


async def withdrawn(stage: Stage, service: Manifest) -> None:
    """The garbage collector, once an InferenceService is gone."""
    await stage.delete("deployments", predictor(service))
    await stage.remove_pod(f"{predictor(service)}-0")


def predictor(service: Manifest) -> str:
    """Name of the Deployment that KServe makes of an InferenceService."""
    return f"{service['metadata']['name']}-predictor"


def revision(service: Manifest) -> str:
    """The revision that an InferenceService is of."""
    return str(service["metadata"]["labels"][REVISION])


async def _training(stage: Stage) -> None:
    await create_training(stage)
    await completed(stage, await started(stage), TRAINED)


async def _closed(stage: Stage) -> None:
    """A job where there were others before: the pods of all jobs are closed, and its RayJob comes before its policy."""
    body = manifest(CLOSED, covers.digest(CLOSED), stage.namespace, None)
    del body["metadata"]["resourceVersion"]
    path = f"{RESOURCES['networkpolicies']}/namespaces/{stage.namespace}/networkpolicies/{CLOSED.name}"
    await stage.admin.send("PATCH", f"{path}?fieldManager={MANAGER}", body, APPLY)
    await asyncio.sleep(NOTICED_SECONDS)
    await _training(stage)


async def _compression(stage: Stage) -> None:
    await create_compression(stage)
    variants = [_variant("baseline"), _variant("int8")]
    result = {"compression": {"variants": variants, "reportUri": "pvc://models/variants"}}
    await completed(stage, await started(stage), result)


async def _interrupted(stage: Stage) -> None:
    await create_training(stage)
    first = await started(stage)
    await stage.evict_pod(first.head)
    await completed(stage, await started(stage, 2), TRAINED)


async def _suspended(stage: Stage) -> None:
    await create_training(stage)
    first = await started(stage)
    await stage.change({"runPolicy": {"suspend": True}})
    await stage.phase("Suspended", 1)
    # The program was told to stop, and tells of the checkpoint that it has just written.
    await stage.report(first.token, {"run": "attempt-1", "lastCheckpoint": {"step": 100, "time": now()}})
    await stage.told(lambda status: (status.get("lastCheckpoint") or {}).get("step") == 100, "there is a checkpoint")
    await stage.gone("rayjobs", first.rayjob)
    await stage.remove_pod(first.head)
    await stage.gone("networkpolicies", f"{NAME}-train")
    await asyncio.sleep(NOTICED_SECONDS)
    await stage.change({"runPolicy": {"suspend": False}})
    await completed(stage, await started(stage, 2), TRAINED)


async def _overdue(stage: Stage) -> None:
    await create_training(stage)
    attempt = await started(stage)
    # Set when it runs: however long a fault lasts, the time is not over before.
    await stage.change({"runPolicy": {"activeDeadlineSeconds": 1}})
    await stage.phase("Failed", 1)
    await stage.gone("rayjobs", attempt.rayjob)
    await stage.remove_pod(attempt.head)


async def _retried(stage: Stage) -> None:
    await create_training(stage, retries={"errors": 1})
    first = await started(stage)
    failed: Manifest = {"jobDeploymentStatus": "Failed", "jobStatus": "FAILED", "reason": "AppFailed"}
    failed |= {"message": "Job entrypoint command failed with exit code 1", "endTime": now()}
    await stage.status("rayjobs", first.rayjob, failed)
    await stage.gone("rayjobs", first.rayjob)
    await stage.remove_pod(first.head)
    await completed(stage, await started(stage, 2), TRAINED)


async def _corrected(stage: Stage) -> None:
    await create_training(stage, pool="locla")
    await stage.phase("Invalid")
    await stage.change({"resources": {"pool": "local"}})
    await completed(stage, await started(stage), TRAINED)


async def _expired(stage: Stage) -> None:
    await _training(stage)
    await expire(stage)


async def expire(stage: Stage) -> None:
    """Have the operator delete the object, then play the garbage collector: nothing may come back."""
    # Set when it has ended: however long a fault lasts, nothing of the life before is missed.
    await stage.change({"runPolicy": {"ttlSecondsAfterFinished": 0}})
    await stage.gone(stage.plural, NAME)
    await collected(stage)


async def collected(stage: Stage) -> None:
    """The garbage collector, once the object is gone: none of its children may come back."""
    for child in stage.admin.of(stage.namespace, *CHILDREN, "deployments"):
        await stage.delete(child.resource, child.name)
    await asyncio.sleep(MISSED_SECONDS)


async def _moved(stage: Stage) -> None:
    await serving(stage)
    first = await stage.service()
    await stage.change({"resources": {"cpu": "400m"}})
    second = await stage.service(other_than=revision(first))
    await answers(stage, second)
    await stage.gone("inferenceservices", first["metadata"]["name"])  # once it has drained
    await withdrawn(stage, first)


_INTERRUPTED = ("Starting", "Running", "Starting", "Running", "Complete")

LIVES = (
    Life("TrainingJob", "trainingjobs", _training, ("Starting", "Running", "Complete")),
    Life("TrainingJob, not the first", "trainingjobs", _closed, ("Starting", "Running", "Complete")),
    Life(
        "TrainingJob, head lost",
        "trainingjobs",
        _interrupted,
        _INTERRUPTED,
        frozenset({f"rayjobs {NAME}-train-1"}),
    ),
    Life(
        "TrainingJob, suspended",
        "trainingjobs",
        _suspended,
        ("Starting", "Running", "Suspended", "Starting", "Running", "Complete"),
        frozenset({f"rayjobs {NAME}-train-1"}),
        remade=frozenset({f"networkpolicies {NAME}-train"}),
    ),
    Life(
        "TrainingJob, out of time",
        "trainingjobs",
        _overdue,
        ("Starting", "Running", "Failed"),
        frozenset({f"rayjobs {NAME}-train-1"}),
    ),
    Life("TrainingJob, tried again", "trainingjobs", _retried, _INTERRUPTED, frozenset({f"rayjobs {NAME}-train-1"})),
    Life(
        "TrainingJob, corrected",
        "trainingjobs",
        _corrected,
        ("Invalid", "Starting", "Running", "Complete"),
    ),
    Life(
        "TrainingJob, expired",
        "trainingjobs",
        _expired,
        ("Starting", "Running", "Complete"),
        frozenset({f"rayjobs {NAME}-train-1", f"networkpolicies {NAME}-train"}),
    ),
    Life("CompressionJob", "compressionjobs", _compression, ("Starting", "Running", "Complete")),
    Life("ModelDeployment", "modeldeployments", serving, ("Progressing", "Ready")),
    Life(
        "ModelDeployment, moved",
        "modeldeployments",
        _moved,
        ("Progressing", "Ready"),
        frozenset({f"inferenceservices {NAME}-*"}),
        slow=True,
    ),
)
