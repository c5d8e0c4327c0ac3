"""The life of a job on Ray: accepted, attempt by attempt, suspended, resumed, to its end. A pass decides one step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from tradewind.api.compressionjob import CompressionJob
from tradewind.api.job import Attempt, AttemptState
from tradewind.api.trainingjob import TrainingJob
from tradewind.core import covers
from tradewind.core.conditions import Reason, Verdict, holds
from tradewind.core.controller import Surroundings
from tradewind.core.labels import RUN
from tradewind.core.names import attempt_name, run_name
from tradewind.core.plan import PODS, Child, ChildRecord, Event, Observed, Plan, Refusal
from tradewind.core.timestamps import moment, stamp, whole
from tradewind.ray import attempt, hindrance
from tradewind.ray.ending import complete, errored, failed, heard_at_end, interrupted
from tradewind.ray.hindrance import PENDING_GRACE
from tradewind.ray.job import RAY_JOB, ray_job
from tradewind.ray.networkpolicy import CLOSED, NETWORK_POLICY
from tradewind.ray.pods import Program
from tradewind.ray.settling import attempt_ended, not_ended, progress, settle, unfinished
from tradewind.ray.view import (
    SILENCE_GRACE,
    Job,
    Stage,
    View,
    deadline,
    ended,
    pre_running_deadline,
)

# The next attempt waits this long for pods of the one before to end: both would write to the same folder.
ENDING_GRACE = timedelta(seconds=120)
# A program that has given its result ends by itself; if it hasn't by then, its RayJob is deleted.
LINGER_GRACE = timedelta(seconds=300)

_WHY_IT_ENDED = (Reason.INTERRUPTED, Reason.RETRYING, Reason.SOURCE_CHANGED, Reason.SPEC_CHANGED)
# What the user or the program ended: the program may still run, and its RayJob is not left to itself.
_OVERRUN = (Reason.DEADLINE_EXCEEDED, Reason.PRE_RUNNING_DEADLINE_EXCEEDED)


def plan(job: Job, observed: Observed, surroundings: Surroundings, now: datetime) -> Plan:
    """Decide the next step of the job.

    A job that waited for another is reported again when it runs, not also when its pods are made: one write less for
    every pipeline. Pods that don't start within the grace are reported.
    """
    begun = _begun(job, observed)
    decided = _step(View(begun or job, observed, surroundings, whole(now)))
    started = moment(begun.item.status.start_time) if begun is not None else None
    age = whole(now) - started if started is not None else timedelta(0)
    current = job.item.status.observed_generation == job.item.metadata.generation
    if job.item.status.phase == "Waiting" and current and _is_starting(decided) and age < PENDING_GRACE:
        rest = (PENDING_GRACE - age).total_seconds()
        look = rest if decided.requeue_after is None else min(rest, decided.requeue_after)
        return replace(decided, status=job.item.status.dump(), events=(), requeue_after=look)
    return decided


def _step(this: View) -> Plan:
    """One step of the life."""
    if this.stage == Stage.FINISHED:
        return _finished(this)
    if (end := _reported_end(this)) is not None:
        return end
    if this.job.item.spec.run_policy.suspend:
        return _suspended(this)
    if (late := _too_late(this)) is not None:
        return late
    if this.stage == Stage.IN_ATTEMPT:
        return _in_attempt(this)
    if this.job.further is None or this.job.accepted.status != "True":
        return _waiting(this)
    return _between_attempts(this, this.job.further)


def without_kuberay() -> Refusal:
    """Why nothing can start where the kind RayJob isn't served."""
    return Refusal(
        Reason.DEPENDENCY_MISSING,
        "The API server does not serve RayJob (ray.io/v1). Install KubeRay 1.5 or later; the job then starts by "
        "itself.",
    )


def refused(item: TrainingJob | CompressionJob, refusal: Refusal) -> Verdict:
    """The condition Accepted of a job whose spec can't be carried out, with a remedy that the API server takes."""
    message = refusal.message
    if item.status.attempt is not None and "spec." in message:
        message += (
            f" The spec is fixed since the first attempt started: to change it, delete this {item.kind} and create it "
            "again."
        )
    return Verdict("Accepted", "False", refusal.reason, message)


def _is_starting(plan: Plan) -> bool:
    """Whether the status would only say that pods are being made."""
    conditions: list[dict[str, Any]] = plan.status["conditions"]
    return any(known["type"] == "Running" and known["reason"] == Reason.STARTING for known in conditions)


