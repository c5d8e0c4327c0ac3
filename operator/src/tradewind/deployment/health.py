"""How a revision stands: which of its replicas answer, and why others don't, in the words of KServe or Kubernetes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from tradewind.api.modeldeployment import ModelDeployment, Scaling
from tradewind.core.conditions import Reason
from tradewind.core.labels import REVISION
from tradewind.core.plan import Observed
from tradewind.deployment.inferenceservice import INFERENCE_SERVICE, InferenceServiceSeen
from tradewind.deployment.replicas import DEPLOYMENT, DeploymentSeen
from tradewind.deployment.revision import deployment_name, service_name
from tradewind.deployment.rollout import Standing

# A pod that isn't placed or started after this long is reported.
PENDING_GRACE = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why replicas don't answer."""

    reason: Reason
    words: str


@dataclass(frozen=True, slots=True)
class Health:
    """A revision as observed."""

    standing: Standing
    trouble: Trouble | None
    look_again: float | None  # seconds until time alone would change this


def health(
    item: ModelDeployment,
    observed: Observed,
    revision: str,
    scaling: Scaling | None,
    since: datetime | None,
    reached: frozenset[str] | None,
    now: datetime,
) -> Health:
    """How a revision stands.

    `scaling`: of the spec, where that is in force for it. `since`: when replicas that don't answer were first waited
    for, if later than its creation. `reached`: the pods of which one has to be ready before any counts; None: none has
    to.
    """
    name = service_name(item.metadata.name, revision)
    record = observed.children.get((INFERENCE_SERVICE.kind, name))
    seen = record.seen if record is not None and isinstance(record.seen, InferenceServiceSeen) else None
    witness = observed.witnesses.get((DEPLOYMENT.kind, deployment_name(name)))
    deployed = witness.seen if witness is not None and isinstance(witness.seen, DeploymentSeen) else None
    pods = [
        pod
        for pod in observed.pods
        if pod.finished is None and pod.deleted is None and pod.labels.get(REVISION) == revision
    ]
    ready = [pod.name for pod in pods if pod.ready]
    standing = Standing(
        there=record is not None and not record.deleting,
        up=seen is not None and seen.ready,
        ready=0 if reached is not None and reached.isdisjoint(ready) else len(ready),
        desired=_desired(deployed, len(pods), scaling),
    )
    trouble = _rejected(observed, name) or _refused(deployed) or _not_loaded(seen)
    if trouble is not None or record is None:
        return Health(standing, trouble, None)
    stuck = min((pod for pod in pods if pod.message and not pod.ready), key=lambda pod: pod.name, default=None)
    if stuck is None:
        return Health(standing, None, None)
    start = record.created if since is None else max(record.created, since)
    left = (start + PENDING_GRACE - now).total_seconds()
    if left > 0:
        return Health(standing, None, left)
    reason = Reason.UNSCHEDULABLE if stuck.scheduled is None else Reason.POD_NOT_STARTING
    return Health(standing, Trouble(reason, f"Pod {stuck.name}: {stuck.message}"), None)


def _desired(deployed: DeploymentSeen | None, pods: int, scaling: Scaling | None) -> int:
    desired = deployed.desired if deployed is not None and deployed.desired is not None else pods
    if scaling is None:
        return max(1, desired)
    return min(scaling.max_replicas, max(scaling.min_replicas, desired))


def _rejected(observed: Observed, name: str) -> Trouble | None:
    for rejection in observed.rejections:
        if rejection.resource == INFERENCE_SERVICE and rejection.name == name:
            return Trouble(Reason.REJECTED, f"The API server refused InferenceService {name}: {rejection.message}")
    return None


def _refused(deployed: DeploymentSeen | None) -> Trouble | None:
    """Pods that the API server refuses to the Deployment's controller; KServe's own status does not have it."""
    if deployed is None or not deployed.refused:
        return None
    reason = Reason.QUOTA_EXCEEDED if "exceeded quota" in deployed.refused else Reason.PODS_REFUSED
    return Trouble(reason, f"A pod is refused: {deployed.refused}")


def _not_loaded(seen: InferenceServiceSeen | None) -> Trouble | None:
    if seen is None or not seen.failure or seen.transition not in ("BlockedByFailedLoad", "InvalidSpec"):
        return None
    return Trouble(Reason.MODEL_NOT_LOADED, f"KServe says: {seen.failure}")
