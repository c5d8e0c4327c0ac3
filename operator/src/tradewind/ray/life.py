"""The life of a job on Ray: accepted, attempt by attempt, suspended and resumed, to its end. One pass decides the next step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tradewind.api.compressionjob import CompressionJob, CompressionJobStatus
from tradewind.api.report import Report
from tradewind.api.trainingjob import PoolChoice, TrainingJob, TrainingJobStatus
from tradewind.core.conditions import Reason, Verdict, holds, merge, phase
from tradewind.core.controller import Surroundings
from tradewind.core.labels import ATTEMPT, labels
from tradewind.core.names import attempt_name, child_name
from tradewind.core.plan import Child, ChildRecord, Event, Observed, Plan, PodRecord
from tradewind.core.timestamps import moment, stamp, whole
from tradewind.ray import attempt
from tradewind.ray.job import RAY_JOB, RayJobSeen, ray_job
from tradewind.ray.networkpolicy import NETWORK_POLICY, network_policy
from tradewind.economics.pools import Refusal
from tradewind.ray.groups import Group
from tradewind.ray.pods import Program
from tradewind.ray.spending import spending

JobStatus = TrainingJobStatus | CompressionJobStatus

# A pod that isn't placed or started after this long is told of in the Running condition.
PENDING_GRACE = timedelta(seconds=30)
# A program that reports is Running when it has; if it says nothing for this long, KubeRay's word is taken.
SILENCE_GRACE = timedelta(seconds=30)
# The next attempt waits this long for pods of the one before to end: both would write to the same folder.
ENDING_GRACE = timedelta(seconds=120)
# A program that has given its result ends by itself; if it hasn't by then, its RayJob is deleted.
LINGER_GRACE = timedelta(seconds=300)


@dataclass(frozen=True, slots=True)
class Job:
    """A TrainingJob or CompressionJob as the planner of its kind hands it over."""

    item: TrainingJob | CompressionJob
    accepted: Verdict
    groups: tuple[Group, ...] = ()  # the head first
    choice: PoolChoice | None = None
    # Makes what an attempt runs; None where it can't be made (any more): an attempt that runs is then left as it is.
    program: Callable[[int], Program] | None = None
    started: Mapping[str, Any] | None = None  # status fields that a new attempt sets
    reports_result: bool = True  # False: the program's exit code decides
    result: Callable[[Report], tuple[Mapping[str, Any], str] | None] = lambda report: None  # status fields, message


@dataclass(frozen=True, slots=True)
class _Pass:
    """All that one pass knows."""

    job: Job
    observed: Observed
    surroundings: Surroundings
    now: datetime

    @property
    def status(self) -> JobStatus:
        return self.job.item.status

    @property
    def name(self) -> str:
        return self.job.item.metadata.name

    @property
    def kind(self) -> str:
        return self.job.item.kind

    @property
    def finished(self) -> bool:
        return holds(self.status.conditions, "Complete") or holds(self.status.conditions, "Failed")

    @property
    def ran(self) -> bool:
        return holds(self.status.conditions, "Running")

    @property
    def record(self) -> ChildRecord | None:
        """The RayJob of the present attempt, as the watch shows it."""
        return self.observed.children.get((RAY_JOB.kind, self.status.ray_job_name or ""))

    @property
    def seen(self) -> RayJobSeen | None:
        record = self.record
        return record.seen if record is not None and isinstance(record.seen, RayJobSeen) else None

    @property
    def pods(self) -> tuple[PodRecord, ...]:
        """Pods of the present attempt."""
        number = str(self.status.attempt)
        return tuple(pod for pod in self.observed.pods if pod.labels.get(ATTEMPT) == number)

    @property
    def report(self) -> Report | None:
        """What the program of the present attempt told."""
        report = self.observed.report
        if report is None or self.status.ray_job_name is None:
            return None
        return report if report.attempt in (None, self.status.attempt) else None

    @property
    def policy(self) -> Child:
        settings = self.surroundings.config.network_policy
        return network_policy(
            child_name(self.kind, self.name), labels(self.kind, self.name), settings.kuberay_namespace
        )

    @property
    def kept(self) -> frozenset[tuple[str, str]]:
        """The children that stay as they are when they aren't planned."""
        policy = (NETWORK_POLICY.kind, child_name(self.kind, self.name))
        return frozenset({policy, (RAY_JOB.kind, self.status.ray_job_name)} if self.status.ray_job_name else {policy})


