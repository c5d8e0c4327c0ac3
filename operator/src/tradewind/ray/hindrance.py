"""What keeps an attempt from running, one object further down: KubeRay, the pods, their volumes, Ray's dashboard.

What it rests on, in KubeRay 1.5.0 and 1.6.0:

- A RayJob that KubeRay has seen has a `jobDeploymentStatus`. One without it has no KubeRay that looks at it.
- A pod that the API server refuses is a condition `ReplicaFailure` of the RayCluster, with the API server's words.
  1.6 copies that into the RayJob's status while the pods are made; 1.5 writes a RayJob's status only when the state of
  the job changes, and has the words in the RayCluster alone. Both try again after pauses that double up to 1,000 s.
- When all pods are ready KubeRay calls the RayJob `Running`. Its `jobStatus` stays empty until KubeRay has reached
  Ray's dashboard and submitted the program; why it can't is only in KubeRay's log.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from tradewind.api.base import Condition
from tradewind.core.conditions import Reason
from tradewind.core.labels import ROLE
from tradewind.core.plan import PodRecord
from tradewind.ray.job import RayJobSeen
from tradewind.ray.pods import DASHBOARD_PORT

# A pod that is refused, can't be placed or can't be started is reported after this long.
PENDING_GRACE = timedelta(seconds=30)
# What may only be slow is reported after this long.
PATIENCE = timedelta(seconds=60)
# Ray's processes take a while to start where a node has little CPU.
START_GRACE = timedelta(seconds=90)

_QUOTA = re.compile(r"(exceeded|failed) quota")
_NUMBERS_AND_NAMES = re.compile(r'"[^"]*"|[0-9]+[a-zA-Z]*')
_OUT_OF_THE_MESH = (
    "To leave the pods out of a mesh, delete the job and create it again with a label such as "
    'sidecar.istio.io/inject: "false" in spec.podMetadata.labels.'
)
_MESH = f"A service mesh or a NetworkPolicy between the pods is a likely cause. {_OUT_OF_THE_MESH}"
# The first attempt has started: its spec is fixed.
_AGAIN = "Delete the job and create it again with"


@dataclass(frozen=True, slots=True)
class Start:
    """An attempt that does not run yet."""

    ray_job: str
    created: datetime  # when its RayJob was
    seen: RayJobSeen
    pods: tuple[PodRecord, ...]  # of the attempt
    expected: int  # pods in all
    kuberay_namespace: str  # which the NetworkPolicy lets in
    kuberay: frozenset[str] = frozenset()  # namespaces in which KubeRay was seen

    @property
    def alive(self) -> tuple[PodRecord, ...]:
        """The pods that have not ended, by name."""
        return tuple(sorted((pod for pod in self.pods if pod.finished is None), key=lambda pod: pod.name))

    @property
    def ready_since(self) -> datetime | None:
        """When the last of all pods became ready; None while one is missing or isn't ready."""
        alive = self.alive
        times = [pod.ready_since for pod in alive if pod.ready and pod.ready_since is not None]
        return max(times) if times and len(times) == len(alive) and len(alive) >= self.expected else None


@dataclass(frozen=True, slots=True)
class Hindrance:
    """Why an attempt does not run, for a condition."""

    reason: Reason
    message: str

    def after(self, before: Condition | None) -> Hindrance:
        """The same, in the words of the condition before where those still hold: a change of numbers is no news.

        The scheduler's and the kubelet's words change all the time (counts, back-off), so the first ones stay.
        """
        if before is None or before.reason != self.reason:
            return self
        if self.reason in (Reason.QUOTA_EXCEEDED, Reason.PODS_REFUSED) and _gist(before.message) != _gist(self.message):
            return self
        return Hindrance(self.reason, before.message)


def find(start: Start, now: datetime) -> Hindrance | None:
    """What keeps the attempt from running; None while there is nothing to say yet."""
    age = now - start.created
    if not start.seen.deployment:
        return _unwatched(start) if age >= PATIENCE else None
    looks = (_refused, _stuck, _unshared) if age >= PENDING_GRACE else ()
    for look in looks:
        if (found := look(start, now)) is not None:
            return found
    return _missing(start, now) or _creating(start, now) or _unready(start, now) or _unsubmitted(start, now)


