"""What one pass over a job on Ray knows: the job as its kind hands it over, and what belongs to its present attempt."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from tradewind.api.compressionjob import CompressionJob
from tradewind.api.job import JobStatus, PoolChoice
from tradewind.api.report import Report
from tradewind.api.trainingjob import TrainingJob
from tradewind.core.conditions import Verdict, holds
from tradewind.core.controller import Surroundings
from tradewind.core.labels import ATTEMPT, labels
from tradewind.core.names import child_name
from tradewind.core.plan import Child, ChildRecord, Observed, PodRecord
from tradewind.core.timestamps import moment
from tradewind.ray import attempt
from tradewind.ray.groups import Group
from tradewind.ray.job import RAY_JOB, RayJobSeen
from tradewind.ray.networkpolicy import NETWORK_POLICY, network_policy
from tradewind.ray.pods import Program

# A pod that isn't placed or started after this long is told of in the Running condition.
PENDING_GRACE = timedelta(seconds=30)
# A program that reports is Running when it has; if it says nothing for this long, KubeRay's word is taken.
SILENCE_GRACE = timedelta(seconds=30)


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
    def finished(self) -> bool:
        """Whether the job has ended."""
        return holds(self.status.conditions, "Complete") or holds(self.status.conditions, "Failed")

    @property
    def ran(self) -> bool:
        """Whether the present attempt is known to run."""
        return holds(self.status.conditions, "Running")

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
    def kept(self) -> frozenset[tuple[str, str]]:
        """The children that stay as they are when they aren't planned."""
        policy = (NETWORK_POLICY.kind, child_name(self.kind, self.name))
        return frozenset({policy, (RAY_JOB.kind, self.status.ray_job_name)} if self.status.ray_job_name else {policy})


def deadline(this: View) -> datetime | None:
    """When the job has run for as long as it may; None without a limit or a start."""
    seconds, start = this.job.item.spec.run_policy.active_deadline_seconds, moment(this.status.start_time)
    return start + timedelta(seconds=seconds) if seconds is not None and start is not None else None


def alarm(this: View) -> float | None:
    """Seconds until time alone would change the plan."""
    record, seen, moments = this.record, this.seen, []
    if (until := deadline(this)) is not None:
        moments.append(until)
    if record is not None and not this.ran:
        moments.append(record.created + PENDING_GRACE)
        if seen is not None and seen.running:
            moments.append((seen.program_started or record.created) + SILENCE_GRACE)
    if seen is not None and (again := attempt.next_look(seen)) is not None:
        moments.append(again)
    ahead = [(instant - this.now).total_seconds() for instant in moments if instant > this.now]
    return min(ahead, default=None)
