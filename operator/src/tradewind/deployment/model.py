"""The model that a ModelDeployment serves: found where the spec says, or chosen among a compression job's variants."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from tradewind.api.compressionjob import CompressionJob
from tradewind.api.config import Config, Pool
from tradewind.api.modeldeployment import ChosenVariant, ModelDeployment, RejectedVariant, Select, ServedModel
from tradewind.api.trainingjob import TrainingJob
from tradewind.core.conditions import Reason, holds
from tradewind.core.plan import Refusal
from tradewind.core.references import unreadable
from tradewind.economics.prices import per_hour
from tradewind.economics.selection import Load, NoChoice, select


def find(
    item: ModelDeployment, references: Mapping[tuple[str, str], Any], pool: Pool, config: Config
) -> ChosenVariant | Refusal:
    """The model to serve, or what is waited for."""
    model = item.spec.model
    if model.storage_uri is not None:
        name = model.storage_uri.rstrip("/").rsplit("/", 1)[-1]
        return ChosenVariant(name=name, storage_uri=model.storage_uri, reason="It is named by spec.model.storageUri.")
    if model.training_job_ref is not None:
        name = model.training_job_ref.name
        refusal = unreadable("TrainingJob", name, references)
        return refusal or _trained(name, references.get(("TrainingJob", name)))
    assert model.compression_job_ref is not None
    name = model.compression_job_ref.name
    refusal = unreadable("CompressionJob", name, references)
    return refusal or _compressed(item, name, references.get(("CompressionJob", name)), pool, config)


def source(model: ServedModel) -> str | None:
    """Kind and name of the job whose result the spec names; None for a file."""
    if model.training_job_ref is not None:
        return f"TrainingJob {model.training_job_ref.name}"
    return f"CompressionJob {model.compression_job_ref.name}" if model.compression_job_ref is not None else None


def _trained(name: str, job: TrainingJob | None) -> ChosenVariant | Refusal:
    if job is None:
        words = (
            f"TrainingJob {name} does not exist in this namespace. The service waits for it: create it, or correct "
            "spec.model.trainingJobRef."
        )
        return Refusal(Reason.TRAINING_JOB_NOT_FOUND, words)
    if holds(job.status.conditions, "Failed"):
        words = (
            f"TrainingJob {name} has failed (its condition Failed says why). Delete it and create it again; "
            "this service then continues by itself."
        )
        return Refusal(Reason.TRAINING_JOB_FAILED, words)
    if not holds(job.status.conditions, "Complete"):
        return Refusal(Reason.TRAINING_JOB_NOT_COMPLETE, f"It waits until TrainingJob {name} is Complete.")
    model = job.status.model
    if model is None:
        words = (
            f"TrainingJob {name} is Complete and has reported no model: name another job in spec.model.trainingJobRef, "
            "or replace trainingJobRef by spec.model.storageUri, the address of an ONNX file."
        )
        return Refusal(Reason.TRAINING_JOB_HAS_NO_MODEL, words)
    measured = "".join(f"; {metric.name} {metric.value}" for metric in model.metrics[:3])
    return ChosenVariant(
        name=name,
        digest=model.digest,
        storage_uri=model.storage_uri,
        source=f"TrainingJob {name}",
        reason=f"It is the model of TrainingJob {name}{measured}.",
        evaluation=model.evaluation,
    )


def _hindrance(job: CompressionJob) -> str:
    """Why the job can't start, a sentence to follow another; empty where it runs or only has to wait too."""
    accepted = next((each for each in job.status.conditions if each.type == "Accepted"), None)
    if accepted is None or accepted.status != "False" or holds(job.status.conditions, "Running"):
        return ""
    return "" if accepted.reason == Reason.TRAINING_JOB_NOT_COMPLETE else f" It can't start: {accepted.message}"


def _compressed(
    item: ModelDeployment, name: str, job: CompressionJob | None, pool: Pool, config: Config
) -> ChosenVariant | Refusal:
    if job is None:
        words = (
            f"CompressionJob {name} does not exist in this namespace. The service waits for it: create it, or correct "
            "spec.model.compressionJobRef."
        )
        return Refusal(Reason.COMPRESSION_JOB_NOT_FOUND, words)
    if holds(job.status.conditions, "Failed"):
        words = (
            f"CompressionJob {name} has failed (its condition Failed says why). Delete it and create it again; "
            "this service then continues by itself."
        )
        return Refusal(Reason.COMPRESSION_JOB_FAILED, words)
    if not holds(job.status.conditions, "Complete"):
        words = f"It waits until CompressionJob {name} is Complete.{_hindrance(job)}"
        return Refusal(Reason.COMPRESSION_JOB_NOT_COMPLETE, words)
    present = item.status.variant.name if item.status.variant else None
    choice = select(job.status.variants, item.spec.select or Select(), load(item, pool, config), present)
    if isinstance(choice, NoChoice):
        return Refusal(Reason.NO_VARIANT_FITS, choice.message)
    return ChosenVariant(
        name=choice.variant.name,
        digest=choice.variant.digest,
        storage_uri=choice.variant.storage_uri or "",
        source=f"CompressionJob {name}",
        reason=choice.reason,
        runner_up=choice.runner_up,
        rejected=tuple(RejectedVariant(name=name, reason=why[:256]) for name, why in choice.rejected) or None,
        throughput_per_second=choice.variant.throughput_per_second,
        throughput_interval=choice.variant.throughput_interval,
        within=choice.variant.replica.within if choice.variant.replica is not None else None,
        measured_on=choice.variant.measured_on,
    )


def load(item: ModelDeployment, pool: Pool, config: Config) -> Load:
    """What a replica costs, and the load that it has to bear."""
    expected = item.spec.expected_requests_per_second
    return Load(
        per_hour=replica_per_hour(item, pool),
        currency=config.currency,
        requests_per_second=Decimal(expected) if expected else None,
        scaling=item.spec.scaling,
    )


def replica_per_hour(item: ModelDeployment, pool: Pool) -> Decimal | None:
    """Price of one replica an hour; None where the pool has none."""
    resources = item.spec.resources
    return per_hour(pool, resources.cpu, resources.memory, resources.accelerators)
