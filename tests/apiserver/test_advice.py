"""What a condition advises is accepted and heals it: for each reason whose message names a field that users write."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
import yaml
from kubernetes.client.exceptions import ApiException
from kubernetes.dynamic.exceptions import NotFoundError

from e2e.equipment import CONFIG
from e2e.faults.stage import now, ray_cluster
from tests.apiserver.cluster import Cluster, Manifest
from tests.apiserver.process import ROOT, OperatorProcess, until
from tests.objects import (
    complete,
    compression_job,
    condition,
    data,
    model,
    model_deployment,
    program_job,
    training_job,
    variant,
)
from tradewind.api.config import PodMetadataSettings
from tradewind.core.conditions import Reason
from tradewind.core.labels import ROLE, RUN, labels
from tradewind.core.timestamps import moment

LONG_AGO = "2026-11-24T12:00:00Z"
POOLS = yaml.safe_load(
    """
- {name: local, default: true, node: {cpu: "8", memory: 32Gi}, price: {perHour: "1.20"}}
- {name: large, node: {cpu: "64", memory: 256Gi}}
- name: gpu
  accelerator: {resource: nvidia.com/gpu, type: nvidia-l4, count: 2}
  node: {cpu: "24", memory: 96Gi}
- name: tpu
  accelerator: {resource: google.com/tpu, type: v5e, count: 4, topology: 2x4, hosts: 2}
  node: {cpu: "112", memory: 192Gi}
"""
)
MEASURED_ON = {"pool": "local", "cpu": "400m", "memory": "1Gi", "accelerators": 0}


@dataclass
class Stand:
    """A namespace with the object that a condition is about."""

    cluster: Cluster
    namespace: str
    kind: str
    name: str = "digits"
    message: str = ""  # of the condition

    def create(self, manifest: Manifest) -> None:
        """Create an object, with its status where it has one."""
        made = {k: v for k, v in manifest.items() if k != "status"}
        self.cluster.create(made, self.namespace)
        if "status" in manifest:
            status = {"status": manifest["status"]}
            kind, name = manifest["kind"], manifest["metadata"]["name"]
            self.cluster.merge(kind, name, self.namespace, status, subresource="status")

    def set(self, **spec: Any) -> None:
        """Change fields of the object's spec, as a user would; what is None goes."""
        self.cluster.merge(self.kind, self.name, self.namespace, {"spec": spec})

    def again(self, kind: str = "", **spec: Any) -> None:
        """Delete an object of that kind and create it again with a change; Kubernetes removes what belonged to it."""
        kind = kind or self.kind
        found = self.cluster.get(kind, self.name, self.namespace)
        assert found is not None
        self.cluster.delete(kind, self.name, self.namespace)
        for child in ("RayJob", "NetworkPolicy", "Pod"):
            for one in self.cluster.list(child, self.namespace):
                if any(
                    owner["uid"] == found["metadata"]["uid"] for owner in one["metadata"].get("ownerReferences", ())
                ):
                    with suppress(NotFoundError):  # the operator deletes it too, where the job has ended
                        self.cluster.delete(child, one["metadata"]["name"], self.namespace)
        for pod in self.cluster.list("Pod", self.namespace):
            self.cluster.delete("Pod", pod["metadata"]["name"], self.namespace)
        made = {"apiVersion": found["apiVersion"], "kind": kind, "metadata": {"name": self.name}}
        self.cluster.create(made | {"spec": found["spec"] | spec}, self.namespace)

    def started(self, manifest: Manifest) -> None:
        """Create a job whose first attempt starts."""
        self.create(manifest)
        until(lambda: self.cluster.phase(self.kind, self.name, self.namespace) == "Starting", "it does not start")

    def rayjob(self, **status: Any) -> None:
        """What KubeRay says of the RayJob."""
        name = f"{self.name}-train-1"
        until(lambda: self.cluster.get("RayJob", name, self.namespace), "there is no RayJob")
        self.cluster.merge("RayJob", name, self.namespace, {"status": status}, subresource="status")

    def pod(self, name: str, role: str, **status: Any) -> None:
        """A pod of the first attempt, and what its kubelet says."""
        marks = labels(self.kind, self.name) | {RUN: "attempt-1", ROLE: role}
        metadata = {"name": name, "labels": marks, "ownerReferences": [ray_cluster(f"{self.name}-train-1")]}
        body = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata}
        container = {"name": "ray", "image": "any"}
        self.cluster.create(body | {"spec": {"containers": [container], "nodeName": "node-a"}}, self.namespace)
        self.cluster.merge("Pod", name, self.namespace, {"status": status}, subresource="status")

    def chosen(self, pattern: str) -> str:
        """A part of the message."""
        found = re.search(pattern, self.message)
        assert found is not None, (pattern, self.message)
        return found[1]

    def condition(self, kind: str) -> Manifest:
        return self.cluster.condition(self.kind, self.name, self.namespace, kind) or {}


