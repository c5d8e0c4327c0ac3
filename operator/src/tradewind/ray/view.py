"""What one pass over a job on Ray knows: the job as its kind hands it over, and what belongs to its present attempt."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from tradewind.api.compressionjob import CompressionJob
from tradewind.api.job import Attempt, AttemptState, JobStatus, PoolChoice
from tradewind.api.report import Report
from tradewind.api.trainingjob import TrainingJob
from tradewind.core.conditions import Verdict, holds
from tradewind.core.controller import Surroundings
from tradewind.core.labels import RUN, labels
from tradewind.core.names import child_name
from tradewind.core.plan import Child, ChildRecord, Observed, PodRecord
from tradewind.core.timestamps import moment
from tradewind.ray import attempt, hindrance
from tradewind.ray.groups import Group
from tradewind.ray.job import RAY_JOB, RayJobSeen
from tradewind.ray.networkpolicy import NETWORK_POLICY, network_policy
from tradewind.ray.pods import Program

# A program that reports is Running when it has; if it says nothing for this long, KubeRay's word is taken.
SILENCE_GRACE = timedelta(seconds=30)
# The cost of a job that runs and says nothing else is brought up to date this often.
COST_INTERVAL = timedelta(seconds=300)


@dataclass(frozen=True, slots=True)
class Job:
    """A TrainingJob or CompressionJob as the planner of its kind hands it over."""

    item: TrainingJob | CompressionJob
    accepted: Verdict
    afterwards: Verdict | None = None  # Accepted as it is to be once the present attempt is over, where that differs
    groups: tuple[Group, ...] = ()  # the head first
    choice: PoolChoice | None = None
    # What the present attempt runs; None where that can't be made any more: it is then left as it is.
    program: Callable[[int], Program] | None = None
    # What a further attempt would run; None where nothing can be started.
    further: Callable[[int], Program] | None = None
    started: Mapping[str, Any] | None = None  # status fields that a new attempt sets
    reports_result: bool = True  # False: the program's exit code decides
    result: Callable[[Report], tuple[Mapping[str, Any], str] | None] = lambda report: None  # status fields, message
    judged: Callable[[Report], tuple[Verdict, ...]] = lambda report: ()  # conditions that the result brings besides


class Stage(Enum):
    """Where a job is in its life."""

    FINISHED = "it has ended"
    IN_ATTEMPT = "an attempt starts or runs"
    BETWEEN = "no attempt is under way: the next one may start"


@dataclass(frozen=True, slots=True)
class View:
    """All that one pass knows."""

    job: Job
    observed: Observed
    surroundings: Surroundings
    now: datetime

    @property
    def status(self) -> JobStatus:
        """What was written last."""
        return self.job.item.status

    @property
    def name(self) -> str:
        """The object's name."""
        return self.job.item.metadata.name

    @property
    def kind(self) -> str:
        """The object's kind."""
        return self.job.item.kind

    @property
    def stage(self) -> Stage:
        """Where the job is in its life."""
        if holds(self.status.conditions, "Complete") or holds(self.status.conditions, "Failed"):
            return Stage.FINISHED
        return Stage.BETWEEN if self.attempt is None or self.attempt.state.over else Stage.IN_ATTEMPT

    @property
    def attempt(self) -> Attempt | None:
        """The present or last attempt."""
        return self.status.attempt

    @property
    def ran(self) -> bool:
        """Whether the present attempt is known to run."""
        return self.attempt is not None and self.attempt.state == AttemptState.RUNNING

    @property
    def record(self) -> ChildRecord | None:
        """The RayJob of the present attempt, as the watch shows it."""
        return self.observed.children.get((RAY_JOB.kind, self.status.ray_job_name or ""))

    @property
    def seen(self) -> RayJobSeen | None:
        """The RayJob's own status."""
        record = self.record
        return record.seen if record is not None and isinstance(record.seen, RayJobSeen) else None

    @property
    def pods(self) -> tuple[PodRecord, ...]:
        """Pods of the present attempt."""
        run = self.attempt.run_name if self.attempt is not None else ""
        return tuple(pod for pod in self.observed.pods if pod.labels.get(RUN) == run)

    @property
    def report(self) -> Report | None:
        """What the program of the present or last attempt said, whatever became of the attempt meanwhile."""
        return self.observed.reports.get(self.attempt.run_name) if self.attempt is not None else None

    @property
    def superseded(self) -> frozenset[str]:
        """Runs that report and are not the present one: of before it, or of a RayJob that was given up unseen."""
        present = self.attempt.run_name if self.attempt is not None else ""
        return frozenset(self.observed.reports) - {present}

    @property
    def start(self) -> hindrance.Start | None:
        """The present attempt as one that does not run yet; None before it has a RayJob."""
        record, seen = self.record, self.seen
        if record is None or seen is None:
            return None
        return hindrance.Start(
            record.name,
            record.created,
            seen,
            self.pods,
            sum(group.pods for group in self.job.groups),
            self.surroundings.config.network_policy.kuberay_namespace,
            self.surroundings.kuberay,
        )

    @property
    def over(self) -> View:
        """The same, as the job stands once the present attempt is over."""
        return replace(self, job=replace(self.job, accepted=self.job.afterwards or self.job.accepted))

    @property
    def policy(self) -> Child:
        """The NetworkPolicy of the job."""
        settings = self.surroundings.config.network_policy
        return network_policy(
            child_name(self.kind, self.name), labels(self.kind, self.name), settings.kuberay_namespace
        )

    @property
    def occupied(self) -> bool:
        """Whether something of the job is still there that a NetworkPolicy has to close off."""
        return any(pod.finished is None for pod in self.observed.pods) or any(
            kind == RAY_JOB.kind for kind, _ in self.observed.children
        )

    @property
    def kept(self) -> frozenset[tuple[str, str]]:
        """The children that stay as they are when they aren't planned."""
        policy = (NETWORK_POLICY.kind, child_name(self.kind, self.name))
        return frozenset({policy, (RAY_JOB.kind, self.status.ray_job_name)} if self.status.ray_job_name else {policy})