def next_look(start: Start, now: datetime) -> datetime | None:
    """When time alone would change the finding."""
    return min((moment for moment in _moments(start) if moment > now), default=None)


def _moments(start: Start) -> Iterator[datetime]:
    yield start.created + PENDING_GRACE
    if not start.seen.deployment or len(start.alive) < start.expected:
        yield start.created + PATIENCE
    for pod in start.alive:
        if pod.ready:
            if pod.ready_since is not None:
                yield pod.ready_since + PATIENCE
            continue
        if pod.scheduled is not None:
            yield from (pod.scheduled + PENDING_GRACE, pod.scheduled + PATIENCE)
        if pod.started is not None:
            yield pod.started + START_GRACE


def _unwatched(start: Start) -> Hindrance:
    known = f" in namespace {_listed(start.kuberay)}" if start.kuberay else ""
    return Hindrance(
        Reason.KUBERAY_NOT_WATCHING,
        f"KubeRay has not looked at RayJob {start.ray_job}. Check that the KubeRay operator runs{known}, and that it "
        "watches this namespace.",
    )


def _refused(start: Start, now: datetime) -> Hindrance | None:
    words = start.seen.refusal
    if not words or len(start.alive) >= start.expected:
        return None
    limit = "limits.cpu" in words.partition("must specify")[2]
    hint = f" {_AGAIN} cpuLimit in its resources." if limit else ""
    reason = Reason.QUOTA_EXCEEDED if _QUOTA.search(words) else Reason.PODS_REFUSED
    return Hindrance(
        reason,
        f"The API server refuses a pod: {words.rstrip('.')}.{hint} KubeRay tries again by itself, at the latest after "
        "17 minutes.",
    )


def _stuck(start: Start, now: datetime) -> Hindrance | None:
    pod = next((pod for pod in start.alive if pod.message and not pod.ready), None)
    if pod is None:
        return None
    said = f"Pod {pod.name}: {pod.message}"
    if pod.scheduled is not None:
        return Hindrance(Reason.POD_NOT_STARTING, said)
    if "ReadWriteOncePod" in pod.message:
        remedy = f"{_AGAIN} a claim of access mode ReadWriteMany, or of ReadWriteOnce where all pods fit on one node."
        return Hindrance(Reason.CLAIM_NOT_SHARED, f"{said.rstrip('.')}. {remedy}")
    if "volume node affinity conflict" in pod.message:
        claims = ", ".join(pod.claims)
        remedy = f"The volume of a claim ({claims}) can be used on certain nodes only, which have no room for the pod."
        return Hindrance(Reason.UNSCHEDULABLE, f"{said.rstrip('.')}. {remedy}")
    return Hindrance(Reason.UNSCHEDULABLE, said)


def _unshared(start: Start, now: datetime) -> Hindrance | None:
    """A pod waits for its volumes, and another one has a claim of it on another node: the claim may not be shared."""
    for pod in _waiting(start, now, "volumes", PENDING_GRACE):
        if pod.waits != "volumes":
            continue  # an old kubelet does not say whether it is the volumes
        for other in start.alive:
            shared = sorted({*pod.claims} & {*other.claims})
            if shared and other.started is not None and other.node != pod.node:
                return Hindrance(
                    Reason.CLAIM_NOT_SHARED,
                    f"Pod {pod.name} on node {pod.node} waits for its volumes, and pod {other.name} on node "
                    f"{other.node} has {', '.join(shared)}. A ReadWriteOnce claim is attached to one node only. "
                    f"{_AGAIN} a claim of access mode ReadWriteMany, or with pods that fit on one node.",
                )
    return None


def _missing(start: Start, now: datetime) -> Hindrance | None:
    if len(start.alive) >= start.expected or now < start.created + PATIENCE:
        return None
    return Hindrance(
        Reason.PODS_NOT_CREATED,
        f"KubeRay has not created all {start.expected} pods. {_where(start)} says why: a quota, a LimitRange, Pod "
        "Security or a webhook may refuse them.",
    )


