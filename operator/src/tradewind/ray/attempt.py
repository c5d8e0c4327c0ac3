"""What became of an attempt: KubeRay can't tell a lost node from an error, so its pods are asked too."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from tradewind.core.labels import ROLE
from tradewind.core.plan import PodRecord
from tradewind.ray.job import RayJobSeen

# A program that sees that one of its workers is lost may say so by this exit code (EX_TEMPFAIL).
LOST_WORKER_EXIT = 75
# The last report and KubeRay's word that the program has ended may cross.
REPORT_GRACE = timedelta(seconds=15)

# Ray's log is written for a terminal.
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
# What Ray says when it ends processes because a pod has no memory left; the rest is its table of processes.
_OUT_OF_MEMORY = re.compile(
    r"ray\.exceptions\.OutOfMemoryError|address the out of memory issue|RAY_(idle_)?worker_killing_"
)
_EXIT_CODE = re.compile(r"exit code (\d+)")


class End(Enum):
    """How an attempt stands."""

    NONE = "it goes on"
    SUCCEEDED = "the program ended well"
    INTERRUPTED = "a pod was lost"
    ERROR = "the program failed"
    INVALID = "KubeRay refused the RayJob"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt stands, in a sentence."""

    kind: End
    message: str = ""
    # It rests on what the watch of pods shows: a pod that is not there, has no node, or is not known to be lost. The
    # watch may be late, or a pod may have gone with a deleted RayJob.
    absence: bool = False


def judge(seen: RayJobSeen, pods: Sequence[PodRecord], reports_result: bool, now: datetime) -> Outcome:
    """Judge the attempt whose RayJob and pods are seen. With `reports_result`, success needs a report besides."""
    if seen.deployment == "ValidationFailed":
        return Outcome(End.INVALID, seen.message)
    if seen.deployment in ("Complete", "Failed"):
        return _ended(seen, pods, reports_result, now)
    heads = [pod for pod in pods if pod.labels.get(ROLE) == "head"]
    if gone := next((pod for pod in heads if pod.interrupted or _taken(pod)), None):
        return Outcome(End.INTERRUPTED, f"The pod {gone.name} was lost{_why(gone)}.", absence=not gone.interrupted)
    if not seen.running:
        return Outcome(End.NONE)
    if not heads:
        # KubeRay neither makes the head of a running RayJob again nor ends the RayJob: it would wait for ever.
        return Outcome(End.INTERRUPTED, "The head pod was lost.", absence=True)
    if dead := next((pod for pod in heads if pod.finished is not None), None):
        return Outcome(End.ERROR, f"The container of the head pod {dead.name} ended{_why(dead)}.")
    return Outcome(End.NONE)


def next_look(seen: RayJobSeen) -> datetime | None:
    """When time alone would change the judgement."""
    return seen.ended + REPORT_GRACE if seen.deployment == "Complete" and seen.ended else None


def _ended(seen: RayJobSeen, pods: Sequence[PodRecord], reports_result: bool, now: datetime) -> Outcome:
    if seen.deployment == "Complete" and seen.job == "SUCCEEDED":
        if not reports_result:
            return Outcome(End.SUCCEEDED)
        if seen.ended is not None and now < seen.ended + REPORT_GRACE:
            return Outcome(End.NONE)
        return Outcome(End.ERROR, "The program ended without a report of its result.")
    if (lost := _lost(seen, pods)) is not None:
        return lost
    if seen.job == "STOPPED":
        return Outcome(End.ERROR, "The Ray job was stopped from outside.")
    return Outcome(End.ERROR, _tail(seen.message) or seen.reason or "Ray gives no reason.", absence=True)


def _lost(seen: RayJobSeen, pods: Sequence[PodRecord]) -> Outcome | None:
    """Why the failure was an interruption. Pods are placed before the program starts; a later one is a replacement."""
    for pod in pods:
        # After the end KubeRay deletes all pods: only what was deleted before it counts.
        if pod.interrupted or (_taken(pod) and pod.deleted is not None and seen.ended and pod.deleted < seen.ended):
            return Outcome(End.INTERRUPTED, f"The pod {pod.name} was lost{_why(pod)}.")
    if seen.program_started is not None:
        for pod in pods:
            if pod.scheduled is None or pod.scheduled > seen.program_started:
                words = f"A pod was lost while the program ran; {pod.name} replaces it."
                return Outcome(End.INTERRUPTED, words, absence=pod.scheduled is None)
    if (code := _EXIT_CODE.search(seen.message)) and int(code[1]) == LOST_WORKER_EXIT:
        return Outcome(End.INTERRUPTED, "The program lost a worker.")
    return None


def _taken(pod: PodRecord) -> bool:
    """Whether the pod was deleted while it ran, rather than after it had ended by itself."""
    return pod.deleted is not None and (pod.finished is None or pod.finished >= pod.deleted)


def _why(pod: PodRecord) -> str:
    return f": {pod.message}" if pod.message else ""


def _tail(message: str) -> str:
    """The end of Ray's message: it has the last lines of the program's log, and the error is in the last ones."""
    message = _COLOUR.sub("", message)
    if _OUT_OF_MEMORY.search(message):
        return "A pod had no memory left and Ray ended the program: it needs more memory in its resources."
    return message if len(message) <= 1500 else "... " + message[-1500:]
