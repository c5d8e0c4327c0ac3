"""The pods of a Ray cluster: what runs in them, what they may, and what they find on their volumes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tradewind.api.report import AUDIENCE, CA_FILE, MOUNT, PVC_ROOT, TOKEN_FILE
from tradewind.core.labels import POOL, ROLE
from tradewind.core.security import CONTAINER_SECURITY, POD_SECURITY
from tradewind.ray import agent, stands
from tradewind.ray.groups import Group

CA_ANNOTATION = "tradewind.dev/ca"
JOB_ANNOTATION = "tradewind.dev/job"
WORKING_DIR = "/mnt/workingdir"
DASHBOARD_PORT = 8265
AGENT_PORT = 52365


@dataclass(frozen=True, slots=True)
class Claim:
    """A PersistentVolumeClaim that the pods mount."""

    name: str
    read_only: bool


@dataclass(frozen=True, slots=True)
class Program:
    """What the pods of one attempt have in common."""

    image: str
    labels: dict[str, str]
    document: str  # job.json
    ca: str  # PEM
    report_url: str
    claims: tuple[Claim, ...]
    tokens: bool = False  # Ray's processes and KubeRay ask one another for a token
    working_dir: str | None = None  # a ConfigMap
    env: tuple[dict[str, Any], ...] = ()  # the user's, in the form of a container
    pod_labels: Mapping[str, str] = field(default_factory=dict)  # the user's
    pod_annotations: Mapping[str, str] = field(default_factory=dict)  # the user's
    agent_image: str | None = None  # where the image is the user's: the one that our agent comes from


def claims(inputs: Iterable[str], outputs: Iterable[str]) -> tuple[Claim, ...]:
    """The claims of pvc:// addresses, by name; only what is an output can be written to."""
    written = {_claim(uri) for uri in outputs}
    return tuple(Claim(name, name not in written) for name in sorted(written | {_claim(uri) for uri in inputs}))


def template(program: Program, group: Group) -> dict[str, Any]:
    """The pod template of a group, under Pod Security `restricted` and without rights in the Kubernetes API."""
    return {
        "metadata": {
            "labels": {**program.pod_labels, **program.labels, ROLE: group.role, POOL: group.pool.name},
            "annotations": {**program.pod_annotations, CA_ANNOTATION: program.ca, JOB_ANNOTATION: program.document},
        },
        "spec": {
            # A container that ends must end its pod: Ray, started anew in place, would run the program again unnoticed.
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": POD_SECURITY,
            **group.scheduling(),
            **_beside(program, group),
            "containers": [_container(program, group)],
            "volumes": _volumes(program, group),
        },
    }


def _beside(program: Program, group: Group) -> dict[str, Any]:
    if program.agent_image is not None and group.role == "head":
        return {"initContainers": [agent.init_container(program.agent_image, group.resources())]}
    if group.stands is not None:
        return {"initContainers": group.stands.containers(_claim_mounts(program))}
    return {}


def _container(program: Program, group: Group) -> dict[str, Any]:
    platform = {
        "HOME": "/tmp/home",  # noqa: S108 -- an emptyDir of the pod's own
        "RAY_TMPDIR": "/tmp/ray",  # noqa: S108 -- the same
        "PYTHONUNBUFFERED": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
        "KUBEFLOW_TRAINER_SERVER_URL": program.report_url,
        "KUBEFLOW_TRAINER_SERVER_CA_CERT": CA_FILE,
        "KUBEFLOW_TRAINER_SERVER_TOKEN": TOKEN_FILE,
    }
    mounts = [
        {"name": "tradewind", "mountPath": MOUNT, "readOnly": True},
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 -- the same
        {"name": "shm", "mountPath": "/dev/shm"},  # noqa: S108 -- Ray's object store
    ]
    mounts += _claim_mounts(program)
    if program.agent_image is not None and group.role == "head":
        mounts.append(agent.MOUNT)
    if program.working_dir:
        mounts.append({"name": "workingdir", "mountPath": WORKING_DIR, "readOnly": True})
    return {
        "name": f"ray-{group.role}",
        "image": program.image,
        "imagePullPolicy": "IfNotPresent",
        "env": [
            *({"name": name, "value": value} for name, value in platform.items()),
            # The platform's variables can't be taken over: the CRD refuses such names, and so do we.
            *(variable for variable in program.env if variable["name"] not in platform),
            *([stands.ENV] if group.stands is not None else []),
        ],
        "resources": group.resources(),
        "securityContext": CONTAINER_SECURITY,
        "volumeMounts": mounts,
        **_probes(group.role),
    }


def _claim_mounts(program: Program) -> list[dict[str, Any]]:
    # KubeRay writes the RayJob back without zero values, which takes them from us: none is said.
    return [
        {"name": f"pvc-{index}", "mountPath": f"{PVC_ROOT}/{claim.name}"}
        | ({"readOnly": True} if claim.read_only else {})
        for index, claim in enumerate(program.claims)
    ]


def _probes(role: str) -> dict[str, Any]:
    # KubeRay's own probes call wget through a shell every five seconds; these ask the same of the same servers.
    check = {"path": "/api/local_raylet_healthz", "port": AGENT_PORT}
    ready = {"path": "/api/gcs_healthz", "port": DASHBOARD_PORT} if role == "head" else check
    return {
        "readinessProbe": {"httpGet": ready, "periodSeconds": 2, "timeoutSeconds": 5, "failureThreshold": 10},
        "livenessProbe": {
            "httpGet": check,
            "initialDelaySeconds": 60,
            "periodSeconds": 10,
            "timeoutSeconds": 5,
            "failureThreshold": 60,
        },
    }


def _volumes(program: Program, group: Group) -> list[dict[str, Any]]:
    token = {"serviceAccountToken": {"audience": AUDIENCE, "expirationSeconds": 3600, "path": "token"}}
    files = [
        {"path": "ca.crt", "fieldRef": {"fieldPath": f"metadata.annotations['{CA_ANNOTATION}']"}},
        {"path": "job.json", "fieldRef": {"fieldPath": f"metadata.annotations['{JOB_ANNOTATION}']"}},
    ]
    volumes: list[dict[str, Any]] = [
        {"name": "tradewind", "projected": {"sources": [token, {"downwardAPI": {"items": files}}]}},
        {"name": "tmp", "emptyDir": {}},
        {"name": "shm", "emptyDir": {"medium": "Memory"}},
    ]
    for index, claim in enumerate(program.claims):
        volumes.append({"name": f"pvc-{index}", "persistentVolumeClaim": {"claimName": claim.name}})
    if program.agent_image is not None and group.role == "head":
        volumes.append(agent.VOLUME)
    if group.stands is not None:
        volumes += group.stands.volumes()
    if program.working_dir:
        volumes.append({"name": "workingdir", "configMap": {"name": program.working_dir}})
    return volumes


def _claim(uri: str) -> str:
    return uri.removeprefix("pvc://").split("/", 1)[0]