Act = Callable[[Stand], None]


@dataclass(frozen=True)
class Case:
    """How a reason comes up, what its message advises, and how the advice is followed."""

    reason: Reason
    make: Act
    advises: str  # a part of the message
    follow: Act
    kind: str = "TrainingJob"
    condition: str = "Accepted"
    refused: Act | None = None  # what must not be advised, since the API server refuses it
    slow: bool = False  # it comes up after half a minute
    number: int = field(default_factory=count().__next__)

    def __str__(self) -> str:
        return f"{self.reason}-{self.kind}-{self.number}"


def _made(manifest: Manifest) -> Act:
    return lambda stand: stand.create(manifest)


_SHARED = {"storageUri": "pvc://models/shared"}


def _beside(*manifests: Manifest) -> Act:
    def make(stand: Stand) -> None:
        for manifest in manifests:
            stand.create(manifest)
            made = stand.cluster.get(manifest["kind"], manifest["metadata"]["name"], stand.namespace) or {}
            created = moment(made["metadata"]["creationTimestamp"])
            assert created is not None
            # Which one is older is told by whole seconds.
            until(lambda created=created: datetime.now(UTC) >= created + timedelta(seconds=1), "the clock stands still")  # type: ignore[misc]

    return make


def _set(**spec: Any) -> Act:
    return lambda stand: stand.set(**spec)


def _again(**spec: Any) -> Act:
    return lambda stand: stand.again(**spec)


def _resources(**fields: Any) -> Act:
    return _set(resources=fields)


def _many(*manifests: Manifest) -> Act:
    def create(stand: Stand) -> None:
        for manifest in manifests:
            stand.create(manifest)

    return create


def _configured(change: Callable[[dict[str, Any]], None]) -> Act:
    def write(stand: Stand) -> None:
        file = stand.cluster.config
        configuration = yaml.safe_load(file.read_text())
        change(configuration)
        file.write_text(yaml.safe_dump(configuration))

    return write


def _without_server_for_gpus(manifest: Manifest) -> Act:
    def make(stand: Stand) -> None:
        _configured(lambda found: found["images"].pop("serverGpu", None))(stand)
        stand.create(manifest)

    return make


def _pool_was_removed(stand: Stand) -> None:
    stand.started(training_job(resources={"pool": "leaving"}))
    _configured(lambda found: found["pools"].remove({"name": "leaving", "node": {"cpu": "8", "memory": "32Gi"}}))(stand)


def _pool_comes_back(stand: Stand) -> None:
    row = {"name": "leaving", "node": {"cpu": "8", "memory": "32Gi"}}
    _configured(lambda found: found["pools"].append(row))(stand)


def _ran_too_long(**policy: Any) -> Act:
    return lambda stand: stand.create(training_job(runPolicy=policy))


def _lost(stand: Stand) -> None:
    stand.started(training_job(runPolicy={"retries": {"interruptions": 0}}))
    stand.rayjob(jobDeploymentStatus="Running", jobStatus="RUNNING", rayJobInfo={"startTime": now()})


def _ended(**status: Any) -> Act:
    def end(stand: Stand) -> None:
        stand.started(training_job())
        stand.rayjob(endTime=now(), **status)

    return end


def _quota(stand: Stand) -> None:
    stand.started(training_job())
    words = (
        'FailedCreateHeadPod\npods "head" is forbidden: failed quota: compute: must specify limits.cpu for: ray-head'
    )
    refused = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreateHeadPod"}
    refused |= {"message": words, "lastTransitionTime": now()}
    stand.rayjob(jobDeploymentStatus="Initializing", rayClusterStatus={"conditions": [refused]})


def _unshared(stand: Stand) -> None:
    stand.started(training_job())
    stand.rayjob(jobDeploymentStatus="Initializing")
    words = "0/2 nodes are available: 2 node(s) use a claim with ReadWriteOncePod access mode."
    stand.pod("digits-0", "head", conditions=[{"type": "PodScheduled", "status": "False", "message": words}])


