"""What the operator asked of the API server, read from the audit log."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OPERATOR = "system:serviceaccount:tradewind-system:tradewind-operator"
WRITES = {"create", "update", "patch", "delete", "deletecollection"}
# Counted apart: what is about the operator itself (its lease, checking a token), and Events.
APART = {"leases", "tokenreviews", "events", "subjectaccessreviews"}


@dataclass(frozen=True)
class Request:
    """One request that the API server answered."""

    verb: str
    resource: str  # with the subresource: trainingjobs/status
    namespace: str
    name: str
    code: int
    time: str
    uri: str
    body: list[dict[str, Any]]  # the JSON patch of a status of ours; else empty
    credential: str = ""  # which token it came with: "JTI=..."


def requests(log: Path, since: str = "", user: str = OPERATOR) -> Iterator[Request]:
    """The requests of a user from a time on (RFC 3339), in the order of their answers."""
    with log.open() as lines:
        for line in lines:
            if user not in line or not line.endswith("\n"):
                continue
            entry = json.loads(line)
            if entry["user"]["username"] != user or entry["stageTimestamp"] < since:
                continue
            about = entry.get("objectRef", {})
            resource = "/".join(filter(None, (about.get("resource", ""), about.get("subresource", ""))))
            yield Request(
                entry["verb"],
                resource,
                about.get("namespace", ""),
                about.get("name", ""),
                entry.get("responseStatus", {}).get("code", 0),
                entry["stageTimestamp"],
                entry["requestURI"],
                entry.get("requestObject") or [],
                next(iter(entry["user"].get("extra", {}).get("authentication.kubernetes.io/credential-id", ())), ""),
            )


def writes(log: Path, namespace: str, since: str = "") -> Counter[tuple[str, str, str]]:
    """How often each object of a namespace was written: by (verb, resource, name); Events and leases apart."""
    return Counter(
        (request.verb, request.resource, request.name)
        for request in requests(log, since)
        if request.verb in WRITES
        and request.namespace == namespace
        and request.resource.partition("/")[0] not in APART
        and request.resource != "serviceaccounts/token"
    )


def events(log: Path, namespace: str, since: str = "") -> int:
    """How many Events were written in a namespace."""
    return sum(
        request.verb in WRITES and request.resource == "events" and request.namespace == namespace
        for request in requests(log, since)
    )


def progress(log: Path, namespace: str, plural: str, name: str, since: str = "") -> int:
    """How many writes of an object's status only carried what its program reported: no condition had changed."""
    before: list[Any] | None = None
    count = 0
    for request in requests(log, since):
        if (request.namespace, request.resource, request.name) != (namespace, f"{plural}/status", name):
            continue
        written: dict[str, Any] = next((step["value"] for step in request.body if step["path"] == "/status"), {})
        conditions = written.get("conditions", [])
        now = sorted((c["type"], c["status"], c["reason"], c["message"]) for c in conditions)
        count += now == before
        before = now
    return count
