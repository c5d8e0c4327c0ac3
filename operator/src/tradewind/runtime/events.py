"""Kubernetes Events: made with names that follow from what they say, so that a repeat is not a second one."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any

from tradewind.core.covers import canonical
from tradewind.core.labels import MANAGER
from tradewind.core.plan import Event
from tradewind.runtime.store import Held

API, PLURAL = "events.k8s.io/v1", "events"
LONGEST_NOTE = 1024  # bytes; the API server refuses more


def manifest(event: Event, held: Held, api_version: str, instance: str, now: datetime) -> dict[str, Any]:
    """The Event about an object as it was before the status that the event speaks of was written."""
    said = canonical([held.uid, held.version, event.type, event.reason, event.message])
    return {
        "apiVersion": API,
        "kind": "Event",
        "metadata": {
            "name": f"{held.key.name}.{hashlib.sha256(said.encode()).hexdigest()[:16]}",
            "namespace": held.key.namespace,
        },
        "eventTime": now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "type": event.type,
        "reason": event.reason,
        "note": event.message.encode()[:LONGEST_NOTE].decode(errors="ignore"),
        "action": event.reason,
        "reportingController": f"tradewind.dev/{MANAGER}",
        "reportingInstance": instance[:128],
        "regarding": {
            "apiVersion": api_version,
            "kind": held.key.kind,
            "namespace": held.key.namespace,
            "name": held.key.name,
            "uid": held.uid,
            "resourceVersion": str(held.version),
        },
    }
