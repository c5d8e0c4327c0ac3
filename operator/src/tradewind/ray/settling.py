"""How a pass ends: the plan with the whole status, written only where something but time has changed it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tradewind.api.report import Report
from tradewind.api.trainingjob import TrainingJobStatus
from tradewind.core.conditions import Reason, Verdict, merge, phase
from tradewind.core.plan import Child, Event, Plan
from tradewind.ray.spending import spending
from tradewind.ray.view import View, alarm


def unfinished(this: View, running: Verdict) -> tuple[Verdict, ...]:
    """The conditions of a job that has not ended."""
    return (this.job.accepted, running, Verdict("Suspended", "False", Reason.NOT_SUSPENDED), *not_ended())


def not_ended() -> tuple[Verdict, ...]:
    """The two conditions of an end that has not come."""
    return Verdict("Complete", "False", Reason.NOT_FINISHED), Verdict("Failed", "False", Reason.NOT_FAILED)


def progress(report: Report | None) -> dict[str, Any]:
    """The status fields that a report brings, whatever else it says."""
    if report is None:
        return {}
    said = {"trainer_status": report.trainer_status, "last_checkpoint": report.last_checkpoint}
    return {field: value for field, value in said.items() if value is not None}


def settle(
    this: View,
    update: Mapping[str, Any],
    verdicts: tuple[Verdict, ...],
    *,
    children: tuple[Child, ...] = (),
    keep: frozenset[tuple[str, str]] = frozenset(),
    events: tuple[Event, ...] = (),
    requeue: float | None = None,
    timed: bool = True,
    lost: bool = False,
    over: bool = False,
    new_attempt: bool = False,
) -> Plan:
    """The plan with the whole status; cost and dashboard move by themselves and are written along with others."""
    old, generation = this.status, this.job.item.metadata.generation
    steady: dict[str, Any] = {
        **update,
        "observed_generation": generation,
        "phase": phase(verdicts),
        "conditions": merge(old.conditions, verdicts, generation, this.now),
    }
    new = old.model_copy(update=steady)
    if new.dump() == old.dump():
        new, events = old, ()
    else:
        moving: dict[str, Any] = {}
        if isinstance(old, TrainingJobStatus):
            moving["dashboard_url"] = this.seen.dashboard_url if this.seen and not over else None
        if this.job.groups:
            moving["cost"] = spending(
                old,
                this.job.groups,
                this.pods,
                this.seen,
                this.surroundings.config.currency,
                this.now,
                lost=lost,
                new_attempt=new_attempt,
            )
        new = new.model_copy(update=moving)
    alarms = [seconds for seconds in (requeue, alarm(this) if timed and not over else None) if seconds is not None]
    return Plan(children=children, status=new.dump(), events=events, requeue_after=min(alarms, default=None), keep=keep)
