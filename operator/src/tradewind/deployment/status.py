"""Whether the service answers, and how the next revision stands: the conditions Ready and Progressing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from tradewind.api.modeldeployment import ModelDeployment, Revision
from tradewind.core.conditions import Reason, Verdict, holds
from tradewind.core.plan import Observed
from tradewind.core.timestamps import moment
from tradewind.deployment.health import Health
from tradewind.deployment.rollout import Rollout
from tradewind.deployment.service import SERVICE, ServiceSeen, url

NOTHING_SERVED = "Nothing is served yet: the condition Accepted says what is missing."
# A container that is started anew, again and again, has no trouble for a moment each time.
LASTING = frozenset({Reason.POD_NOT_STARTING, Reason.MODEL_NOT_LOADED})


def routed(observed: Observed, name: str) -> str | None:
    """The revision that the live Service selects; None where there is none of ours."""
    record = observed.children.get((SERVICE.kind, name))
    if record is None or record.deleting or not isinstance(record.seen, ServiceSeen):
        return None
    return record.seen.revision


def waited_since(item: ModelDeployment, now: datetime) -> datetime:
    """Since when replicas that don't answer have been waited for."""
    before = item.status.condition("Ready")
    if before is None or before.status == "True":
        # Some answer; those that are missing have been since requests depend on more of them.
        before = item.status.condition("Progressing")
        if before is None or before.reason == Reason.ROLLED_OUT:
            return now
        if before.status == "False":
            return datetime.min.replace(tzinfo=UTC)  # reported already
    return moment(before.last_transition_time) or now


def ready(
    item: ModelDeployment, observed: Observed, name: str, rollout: Rollout, healths: Mapping[str, Health]
) -> Verdict:
    """Whether requests to the Service of that name are answered."""
    kind, serving = "Ready", rollout.serving
    if serving is None:
        return Verdict(kind, "False", Reason.WAITING, NOTHING_SERVED)
    reached = routed(observed, name)
    refused = _refused(observed, name)
    if reached != serving.name and refused is not None:
        return Verdict(kind, "False", Reason.REJECTED, refused)
    if reached == serving.name and serving.replicas is not None and serving.replicas.ready:
        address = url(name, item.metadata.namespace)
        return Verdict(kind, "True", Reason.READY, f"It answers at {address}.")
    before = item.status.condition(kind)
    trouble = healths[serving.name].trouble
    if trouble is not None:
        # The first words for a reason stay: the scheduler's and the kubelet's change all the time (counts, back-off).
        words = before.message if before is not None and before.reason == trouble.reason else trouble.words
        return Verdict(kind, "False", trouble.reason, words)
    if before is not None and before.status == "False" and before.reason in LASTING and _known(item, serving):
        return Verdict(kind, "False", Reason.of(before.reason), before.message)
    if holds(item.status.conditions, kind):
        return Verdict(kind, "False", Reason.NOT_READY, "No replica answers any more.")
    words = before.message if before is not None and before.reason == Reason.NOT_READY else "No replica answers yet."
    return Verdict(kind, "False", Reason.NOT_READY, words)


def progressing(
    item: ModelDeployment, observed: Observed, name: str, rollout: Rollout, healths: Mapping[str, Health], wanted: str
) -> Verdict:
    """Whether the wanted revision is on its way, has arrived, or can't."""
    kind, serving = "Progressing", rollout.serving
    if serving is None:
        return Verdict(kind, "False", Reason.WAITING, NOTHING_SERVED)
    row = next((row for row in rollout.revisions if row.name == wanted), serving)
    if row is not serving:
        return _following(item, observed, name, rollout, row, serving, healths[row.name])
    if routed(observed, name) != serving.name and (refused := _refused(observed, name)) is not None:
        return Verdict(kind, "False", Reason.REJECTED, refused)
    replicas, trouble = serving.replicas, healths[serving.name].trouble
    if replicas is not None and replicas.ready >= replicas.desired:
        return Verdict(kind, "False", Reason.ROLLED_OUT, f"All replicas serve {serving.variant}.")
    if replicas is not None and replicas.ready and trouble is not None:
        before = item.status.condition(kind)
        words = before.message if before is not None and before.reason == trouble.reason else trouble.words
        return Verdict(kind, "False", trouble.reason, words)
    before = item.status.condition(kind)
    if replicas is not None and replicas.ready and before is not None and before.reason in LASTING:
        return Verdict(kind, "False", Reason.of(before.reason), before.message)
    return Verdict(kind, "True", Reason.ROLLING_OUT, f"Replicas that serve {serving.variant} are being started.")


def _following(
    item: ModelDeployment,
    observed: Observed,
    name: str,
    rollout: Rollout,
    row: Revision,
    serving: Revision,
    health: Health,
) -> Verdict:
    """How the revision stands that is to serve next."""
    kind = "Progressing"
    what = f"Revision {row.name} of {row.variant}"
    until = f"Revision {serving.name} of {serving.variant} continues to serve."
    if rollout.route == row.name and (refused := _refused(observed, name)) is not None:
        return Verdict(kind, "False", Reason.REJECTED, f"{what} answers, and requests can't be moved to it. {refused}")
    before, trouble = item.status.condition(kind), health.trouble
    if trouble is not None:
        head = f"{what} is not ready ({trouble.reason}). "
        if before is not None and before.message.startswith(head):
            return Verdict(kind, "False", Reason.REVISION_NOT_READY, before.message)
        return Verdict(kind, "False", Reason.REVISION_NOT_READY, f"{head}{until} {trouble.words}")
    if before is not None and any(before.message.startswith(f"{what} is not ready ({reason}). ") for reason in LASTING):
        return Verdict(kind, "False", Reason.REVISION_NOT_READY, before.message)
    replicas = row.replicas.desired if row.replicas is not None else 1
    answers = "its replica answers" if replicas == 1 else f"its {replicas} replicas answer"
    return Verdict(kind, "True", Reason.ROLLING_OUT, f"{what} is to serve when {answers}. {until}")


def _refused(observed: Observed, name: str) -> str | None:
    """Why the Service can't be made or changed."""
    for rejection in observed.rejections:
        if rejection.resource == SERVICE and rejection.name == name:
            return (
                f"The API server refused Service {name}: {rejection.message}. Where another Service has this name, "
                "remove it, or give this object another name."
            )
    return None


def _known(item: ModelDeployment, serving: Revision) -> bool:
    """Whether the status spoke of that revision already."""
    return any(row.name == serving.name and row.weight for row in item.status.revisions or ())
