"""The controller of ModelDeployment."""

from __future__ import annotations

from tradewind.api.modeldeployment import ModelDeployment
from tradewind.core.controller import ChildKind, Controller, Reference
from tradewind.deployment import endpoints, inferenceservice, prometheusrule, replicas, service
from tradewind.deployment.plan import plan


def references(item: ModelDeployment) -> tuple[Reference, ...]:
    """The job whose result is served."""
    model = item.spec.model
    if model.compression_job_ref is not None:
        return (Reference("CompressionJob", model.compression_job_ref.name),)
    return () if model.training_job_ref is None else (Reference("TrainingJob", model.training_job_ref.name),)


CONTROLLER = Controller(
    model=ModelDeployment,
    children=(
        ChildKind(service.SERVICE, service.observe),
        ChildKind(inferenceservice.INFERENCE_SERVICE, inferenceservice.observe),
        ChildKind(prometheusrule.PROMETHEUS_RULE, prometheusrule.observe),
    ),
    references=references,
    plan=plan,
    pods=True,
    witnesses=(
        ChildKind(replicas.DEPLOYMENT, replicas.observe),
        ChildKind(endpoints.ENDPOINT_SLICE, endpoints.observe),
    ),
)