def _meshed(stand: Stand) -> None:
    stand.started(training_job())
    stand.rayjob(jobDeploymentStatus="Initializing")
    runs = {"name": "ray", "image": "any", "imageID": "", "ready": False, "restartCount": 0}
    stand.pod("digits-0", "head", containerStatuses=[runs | {"state": {"running": {"startedAt": LONG_AGO}}}])


def _unreachable(stand: Stand) -> None:
    stand.started(training_job())
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": LONG_AGO}
    for number, role in enumerate(("head", "worker", "worker")):
        stand.pod(f"digits-{number}", role, phase="Running", conditions=[ready])
    stand.rayjob(jobDeploymentStatus="Running")


def _reached(stand: Stand) -> None:
    def change(found: dict[str, Any]) -> None:
        found["networkPolicy"] = {"kuberayNamespace": "kuberay"}

    _configured(change)(stand)
    stand.rayjob(jobDeploymentStatus="Running", jobStatus="RUNNING", rayJobInfo={"startTime": LONG_AGO})


def _trained(**status: Any) -> Manifest:
    return complete(training_job(), **status)


def _failed(manifest: Manifest) -> Manifest:
    return manifest | {"status": {"conditions": [condition("Failed", reason="ProgramFailed")]}}


def _compressed(**changes: Any) -> Manifest:
    return complete(compression_job(), variants=[variant("int8", **changes)])


def _wide() -> Manifest:
    """Data with more names of columns than can be handed to a pod."""
    return data() | {"inputs": [f"{number:04}{'ä' * 120}" for number in range(1024)]}


def _deployment(**spec: Any) -> Act:
    return _made(model_deployment(model={"storageUri": "pvc://models/own"}, **spec))


_OF_TRAINING = {"model": {"trainingJobRef": {"name": "digits"}}}
_DELETE = "delete this TrainingJob and create it again"
_ARGV = {"argv": ["x" * 4096] * 60}