def _creating(start: Start, now: datetime) -> Hindrance | None:
    for pod in _waiting(start, now, "", PATIENCE):
        if pod.waits.startswith(("volumes", "image")):
            claims = f" Its claims are {', '.join(pod.claims)}." if pod.claims and pod.waits != "image" else ""
            what = {"image": "image to be pulled", "volumes": "volumes to be attached"}.get(pod.waits, pod.waits)
            return Hindrance(
                Reason.CONTAINER_CREATING,
                f"Pod {pod.name} on node {pod.node} waits for its {what}.{claims} `kubectl describe pod {pod.name}` "
                "says how far it is.",
            )
    return None


def _unready(start: Start, now: datetime) -> Hindrance | None:
    heads = [pod for pod in start.alive if pod.labels.get(ROLE) == "head"]
    served = all(pod.ready_since is not None and now >= pod.ready_since + PATIENCE for pod in heads)
    for pod in _waiting(start, now, "init container", PATIENCE):
        # The workers wait for the head, which may only be slow.
        if heads and served:
            words = f"Pod {pod.name} waits in its {pod.waits} for Ray's head, which is ready. {_MESH}"
            return Hindrance(Reason.POD_NOT_READY, words)
    for pod in start.alive:
        if not pod.ready and pod.started is not None and now >= pod.started + START_GRACE:
            words = (
                f"The containers of pod {pod.name} run, and Ray's processes in it don't become ready: "
                f"`kubectl logs {pod.name}` says why. {_MESH}"
            )
            return Hindrance(Reason.POD_NOT_READY, words)
    return None


def _unsubmitted(start: Start, now: datetime) -> Hindrance | None:
    since = start.ready_since
    if since is None or now < since + PATIENCE:
        return None
    head = next((pod.name for pod in start.alive if pod.labels.get(ROLE) == "head"), "of the head")
    if start.seen.job == "PENDING":
        words = f"Ray has the program, and has not started it: `kubectl logs {head}` says why."
        return Hindrance(Reason.PROGRAM_NOT_STARTING, words)
    if start.seen.deployment == "Initializing":
        words = f"The pods are ready, and KubeRay has not submitted the program: {_where(start)} says why."
        return Hindrance(Reason.PROGRAM_NOT_STARTING, words)
    if start.seen.deployment != "Running" or start.seen.job:
        return None
    if start.kuberay and start.kuberay_namespace not in start.kuberay:
        return Hindrance(
            Reason.DASHBOARD_UNREACHABLE,
            f"KubeRay runs in namespace {_listed(start.kuberay)}, and the NetworkPolicy lets in namespace "
            f"{start.kuberay_namespace}: KubeRay can't reach Ray's dashboard to submit the program. Set "
            "networkPolicy.kuberayNamespace in the operator's configuration; the program then starts by itself.",
        )
    return Hindrance(
        Reason.DASHBOARD_UNREACHABLE,
        "The pods are ready, and KubeRay can't reach Ray's dashboard to submit the program. The NetworkPolicy lets in "
        f"namespace {start.kuberay_namespace}: check that KubeRay runs there (networkPolicy.kuberayNamespace of the "
        f"operator's configuration), that no other NetworkPolicy closes port {DASHBOARD_PORT}, and that no service "
        f"mesh asks for mTLS. {_OUT_OF_THE_MESH}",
    )


def _where(start: Start) -> str:
    return f"`kubectl describe raycluster {start.seen.cluster}`" if start.seen.cluster else "KubeRay's log"


def _waiting(start: Start, now: datetime, what: str, grace: timedelta) -> Iterable[PodRecord]:
    """Pods that were placed that long ago and wait for that."""
    for pod in start.alive:
        placed = pod.scheduled is not None and now >= pod.scheduled + grace
        if placed and pod.waits and pod.waits.startswith(what):
            yield pod


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


def _gist(words: str) -> str:
    return _NUMBERS_AND_NAMES.sub("", words)