def plan(job: Job, observed: Observed, surroundings: Surroundings, now: datetime) -> Plan:
    """Decide the next step of the job."""
    this = _Pass(job, observed, surroundings, whole(now))
    if this.finished:
        return _finished(this)
    if this.report is not None and this.report.final and (end := _reported_end(this, this.report)) is not None:
        return end
    if job.item.spec.run_policy.suspend:
        return _suspended(this)
    if (deadline := _deadline(this)) is not None and this.now >= deadline:
        seconds = job.item.spec.run_policy.active_deadline_seconds
        words = f"The job has run for the {seconds} s that runPolicy.activeDeadlineSeconds allows. Create it anew with more time."
        return _failed(this, Reason.DEADLINE_EXCEEDED, words, keep=False)
    if this.status.ray_job_name is not None:
        return _in_attempt(this)
    if job.accepted.status != "True":
        return _settle(this, {}, _open(this, Verdict("Running", "False", Reason.WAITING, "It has not started.")))
    return _between_attempts(this)


def without_kuberay() -> Refusal:
    """Why nothing can start where the kind RayJob isn't served."""
    return Refusal(
        Reason.DEPENDENCY_MISSING,
        "The API server does not serve RayJob (ray.io/v1). Install KubeRay 1.5 or later; the job then starts by itself.",
    )


def _finished(this: _Pass) -> Plan:
    """Nothing is done again: not when its RayJob is deleted, not when its spec changes."""
    status, seen = this.status, this.seen
    generation = this.job.item.metadata.generation
    if status.observed_generation != generation:
        status = status.model_copy(update={"observed_generation": generation})
    kept, requeue = this.kept, None
    if seen is not None and not seen.over:
        ended = max(
            (
                moment(c.last_transition_time) or this.now
                for c in status.conditions
                if c.type in ("Complete", "Failed") and c.status == "True"
            )
        )
        left = ended + LINGER_GRACE - this.now
        overrun = any(c.type == "Failed" and c.reason == Reason.DEADLINE_EXCEEDED for c in status.conditions)
        if overrun or left <= timedelta(0):
            kept = frozenset(key for key in kept if key[0] != RAY_JOB.kind)
        else:
            requeue = left.total_seconds()
    return Plan(status=status.dump(), keep=kept, requeue_after=requeue)


def _reported_end(this: _Pass, report: Report) -> Plan | None:
    if report.failure is not None:
        reason = Reason.of(report.failure.reason)
        return _failed(this, reason, report.failure.message, update=_progress(report))
    found = this.job.result(report)
    if found is None:
        return None
    update, message = found
    return _complete(this, {**_progress(report), **update}, message)


def _suspended(this: _Pass) -> Plan:
    words = "The pods are released; set runPolicy.suspend to false to go on from the last checkpoint."
    verdicts = (
        this.job.accepted,
        Verdict("Running", "False", Reason.SUSPENDED, "It is suspended."),
        Verdict("Suspended", "True", Reason.SUSPENDED, words),
        *_not_ended(),
    )
    events = () if holds(this.status.conditions, "Suspended") else (Event("Normal", "Suspended", words),)
    return _settle(this, {"ray_job_name": None}, verdicts, events=events)


def _between_attempts(this: _Pass) -> Plan:
    """Start the next attempt, as soon as nothing of the one before can write any more."""
    number = (this.status.attempt or 0) + 1
    name = attempt_name(this.kind, this.name, number)
    others = [key for key in this.observed.children if key[0] == RAY_JOB.kind and key[1] != name]
    ending = [
        pod
        for pod in this.observed.pods
        if pod.finished is None and not pod.interrupted and pod.labels.get(ATTEMPT) != str(number)
    ]
    before = this.status.condition("Running")
    patience = ((moment(before.last_transition_time) if before else None) or this.now) + ENDING_GRACE - this.now
    if others or (ending and patience > timedelta(0)):
        # The reason why the last attempt ended stays in sight.
        verdict = Verdict(
            "Running", "False", Reason.STOPPING, "The next attempt waits until the pods of the one before have ended."
        )
        if before is not None and before.status == "False" and before.reason in (Reason.INTERRUPTED, Reason.RETRYING):
            verdict = Verdict("Running", "False", Reason.of(before.reason), before.message)
        return _settle(this, {}, _open(this, verdict), children=(this.policy,), requeue=_seconds(patience), timed=True)
    if this.job.program is None:
        return _settle(
            this, {}, _open(this, Verdict("Running", "False", Reason.SOURCE_CHANGED, this.job.accepted.message))
        )
    started = {
        "attempt": number,
        "ray_job_name": name,
        "start_time": this.status.start_time or stamp(this.now),
        "pool": this.job.choice,
        **(this.job.started or {}),
    }
    checkpoint = this.status.last_checkpoint
    since = f" from the checkpoint at step {checkpoint.step}" if checkpoint and number > 1 else ""
    verdict = Verdict("Running", "False", Reason.STARTING, f"Attempt {number} starts{since}.")
    children = (this.policy, ray_job(name, this.job.program(number), this.job.groups))
    return _settle(this, started, _open(this, verdict), children=children, timed=True, new_attempt=True)


