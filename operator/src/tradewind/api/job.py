"""What both kinds of jobs have in common: how they live, and what their status says of it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tradewind.api.base import Cost, KeyValue, Model, Observed, Status, StorageUri


class Retries(Model):
    """How often a failed attempt is tried again, from the last checkpoint."""

    interruptions: Annotated[int, Field(ge=0, le=100)] = Field(
        default=5, description="After a lost node, a preempted or evicted pod."
    )
    errors: Annotated[int, Field(ge=0, le=100)] = Field(default=0, description="After the program itself failed.")


class RunPolicy(Model):
    """How the job lives."""

    suspend: bool = Field(default=False, description="True releases the pods; false goes on from the last checkpoint.")
    active_deadline_seconds: Annotated[int, Field(ge=1, le=315360000)] | None = Field(  # ten years: a date must exist
        default=None, description="Longest time from the first start to the end; then the job fails."
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
    estimated_remaining_seconds: int | None = Field(
        default=None, ge=0, description="Time to the end at the present speed."
    )
    metrics: Annotated[tuple[KeyValue, ...], Field(max_length=64)] = Field(
        default=(), description="Latest measurements."
    )
    last_updated_time: str | None = Field(default=None, description="When the program last reported (RFC 3339).")


class CheckpointRecord(Observed):
    """A checkpoint that is whole in the store."""

    step: int = Field(ge=0, description="Optimiser steps done before it.")
    time: str = Field(description="When it was complete (RFC 3339).")


class PoolChoice(Observed):
    """The pool that the pods run on."""

    name: str = Field(description="Row of the price table.")
    reason: str = Field(description="Why this one.")


class JobStatus(Status):
    """What became of a job."""

    trainer_status: TrainerStatus | None = Field(default=None, description="Progress as the program reports it.")
    attempt: int | None = Field(default=None, description="Number of the present or last attempt, from 1.")
    interruptions: int | None = Field(default=None, description="Attempts that ended by a lost pod or node.")
    errors: int | None = Field(default=None, description="Attempts that ended by an error of the program.")
    start_time: str | None = Field(default=None, description="When the first attempt started (RFC 3339).")
    last_checkpoint: CheckpointRecord | None = Field(default=None, description="Where a further attempt would go on.")
    pool: PoolChoice | None = Field(default=None, description="The pool that the pods run on.")
    ray_job_name: str | None = Field(default=None, description="The RayJob of the present or last attempt.")
    cost: Cost | None = Field(default=None, description="What it cost so far (an estimate of allocation).")
