"""The controller of CompressionJob."""

from __future__ import annotations

from tradewind.api.compressionjob import CompressionJob
from tradewind.compression.plan import plan
from tradewind.core.controller import ChildKind, Controller, Reference
from tradewind.ray import job, networkpolicy


def references(item: CompressionJob) -> tuple[Reference, ...]:
    """The TrainingJob whose model is compressed."""
    named = item.spec.model.training_job_ref
    return () if named is None else (Reference("TrainingJob", named.name),)


def outputs(item: CompressionJob) -> tuple[str, ...]:
    """Where the report goes, and a folder for each variant."""
    folder = item.spec.output.storage_uri
    return (folder, *(f"{folder}/{candidate.name}" for candidate in item.spec.candidates))


CONTROLLER = Controller(
    model=CompressionJob,
    children=(
        ChildKind(job.RAY_JOB, job.observe),
        ChildKind(networkpolicy.NETWORK_POLICY, networkpolicy.observe),
    ),
    references=references,
    outputs=outputs,
    plan=plan,
    pods=True,
    expires=True,
    shared=(networkpolicy.CLOSED,),
)
