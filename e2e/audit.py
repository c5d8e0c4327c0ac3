"""What was asked of the API server, read from its audit log."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

OPERATOR = "system:serviceaccount:tradewind-system:tradewind-operator"
WRITES = {"create", "update", "patch", "delete", "deletecollection"}
# Counted apart: what is about the operator itself (its lease, checking a token), and Events.
APART = {"leases", "tokenreviews", "events", "subjectaccessreviews"}


@dataclass(frozen=True)
class Request:
    """One request that the API server answered."""

    user: str
    verb: str
    resource: str  # with the subresource: trainingjobs/status
    namespace: str
    name: str
    code: int
    began: str  # RFC 3339, by the API server's clock
    time: str  # of the answer
    uri: str
    body: list[dict[str, Any]]  # the JSON patch of a status of ours; else empty
    credential: str = ""  # which token it came with: "JTI=..."

    @property
    def writes(self) -> bool:
        """Whether it changed something; leases and what is about the asker itself apart."""
        return self.verb in WRITES and self.resource.partition("/")[0] not in APART - {"events"} and self.code < 400

    @property
    def received(self) -> float:
        """When it came, in seconds since 1970."""
        return datetime.fromisoformat(self.began).timestamp()

    @property
    def answered(self) -> float:
        """When it was answered, in seconds since 1970."""
        return datetime.fromisoformat(self.time).timestamp()


def read(lines: Iterable[str], user: str = "") -> Iterator[Request]:
    """The requests in lines of the log, in the order of their answers; of a user if one is named."""
    for line in lines:
        if user not in line or not line.endswith("\n"):
            continue
        entry = json.loads(line)
        if user and entry["user"]["username"] != user:
            continue
        about = entry.get("objectRef", {})
        yield Request(
            entry["user"]["username"],
            entry["verb"],
            "/".join(filter(None, (about.get("resource", ""), about.get("subresource", "")))),
            about.get("namespace", ""),
            about.get("name", ""),
            entry.get("responseStatus", {}).get("code", 0),
            entry["requestReceivedTimestamp"],
            entry["stageTimestamp"],
            entry["requestURI"],
            entry.get("requestObject") or [],
            next(iter(entry["user"].get("extra", {}).get("authentication.kubernetes.io/credential-id", ())), ""),
        )


def requests(log: Path, since: str = "", user: str = OPERATOR) -> Iterator[Request]:
    """The requests of a user from a time on (RFC 3339)."""
    with log.open() as lines:
        yield from (request for request in read(lines, user) if request.time >= since)


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
