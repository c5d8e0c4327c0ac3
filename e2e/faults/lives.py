"""One faultless life of each kind. Who plays KubeRay, KServe and the pods waits for each step of the operator's."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import aiohttp

from e2e.faults.history import MERGE, RESOURCES, Admin, Manifest

STEP_SECONDS = 75.0  # for one step of the operator's, whatever happens to its requests
DIGEST = "sha256:" + "a" * 64
NAME = "digits"


@dataclass
class Stage:
    """Where a life is played: a namespace of its own."""

    admin: Admin
    namespace: str
    plural: str
    report_url: str
    report_tls: ssl.SSLContext

    async def create(self, plural: str, kind: str, spec: Manifest) -> None:
        """Create an object as a user would."""
        api = RESOURCES[plural]
        body = {"apiVersion": api.removeprefix("/apis/"), "kind": kind, "metadata": {"name": NAME}, "spec": spec}
        await self.admin.send("POST", f"{api}/namespaces/{self.namespace}/{plural}", body)

    async def child(self, plural: str, name: str) -> Manifest:
        """Wait for a child."""
        return await self.admin.until(
            self.namespace,
            lambda: self.admin.objects.get((plural, self.namespace, name)),
            f"there is no {name} of the {plural}",
            STEP_SECONDS,
        )

    async def phase(self, phase: str, attempt: int | None = None) -> None:
        """Wait until the object is in that phase."""

        def there() -> bool:
            status = self.admin.objects.get((self.plural, self.namespace, NAME), {}).get("status") or {}
            return status.get("phase") == phase and status.get("attempt") == attempt

        await self.admin.until(self.namespace, there, f"the object is not {phase}", STEP_SECONDS)

    async def status(self, plural: str, name: str, status: Manifest) -> None:
        """Write a status as the foreign operator does."""
        path = f"{RESOURCES[plural]}/namespaces/{self.namespace}/{plural}/{name}/status"
        await self.admin.send("PATCH", path, {"status": status}, MERGE)

    async def pod(self, name: str, labels: Manifest) -> Manifest:
        """Make a pod that runs and is ready."""
        container = {"name": "main", "image": "any", "resources": {"requests": {"cpu": "300m", "memory": "1Gi"}}}
        spec = {"containers": [container], "automountServiceAccountToken": False}
        body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": spec}
        made = await self.admin.send("POST", f"/api/v1/namespaces/{self.namespace}/pods", body)
        conditions = [
            {"type": kind, "status": "True", "lastTransitionTime": _now()} for kind in ("PodScheduled", "Ready")
        ]
        path = f"/api/v1/namespaces/{self.namespace}/pods/{name}/status"
        await self.admin.send("PATCH", path, {"status": {"phase": "Running", "conditions": conditions}}, MERGE)
        return made

    async def evict_pod(self, name: str) -> None:
        """Say of a pod what a kubelet says that runs out of memory."""
        status = {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."}
        path = f"/api/v1/namespaces/{self.namespace}/pods/{name}/status"
        await self.admin.send("PATCH", path, {"status": status}, MERGE)

    async def remove_pod(self, name: str) -> None:
        """Delete a pod."""
        await self.admin.send("DELETE", f"/api/v1/namespaces/{self.namespace}/pods/{name}")

    async def token(self, pod: Manifest) -> str:
        """The token that a kubelet would project into the pod."""
        bound = {"kind": "Pod", "apiVersion": "v1", "name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]}
        path = f"/api/v1/namespaces/{self.namespace}/serviceaccounts/default/token"
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "spec": {"audiences": ["tradewind"], "expirationSeconds": 3600, "boundObjectRef": bound},
        }
        made = await self.admin.send("POST", path, {"kind": "TokenRequest", **body})
        return str(made["status"]["token"])

    async def report(self, token: str, report: Manifest) -> None:
        """Send a report as our programs do: again until it is answered with 200; a refusal ends the life."""
        path = f"/apis/tradewind.dev/v1alpha1/namespaces/{self.namespace}/{self.plural}/{NAME}/status"
        said = ""
        try:
            async with asyncio.timeout(STEP_SECONDS), aiohttp.ClientSession() as session:
                while True:
                    try:
                        async with session.post(
                            self.report_url + path,
                            json=report,
                            headers={"Authorization": f"Bearer {token}"},
                            ssl=self.report_tls,
                        ) as answer:
                            said = f"{answer.status}: {await answer.text()}"
                            if answer.status == 200:
                                return
                            assert answer.status not in (400, 404, 409, 413, 422), f"the report was refused: {said}"
                    except (aiohttp.ClientError, OSError) as error:
                        said = repr(error)
                    await asyncio.sleep(0.5)
        except TimeoutError:
            raise AssertionError(f"the report was not taken in {STEP_SECONDS:.0f} s: {said}") from None


@dataclass(frozen=True)
class Life:
    """A kind's life, from its creation to its end."""

    name: str
    plural: str
    play: Callable[[Stage], Awaitable[None]]
    phases: tuple[str, ...]  # that it goes through, in this order and never back
    loses: frozenset[str] = frozenset()  # children that are deleted on the way


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


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


