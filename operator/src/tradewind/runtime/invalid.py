"""Sentences about what pydantic does not accept, and what is done about an object that can't be read."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from tradewind.api.report import Report
from tradewind.core.conditions import Reason
from tradewind.core.plan import Plan
from tradewind.core.reading import condition
from tradewind.core.timestamps import stamp
from tradewind.ray.ending import heard_at_end


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


def unreadable(
    kind: str, body: Mapping[str, Any], error: ValidationError, reports: Mapping[str, Report], now: datetime
) -> Plan:
    """What to do about an object that can't be read: its children stay as they are, another operator may make some.

    Reports wait until it can be read, unless it has ended.
    """
    status = dict(body.get("status") or {})
    if not any(condition(status, end).get("status") == "True" for end in ("Complete", "Failed")):
        return Plan(status=_invalid(status, body["metadata"].get("generation"), error, now), hands_off=True)
    heard = heard_at_end(kind, status, reports)
    return Plan(status=status, hands_off=True, heard=heard, superseded=frozenset(reports) - heard)


def _invalid(status: Mapping[str, Any], generation: Any, error: ValidationError, now: datetime) -> dict[str, Any]:
    before = condition(status, "Accepted")
    since = before["lastTransitionTime"] if before.get("status") == "False" else stamp(now)
    accepted = {
        "type": "Accepted",
        "status": "False",
        "reason": str(Reason.INVALID),
        "message": f"This version of the operator can't read the object: {'; '.join(sentences(error))[:4096]}. What "
        f"runs for it stays as it is. {_remedy(status)}",
        "lastTransitionTime": since,
        "observedGeneration": generation,
    }
    others = [one for one in status.get("conditions") or () if one.get("type") != "Accepted"]
    return {**status, "observedGeneration": generation, "phase": "Invalid", "conditions": [accepted, *others]}


def _remedy(status: Mapping[str, Any]) -> str:
    """What can be done about a field that can't be read; most of a job's spec is fixed once it started."""
    if status.get("attempt"):
        return "Upgrade the operator to the version that knows the field; of the spec only runPolicy can be changed."
    return "Correct the field, or upgrade the operator where a newer version knows it."
