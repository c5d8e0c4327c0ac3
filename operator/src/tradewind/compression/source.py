"""The model and the data that a CompressionJob works on, which may be a TrainingJob's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tradewind.api.compressionjob import CompressionJobSpec
from tradewind.api.data import Data
from tradewind.api.report import SourceModel
from tradewind.api.trainingjob import TrainingJob
from tradewind.core.conditions import Reason, holds
from tradewind.core.plan import Refusal
from tradewind.core.references import unreadable


@dataclass(frozen=True, slots=True)
class Source:
    """A model in the store and the data to calibrate, fine-tune and judge with."""

    model: SourceModel
    data: Data


def find(spec: CompressionJobSpec, references: Mapping[tuple[str, str], Any]) -> Source | Refusal:
    """The source that the spec names, or what is waited for."""
    if spec.model.storage_uri is not None:
        if spec.data is None:
            return Refusal(
                Reason.TRAINING_JOB_HAS_NO_DATA, "A model from spec.model.storageUri needs spec.data: set it."
            )
        return Source(SourceModel(storage_uri=spec.model.storage_uri), spec.data)
    assert spec.model.training_job_ref is not None
    name = spec.model.training_job_ref.name
    if (refusal := unreadable("TrainingJob", name, references)) is not None:
        return refusal
    training_job: TrainingJob | None = references.get(("TrainingJob", name))
    if training_job is None:
        return Refusal(
            Reason.TRAINING_JOB_NOT_FOUND,
            f"TrainingJob {name} does not exist in this namespace. The job waits for it: create it, "
            "or correct spec.model.trainingJobRef.",
        )
    conditions = training_job.status.conditions
    if holds(conditions, "Failed"):
        return Refusal(
            Reason.TRAINING_JOB_FAILED,
            f"TrainingJob {name} has failed (its condition Failed says why). Delete it and create it again; "
            "this job then continues by itself.",
        )
    if not holds(conditions, "Complete"):
        return Refusal(Reason.TRAINING_JOB_NOT_COMPLETE, f"It waits until TrainingJob {name} is Complete.")
    model = training_job.status.model
    if model is None:
        return Refusal(
            Reason.TRAINING_JOB_HAS_NO_MODEL,
            f"TrainingJob {name} is Complete and has reported no model: a program of your own has to leave one. Name "
            "another job in spec.model.trainingJobRef, or replace trainingJobRef by spec.model.storageUri and set "
            "spec.data.",
        )
    data = spec.data or training_job.spec.data
    if data is None:
        return Refusal(Reason.TRAINING_JOB_HAS_NO_DATA, f"TrainingJob {name} names no data: set spec.data.")
    return Source(SourceModel(storage_uri=model.storage_uri, digest=model.digest), data)
