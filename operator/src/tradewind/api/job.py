"""What both kinds of jobs have in common: how they live, and what their status says of it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from tradewind.api.base import (
    LARGEST_INTEGER,
    Cost,
    Count,
    KeyValue,
    Model,
    Observed,
    Status,
    StorageUri,
    Timestamp,
)

Seconds = Annotated[int, Field(ge=1, le=315360000)]  # ten years: a date must exist


class Retries(Model):
    """How often a failed attempt is tried again, from the last checkpoint."""

    interruptions: Annotated[int, Field(ge=0, le=100)] = Field(
        default=5, description="After a lost node, a preempted or evicted pod."
    )
    errors: Annotated[int, Field(ge=0, le=100)] = Field(default=0, description="After the program itself failed.")


class RunPolicy(Model):
    """How the job lives."""

    suspend: bool = Field(
        default=False, description="True releases the pods; false continues from the last checkpoint."
    )
    active_deadline_seconds: Seconds | None = Field(
        default=None,
        description="Longest time of all attempts together, each from its start on, also while its pods wait for a "
        "node; then the job fails. Time in which the job is suspended, or waits for another, does not count.",
    )
    pre_running_deadline_seconds: Seconds | None = Field(
        default=None,
        description="Longest time from the start of an attempt until its program runs; then the job fails.",
    )
    ttl_seconds_after_finished: Annotated[int, Field(ge=0, le=315360000)] | None = Field(
        default=None,
        description="The job is deleted so many seconds after it ended, as a Job of Kubernetes is; its files stay in "
        "the store. It stays when left out.",
    )
    retries: Retries = Field(default_factory=Retries, description="Further attempts.")


class Output(Model):
    """Where the result goes."""

    storage_uri: StorageUri = Field(description="Folder for the model or the variants: pvc://<claim>/<path>.")


class TrainerStatus(Observed):
    """Progress, in the form of Kubeflow Trainer."""

    progress_percentage: int | None = Field(
        default=None, ge=0, le=100, description="Share of the steps done, 0 to 100."
    )
    estimated_remaining_seconds: Annotated[int, Field(ge=0, le=LARGEST_INTEGER)] | None = Field(
        default=None, description="Time to the end at the present speed."
    )
    metrics: Annotated[tuple[KeyValue, ...], Field(max_length=64)] = Field(
        default=(), description="Latest measurements."
    )
    last_updated_time: Timestamp | None = Field(default=None, description="When the program last reported.")


class CheckpointRecord(Observed):
    """A checkpoint that is whole in the store."""

    step: Count = Field(description="Optimiser steps done before it.")
    time: Timestamp = Field(description="When it was complete.")


class PoolChoice(Observed):
    """The pool that the pods run on."""

    name: str = Field(description="Row of the price table.")
    reason: str = Field(description="Why this one.")


class AttemptState(StrEnum):
    """How an attempt stands."""

    STARTING = "Starting"  # its pods are being made
    RUNNING = "Running"  # its program runs
    SUCCEEDED = "Succeeded"  # its result is known
    FAILED = "Failed"  # its program failed, or may not go on
    INTERRUPTED = "Interrupted"  # a pod was lost
    STOPPED = "Stopped"  # it was ended from outside: suspended, or its source is gone

    @property
    def over(self) -> bool:
        """Whether nothing of it is to run any more."""
        return self not in (AttemptState.STARTING, AttemptState.RUNNING)


class Attempt(Observed):
    """One run of the program."""

    number: Annotated[int, Field(ge=1, le=LARGEST_INTEGER)] = Field(description="Counted from 1.")
    run_name: Annotated[str, StringConstraints(max_length=63)] = Field(
        description="Name of the run, in the labels of its pods, in its document and in its reports."
    )
    state: AttemptState = Field(
        description="Starting, Running; or over: Succeeded, Failed, Interrupted (a pod was lost), Stopped (from "
        "outside)."
    )
    start_time: Timestamp = Field(description="When it started.")
    active_seconds: Count = Field(
        default=0, description="Time that attempts ran, this and all before it, up to when it was last written."
    )
    earlier_active_seconds: Count = Field(default=0, description="The part of it from the attempts before this one.")


class JobStatus(Status):
    """What became of a job."""

    trainer_status: TrainerStatus | None = Field(default=None, description="Progress as the program reports it.")
    attempt: Attempt | None = Field(default=None, description="The present or last attempt.")
    interruptions: Count | None = Field(default=None, description="Attempts that ended by a lost pod or node.")
    errors: Count | None = Field(default=None, description="Attempts that ended by an error of the program.")
    start_time: Timestamp | None = Field(default=None, description="When the first attempt started.")
    completion_time: Timestamp | None = Field(default=None, description="When the job ended, well or badly.")
    last_checkpoint: CheckpointRecord | None = Field(
        default=None, description="Where a further attempt would continue."
    )
    pool: PoolChoice | None = Field(default=None, description="The pool that the pods run on.")
    ray_job_name: str | None = Field(default=None, description="The RayJob of the present or last attempt.")
    cost: Cost | None = Field(default=None, description="What it cost so far (an estimate of allocation).")

    def headline(self) -> str | None:
        """The metric that counts, with its name, as far as it is known."""
        metrics = self.trainer_status.metrics if self.trainer_status is not None else ()
        return f"{metrics[0].name} {metrics[0].value}" if metrics else None
