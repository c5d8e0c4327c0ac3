"""What can happen to a request and to a watch."""

from __future__ import annotations

from enum import StrEnum


class Fault(StrEnum):
    """What can happen to a request, or to who sends it."""

    KILL_BEFORE = "killed before it is sent"
    KILL_AFTER = "killed after it is committed"
    FREEZE_BEFORE = "frozen before it is sent"
    FREEZE_AFTER = "frozen after it is committed"
    DENIED = "403 while it starts"
    CONFLICT = "409"
    THROTTLED = "429"
    ERROR = "500"
    UNAVAILABLE = "503"
    TIMEOUT = "committed, no reply"
    LOST = "committed, connection cut"
    LATE = "5 s late"

    @property
    def kills(self) -> bool:
        """Whether the operator is killed."""
        return self in KILLS

    @property
    def before(self) -> bool:
        """Whether it strikes the operator before the request is sent."""
        return self in (Fault.KILL_BEFORE, Fault.FREEZE_BEFORE)

    @property
    def after(self) -> bool:
        """Whether it strikes the operator after the request was committed and before its answer."""
        return self in (Fault.KILL_AFTER, Fault.FREEZE_AFTER)


class WatchFault(StrEnum):
    """What can happen to a watch at one of its events."""

    DROPPED = "event lost"
    TWICE = "event twice"
    DELAYED = "event 5 s late"
    CUT = "cut in mid-line"
    SILENT = "silent from then on"
    GONE = "ERROR 410"
    ERROR = "ERROR 500"


KILLS = (Fault.KILL_BEFORE, Fault.KILL_AFTER)
FREEZES = (Fault.FREEZE_BEFORE, Fault.FREEZE_AFTER)
OF_REQUESTS = tuple(fault for fault in Fault if fault not in KILLS + FREEZES)
OF_WATCHES = tuple(WatchFault)

# An API server that has just started knows no roles yet.
_DENIED = 'User "system:serviceaccount:tradewind-system:tradewind-operator" cannot patch resource "digits" in API group'
# What a fault answers: code, reason, message.
ANSWERS = {
    Fault.DENIED: (403, "Forbidden", _DENIED),
    Fault.CONFLICT: (409, "Conflict", "the object has been modified; please apply your changes to the latest version"),
    Fault.THROTTLED: (429, "TooManyRequests", "too many requests, please try again later"),
    Fault.ERROR: (500, "InternalError", "an error on the server has prevented the request from succeeding"),
    Fault.UNAVAILABLE: (503, "ServiceUnavailable", "the server is currently unable to handle the request"),
}
ERRORS = {
    WatchFault.GONE: (410, "Expired", "too old resource version: 1 (2)"),
    WatchFault.ERROR: (500, "InternalError", "etcdserver: leader changed"),
}
