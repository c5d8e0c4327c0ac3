"""The life of a job on Ray: accepted, attempt by attempt, suspended, resumed, to its end. A pass decides one step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from tradewind.api.report import Report
from tradewind.core.conditions import Reason, Verdict, holds
from tradewind.core.controller import Surroundings
from tradewind.core.labels import ATTEMPT
from tradewind.core.names import attempt_name
from tradewind.core.plan import PODS, Child, Event, Observed, Plan
from tradewind.core.timestamps import moment, stamp, whole
from tradewind.economics.pools import Refusal
from tradewind.ray import attempt
from tradewind.ray.ending import complete, errored, failed, interrupted
from tradewind.ray.job import RAY_JOB, ray_job
from tradewind.ray.networkpolicy import NETWORK_POLICY
from tradewind.ray.pods import Program
from tradewind.ray.settling import not_ended, progress, settle, unfinished
from tradewind.ray.view import PENDING_GRACE, SILENCE_GRACE, Job, View, deadline

# The next attempt waits this long for pods of the one before to end: both would write to the same folder.
ENDING_GRACE = timedelta(seconds=120)
# A program that has given its result ends by itself; if it hasn't by then, its RayJob is deleted.
LINGER_GRACE = timedelta(seconds=300)

_WHY_IT_ENDED = (Reason.INTERRUPTED, Reason.RETRYING, Reason.SOURCE_CHANGED)


def plan(job: Job, observed: Observed, surroundings: Surroundings, now: datetime) -> Plan:
    """Decide the next step of the job.

    A job that waited for another is told of again when it runs, not also when its pods are made: one write less for
    every pipeline. Pods that don't start within the grace are told of.
    """
    begun = _begun(job, observed)
    decided = _decide(View(begun or job, observed, surroundings, whole(now)))
    started = moment(begun.item.status.start_time) if begun is not None else None
    age = whole(now) - started if started is not None else timedelta(0)
    if job.item.status.phase == "Waiting" and _is_starting(decided) and age < PENDING_GRACE:
        rest = (PENDING_GRACE - age).total_seconds()
        look = rest if decided.requeue_after is None else min(rest, decided.requeue_after)
        return replace(decided, status=job.item.status.dump(), events=(), requeue_after=look)
    return decided


def _is_starting(plan: Plan) -> bool:
    """Whether the status would only say that pods are being made."""
    conditions: list[dict[str, Any]] = plan.status["conditions"]
    return any(known["type"] == "Running" and known["reason"] == Reason.STARTING for known in conditions)


def _begun(job: Job, observed: Observed) -> Job | None:
    """The job as its first attempt's RayJob shows it, where that was made and the status does not say so yet."""
    status, item = job.item.status, job.item
    if status.attempt is not None or job.further is None:
        return None
    name = attempt_name(item.kind, item.metadata.name, 1)
    record = observed.children.get((RAY_JOB.kind, name))
    if record is None or record.deleting:
        return None
    started = _started(job, name, 1, record.created)
    return replace(job, item=item.model_copy(update={"status": status.model_copy(update=started)}), program=job.further)


def _started(job: Job, name: str, number: int, now: datetime) -> dict[str, Any]:
    """The status fields of an attempt that starts."""
    return {
        "attempt": number,
        "ray_job_name": name,
        "start_time": job.item.status.start_time or stamp(now),
        "pool": job.choice,
        **(job.started or {}),
    }


def _decide(this: View) -> Plan:
    job = this.job
    if this.finished:
        return _finished(this)
    if this.report is not None and this.report.final and (end := _reported_end(this, this.report)) is not None:
        return end
    if job.item.spec.run_policy.suspend:
        return _suspended(this)
    if (until := deadline(this)) is not None and this.now >= until:
        seconds = job.item.spec.run_policy.active_deadline_seconds
        words = (
            f"The job has run for the {seconds} s that runPolicy.activeDeadlineSeconds allows. Create it anew "
            "with more time."
        )
        return failed(this, Reason.DEADLINE_EXCEEDED, words, keep=False)
    if this.status.ray_job_name is not None:
        return _in_attempt(this)
    if job.accepted.status != "True" or job.further is None:
        policy = frozenset(key for key in this.kept if key[0] == NETWORK_POLICY.kind)
        idle = Verdict("Running", "False", Reason.WAITING, "Nothing runs: the condition Accepted says what is missing.")
        return settle(this, {}, unfinished(this, _idle(this, idle)), keep=policy)
    return _between_attempts(this, job.further)


def without_kuberay() -> Refusal:
    """Why nothing can start where the kind RayJob isn't served."""
    return Refusal(
        Reason.DEPENDENCY_MISSING,
        "The API server does not serve RayJob (ray.io/v1). Install KubeRay 1.5; the job then starts by itself.",
    )


