"""What a life came to, without what differs from run to run; and what must not be seen on the way."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from e2e.faults.history import CHILDREN, OWN, Admin, Manifest, Version
from e2e.faults.lives import Life
from e2e.faults.stage import NAME, REVISION
from tradewind.deployment.rollout import DRAIN
from tradewind.ray.networkpolicy import CLOSED

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
# Whoever did not see the end of the head pod can't name it.
_LOST_HEAD = re.compile(r"The pod \S+-head was lost")
_OWN_DIGEST = "tradewind.dev/digest"  # over the namespace and the uid, too
_RAY_JOB = "rayjobs"
WHOLE_SECOND = 1.0  # to which a status rounds times down
# Parts of a status with fields that depend on when something happened.
_MOVING = {
    "cost": ("accrued", "asOf", "priced", "unpriced", "lost"),
    "columns": ("cost",),
    "attempt": ("activeSeconds", "earlierActiveSeconds"),
}


class Ending(dict[str, Any]):
    """The normalised end of a life: every object by resource and name, and Events with their numbers."""

    def differences(self, other: Ending, events_may_lack: bool) -> list[str]:
        """What is otherwise here than in the other, the faultless one."""
        found = []
        for name in sorted(set(self) | set(other)):
            if name.startswith("events "):
                count, usual = self.get(name, 0), other.get(name, 0)
                if count > usual or (count < usual and not events_may_lack):
                    found.append(f"{name}: {count} instead of {usual}")
            elif name not in self:
                found.append(f"{name} is missing")
            elif name not in other:
                found.append(f"{name} is too much")
            elif self[name] != other[name]:
                found.append(f"{name}: {_first_difference(self[name], other[name])}")
        return found


def _first_difference(found: Any, usual: Any, path: str = "") -> str:
    if isinstance(found, dict) and isinstance(usual, dict):
        for key in sorted(set(found) | set(usual)):
            if found.get(key) != usual.get(key):
                return _first_difference(found.get(key), usual.get(key), f"{path}.{key}")
    if isinstance(found, list) and isinstance(usual, list) and len(found) == len(usual):
        for number, (one, other) in enumerate(zip(found, usual, strict=True)):
            if one != other:
                return _first_difference(one, other, f"{path}[{number}]")
    return f"{path} is {json.dumps(found)[:200]} instead of {json.dumps(usual)[:200]}"


def ending(admin: Admin, namespace: str, life: Life) -> Ending:
    """The end of a life as it stands now."""
    own = admin.objects[namespace].get((life.plural, NAME))
    uid = own["metadata"]["uid"] if own else "none"
    result = Ending()
    for version in admin.of(namespace, *OWN, *CHILDREN):
        result[f"{version.resource} {version.name}"] = _normal(version.body, namespace, uid)
    counts = Counter(
        f"events {body['type']} {body['reason']} about {body['regarding']['kind']} {body['regarding']['name']}:"
        f" {_LOST_HEAD.sub('The head pod was lost', body['note'].replace(namespace, 'NAMESPACE'))}"
        for body in (version.body for version in admin.of(namespace, "events"))
    )
    result.update(counts)
    return result


def _normal(body: Manifest, namespace: str, uid: str) -> Manifest:
    metadata = {
        key: value
        for key, value in body["metadata"].items()
        if key not in ("uid", "resourceVersion", "creationTimestamp", "managedFields")
    }
    metadata["annotations"] = {
        key: value for key, value in metadata.get("annotations", {}).items() if key != _OWN_DIGEST
    }
    text = json.dumps(body | {"metadata": metadata}, sort_keys=True)
    text = _TIME.sub("TIME", text.replace(namespace, "NAMESPACE").replace(uid, "UID"))
    text = _LOST_HEAD.sub("The head pod was lost", text)
    normal: Manifest = json.loads(text)
    if body["kind"] == "Service":
        for given in ("clusterIP", "clusterIPs"):  # by the API server, to each another one
            normal["spec"].pop(given, None)
    status = normal.get("status") or {}
    for part, moving in _MOVING.items():
        for field in moving:
            (status.get(part) or {}).pop(field, None)
    return normal


def revisions(admin: Admin, namespace: str) -> dict[str, int]:
    """The resourceVersion of every object of a life; after convergence none moves."""
    return {
        f"{version.resource} {version.name}": version.revision
        for version in admin.of(namespace, *OWN, *CHILDREN, "events")
    }


def forbidden(admin: Admin, namespace: str, life: Life) -> list[str]:
    """What was seen on the way and must never be."""
    versions = sorted(admin.versions[namespace], key=lambda version: version.revision)
    own = [version for version in versions if version.resource == life.plural]
    children = [version for version in versions if version.resource in CHILDREN]
    events = [version for version in versions if version.resource == "events" and not version.deleted]
    return list(
        dict.fromkeys(
            [
                *_goes_back(own, life),
                *_strays(own, children, life),
                *_twins(children, life),
                *_drops_requests(children, life),
                *_speaks_too_early(own, children),
                *_tells_of_nothing(own, events),
                *_blames(own),
            ]
        )
    )


def _status(version: Version) -> Manifest:
    return version.body.get("status") or {}


def _goes_back(own: list[Version], life: Life) -> Iterator[str]:
    at, attempt, told = 0, 0, False
    for version in own:
        status = _status(version)
        if not status:
            if told:
                yield "the status was emptied"
            continue
        told, phase = True, status.get("phase")
        if phase in life.phases[at:]:
            at = life.phases.index(phase, at)
        else:
            yield f"after {life.phases[at]} the phase is {phase}"
        number = (status.get("attempt") or {}).get("number", 0)
        if number < attempt:
            yield "the attempt goes back"
        attempt = max(attempt, number)


def _strays(own: list[Version], children: list[Version], life: Life) -> Iterator[str]:
    uids = {version.body["metadata"]["uid"] for version in own}
    for child in children:
        owners = [
            owner["uid"] for owner in child.body["metadata"].get("ownerReferences") or () if owner.get("controller")
        ]
        if child.name == CLOSED.name:
            continue  # of the whole namespace
        if len(owners) != 1 or owners[0] not in uids:
            yield f"{child.resource} {child.name} has no owner of ours"
        gone = child.deleted or child.body["metadata"].get("deletionTimestamp")
        if gone and not life.may_lose(f"{child.resource} {child.name}"):
            yield f"{child.resource} {child.name} is deleted"


def _twins(children: list[Version], life: Life) -> Iterator[str]:
    live: set[str] = set()
    made: dict[tuple[str, str], set[str]] = {}
    for child in children:
        uids = made.setdefault((child.resource, child.name), set())
        uids.add(child.body["metadata"]["uid"])
        if len(uids) > 1 + life.may_return(f"{child.resource} {child.name}"):
            yield f"{child.resource} {child.name} was made {len(uids)} times"
        if child.resource != _RAY_JOB or f"{child.resource} {child.name}" in life.strays:
            continue
        over = child.deleted or _status(child).get("jobDeploymentStatus") in ("Complete", "Failed")
        (live.discard if over else live.add)(child.name)
        if len(live) > 1:
            yield f"two RayJobs live at once: {', '.join(sorted(live))}"


def _speaks_too_early(own: list[Version], children: list[Version]) -> Iterator[str]:
    """A status that names a RayJob, or a service's address, before that was made."""
    since: dict[tuple[str, str], int] = {}
    for child in children:
        since.setdefault((child.resource, child.name), child.revision)
    first = {resource: min(at for (kind, _), at in since.items() if kind == resource) for resource, _ in since}
    for version in own:
        status = _status(version)
        name = status.get("rayJobName")
        if name and since.get((_RAY_JOB, name), version.revision) >= version.revision:
            yield f"the status names RayJob {name} before it is there"
        for resource, what in (("services", "a Service"), ("inferenceservices", "an InferenceService")):
            if status.get("url") and first.get(resource, version.revision) >= version.revision:
                yield f"the status has an address before there is {what}"


