"""Sentences about what pydantic does not accept, and the status of an object that can't be read."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from tradewind.core.conditions import Reason
from tradewind.core.timestamps import stamp


def sentences(error: ValidationError) -> list[str]:
    """One sentence a mistake: the field's path as it stands in the file, and what is wrong with it."""
    found = []
    for mistake in error.errors(include_url=False, include_context=False, include_input=False):
        path = ""
        for part in mistake["loc"]:
            path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else str(part)
        message = mistake["msg"].removeprefix("Value error, ")
        if mistake["type"] == "missing":
            message = "this field is required"
        elif mistake["type"] == "extra_forbidden":
            message = "there is no such field; correct its spelling or remove it"
        found.append(f"{path}: {message}" if path else message)
    return found


def invalid_status(body: Mapping[str, Any], error: ValidationError, now: datetime) -> dict[str, Any]:
    """The present status with a condition that says why the object can't be read; a job that has ended stays so."""
    status = dict(body.get("status") or {})
    present = status.get("conditions") or ()
    if any(c.get("type") in ("Complete", "Failed") and c.get("status") == "True" for c in present):
        return status
    generation = body["metadata"].get("generation")
    before = next((c for c in present if c.get("type") == "Accepted"), None)
    since = before["lastTransitionTime"] if before and before.get("status") == "False" else stamp(now)
    accepted = {
        "type": "Accepted",
        "status": "False",
        "reason": str(Reason.INVALID),
        "message": f"This version of the operator can't read the object: {'; '.join(sentences(error))[:4096]}. What "
        f"runs for it stays as it is. {_remedy(status)}",
        "lastTransitionTime": since,
        "observedGeneration": generation,
    }
    conditions = [condition for condition in present if condition.get("type") != "Accepted"]
    return status | {"observedGeneration": generation, "phase": "Invalid", "conditions": [accepted, *conditions]}


def _remedy(status: Mapping[str, Any]) -> str:
    """What can be done about a field that can't be read; most of a job's spec is fixed once it started."""
    if status.get("attempt"):
        return "Upgrade the operator to the version that knows the field; of the spec only runPolicy can be changed."
    return "Correct the field, or upgrade the operator where a newer version knows it."