def _in_attempt(this: _Pass) -> Plan:
    """Look at the present attempt: over, lost, running, or still starting."""
    record, seen = this.record, this.seen
    if seen is not None and record is not None and not record.deleting:
        outcome = attempt.judge(seen, this.pods, len(this.job.groups) > 1, this.job.reports_result, this.now)
        if outcome.kind == attempt.End.INVALID:
            return _failed(this, Reason.RAY_JOB_INVALID, f"KubeRay refused the RayJob: {outcome.message}")
        if outcome.kind == attempt.End.SUCCEEDED:
            return _complete(this, {}, "The program ended with exit code 0.")
        if outcome.kind == attempt.End.INTERRUPTED:
            return _interrupted(this, outcome.message)
        if outcome.kind == attempt.End.ERROR:
            return _errored(this, outcome.message)
    program = this.job.program
    if program is None or this.job.accepted.status != "True":
        if record is None and program is None and this.job.accepted.status == "True":
            return _settle(
                this, {"ray_job_name": None}, _open(this, _running_verdict(this)), children=(this.policy,), timed=True
            )
        return _settle(this, _progress(this.report), _open(this, _running_verdict(this)), keep=this.kept, timed=True)
    children: tuple[Child, ...] = (this.policy,)
    # A RayJob that was deleted by hand is made again, but not beside pods of the deleted one that still end.
    if record is not None or not any(pod.finished is None and not pod.interrupted for pod in this.pods):
        number = this.status.attempt or 1
        children = (this.policy, ray_job(this.status.ray_job_name or "", program(number), this.job.groups))
    verdict = _running_verdict(this)
    events = (Event("Normal", "Running", verdict.message),) if verdict.status == "True" and not this.ran else ()
    return _settle(this, _progress(this.report), _open(this, verdict), children=children, events=events, timed=True)


def _running_verdict(this: _Pass) -> Verdict:
    seen, number, now = this.seen, this.status.attempt, this.now
    quiet = (seen.program_started if seen else None) or (this.record.created if this.record else now)
    if (
        this.ran
        or this.report is not None
        or (seen is not None and seen.running and (not this.job.reports_result or now - quiet >= SILENCE_GRACE))
    ):
        pool = this.status.pool.name if this.status.pool else ""
        return Verdict("Running", "True", Reason.RUNNING, f"Attempt {number} runs on pool {pool}.")
    ours = {(RAY_JOB.kind, this.status.ray_job_name), (NETWORK_POLICY.kind, this.policy.name)}
    for rejection in this.observed.rejections:
        if (rejection.resource.kind, rejection.name) in ours:
            words = f"The API server refused {rejection.resource.kind} {rejection.name}: {rejection.message}"
            return Verdict("Running", "False", Reason.REJECTED, words)
    before = this.status.condition("Running")
    created = this.record.created if this.record else now
    stuck = attempt.stuck(this.pods) if now - created >= PENDING_GRACE else None
    if stuck is not None:
        reason = Reason.UNSCHEDULABLE if stuck.scheduled is None else Reason.POD_NOT_STARTING
        # The scheduler's and the kubelet's words change all the time (counts, back-off): the first ones stay.
        if before is not None and before.reason == reason:
            return Verdict("Running", "False", reason, before.message)
        return Verdict("Running", "False", reason, f"Pod {stuck.name}: {stuck.message}")
    if before is not None and before.reason == Reason.STARTING:
        return Verdict("Running", "False", Reason.STARTING, before.message)
    return Verdict("Running", "False", Reason.STARTING, f"Attempt {number} starts.")


def _interrupted(this: _Pass, message: str) -> Plan:
    count = (this.status.interruptions or 0) + 1
    update = {**_progress(this.report), "interruptions": count}
    allowed = this.job.item.spec.run_policy.retries.interruptions
    if count > allowed:
        words = f"{message} It was interrupted {count} times, and runPolicy.retries.interruptions is {allowed}."
        return _failed(this, Reason.TOO_MANY_INTERRUPTIONS, words, update=update, lost=True)
    verdict = Verdict(
        "Running", "False", Reason.INTERRUPTED, f"{message} Interruption {count} of {allowed} that are borne."
    )
    events = (Event("Warning", "Interrupted", verdict.message),)
    update["ray_job_name"] = None
    return _settle(this, update, _open(this, verdict), children=(this.policy,), events=events, lost=True, timed=True)