def _finished(this: View) -> Plan:
    """Nothing is done again: not when its RayJob is deleted, not when its spec changes."""
    status, seen = this.status, this.seen
    generation = this.job.item.metadata.generation
    if status.observed_generation != generation:
        status = status.model_copy(update={"observed_generation": generation})
    kept, requeue = this.kept, None
    if seen is not None and not seen.over:
        ended = max(
            moment(c.last_transition_time) or this.now
            for c in status.conditions
            if c.type in ("Complete", "Failed") and c.status == "True"
        )
        left = ended + LINGER_GRACE - this.now
        overrun = any(c.type == "Failed" and c.reason == Reason.DEADLINE_EXCEEDED for c in status.conditions)
        if overrun or left <= timedelta(0):
            kept = frozenset(key for key in kept if key[0] != RAY_JOB.kind)
        else:
            requeue = left.total_seconds()
    return Plan(status=status.dump(), keep=kept, requeue_after=requeue)


def _reported_end(this: View, report: Report) -> Plan | None:
    if report.failure is not None:
        reason = Reason.of(report.failure.reason)
        return failed(this, reason, report.failure.message, update=progress(report))
    found = this.job.result(report)
    if found is None:
        return None
    update, message = found
    return complete(this, {**progress(report), **update}, message)


def _suspended(this: View) -> Plan:
    words = "The pods are released; set runPolicy.suspend to false to go on from the last checkpoint."
    verdicts = (
        this.over.job.accepted,
        Verdict("Running", "False", Reason.SUSPENDED, "It is suspended."),
        Verdict("Suspended", "True", Reason.SUSPENDED, words),
        *not_ended(),
    )
    events = () if holds(this.status.conditions, "Suspended") else (Event("Normal", "Suspended", words),)
    return settle(this, {"ray_job_name": None}, verdicts, events=events, timed=False)


def _between_attempts(this: View, program: Callable[[int], Program]) -> Plan:
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
        verdict = Verdict(
            "Running", "False", Reason.STOPPING, "The next attempt waits until the pods of the one before have ended."
        )
        verdict = _idle(this, verdict)
        return settle(this, {}, unfinished(this, verdict), children=(this.policy,), requeue=_seconds(patience))
    started = _started(this.job, name, number, this.now)
    checkpoint = this.status.last_checkpoint
    since = f" from the checkpoint at step {checkpoint.step}" if checkpoint and number > 1 else ""
    verdict = _refused(this, name) or Verdict("Running", "False", Reason.STARTING, f"Attempt {number} starts{since}.")
    children = (this.policy, ray_job(name, program(number), this.job.groups))
    return settle(this, started, unfinished(this, verdict), children=children, new_attempt=True)


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
            return complete(this, {}, "The program ended with exit code 0.")
        if outcome.kind == attempt.End.INTERRUPTED:
            lost = interrupted(this, outcome.message)
            return replace(lost, rests_on=(PODS, RAY_JOB)) if outcome.absence else lost
        if outcome.kind == attempt.End.ERROR:
            return errored(this, outcome.message)
    program, number = this.job.program, this.status.attempt or 1
    if record is None and program is None and this.job.accepted.status == "True":
        if this.job.further is not None:
            return _between_attempts(this, this.job.further)
        words = "The model that the attempt started from is gone, and so is the RayJob."
        verdict = Verdict("Running", "False", Reason.SOURCE_CHANGED, words)
        return settle(this, {"ray_job_name": None}, unfinished(this.over, verdict), children=(this.policy,))
    verdict = _running(this)
    events = (Event("Normal", "Running", verdict.message),) if verdict.status == "True" and not this.ran else ()
    children: tuple[Child, ...] = (this.policy,)
    keep: frozenset[tuple[str, str]] = frozenset()
    if program is None or this.job.accepted.status != "True":
        children, keep = (), this.kept
    # A RayJob that was deleted by hand is made again, but not beside pods of the deleted one that still end.
    elif record is not None or not any(pod.finished is None and not pod.interrupted for pod in this.pods):
        children += (ray_job(this.status.ray_job_name or "", program(number), this.job.groups),)
    update = progress(this.report)
    return settle(this, update, unfinished(this, verdict), children=children, keep=keep, events=events)


def _running(this: View) -> Verdict:
    seen, number, now = this.seen, this.status.attempt, this.now
    quiet = (seen.program_started if seen else None) or (this.record.created if this.record else now)
    if (
        this.ran
        or this.report is not None
        or (seen is not None and seen.running and (not this.job.reports_result or now - quiet >= SILENCE_GRACE))
    ):
        pool = this.status.pool.name if this.status.pool else ""
        return Verdict("Running", "True", Reason.RUNNING, f"Attempt {number} runs on pool {pool}.")
    if (refused := _refused(this, this.status.ray_job_name)) is not None:
        return refused
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