async def _training(stage: Stage) -> None:
    await _create_training(stage)
    await _on_ray(stage, TRAINED)


async def _create_training(stage: Stage) -> None:
    recipe = {"task": "image-classification", "model": {"architecture": "cnn"}}
    resources = {"pool": "local", "workers": 2, "cpusPerWorker": "300m", "memoryPerWorker": "1500Mi"}
    output = {"storageUri": "pvc://models/digits"}
    spec = {"recipe": recipe, "data": DATA, "resources": resources, "output": output}
    await stage.create("trainingjobs", "TrainingJob", spec)


async def _compression(stage: Stage) -> None:
    spec = {
        "model": {"storageUri": "pvc://models/digits"},
        "data": DATA,
        "candidates": [{"name": "int8", "methods": [{"quantize": {"scheme": "dynamic-int8"}}]}],
        "measure": {"pool": "local", "cpus": "500m", "memory": "2Gi"},
        "output": {"storageUri": "pvc://models/variants"},
    }
    await stage.create("compressionjobs", "CompressionJob", spec)
    variants = [_variant("baseline"), _variant("int8")]
    await _on_ray(stage, {"compression": {"variants": variants, "reportUri": "pvc://models/variants"}})


def _variant(name: str) -> Manifest:
    row = {"name": name, "methods": name, "verdict": "Accepted", "reason": "It keeps all goals.", "accuracy": "0.97"}
    row |= {"latencyP50Ms": "0.10", "latencyP95Ms": "0.20", "throughputPerSecond": "1000"}
    return row | {"sizeBytes": 1000, "storageUri": f"pvc://models/variants/{name}", "digest": DIGEST}


async def _on_ray(stage: Stage, result: Manifest, attempt: int = 1) -> None:
    """KubeRay and the program: a head pod, a report of progress, the result, and the end of the pod."""
    name, head, token = await _running(stage, attempt)
    await stage.report(token, {"attempt": attempt, **result})
    await stage.phase("Complete", attempt)
    ended = {"jobDeploymentStatus": "Complete", "jobStatus": "SUCCEEDED", "endTime": _now()}
    await stage.status("rayjobs", name, ended)
    await stage.remove_pod(head)


async def _running(stage: Stage, attempt: int) -> tuple[str, str, str]:
    """Play until the attempt runs; the RayJob, its head pod, and the pod's token."""
    name = f"{NAME}-{'train' if stage.plural == 'trainingjobs' else 'compress'}-{attempt}"
    rayjob = await stage.child("rayjobs", name)
    await stage.phase("Starting", attempt)
    template = rayjob["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]
    pod = await stage.pod(f"{name}-head", template["metadata"]["labels"])
    token = await stage.token(pod)
    running: dict[str, Any] = {"jobDeploymentStatus": "Running", "jobStatus": "RUNNING", "startTime": _now()}
    running |= {"dashboardURL": f"{name}-head-svc:8265", "rayJobInfo": {"startTime": _now()}}
    await stage.status("rayjobs", name, running)
    await stage.report(token, {"attempt": attempt, **PROGRESS})
    await stage.phase("Running", attempt)
    return name, f"{name}-head", token


async def _interrupted(stage: Stage) -> None:
    await _create_training(stage)
    _, head, _ = await _running(stage, 1)
    await stage.evict_pod(head)
    await _on_ray(stage, TRAINED, 2)


async def _deployment(stage: Stage) -> None:
    spec = {
        "model": {"storageUri": "pvc://models/digits"},
        "expectedRequestsPerSecond": "50",
        "resources": {"pool": "local", "cpus": "200m", "memory": "512Mi"},
        "scaling": {"minReplicas": 1, "maxReplicas": 2, "metric": "cpu", "target": 80},
        "alerts": [{"name": "slow", "type": "Latency", "threshold": "200", "forSeconds": 60}],
    }
    await stage.create("modeldeployments", "ModelDeployment", spec)
    service = await stage.child("inferenceservices", NAME)
    await stage.phase("Progressing")
    name = service["metadata"]["name"]
    await stage.status("inferenceservices", name, {"conditions": [{"type": "Ready", "status": "False"}]})
    await stage.pod(f"{name}-predictor-0", service["spec"]["predictor"]["labels"])
    await stage.status("inferenceservices", name, {"conditions": [{"type": "Ready", "status": "True"}]})
    await stage.phase("Ready")


LIVES = (
    Life("TrainingJob", "trainingjobs", _training, ("Starting", "Running", "Complete")),
    Life(
        "TrainingJob, head lost",
        "trainingjobs",
        _interrupted,
        ("Starting", "Running", "Starting", "Running", "Complete"),
        frozenset({f"{NAME}-train-1"}),
    ),
    Life("CompressionJob", "compressionjobs", _compression, ("Starting", "Running", "Complete")),
    Life("ModelDeployment", "modeldeployments", _deployment, ("Progressing", "Ready")),
)