def _begun(job: Job, observed: Observed) -> Job | None:
    """The job as its next attempt's RayJob shows it, where that was made and the status does not say so yet.

    A RayJob that was made of another spec does not count: the spec was corrected since.
    """
    status, item, program = job.item.status, job.item, job.further
    if program is None or (status.attempt is not None and not status.attempt.state.over):
        return None
    number = 1 if status.attempt is None else status.attempt.number + 1
    name = attempt_name(item.kind, item.metadata.name, number)
    record = observed.children.get((RAY_JOB.kind, name))
    if record is None or record.deleting or not _is_of(record, ray_job(name, program(number), job.groups)):
        return None
    started = _started(job, number, record.created)
    return replace(job, item=item.model_copy(update={"status": status.model_copy(update=started)}), program=program)


def _is_of(record: ChildRecord, planned: Child) -> bool:
    """Whether a child was made by that plan. One without a digest lost it, and gets it again."""
    return record.digest in ("", covers.digest(planned))


def _started(job: Job, number: int, now: datetime) -> dict[str, Any]:
    """The status fields of an attempt that starts."""
    status = job.item.status
    before = status.attempt.active_seconds if status.attempt is not None else 0
    return {
        "attempt": Attempt(
            number=number,
            run_name=run_name(number),
            state=AttemptState.STARTING,
            start_time=stamp(now),
            active_seconds=before,
            earlier_active_seconds=before,
        ),
        "ray_job_name": attempt_name(job.item.kind, job.item.metadata.name, number),
        "start_time": status.start_time or stamp(now),
        "pool": job.choice,
        **(job.started or {}),
    }


def _finished(this: View) -> Plan:
    """Nothing is done again: not when its RayJob is deleted, not when its spec changes."""
    status, seen = this.status, this.seen
    generation = this.job.item.metadata.generation
    if status.observed_generation != generation:
        status = status.model_copy(update={"observed_generation": generation})
    over = moment(status.completion_time) or this.now
    kept, moments = this.kept, []
    if seen is not None and not seen.over:
        overrun = any(c.type == "Failed" and c.reason in _OVERRUN for c in status.conditions)
        if overrun or this.now >= over + LINGER_GRACE:
            kept = frozenset(key for key in kept if key[0] != RAY_JOB.kind)
        else:
            moments.append(over + LINGER_GRACE)
    # Where the answer to the write that ended the job was lost, the report that brought the end still waits.
    heard = heard_at_end(this.kind, status.dump(), this.observed.reports)
    expires, expired = this.job.item.spec.run_policy.ttl_seconds_after_finished, False
    if expires is not None:
        moments.append(over + timedelta(seconds=expires))
        expired = this.now >= moments[-1]
    return Plan(
        status=status.dump(),
        keep=kept,
        requeue_after=min((left for instant in moments if (left := _seconds(instant - this.now))), default=None),
        heard=heard,
        superseded=frozenset(this.observed.reports) - heard,
        expired=expired,
    )


def _reported_end(this: View) -> Plan | None:
    """The end of the job, where the program told it; also one that is suspended, or whose attempt was given up."""
    report = this.report
    if report is None or not report.final:
        return None
    if report.failure is not None:
        return failed(this, Reason.of_failure(report.failure.reason), report.failure.message, update=progress(report))
    found = this.job.result(report)
    if found is None:
        return None
    update, message = found
    return complete(this, {**progress(report), **update}, message, this.job.judged(report))


def _suspended(this: View) -> Plan:
    words = "The pods are released; set runPolicy.suspend to false to continue from the last checkpoint."
    verdicts = (
        this.over.job.accepted,
        Verdict("Running", "False", Reason.SUSPENDED, "It is suspended."),
        Verdict("Suspended", "True", Reason.SUSPENDED, words),
        *not_ended(),
    )
    events = () if holds(this.status.conditions, "Suspended") else (Event("Normal", "Suspended", words),)
    update = {**progress(this.report), **attempt_ended(this, AttemptState.STOPPED)}
    # Ray's dashboard of a pod that still ends runs what it is sent.
    children = (this.policy,) if this.occupied else ()
    return settle(this, update, verdicts, children=children, events=events)


