"""One faultless life of each kind. Who plays KubeRay, KServe and the pods waits for each step of the operator's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from e2e.faults.history import Manifest
from e2e.faults.stage import NAME, Stage, now

DIGEST = "sha256:" + "a" * 64


@dataclass(frozen=True)
class Life:
    """A kind's life, from its creation to its end."""

    name: str
    plural: str
    play: Callable[[Stage], Awaitable[None]]
    phases: tuple[str, ...]  # that it goes through, in this order and never back
    loses: frozenset[str] = frozenset()  # children that are deleted on the way: resource and name
    remade: frozenset[str] = frozenset()  # children that someone deletes, so that they are made a second time
    strays: frozenset[str] = frozenset()  # what someone else makes as if it were a child


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


async def create_training(stage: Stage) -> None:
    """A user's TrainingJob."""
    recipe = {"task": "image-classification", "model": {"architecture": "cnn"}}
    resources = {"pool": "local", "cpu": "300m", "memory": "1500Mi"}
    output = {"storageUri": "pvc://models/digits"}
    spec = {"recipe": recipe, "data": DATA, "workers": 2, "resources": resources, "output": output}
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
    spec = {
        "model": {"storageUri": "pvc://models/digits"},
        "expectedRequestsPerSecond": "50",
        "resources": {"pool": "local", "cpu": "200m", "memory": "512Mi"},
        "scaling": {"minReplicas": 1, "maxReplicas": 2, "metric": "cpu", "target": 80},
        "alerts": [{"name": "slow", "latency": {"milliseconds": "200"}, "forSeconds": 60}],
    }
    await stage.create("modeldeployments", "ModelDeployment", spec)
    await served(stage, await stage.child("inferenceservices", NAME))


async def served(stage: Stage, service: Manifest) -> None:
    """KServe: a pod, and an InferenceService that becomes ready."""
    await stage.phase("Progressing")
    name = service["metadata"]["name"]
    await stage.status("inferenceservices", name, {"conditions": [{"type": "Ready", "status": "False"}]})
    await stage.pod(f"{name}-predictor-0", service["spec"]["predictor"]["labels"])
    await stage.status("inferenceservices", name, {"conditions": [{"type": "Ready", "status": "True"}]})
    await stage.phase("Ready")


async def _training(stage: Stage) -> None:
    await create_training(stage)
    await completed(stage, await started(stage), TRAINED)


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


LIVES = (
    Life("TrainingJob", "trainingjobs", _training, ("Starting", "Running", "Complete")),
    Life(
        "TrainingJob, head lost",
        "trainingjobs",
        _interrupted,
        ("Starting", "Running", "Starting", "Running", "Complete"),
        frozenset({f"rayjobs {NAME}-train-1"}),
    ),
    Life("CompressionJob", "compressionjobs", _compression, ("Starting", "Running", "Complete")),
    Life("ModelDeployment", "modeldeployments", serving, ("Progressing", "Ready")),
)
