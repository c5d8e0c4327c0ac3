"""How a pass ends: the plan with the whole status, written only where something but time has changed it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tradewind.api.base import Columns
from tradewind.api.job import Attempt, AttemptState, JobStatus
from tradewind.api.report import Report
from tradewind.api.trainingjob import TrainingJobStatus
from tradewind.core.conditions import Reason, Verdict, merge, phase
from tradewind.core.plan import Child, Event, Plan
from tradewind.core.timestamps import moment
from tradewind.economics.cost import told
from tradewind.ray.spending import Presence, spending
from tradewind.ray.view import COST_INTERVAL, View, active_seconds, alarm

NEXT_STEP = 1.0  # seconds from the end of an attempt until the next step is decided


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


def attempt_ended(this: View, state: AttemptState) -> dict[str, Any]:
    """The status field of the present attempt, once it is over."""
    run = this.attempt
    if run is None or run.state.over:
        return {}
    return {"attempt": run.model_copy(update={"state": state, "active_seconds": active_seconds(this)})}


def settle(
    this: View,
    update: Mapping[str, Any],
    verdicts: tuple[Verdict, ...],
    *,
    children: tuple[Child, ...] = (),
    keep: frozenset[tuple[str, str]] = frozenset(),
    events: tuple[Event, ...] = (),
    requeue: float | None = None,
    lost: bool = False,
) -> Plan:
    """The plan with the whole status; cost, time and dashboard move by themselves and are written along with others."""
    old, generation = this.status, this.job.item.metadata.generation
    steady: dict[str, Any] = {
        **update,
        "observed_generation": generation,
        "phase": phase(verdicts),
        "conditions": merge(old.conditions, verdicts, generation, this.now),
    }
    new = old.model_copy(update=steady)
    due = _seconds_until_cost_is_due(this)
    changed = new.dump() != old.dump() or (due is not None and due <= 0)
    if not changed:
        new, events = old, ()
    else:
        new = _moved(this, new, lost=lost)
        due = COST_INTERVAL.total_seconds() if due is not None else None
    ending = new.attempt is None or new.attempt.state.over
    # Nothing else may happen any more that brings the next step: another attempt, or what is left to clear away.
    following = NEXT_STEP if changed and ending else None
    alarms = [requeue, following, None if ending else alarm(this), None if ending else due]
    return Plan(
        children=children,
        status=new.dump(),
        events=events,
        requeue_after=min((seconds for seconds in alarms if seconds is not None), default=None),
        keep=keep,
        heard=frozenset(this.observed.reports) & ({new.attempt.run_name} if new.attempt is not None else set()),
        superseded=this.superseded,
    )


def _moved(this: View, new: JobStatus, *, lost: bool) -> JobStatus:
    """The status with what time alone moves."""
    moving: dict[str, Any] = {}
    run = new.attempt
    if isinstance(run, Attempt) and not run.state.over and run == this.attempt:
        moving["attempt"] = run.model_copy(update={"active_seconds": active_seconds(this)})
    if isinstance(new, TrainingJobStatus):
        ending = run is None or run.state.over
        moving["dashboard_url"] = this.seen.dashboard_url if this.seen and not ending else None
    if this.job.groups or this.observed.pods:
        here = Presence(this.status, this.job.groups, this.observed.pods, this.seen)
        moving["cost"] = spending(here, this.surroundings.config, this.now, lost=lost)
    new = new.model_copy(update=moving)
    columns = Columns(metric=new.headline(), cost=told(new.cost))
    return new.model_copy(update={"columns": columns})


def _seconds_until_cost_is_due(this: View) -> float | None:
    """Until the cost of a program that says nothing is brought up to date; None where nothing costs."""
    if this.attempt is None or this.attempt.state.over:
        return None
    if not any(pod.scheduled is not None and pod.finished is None for pod in this.observed.pods):
        return None
    last = moment(this.status.cost.as_of) if this.status.cost is not None else None
    return 0.0 if last is None else (last + COST_INTERVAL - this.now).total_seconds()
