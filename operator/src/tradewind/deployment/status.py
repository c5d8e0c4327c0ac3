"""Whether the service answers: KServe says so, and pods are ready, which they are once the model has answered."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from tradewind.api.modeldeployment import ChosenVariant, ModelDeployment, Replicas
from tradewind.core.conditions import Reason, Verdict, holds
from tradewind.core.plan import ChildRecord, Observed, PodRecord
from tradewind.core.timestamps import moment
from tradewind.deployment.inferenceservice import (
    INFERENCE_SERVICE,
    MODEL_LABEL,
    InferenceServiceSeen,
    model_fingerprint,
)

# A pod that isn't placed or started after this long is told of.
PENDING_GRACE = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Service:
    """How the service stands."""

    ready: Verdict
    progressing: Verdict
    replicas: Replicas | None
    look_again: float | None  # seconds until time alone would change this


def judge(
    item: ModelDeployment,
    observed: Observed,
    name: str,
    serving: ChosenVariant | None,
    address: str | None,
    now: datetime,
) -> Service:
    """Judge the service that serves that model at that address."""
    if serving is None:
        waiting = "Nothing is served yet: the condition Accepted says what is missing."
        return Service(
            Verdict("Ready", "False", Reason.WAITING, waiting),
            Verdict("Progressing", "False", Reason.WAITING, waiting),
            None,
            None,
        )
    record = observed.children.get((INFERENCE_SERVICE.kind, name))
    seen = record.seen if record is not None and isinstance(record.seen, InferenceServiceSeen) else None
    alive = [pod for pod in observed.pods if pod.finished is None]
    present = [pod for pod in alive if pod.labels.get(MODEL_LABEL) == model_fingerprint(serving)]
    scaling = item.spec.scaling
    desired = min(scaling.max_replicas, max(scaling.min_replicas, len(present)))
    up = seen is not None and seen.ready
    # Replicas count once the service as a whole answers: the two facts come almost together, and make one write.
    ready = sum(pod.ready for pod in alive) if up else 0
    renewed = sum(pod.ready for pod in present) if up else 0
    ready_verdict, look_again = _ready(item, observed, name, record, seen, alive, ready, address, now)
    return Service(
        ready_verdict,
        _progressing(serving, renewed, desired, seen),
        Replicas(desired=desired, ready=min(ready, desired)),
        look_again,
    )


def _ready(
    item: ModelDeployment,
    observed: Observed,
    name: str,
    record: ChildRecord | None,
    seen: InferenceServiceSeen | None,
    pods: list[PodRecord],
    ready: int,
    address: str | None,
    now: datetime,
) -> tuple[Verdict, float | None]:
    kind = "Ready"
    if ready:
        return Verdict(kind, "True", Reason.READY, f"It answers at {address}."), None
    for rejection in observed.rejections:
        if rejection.resource.kind == INFERENCE_SERVICE.kind and rejection.name == name:
            words = f"The API server refused InferenceService {name}: {rejection.message}"
            return Verdict(kind, "False", Reason.REJECTED, words), None
    if seen is not None and seen.failure and seen.transition in ("BlockedByFailedLoad", "InvalidSpec"):
        return _steady(item, Reason.MODEL_NOT_LOADED, f"KServe says: {seen.failure}"), None
    stuck = min((pod for pod in pods if pod.message and not pod.ready), key=lambda pod: pod.name, default=None)
    since = _since(item, record, now)
    if stuck is not None and now >= since + PENDING_GRACE:
        reason = Reason.UNSCHEDULABLE if stuck.scheduled is None else Reason.POD_NOT_STARTING
        return _steady(item, reason, f"Pod {stuck.name}: {stuck.message}"), None
    left = (since + PENDING_GRACE - now).total_seconds()
    if holds(item.status.conditions, kind):
        return Verdict(kind, "False", Reason.NOT_READY, "No replica answers any more."), left
    before = item.status.condition(kind)
    words = before.message if before and before.reason == Reason.NOT_READY else "No replica answers yet."
    return Verdict(kind, "False", Reason.NOT_READY, words), left if left > 0 else None


def _since(item: ModelDeployment, record: ChildRecord | None, now: datetime) -> datetime:
    """Since when replicas have been expected that don't answer."""
    before = item.status.condition("Ready")
    turned = moment(before.last_transition_time) if before is not None and before.status == "False" else None
    created = record.created if record is not None else now
    return max(turned, created) if turned is not None else now


def _steady(item: ModelDeployment, reason: Reason, words: str) -> Verdict:
    """The first words for a reason stay: the scheduler's and the kubelet's change all the time (counts, back-off)."""
    before = item.status.condition("Ready")
    return Verdict(
        "Ready", "False", reason, before.message if before is not None and before.reason == reason else words
    )


def _progressing(serving: ChosenVariant, renewed: int, desired: int, seen: InferenceServiceSeen | None) -> Verdict:
    kind = "Progressing"
    if renewed >= desired:
        return Verdict(kind, "False", Reason.ROLLED_OUT, f"All replicas serve {serving.name}.")
    return Verdict(kind, "True", Reason.ROLLING_OUT, f"Replicas that serve {serving.name} are being started.")