CASES = (
    # Before the start: the spec can be corrected.
    Case(
        Reason.POOL_NOT_FOUND,
        _made(training_job(resources={"pool": "locl"})),
        "spec.resources.pool: the price table has no pool locl. Choose one of",
        lambda stand: stand.set(resources={"pool": stand.chosen("Choose one of ([a-z]+)")}),
    ),
    Case(
        Reason.POOL_NOT_FOUND,
        _made(
            compression_job(model={"storageUri": "pvc://models/own"}, data=data(), measure={"resources": {"pool": "x"}})
        ),
        "spec.measure.resources.pool: the price table has no pool x. Choose one of",
        lambda stand: stand.set(measure={"resources": {"pool": stand.chosen("Choose one of ([a-z]+)")}}),
        kind="CompressionJob",
    ),
    Case(
        Reason.POOL_NOT_FOUND,
        _deployment(resources={"pool": "added"}),
        "or add a row to the operator's configuration",
        _configured(lambda found: found["pools"].append({"name": "added", "node": {"cpu": "8", "memory": "32Gi"}})),
        kind="ModelDeployment",
    ),
    Case(
        Reason.POOL_HAS_NO_ACCELERATOR,
        _made(training_job(resources={"pool": "local", "accelerators": 1, "topology": "2x4"})),
        "Set it to 0 and leave the topology out",
        _resources(accelerators=0, topology=None),
        refused=_resources(accelerators=0),
    ),
    Case(
        Reason.NOT_ENOUGH_ACCELERATORS,
        _deployment(resources={"pool": "gpu", "accelerators": 4}),
        "spec.resources.accelerators is 4",
        lambda stand: stand.set(resources={"accelerators": int(stand.chosen("Set it to ([0-9]+) at most"))}),
        kind="ModelDeployment",
    ),
    Case(
        Reason.NOT_ENOUGH_ACCELERATORS,
        _made(training_job(resources={"pool": "tpu", "accelerators": 1})),
        "spec.resources.accelerators is 1",
        lambda stand: stand.set(resources={"accelerators": int(stand.chosen("set it to ([0-9]+)"))}),
    ),
    Case(
        Reason.NO_SERVER_FOR_ACCELERATOR,
        _without_server_for_gpus(
            compression_job(
                model={"storageUri": "pvc://models/own"},
                data=data(),
                measure={"resources": {"pool": "gpu", "accelerators": 1}},
                runPolicy={"suspend": True},  # it must not start before the operator has read its configuration
            )
        ),
        "or leave spec.measure.resources.accelerators out",
        _set(measure={"resources": {"accelerators": None}}),
        kind="CompressionJob",
    ),
    Case(
        Reason.NO_SERVER_FOR_ACCELERATOR,
        _without_server_for_gpus(
            model_deployment(
                model={"storageUri": "pvc://models/own"}, resources={"pool": "gpu", "accelerators": 1, "cpu": "1"}
            )
        ),
        "images.serverGpu of the operator's configuration, the server for GPUs, is not set: set it",
        _configured(lambda found: found["images"].update(serverGpu="any")),
        kind="ModelDeployment",
    ),
    Case(
        Reason.NO_SERVER_FOR_ACCELERATOR,
        _deployment(resources={"pool": "tpu", "accelerators": 4, "topology": "2x4"}),
        "leave it and the topology out",
        _resources(accelerators=None, topology=None),
        kind="ModelDeployment",
        refused=_resources(accelerators=None),
    ),
    Case(
        Reason.NODE_TOO_SMALL,
        _made(training_job(resources={"memory": "64Gi"})),
        "name a larger pool",
        _resources(pool="large"),
    ),
    Case(
        Reason.NODE_TOO_SMALL,
        _deployment(resources={"cpu": "9"}),
        "spec.resources.cpu is 9",
        lambda stand: stand.set(resources={"cpu": stand.chosen("of pool local has ([0-9]+)")}),
        kind="ModelDeployment",
    ),
    Case(
        Reason.TOPOLOGY_MISMATCH,
        _made(training_job(resources={"pool": "tpu", "accelerators": 4, "topology": "4x4"})),
        "or leave topology out",
        _resources(topology=None),
    ),
    Case(
        Reason.TOPOLOGY_MISMATCH,
        _made(training_job(workers=3, resources={"pool": "tpu", "accelerators": 4})),
        "spec.workers is 3",
        lambda stand: stand.set(workers=2 * int(stand.chosen("a multiple of ([0-9]+)"))),
    ),
    Case(
        Reason.OUTPUT_TAKEN,
        _beside(training_job("an-older-one", output=_SHARED), training_job(output=_SHARED)),
        "choose another spec.output.storageUri",
        _set(output={"storageUri": "pvc://models/apart"}),
    ),
    Case(
        Reason.OUTPUT_TAKEN,
        _beside(compression_job("an-older-one", output=_SHARED), training_job(output=_SHARED)),
        "or delete CompressionJob an-older-one",
        lambda stand: stand.cluster.delete("CompressionJob", "an-older-one", stand.namespace),
    ),
    Case(
        Reason.POD_METADATA_NOT_ALLOWED,
        _made(training_job(podMetadata={"labels": {"floor": "3"}})),
        "add it to podMetadata.allow of the operator's configuration",
        _configured(lambda found: found.update(podMetadata={"allow": [*PodMetadataSettings().allow, "floor"]})),
    ),
    Case(
        Reason.POD_METADATA_NOT_ALLOWED,
        _deployment(podMetadata={"annotations": {"app.kubernetes.io/part-of": "shop"}}),
        "belong to them. Remove it.",
        _set(podMetadata={"annotations": {"app.kubernetes.io/part-of": None}}),
        kind="ModelDeployment",
    ),
    Case(
        Reason.SPEC_TOO_LARGE,
        _made(program_job("digits", **_ARGV)),
        "into a file of spec.entrypoint.workingDir",
        _set(entrypoint={"argv": ["python", "train.py", "arguments.json"]}),
    ),
    Case(
        Reason.SPEC_TOO_LARGE,
        _made(training_job(data=_wide())),
        "shorten spec.data.inputs, or leave it out",
        _set(data={"inputs": None}),
    ),
    Case(
        Reason.SPEC_TOO_LARGE,
        _made(compression_job(model={"storageUri": "pvc://models/own"}, data=_wide())),
        "set spec.data with fewer names in inputs",
        _set(data=data()),
        kind="CompressionJob",
    ),
    Case(
        Reason.TRAINING_JOB_NOT_FOUND,
        _made(compression_job()),
        "create it, or correct spec.model.trainingJobRef",
        _made(_trained(model=model())),
        kind="CompressionJob",
    ),
    Case(
        Reason.TRAINING_JOB_NOT_FOUND,
        _many(_trained(model=model()), model_deployment(model={"trainingJobRef": {"name": "digit"}})),
        "create it, or correct spec.model.trainingJobRef",
        _set(**_OF_TRAINING),
        kind="ModelDeployment",
    ),
    Case(
        Reason.COMPRESSION_JOB_NOT_FOUND,
        _many(_compressed(), model_deployment(model={"compressionJobRef": {"name": "digit"}})),
        "create it, or correct spec.model.compressionJobRef",
        _set(model={"compressionJobRef": {"name": "digits"}}),
        kind="ModelDeployment",
    ),
    Case(
        Reason.TRAINING_JOB_FAILED,
        _many(_failed(training_job()), compression_job()),
        "Delete it and create it again; this job then continues by itself",
        lambda stand: stand.again("TrainingJob"),
        kind="CompressionJob",
    ),
    Case(
        Reason.TRAINING_JOB_FAILED,
        _many(_failed(training_job()), model_deployment(**_OF_TRAINING)),
        "Delete it and create it again; this service then continues by itself",
        lambda stand: stand.again("TrainingJob"),
        kind="ModelDeployment",
    ),
    Case(
        Reason.COMPRESSION_JOB_FAILED,
        _many(_failed(compression_job()), model_deployment()),
        "Delete it and create it again",
        lambda stand: stand.again("CompressionJob"),
        kind="ModelDeployment",
    ),
    Case(
        Reason.TRAINING_JOB_HAS_NO_MODEL,
        _many(_trained(), compression_job()),
        "or replace trainingJobRef by spec.model.storageUri and set spec.data",
        _set(model={"trainingJobRef": None, "storageUri": "pvc://models/own"}, data=data()),
        kind="CompressionJob",
        refused=_set(model={"storageUri": "pvc://models/own"}),
    ),
    Case(
        Reason.TRAINING_JOB_HAS_NO_MODEL,
        _many(_trained(), model_deployment(**_OF_TRAINING)),
        "or replace trainingJobRef by spec.model.storageUri",
        _set(model={"trainingJobRef": None, "storageUri": "pvc://models/own/model.onnx"}),
        kind="ModelDeployment",
    ),
    Case(
        Reason.TRAINING_JOB_HAS_NO_DATA,
        _many(complete(program_job("digits"), model=model()), compression_job()),
        "set spec.data",
        _set(data=data()),
        kind="CompressionJob",
    ),
    Case(
        Reason.NO_VARIANT_FITS,
        _many(_compressed(), model_deployment(select={"where": {"quality": {"metric": "accuracy", "min": "0.99"}}})),
        "Loosen spec.select.where",
        _set(select={"where": {"quality": {"min": "0.9"}}}),
        kind="ModelDeployment",
    ),
    Case(
        Reason.NO_VARIANT_FITS,
        _many(
            _compressed(verdict="Regression"),
            complete(compression_job("other"), variants=[variant("int8")]),
            model_deployment(),
        ),
        "Name a CompressionJob with other candidates or goals in spec.model.compressionJobRef",
        _set(model={"compressionJobRef": {"name": "other"}}),
        kind="ModelDeployment",
    ),
    Case(
        Reason.MEASURED_ELSEWHERE,
        _many(_compressed(measuredOn=MEASURED_ON), model_deployment()),
        "Set spec.resources to what was measured",
        lambda stand: stand.set(
            resources={"cpu": stand.chosen("with cpu ([0-9a-z]+)"), "memory": stand.chosen("memory ([0-9A-Za-z]+)")}
        ),
        kind="ModelDeployment",
        condition="MeasuredElsewhere",
    ),
    Case(
        Reason.TOO_FEW_REPLICAS,
        _many(
            _compressed(throughputPerSecond="100"),
            model_deployment(expectedRequestsPerSecond="200", scaling={"minReplicas": 1, "maxReplicas": 2}),
        ),
        "spec.scaling.maxReplicas is 2: set it to",
        lambda stand: stand.set(
            scaling={"minReplicas": 1, "maxReplicas": int(stand.chosen("set it to ([0-9]+) or more"))}
        ),
        kind="ModelDeployment",
        condition="Underprovisioned",
    ),
    Case(
        Reason.LOAD_UNKNOWN,
        _many(
            _compressed(replica=None),
            complete(compression_job("other"), variants=[variant("int8")]),
            model_deployment(),
        ),
        "Name a CompressionJob in spec.model.compressionJobRef that measures replicas",
        _set(model={"compressionJobRef": {"name": "other"}}),
        kind="ModelDeployment",
        condition="Underprovisioned",
    ),
    # After the start: runPolicy, the configuration, or a new object.
    Case(
        Reason.SUSPENDED,
        _made(training_job(runPolicy={"suspend": True})),
        "set runPolicy.suspend to false",
        _set(runPolicy={"suspend": False}),
        condition="Suspended",
    ),
    Case(Reason.POOL_NOT_FOUND, _pool_was_removed, "or add a row to the operator's configuration", _pool_comes_back),
    Case(
        Reason.POOL_NOT_FOUND,
        _pool_was_removed,
        _DELETE,
        _again(resources={"pool": "local"}),
        refused=_resources(pool="local"),
    ),
    Case(
        Reason.DEADLINE_EXCEEDED,
        _ran_too_long(activeDeadlineSeconds=1),
        f"{_DELETE} with more time",
        _again(runPolicy={"activeDeadlineSeconds": 3600}),
        condition="Failed",
    ),
    Case(
        Reason.PRE_RUNNING_DEADLINE_EXCEEDED,
        _ran_too_long(preRunningDeadlineSeconds=1),
        f"{_DELETE} with more time",
        _again(runPolicy={"preRunningDeadlineSeconds": 3600}),
        condition="Failed",
    ),
    Case(
        Reason.TOO_MANY_INTERRUPTIONS,
        _lost,
        f"runPolicy.retries.interruptions is 0. A job that failed is not run again: {_DELETE} with a larger number",
        _again(runPolicy={"retries": {"interruptions": 3}}),
        condition="Failed",
    ),
    Case(
        Reason.PROGRAM_FAILED,
        _ended(jobDeploymentStatus="Failed", jobStatus="FAILED", message="KeyError: 'digit'"),
        f"(runPolicy.retries.errors is 0): {_DELETE}",
        _again(runPolicy={"retries": {"errors": 1}}),
        condition="Failed",
    ),
    Case(
        Reason.RAY_JOB_INVALID,
        _ended(jobDeploymentStatus="ValidationFailed", message="the name is too long"),
        _DELETE,
        _again(),
        condition="Failed",
    ),
    Case(
        Reason.QUOTA_EXCEEDED,
        _quota,
        "Delete the job and create it again with cpuLimit in its resources",
        _again(resources={"pool": "local", "cpuLimit": "1"}),
        condition="Running",
        refused=_resources(cpuLimit="1"),
        slow=True,
    ),
    Case(
        Reason.CLAIM_NOT_SHARED,
        _unshared,
        "Delete the job and create it again with a claim",
        _again(output={"storageUri": "pvc://shared/digits"}),
        condition="Running",
        slow=True,
    ),
    Case(
        Reason.POD_NOT_READY,
        _meshed,
        "in spec.podMetadata.labels",
        _again(podMetadata={"labels": {"sidecar.istio.io/inject": "false"}}),
        condition="Running",
    ),
    Case(
        Reason.DASHBOARD_UNREACHABLE,
        _unreachable,
        "networkPolicy.kuberayNamespace of the operator's configuration",
        _reached,
        condition="Running",
    ),
)

