"""How an attempt ends, and with it perhaps the job: complete, failed, or to be tried again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from tradewind.api.base import Observed
from tradewind.api.compressionjob import CompressionResult
from tradewind.api.job import AttemptState, TrainerStatus
from tradewind.api.report import Report
from tradewind.api.trainingjob import ModelResult
from tradewind.core import reading
from tradewind.core.conditions import Reason, Verdict
from tradewind.core.plan import Event, Plan
from tradewind.core.timestamps import stamp
from tradewind.ray.job import RAY_JOB
from tradewind.ray.settling import attempt_ended, progress, settle, unfinished
from tradewind.ray.view import View, active_seconds

CORRECTED = "once the cause is corrected"


def interrupted(this: View, message: str) -> Plan:
    """The attempt was interrupted: another one follows, unless that happened too often."""
    count = (this.status.interruptions or 0) + 1
    update = {**progress(this.report), **attempt_ended(this, AttemptState.INTERRUPTED), "interruptions": count}
    allowed = this.job.item.spec.run_policy.retries.interruptions
    if count > allowed:
        words = f"{message} It was interrupted {count} times, and runPolicy.retries.interruptions is {allowed}."
        remedy = "with a larger number"
        return failed(this, Reason.TOO_MANY_INTERRUPTIONS, words, update=update, remedy=remedy, lost=True)
    verdict = Verdict(
        "Running",
        "False",
        Reason.INTERRUPTED,
        f"{message} The next attempt follows (interruption {count} of {allowed} allowed).",
    )
    events = (Event("Warning", "Interrupted", verdict.message),)
    return settle(this, update, unfinished(this.over, verdict), children=(this.policy,), events=events, lost=True)


def errored(this: View, message: str) -> Plan:
    """The program failed: another attempt follows where the user allows it."""
    count = (this.status.errors or 0) + 1
    update = {**progress(this.report), **attempt_ended(this, AttemptState.FAILED), "errors": count}
    allowed = this.job.item.spec.run_policy.retries.errors
    if count > allowed:
        # The log comes last: what it says may be long.
        why = f"The program failed and is not tried again (runPolicy.retries.errors is {allowed})"
        words = f"{again(this.kind, why)} {message}"
        return failed(this, Reason.PROGRAM_FAILED, words, update=update, remedy=None)
    verdict = Verdict(
        "Running", "False", Reason.RETRYING, f"The next attempt follows (error {count} of {allowed} allowed): {message}"
    )
    events = (Event("Warning", "Retrying", verdict.message[:1024]),)
    return settle(this, update, unfinished(this.over, verdict), children=(this.policy,), events=events)


def complete(this: View, update: Mapping[str, Any], message: str, judged: tuple[Verdict, ...] = ()) -> Plan:
    """The job has ended well; its RayJob stays, so that its log can be read. What is wrong with the result is told."""
    verdicts = (
        _still_accepted(this),
        Verdict("Running", "False", Reason.FINISHED, "It has ended."),
        Verdict("Suspended", "False", Reason.NOT_SUSPENDED),
        Verdict("Complete", "True", Reason.SUCCEEDED, message),
        Verdict("Failed", "False", Reason.NOT_FAILED),
        *judged,
    )
    said = update.get("trainer_status") or this.status.trainer_status or TrainerStatus()
    done = said.model_copy(update={"progress_percentage": 100, "estimated_remaining_seconds": 0})
    run = this.attempt  # it may have been given up before its result came
    succeeded = {"state": AttemptState.SUCCEEDED, "active_seconds": active_seconds(this)}
    ended = {
        **({"attempt": run.model_copy(update=succeeded)} if run is not None else {}),
        **update,
        "trainer_status": done,
        "completion_time": stamp(this.now),
    }
    doubts = (Event("Warning", str(doubt.reason), doubt.message[:1024]) for doubt in judged if doubt.status == "False")
    events = (Event("Normal", "Complete", message[:1024]), *doubts)
    return settle(this, ended, verdicts, keep=this.kept, events=events)


def failed(
    this: View,
    reason: Reason,
    message: str,
    update: Mapping[str, Any] | None = None,
    *,
    remedy: str | None = CORRECTED,
    keep: bool = True,
    lost: bool = False,
) -> Plan:
    """The job has ended badly. Without `keep` its RayJob is deleted, because the program still runs.

    `remedy` says when or with what to create the job again; None where the message does.
    """
    if remedy is not None:
        message = _with_remedy(this.kind, message, remedy)
    verdicts = (
        _still_accepted(this),
        Verdict("Running", "False", Reason.FINISHED, "It has ended."),
        Verdict("Suspended", "False", Reason.NOT_SUSPENDED),
        Verdict("Complete", "False", reason, "It failed."),
        Verdict("Failed", "True", reason, message),
    )
    ended = {**attempt_ended(this, AttemptState.FAILED), **(update or {}), "completion_time": stamp(this.now)}
    kept = this.kept if keep else frozenset(key for key in this.kept if key[0] != RAY_JOB.kind)
    events = (Event("Warning", str(reason), message[:1024]),)
    return settle(this, ended, verdicts, keep=kept, events=events, lost=lost)


def heard_at_end(kind: str, status: Mapping[str, Any], reports: Mapping[str, Report]) -> frozenset[str]:
    """The runs whose last report is in the status of a job that has ended; the status as it stands in the object.

    Fields that this version does not know do not count: the API server may not have kept them.
    """
    run = reading.mapping(status.get("attempt")).get("runName")
    return frozenset(name for name, report in reports.items() if name == run and _says(status, report, kind))


def _says(status: Mapping[str, Any], report: Report, kind: str) -> bool:
    if report.failure is not None:
        failed = reading.condition(status, "Failed")
        told = _with_remedy(kind, report.failure.message, CORRECTED)
        return (failed.get("status"), failed.get("message")) == ("True", told)
    if report.model is not None:
        return _agree(ModelResult, report.model.dump(), status.get("model"))
    if report.compression is not None:
        return _agree(CompressionResult, report.compression.dump(), status)
    return False


def _agree(part: type[Observed], told: Any, written: Any) -> bool:
    try:
        return part.read(told) == part.read(written)
    except ValidationError:
        return False


def _with_remedy(kind: str, message: str, remedy: str) -> str:
    return f"{message}{'' if message.endswith('.') else '.'} {again(kind, remedy=remedy)}"


def again(kind: str, why: str = "A job that failed is not run again", remedy: str = CORRECTED) -> str:
    """What to do about a job that failed: no field of it makes it run again."""
    return f"{why}: delete this {kind} and create it again {remedy}."


def _still_accepted(this: View) -> Verdict:
    """At the end it no longer matters what became of the pool or the reference."""
    return Verdict("Accepted", "True", Reason.ACCEPTED, "The spec could be carried out.")