def _too_late(this: View) -> Plan | None:
    """The end of a job whose time is over."""
    policy = this.job.item.spec.run_policy
    if (until := deadline(this)) is not None and this.now >= until:
        words = (
            f"The attempts have run for the {policy.active_deadline_seconds} s that runPolicy.activeDeadlineSeconds "
            "allows."
        )
        return failed(this, Reason.DEADLINE_EXCEEDED, words, remedy="with more time", keep=False)
    if (until := pre_running_deadline(this)) is not None and this.now >= until and not _runs(this):
        before = this.status.condition("Running")
        why = f" {before.message}" if before is not None and before.message else ""
        remedy = "with more time, or once what holds it up is corrected"
        words = (
            f"The program did not run within the {policy.pre_running_deadline_seconds} s that "
            f"runPolicy.preRunningDeadlineSeconds allows.{why}"
        )
        return failed(this, Reason.PRE_RUNNING_DEADLINE_EXCEEDED, words, remedy=remedy, keep=False)
    return None


def _waiting(this: View) -> Plan:
    """Nothing can start: the condition Accepted says why."""
    idle = Verdict("Running", "False", Reason.WAITING, "Nothing runs: the condition Accepted says what is missing.")
    policy = frozenset(key for key in this.kept if key[0] == NETWORK_POLICY.kind)
    return settle(this, progress(this.report), unfinished(this, _idle(this, idle)), keep=policy)


def _between_attempts(this: View, program: Callable[[int], Program]) -> Plan:
    """Start the next attempt, as soon as nothing of the one before can write any more."""
    number = 1 if this.attempt is None else this.attempt.number + 1
    name = attempt_name(this.kind, this.name, number)
    update = progress(this.report)
    planned = ray_job(name, program(number), this.job.groups)
    present = this.observed.children.get((RAY_JOB.kind, name))
    corrected = present is not None and not present.deleting and not _is_of(present, planned)
    others = [key for key in this.observed.children if key[0] == RAY_JOB.kind and key[1] != name]
    ending = [
        pod
        for pod in this.observed.pods
        if pod.finished is None
        and not pod.interrupted
        and (present is None or present.deleting or corrected or pod.labels.get(RUN) != run_name(number))
    ]
    before = this.status.condition("Running")
    since = [moment(before.last_transition_time) if before is not None else None, ended(this)]
    patience = max((known for known in since if known is not None), default=this.now) + ENDING_GRACE - this.now
    policy = this.observed.children.get((NETWORK_POLICY.kind, this.policy.name))
    # Of before a suspension: no RayJob is made before there is another one.
    closing = policy is not None and policy.deleting
    gone = not others and not corrected and not closing and (present is None or not present.deleting)
    if not gone or (ending and patience > timedelta(0)):
        words = "The next attempt waits until the pods of the previous one have ended."
        verdict = Verdict("Running", "False", Reason.STOPPING, words)
        if corrected:
            words = (
                "The spec or the operator's configuration changed before the attempt ran: what was made for it "
                "is removed first."
            )
            verdict = Verdict("Running", "False", Reason.SPEC_CHANGED, words)
        verdict = _idle(this, verdict)
        return settle(this, update, unfinished(this, verdict), children=(this.policy,), requeue=_seconds(patience))
    children = _made(this, planned)
    if (refused := _refused(this, name)) is not None:
        return settle(this, update, unfinished(this, refused), children=children)
    verdict = _starts(this, number)
    started = {**update, **_started(this.job, number, this.now)}
    return settle(this, started, unfinished(this, verdict), children=children)


def _made(this: View, planned: Child) -> tuple[Child, ...]:
    """The NetworkPolicy and an attempt's RayJob, in the order in which they are made.

    No pod is open for a moment: the RayJob comes after the policy, unless a policy closes the pods of all jobs here.
    """
    if (CLOSED.resource.kind, CLOSED.name) in this.observed.shared and not _policy_refused(this):
        return (planned, this.policy)
    return (this.policy, replace(planned, after=((NETWORK_POLICY.kind, this.policy.name),)))


def _policy_refused(this: View) -> bool:
    """Whether the job has no NetworkPolicy because the API server refuses it."""
    name = (NETWORK_POLICY.kind, this.policy.name)
    return name not in this.observed.children and name in {
        (refused.resource.kind, refused.name) for refused in this.observed.rejections
    }


def _idle(this: View, otherwise: Verdict) -> Verdict:
    """Why nothing runs: what ended the last attempt stays in sight until the next one starts."""
    before = this.status.condition("Running")
    if before is not None and before.status == "False" and before.reason in _WHY_IT_ENDED:
        return Verdict("Running", "False", Reason.of(before.reason), before.message)
    return otherwise


