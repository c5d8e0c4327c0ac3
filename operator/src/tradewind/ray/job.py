"""The RayJob of an attempt, and what is read of it (KubeRay 1.5 and 1.6, ray.io/v1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_CEILING
from typing import Any

from tradewind.core.plan import Child, Resource
from tradewind.core.quantity import parse
from tradewind.core.reading import condition, mapping, text
from tradewind.core.timestamps import moment
from tradewind.ray import agent
from tradewind.ray.groups import Group
from tradewind.ray.pods import Program, template

RAY_JOB = Resource("ray.io", "v1", "RayJob", "rayjobs")

# Constant: KubeRay hands it to Ray, which hands it to a shell.
ENTRYPOINT = "python -m tradewind_workload"

# The Ray of the workload image; KubeRay asks for it where it turns on Ray's authentication, which came with 2.52.
RAY_VERSION = "2.60.0"
# The field of a RayJob by which KubeRay turns it on, since 1.5.1; 1.5.0 refuses a RayJob that has it.
TOKENS = "authOptions"

# The pods stay this long after the program's end, so that its last log lines can be read.
LINGER = 10


@dataclass(frozen=True, slots=True)
class RayJobSeen:
    """What planners read of a live RayJob."""

    deployment: str  # status.jobDeploymentStatus; "" before KubeRay has seen it
    job: str  # status.jobStatus, of the program
    reason: str
    message: str
    dashboard_url: str | None
    program_started: datetime | None  # status.rayJobInfo.startTime
    started: datetime | None  # status.startTime
    ended: datetime | None  # status.endTime
    cluster: str = ""  # status.rayClusterName, set before the RayCluster is made
    # Why a pod could not be created, in the API server's words. KubeRay 1.6 copies the RayCluster's status here while
    # the pods are made; 1.5 does so only when they are all ready.
    refusal: str = ""

    @property
    def over(self) -> bool:
        """Whether nothing of it will run any more."""
        return self.deployment in ("Complete", "Failed", "ValidationFailed")

    @property
    def running(self) -> bool:
        """Whether the program runs."""
        return self.deployment == "Running" and self.job == "RUNNING"


def observe(body: Mapping[str, Any]) -> RayJobSeen:
    """Read a live RayJob; what isn't there or isn't as expected reads as empty."""
    status = mapping(body.get("status"))
    info = mapping(status.get("rayJobInfo"))
    url = text(status.get("dashboardURL"))
    return RayJobSeen(
        deployment=text(status.get("jobDeploymentStatus")),
        job=text(status.get("jobStatus")),
        reason=text(status.get("reason")),
        message=text(status.get("message"))[-4096:],
        dashboard_url=(url if "://" in url else f"http://{url}") if url else None,
        program_started=moment(text(info.get("startTime"))),
        started=moment(text(status.get("startTime"))),
        ended=moment(text(status.get("endTime"))),
        cluster=text(status.get("rayClusterName")),
        refusal=_refusal(mapping(status.get("rayClusterStatus"))),
    )


def ray_job(name: str, program: Program, groups: Sequence[Group]) -> Child:
    """The RayJob of an attempt. The first group is the head; the operator, not KubeRay, counts and repeats attempts."""
    head, workers = groups[0], groups[1:]
    cluster: dict[str, Any] = {
        "headGroupSpec": {
            # Without workers the program's tasks run on the head; with workers nothing but the driver does.
            "rayStartParams": {"num-cpus": "0" if workers else slots(head), "dashboard-host": "0.0.0.0"},  # noqa: S104 -- the NetworkPolicy closes it
            "template": template(program, head),
        }
    }
    if workers:
        cluster["workerGroupSpecs"] = [_worker_group(program, group) for group in workers]
    if program.tokens:
        # KubeRay makes a Secret with a token, gives it to the pods as RAY_AUTH_TOKEN and sends it with its requests.
        cluster |= {"rayVersion": RAY_VERSION, TOKENS: {"mode": "token"}}
    spec = {
        "entrypoint": ENTRYPOINT if program.agent_image is None else agent.ENTRYPOINT,
        "submissionMode": "HTTPMode",
        "backoffLimit": 0,
        "shutdownAfterJobFinishes": True,
        "ttlSecondsAfterFinished": LINGER,
        "rayClusterSpec": cluster,
    }
    return Child(RAY_JOB, name, {"metadata": {"labels": dict(program.labels)}, "spec": spec}, fixed=True)


def slots(group: Group) -> str:
    """Ray's count of what may run at once in a pod: its cores, and one for the reading of data beside the training."""
    return str(int(parse(group.cpu).to_integral_value(ROUND_CEILING)) + 1)


def _worker_group(program: Program, group: Group) -> dict[str, Any]:
    replicas = group.pods // group.hosts
    return {
        "groupName": "workers",
        "replicas": replicas,
        "minReplicas": replicas,
        "maxReplicas": replicas,
        "numOfHosts": group.hosts,
        # KubeRay adds it to the list when it writes the RayJob back, and would own the whole list from then on.
        "scaleStrategy": {},
        "rayStartParams": {"num-cpus": slots(group)},
        "template": template(program, group),
    }


def _refusal(cluster: Mapping[str, Any]) -> str:
    said = condition(cluster, "ReplicaFailure")
    reason = text(said.get("reason"))
    if said.get("status") != "True" or not reason.startswith("FailedCreate"):
        return ""
    # The first line is the reason once more.
    return " ".join(text(said.get("message")).removeprefix(reason).split())[:2048]