def active_seconds(this: View) -> int:
    """Time that attempts have run up to now, all together; waits and suspensions between them do not count."""
    if (run := this.attempt) is None:
        return 0
    began = moment(run.start_time)
    if run.state.over or began is None:
        return run.active_seconds
    return run.earlier_active_seconds + max(0, int((this.now - began).total_seconds()))


def ended(this: View) -> datetime | None:
    """When the last attempt ended; None while there is none, or one that runs."""
    run = this.attempt
    if run is None or not run.state.over or (began := moment(run.start_time)) is None:
        return None
    return began + timedelta(seconds=run.active_seconds - run.earlier_active_seconds)


def deadline(this: View) -> datetime | None:
    """When the attempts will have run for as long as they may; None without a limit, or while none runs."""
    seconds, run = this.job.item.spec.run_policy.active_deadline_seconds, this.attempt
    if seconds is None or run is None or run.state.over or (began := moment(run.start_time)) is None:
        return None
    return began + timedelta(seconds=max(0, seconds - run.earlier_active_seconds))


def pre_running_deadline(this: View) -> datetime | None:
    """When the present attempt's program has to run; None without a limit, or where it does."""
    seconds, run = this.job.item.spec.run_policy.pre_running_deadline_seconds, this.attempt
    if seconds is None or run is None or run.state != AttemptState.STARTING:
        return None
    began = moment(run.start_time)
    return None if began is None else began + timedelta(seconds=seconds)


def alarm(this: View) -> float | None:
    """Seconds until time alone would change the plan."""
    record, seen = this.record, this.seen
    moments = [limit for limit in (deadline(this), pre_running_deadline(this)) if limit is not None]
    if record is not None and not this.ran:
        if (start := this.start) is not None and (look := hindrance.next_look(start, this.now)) is not None:
            moments.append(look)
        if seen is not None and seen.running:
            moments.append((seen.program_started or record.created) + SILENCE_GRACE)
    if seen is not None and (again := attempt.next_look(seen)) is not None:
        moments.append(again)
    ahead = [(instant - this.now).total_seconds() for instant in moments if instant > this.now]
    return min(ahead, default=None)