def _in_attempt(this: View) -> Plan:
    """Look at the present attempt: over, lost, running, or still starting."""
    record, seen = this.record, this.seen
    if seen is not None and record is not None and not record.deleting:
        outcome = attempt.judge(seen, this.pods, this.job.reports_result, this.now)
        if outcome.kind == attempt.End.INVALID:
            return failed(this, Reason.RAY_JOB_INVALID, f"KubeRay refused the RayJob: {outcome.message}")
        if outcome.kind == attempt.End.SUCCEEDED:
            return complete(this, progress(this.report), "The program ended with exit code 0.")
        if outcome.kind in (attempt.End.INTERRUPTED, attempt.End.ERROR):
            end = interrupted if outcome.kind == attempt.End.INTERRUPTED else errored
            given_up = end(this, outcome.message)
            return replace(given_up, rests_on=(PODS, RAY_JOB)) if outcome.absence else given_up
    program = this.job.program
    if record is None and program is None and this.job.accepted.status == "True":
        words = "The model that the attempt started from is gone, and so is the RayJob."
        verdict = Verdict("Running", "False", Reason.SOURCE_CHANGED, words)
        update = {**progress(this.report), **attempt_ended(this, AttemptState.STOPPED)}
        return settle(this, update, unfinished(this.over, verdict), children=(this.policy,))
    return _goes_on(this, program)


def _goes_on(this: View, program: Callable[[int], Program] | None) -> Plan:
    """The attempt starts or runs."""
    record, run = this.record, this.attempt
    assert run is not None
    verdict = _running(this)
    runs = verdict.status == "True"
    events = (Event("Normal", "Running", verdict.message),) if runs and not this.ran else ()
    children: tuple[Child, ...] = (this.policy,)
    keep: frozenset[tuple[str, str]] = frozenset()
    if program is None or this.job.accepted.status != "True":
        children, keep = (), this.kept
    # Where the policy can't be made, the pods are closed to one another too: they would only wait, and cost.
    elif _policy_refused(this) and not runs:
        pass
    # A RayJob that was deleted by hand is made again, but not beside pods of the deleted one that still end.
    elif record is not None or not any(pod.finished is None and not pod.interrupted for pod in this.pods):
        children = _made(this, ray_job(this.status.ray_job_name or "", program(run.number), this.job.groups))
    update = progress(this.report)
    if runs and not this.ran:
        update["attempt"] = run.model_copy(update={"state": AttemptState.RUNNING})
    return settle(this, update, unfinished(this, verdict), children=children, keep=keep, events=events)


def _runs(this: View) -> bool:
    """Whether the program runs: it has reported, or KubeRay says so and the program keeps silent."""
    if this.ran or this.report is not None:
        return True
    seen, now = this.seen, this.now
    quiet = (seen.program_started if seen else None) or (this.record.created if this.record else now)
    return seen is not None and seen.running and (not this.job.reports_result or now - quiet >= SILENCE_GRACE)


def _running(this: View) -> Verdict:
    """The condition Running of an attempt that has not ended."""
    number, now = this.attempt.number if this.attempt else 1, this.now
    if _runs(this):
        pool = this.status.pool.name if this.status.pool else ""
        return Verdict("Running", "True", Reason.RUNNING, f"Attempt {number} runs on pool {pool}.")
    if (refused := _refused(this, this.status.ray_job_name)) is not None:
        return refused
    before = this.status.condition("Running")
    if (start := this.start) is not None and (found := hindrance.find(start, now)) is not None:
        told = found.after(before)
        return Verdict("Running", "False", told.reason, told.message)
    if before is not None and before.reason == Reason.STARTING:
        return Verdict("Running", "False", Reason.STARTING, before.message)
    return _starts(this, number)


def _starts(this: View, number: int) -> Verdict:
    checkpoint = this.status.last_checkpoint
    since = f" from the checkpoint at step {checkpoint.step}" if checkpoint is not None and number > 1 else ""
    return Verdict("Running", "False", Reason.STARTING, f"Attempt {number} starts{since}.")


def _refused(this: View, ray_job: str | None) -> Verdict | None:
    """What the API server said to the first of the attempt's children that it does not take."""
    ours = {(RAY_JOB.kind, ray_job), (NETWORK_POLICY.kind, this.policy.name)}
    for rejection in this.observed.rejections:
        if (rejection.resource.kind, rejection.name) in ours:
            words = f"The API server refused {rejection.resource.kind} {rejection.name}: {rejection.message}"
            return Verdict("Running", "False", Reason.REJECTED, words)
    return None


def _seconds(delta: timedelta) -> float | None:
    return delta.total_seconds() if delta > timedelta(0) else None