# Reasons whose messages stand beside one that names a field, and which tell of no field themselves.
NO_FIELD = {
    Reason.ACCEPTED,
    Reason.TRAINING_JOB_NOT_COMPLETE,
    Reason.COMPRESSION_JOB_NOT_COMPLETE,
    Reason.DEPENDENCY_MISSING,
    Reason.INTERRUPTED,
    Reason.RETRYING,
    Reason.SPEC_CHANGED,
    Reason.STOPPING,
    Reason.MEASURED_HERE,
    Reason.NOT_MEASURED,
    Reason.ENOUGH_REPLICAS,
    Reason.UNSCHEDULABLE,
    Reason.POD_NOT_STARTING,
    Reason.PROGRAM_NOT_STARTING,
    Reason.PODS_REFUSED,
}
# Told elsewhere.
ELSEWHERE = {Reason.INVALID: "test_versions.py"}


@pytest.fixture(scope="module")
def pools(cluster: Cluster, shared: Callable[[], OperatorProcess]) -> Iterator[None]:
    """A price table with pools of each sort; what it was comes back, and is read before other tests begin."""
    before = cluster.config.read_text()
    configuration = yaml.safe_load(CONFIG)
    configuration["images"]["serverGpu"] = "any"
    configuration["pools"] = [*POOLS, {"name": "leaving", "node": {"cpu": "8", "memory": "32Gi"}}]
    shared().configure(yaml.safe_dump(configuration))
    yield
    shared().configure(before)


