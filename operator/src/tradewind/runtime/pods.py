"""What planners read of a pod: when it ran, what it asked for, and why it ended or does not start."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from tradewind.core import quantity
from tradewind.core.plan import PodRecord
from tradewind.core.timestamps import moment

ACCELERATORS = ("nvidia.com/gpu", "google.com/tpu")
# Reasons of a pod's status for an end that its program had no part in.
LOST = frozenset({"Evicted", "NodeLost", "NodeShutdown", "Terminated", "Preempting", "Shutdown", "NodeAffinity"})
WAITING_IS_USUAL = frozenset({"ContainerCreating", "PodInitializing"})


def pod_record(body: Mapping[str, Any]) -> PodRecord:
    """The record of a live pod. It does not fail on any body that the API server accepts."""
    metadata, spec, status = (body["metadata"], body.get("spec") or {}, body.get("status") or {})
    conditions = {condition.get("type"): condition for condition in status.get("conditions") or ()}
    return PodRecord(
        name=metadata["name"],
        uid=metadata["uid"],
        scheduled=_since(conditions, "PodScheduled"),
        finished=_finished(metadata, status),
        cpu=_cpu(_requested(spec, "cpu")),
        memory=str(int(_requested(spec, "memory"))),
        accelerators=int(sum(_requested(spec, name) for name in ACCELERATORS)),
        ready=(conditions.get("Ready") or {}).get("status") == "True",
        labels=dict(metadata.get("labels") or {}),
        interrupted=status.get("reason") in LOST or (conditions.get("DisruptionTarget") or {}).get("status") == "True",
        message=_message(status, conditions),
        deleted=_deleted(metadata),
        node=str(spec.get("nodeName") or ""),
        claims=_claims(spec),
        waits=_waits(spec, status, conditions),
        started=_started(status),
        ready_since=_since(conditions, "Ready"),
    )


def _amount(text: Any) -> Decimal:
    try:
        return quantity.parse(str(text))
    except ValueError:
        return Decimal(0)


def _requested(spec: Mapping[str, Any], resource: str) -> Decimal:
    """What the scheduler sets aside: all containers and sidecars, or the largest init container if that is more."""
    running, first = Decimal(0), Decimal(0)
    for container in spec.get("containers") or ():
        running += _request(container, resource)
    for container in spec.get("initContainers") or ():
        if container.get("restartPolicy") == "Always":
            running += _request(container, resource)
        else:
            first = max(first, _request(container, resource))
    overhead = _amount((spec.get("overhead") or {}).get(resource, 0))
    return max(running, first) + overhead


def _request(container: Mapping[str, Any], resource: str) -> Decimal:
    resources = container.get("resources") or {}
    asked = (resources.get("requests") or {}).get(resource)
    return _amount(asked if asked is not None else (resources.get("limits") or {}).get(resource, 0))


def _cpu(value: Decimal) -> str:
    return f"{int((value * 1000).to_integral_value())}m"


def _since(conditions: Mapping[Any, Mapping[str, Any]], kind: str) -> datetime | None:
    condition = conditions.get(kind) or {}
    return moment(condition.get("lastTransitionTime")) if condition.get("status") == "True" else None


def _claims(spec: Mapping[str, Any]) -> tuple[str, ...]:
    volumes = spec.get("volumes") or ()
    names = {str((volume.get("persistentVolumeClaim") or {}).get("claimName") or "") for volume in volumes}
    return tuple(sorted(names - {""}))


def _waits(spec: Mapping[str, Any], status: Mapping[str, Any], conditions: Mapping[Any, Mapping[str, Any]]) -> str:
    declared = spec.get("initContainers") or ()
    sidecars = {container.get("name") for container in declared if container.get("restartPolicy") == "Always"}
    for container in status.get("initContainerStatuses") or ():
        if (container.get("state") or {}).get("running") is not None and container.get("name") not in sidecars:
            return f"init container {container.get('name')}"
    waiting = (((container.get("state") or {}).get("waiting") or {}) for container in _containers(status))
    if not any(state.get("reason") in WAITING_IS_USUAL for state in waiting):
        return ""
    # Volumes are mounted before a pod's sandbox is made, images are pulled after it.
    sandbox = (conditions.get("PodReadyToStartContainers") or {}).get("status")
    return {"True": "image", "False": "volumes"}.get(str(sandbox), "volumes or image")


def _started(status: Mapping[str, Any]) -> datetime | None:
    states = [container.get("state") or {} for container in status.get("containerStatuses") or ()]
    ran = (state.get("running") or state.get("terminated") or {} for state in states)
    return min((start for state in ran if (start := moment(state.get("startedAt")))), default=None)


def _finished(metadata: Mapping[str, Any], status: Mapping[str, Any]) -> datetime | None:
    if status.get("phase") not in ("Succeeded", "Failed"):
        return None
    ends = [
        moment(((container.get("state") or {}).get("terminated") or {}).get("finishedAt"))
        for container in status.get("containerStatuses") or ()
    ]
    known = [end for end in ends if end is not None]
    # An evicted pod can lack containers' ends: its last change is the best that is known.
    changes = (moment(condition.get("lastTransitionTime")) for condition in status.get("conditions") or ())
    return max(known or [change for change in changes if change] or [_created(metadata)])


def _deleted(metadata: Mapping[str, Any]) -> datetime | None:
    """When the deletion was asked for; the API's own time is when the grace that was given with it ends."""
    ends = moment(metadata.get("deletionTimestamp"))
    return None if ends is None else ends - timedelta(seconds=metadata.get("deletionGracePeriodSeconds") or 0)


def _created(metadata: Mapping[str, Any]) -> datetime:
    return moment(metadata.get("creationTimestamp")) or datetime.fromtimestamp(0, UTC)


def _message(status: Mapping[str, Any], conditions: Mapping[Any, Mapping[str, Any]]) -> str:
    scheduled = conditions.get("PodScheduled") or {}
    if scheduled.get("status") == "False":
        return str(scheduled.get("message") or scheduled.get("reason") or "")
    for container in _containers(status):
        waiting = (container.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") and waiting["reason"] not in WAITING_IS_USUAL:
            return _sentence(waiting)
    for container in _containers(status):
        state = (container.get("state") or {}).get("terminated") or {}
        if state.get("exitCode"):
            return _sentence(state) + f" (exit code {state['exitCode']})"
    return str(status.get("message") or status.get("reason") or "")


def _containers(status: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    yield from status.get("initContainerStatuses") or ()
    yield from status.get("containerStatuses") or ()


def _sentence(state: Mapping[str, Any]) -> str:
    return ": ".join(str(state[key]) for key in ("reason", "message") if state.get(key))