def _drops_requests(children: list[Version], life: Life) -> Iterator[str]:
    """Requests that move to a revision that does not answer, or whose revision is deleted before it has drained."""
    routed, left = "", {}
    answered: set[str] = set()
    for child in children:
        labels = child.body["metadata"].get("labels") or {}
        if child.resource == "services" and not child.deleted and child.name == NAME:
            target = (child.body["spec"].get("selector") or {}).get(REVISION, "")
            if routed and target != routed:
                left[routed] = child.shown
                if target not in answered:
                    yield f"requests move from revision {routed} to {target}, which does not answer yet"
            routed = target
        if child.resource != "inferenceservices" or REVISION not in labels:
            continue
        if any(c["type"] == "Ready" and c["status"] == "True" for c in _status(child).get("conditions") or ()):
            answered.add(labels[REVISION])
        if not child.deleted or life.may_return(f"{child.resource} {child.name}"):
            continue
        drained = child.shown - left.get(labels[REVISION], child.shown)
        if len(answered) > 1 and drained < DRAIN.total_seconds() - WHOLE_SECOND:
            yield f"the InferenceService of revision {labels[REVISION]} is deleted {drained:.1f} s after requests moved"


def _tells_of_nothing(own: list[Version], events: list[Version]) -> Iterator[str]:
    for event in events:
        reason = event.body["reason"]
        before = [_status(version) for version in own if version.revision < event.revision]
        if reason == "ModelChosen":
            # Of the first revision, or of one that is to follow it.
            happened = any(status.get("variant") or status.get("revisions") for status in before)
        elif reason == "TrafficMoved":
            rows = (row for status in before for row in status.get("revisions") or ())
            happened = len({row["name"] for row in rows if row["weight"]}) > 1
        else:
            happened = any(
                (condition["type"] == reason and condition["status"] == "True") or condition["reason"] == reason
                for status in before
                for condition in status.get("conditions") or ()
            )
        if not happened:
            yield f"an Event tells of {reason}, and no status said so before"


def _blames(own: list[Version]) -> Iterator[str]:
    """A status that tells the user of a refusal: nothing is wrong with these objects, nor with our rights."""
    for version in own:
        for condition in _status(version).get("conditions") or ():
            if condition["reason"] in ("Rejected", "DependencyMissing"):
                yield f"the status says {condition['reason']}: {condition['message'][:160]}"