@pytest.fixture(scope="module")
def stands() -> dict[Case, Stand]:
    """The cases that have begun: the slow ones with the first."""
    return {}


@pytest.fixture
def begun(cluster: Cluster, pools: None, operator: OperatorProcess, stands: dict[Case, Stand]) -> dict[Case, Stand]:
    """The cases that have begun, before an operator that has read the price table."""
    namespace = cluster.namespace()
    cluster.create(training_job("table", resources={"pool": "large"}, runPolicy={"suspend": True}), namespace)

    def known() -> bool:
        found = cluster.condition("TrainingJob", "table", namespace, "Accepted") or {}
        return found.get("status") == "True"

    until(known, "the operator does not read the price table")
    for case in CASES:
        if case.slow and case not in stands:
            stands[case] = _begin(cluster, case)
    return stands


def _begin(cluster: Cluster, case: Case) -> Stand:
    stand = Stand(cluster, cluster.namespace(), case.kind)
    case.make(stand)
    return stand


@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_is_advised_is_accepted_and_heals(cluster: Cluster, begun: dict[Case, Stand], case: Case) -> None:
    stand = begun.get(case) or _begin(cluster, case)
    until(lambda: stand.condition(case.condition).get("reason") == case.reason, f"no condition says {case.reason}")
    stand.message = stand.condition(case.condition)["message"]
    assert case.advises in stand.message, stand.message
    if case.refused is not None:
        with pytest.raises(ApiException):
            case.refused(stand)
    case.follow(stand)

    def healed() -> bool:
        accepted, told = stand.condition("Accepted"), stand.condition(case.condition)
        waits = accepted.get("reason") in (Reason.TRAINING_JOB_NOT_COMPLETE, Reason.COMPRESSION_JOB_NOT_COMPLETE)
        return bool(told) and told["reason"] != case.reason and (accepted.get("status") == "True" or waits)

    until(healed, f"the advice was followed, and the condition still says {case.reason}: {stand.message}", 60)