def _errored(this: _Pass, message: str) -> Plan:
    count = (this.status.errors or 0) + 1
    update = {**_progress(this.report), "errors": count}
    allowed = this.job.item.spec.run_policy.retries.errors
    if count > allowed:
        hint = "" if allowed else " (runPolicy.retries.errors is 0: it is not tried again)"
        return _failed(this, Reason.PROGRAM_FAILED, f"The program failed{hint}: {message}", update=update)
    verdict = Verdict("Running", "False", Reason.RETRYING, f"Error {count} of {allowed} that are borne: {message}")
    events = (Event("Warning", "Retrying", verdict.message[:1024]),)
    update["ray_job_name"] = None
    return _settle(this, update, _open(this, verdict), children=(this.policy,), events=events, timed=True)


def _complete(this: _Pass, update: Mapping[str, Any], message: str) -> Plan:
    verdicts = (
        _still_accepted(this),
        Verdict("Running", "False", Reason.FINISHED, "It has ended."),
        Verdict("Suspended", "False", Reason.NOT_SUSPENDED),
        Verdict("Complete", "True", Reason.SUCCEEDED, message),
        Verdict("Failed", "False", Reason.NOT_FAILED),
    )
    return _settle(this, update, verdicts, keep=this.kept, events=(Event("Normal", "Complete", message),), over=True)


def _failed(
    this: _Pass,
    reason: Reason,
    message: str,
    update: Mapping[str, Any] | None = None,
    *,
    keep: bool = True,
    lost: bool = False,
) -> Plan:
    verdicts = (
        _still_accepted(this),
        Verdict("Running", "False", Reason.FINISHED, "It has ended."),
        Verdict("Suspended", "False", Reason.NOT_SUSPENDED),
        Verdict("Complete", "False", reason, "It failed."),
        Verdict("Failed", "True", reason, message),
    )
    kept = this.kept if keep else frozenset(key for key in this.kept if key[0] != RAY_JOB.kind)
    events = (Event("Warning", str(reason), message[:1024]),)
    return _settle(this, update or {}, verdicts, keep=kept, events=events, lost=lost, over=True)


def _still_accepted(this: _Pass) -> Verdict:
    """At the end it no longer matters what became of the pool or the reference."""
    return Verdict("Accepted", "True", Reason.ACCEPTED, "The spec was carried out.")


def _open(this: _Pass, running: Verdict) -> tuple[Verdict, ...]:
    return (this.job.accepted, running, Verdict("Suspended", "False", Reason.NOT_SUSPENDED), *_not_ended())


def _not_ended() -> tuple[Verdict, ...]:
    return Verdict("Complete", "False", Reason.NOT_FINISHED), Verdict("Failed", "False", Reason.NOT_FAILED)


def _progress(report: Report | None) -> dict[str, Any]:
    if report is None:
        return {}
    said = {"trainer_status": report.trainer_status, "last_checkpoint": report.last_checkpoint}
    return {field: value for field, value in said.items() if value is not None}


def _deadline(this: _Pass) -> datetime | None:
    seconds, start = this.job.item.spec.run_policy.active_deadline_seconds, moment(this.status.start_time)
    return start + timedelta(seconds=seconds) if seconds is not None and start is not None else None


def _alarm(this: _Pass) -> float | None:
    """Seconds until time alone would change the plan."""
    record, seen, moments = this.record, this.seen, []
    if (deadline := _deadline(this)) is not None:
        moments.append(deadline)
    if record is not None and not this.ran:
        moments.append(record.created + PENDING_GRACE)
        if seen is not None and seen.running:
            moments.append((seen.program_started or record.created) + SILENCE_GRACE)
    if seen is not None and (again := attempt.next_look(seen)) is not None:
        moments.append(again)
    ahead = [(instant - this.now).total_seconds() for instant in moments if instant > this.now]
    return min(ahead, default=None)


def _seconds(delta: timedelta) -> float | None:
    return delta.total_seconds() if delta > timedelta(0) else None


def _settle(
    this: _Pass,
    update: Mapping[str, Any],
    verdicts: tuple[Verdict, ...],
    *,
    children: tuple[Child, ...] = (),
    keep: frozenset[tuple[str, str]] = frozenset(),
    events: tuple[Event, ...] = (),
    requeue: float | None = None,
    timed: bool = False,
    lost: bool = False,
    over: bool = False,
    new_attempt: bool = False,
) -> Plan:
    """The plan with the whole status; what changes by itself (cost, dashboard) is only written along with something else."""
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
        if this.job.groups or old.cost is not None:
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
    alarms = [seconds for seconds in (requeue, _alarm(this) if timed else None) if seconds is not None]
    return Plan(children=children, status=new.dump(), events=events, requeue_after=min(alarms, default=None), keep=keep)
