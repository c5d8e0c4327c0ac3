"""A revision: what replicas serve and on what. Whatever needs new pods makes another one; scaling does not."""

from __future__ import annotations

from tradewind.api.config import Pool
from tradewind.api.modeldeployment import ChosenVariant, ModelDeployment, ModelDeploymentSpec
from tradewind.core.covers import canonical as text
from tradewind.core.names import child_name, fingerprint
from tradewind.economics.pools import as_replica, scheduling


def revision_name(spec: ModelDeploymentSpec, pool: Pool, variant: ChosenVariant, image: str | None) -> str:
    """Its name: ten characters that stand for the files, the resources, the nodes, the metadata and the limits.

    `image` stands for itself where it is not the one of the ClusterServingRuntime.
    """
    placed = {
        "pool": pool.name,
        "resources": as_replica(spec.resources, pool),
        **scheduling(pool, spec.resources.accelerators),
    }
    parts = [variant.storage_uri, variant.digest or "", text(placed), text(spec.pod_metadata.dump())]
    if limits := spec.limits.dump():
        parts.append(text(limits))
    if image is not None:
        parts.append(image)
    return fingerprint(*parts)


def service_name(name: str, revision: str) -> str:
    """Name of the InferenceService of a revision of the ModelDeployment of that name."""
    return child_name(ModelDeployment.kind, f"{name}-{revision}")


def deployment_name(service: str) -> str:
    """Name of the Deployment that KServe makes of an InferenceService."""
    return f"{service}-predictor"