def _names_a_field(text: str) -> bool:
    return bool(re.search(r"\bspec\.[a-z]|\brunPolicy\b|operator's configuration|create it again", text))


def _advising() -> set[Reason]:
    """The reasons that are given in a function whose messages, or the constants of its module in them, name a field."""
    found: set[Reason] = set()
    for source in (ROOT / "operator" / "src" / "tradewind").rglob("*.py"):
        tree = ast.parse(source.read_text())
        constants = {
            target.id: node.value
            for node in tree.body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for node in ast.walk(tree):
            if not isinstance(node, ast.FunctionDef):
                continue
            if any(map(_names_a_field, (*_texts(node), *_used(node, constants)))):
                found |= {
                    Reason[part.attr]
                    for part in ast.walk(node)
                    if isinstance(part, ast.Attribute)
                    and isinstance(part.value, ast.Name)
                    and part.value.id == "Reason"
                    and part.attr in Reason.__members__
                }
    return found


def _used(tree: ast.AST, constants: Mapping[str, ast.expr]) -> Iterator[str]:
    """The texts of the constants that a piece of code names, and of those that these name."""
    for name in ast.walk(tree):
        if isinstance(name, ast.Name) and name.id in constants:
            yield " ".join((*_texts(constants[name.id]), *_used(constants[name.id], constants)))


def _texts(tree: ast.AST) -> list[str]:
    documentation = ast.get_docstring(tree, clean=False) if isinstance(tree, ast.FunctionDef) else None
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value != documentation
    ]


def test_every_reason_that_names_a_field_has_a_case() -> None:
    advising = _advising()
    assert {Reason.POOL_NOT_FOUND, Reason.PROGRAM_FAILED, Reason.POD_NOT_READY} <= advising
    assert advising - {case.reason for case in CASES} - NO_FIELD - set(ELSEWHERE) == set()
    assert not NO_FIELD & {case.reason for case in CASES}
