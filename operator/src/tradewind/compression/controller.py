"""The controller of CompressionJob."""

from __future__ import annotations

from tradewind.api.compressionjob import CompressionJob
from tradewind.compression.plan import plan
from tradewind.core.controller import ChildKind, Controller, Reference
from tradewind.ray import job, networkpolicy


def references(item: CompressionJob) -> tuple[Reference, ...]:
    """The TrainingJob whose model is compressed."""
    name = item.spec.model.training_job
    return () if name is None else (Reference("TrainingJob", name),)


CONTROLLER = Controller(
    model=CompressionJob,
    children=(
        ChildKind(job.RAY_JOB, job.observe),
        ChildKind(networkpolicy.NETWORK_POLICY, networkpolicy.observe),
    ),
    references=references,
    plan=plan,
    pods=True,
)
