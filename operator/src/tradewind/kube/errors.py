"""What can go wrong with a request, as types: what to wait for, what to tell the user, what to drop."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

# In the words of the authorizer; a quota and a policy say something else.
_DENIED = re.compile(r'User "[^"]*" cannot \w+ (resource|path) "')


class KubeError(Exception):
    """A request did not do what it was to do; `str()` has the API server's words."""


class Retriable(KubeError):
    """The same request may work later; nobody needs to be told."""

    retry_after: float | None = None  # seconds that the server asked for


class Conflict(Retriable):
    """The object changed since it was read, or another one has its name now."""


class Throttled(Retriable):
    """The API server asked to be left alone for a while."""


class Unavailable(Retriable):
    """The API server could not be reached, did not answer in time, or failed. The request may have been done."""


class NotLeader(KubeError):
    """The lease is not ours (any more), so nothing may be written."""


class Rejected(KubeError):
    """The API server refuses the object as it is: it stays refused until the object or the cluster changes."""


class Forbidden(Rejected):
    """A quota is used up, a policy forbids it, or the namespace is going away."""


class Denied(KubeError):
    """We lack the right: an API server that has just started says so of everything, since it knows no roles yet."""


class AlreadyExists(KubeError):
    """There is an object of that name."""


class NotFound(KubeError):
    """There is no such object, or no such namespace."""


class KindMissing(KubeError):
    """The API server does not serve that kind: its CustomResourceDefinition is not installed."""


def from_answer(status: int, body: bytes | str | None, headers: Mapping[str, str] | None = None) -> KubeError:
    """The error that an answer of the API server with a code of 400 and above means."""
    answer = _status_object(body)
    message = str(answer.get("message") or f"the API server answered {status}")
    details = answer.get("details") or {}
    causes = [cause for cause in details.get("causes") or () if isinstance(cause, dict)]
    if status == 404:
        # A path that is not served is answered in plain text, or with a Status that names no object.
        return NotFound(message) if details.get("name") else KindMissing(message)
    if status == 405:
        return KindMissing(message)
    if status == 409:
        if answer.get("reason") == "AlreadyExists":
            return AlreadyExists(message)
        if any(cause.get("reason") == "FieldManagerConflict" for cause in causes):
            return Rejected(message)
        return Conflict(message)
    if status == 429:
        throttled = Throttled(message)
        throttled.retry_after = _seconds((headers or {}).get("Retry-After") or details.get("retryAfterSeconds"))
        return throttled
    if status == 403:
        return Denied(message) if _DENIED.search(message) else Forbidden(message)
    if status in (400, 413, 415, 422):
        return Rejected(message)
    return Unavailable(message)


def _status_object(body: bytes | str | None) -> dict[str, Any]:
    try:
        answer = json.loads(body or "{}")
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _seconds(text: Any) -> float | None:
    try:
        return max(0.0, float(text))
    except (TypeError, ValueError):
        return None
