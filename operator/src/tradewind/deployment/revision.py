"""A revision: what replicas serve and on what. Whatever needs new pods makes another one; scaling does not."""

from __future__ import annotations

from decimal import ROUND_CEILING
from typing import Any

from tradewind.api.config import Pool
from tradewind.api.modeldeployment import ChosenVariant, ModelDeployment, ModelDeploymentSpec
from tradewind.core.covers import canonical as text
from tradewind.core.names import child_name, fingerprint
from tradewind.core.quantity import canonical, parse
from tradewind.economics.pools import scheduling


def revision_name(spec: ModelDeploymentSpec, pool: Pool, variant: ChosenVariant) -> str:
    """Its name: ten characters that stand for the files, the resources, the nodes, the metadata and the limits."""
    placed = {"pool": pool.name, "resources": resources(spec, pool), **scheduling(pool, spec.resources.accelerators)}
    parts = [variant.storage_uri, variant.digest or "", text(placed), text(spec.pod_metadata.dump())]
    if limits := spec.limits.dump():
        parts.append(text(limits))
    return fingerprint(*parts)


def service_name(name: str, revision: str) -> str:
    """Name of the InferenceService of a revision of the ModelDeployment of that name."""
    return child_name(ModelDeployment.kind, f"{name}-{revision}")


def deployment_name(service: str) -> str:
    """Name of the Deployment that KServe makes of an InferenceService."""
    return f"{service}-predictor"


def resources(spec: ModelDeploymentSpec, pool: Pool) -> dict[str, Any]:
    """Requests and limits of a replica, as Kubernetes writes them."""
    asked = spec.resources
    cpu, memory = canonical(asked.cpu), canonical(asked.memory)
    # Left out, KServe's webhook would set one CPU. Whole cores give the server whole threads and room for a burst.
    cores = str(int(parse(asked.cpu).to_integral_value(ROUND_CEILING)) or 1)
    limit = canonical(asked.cpu_limit or cores)
    requests, limits = {"cpu": cpu, "memory": memory}, {"cpu": limit, "memory": memory}
    if asked.accelerators and pool.accelerator:
        requests[pool.accelerator.resource] = limits[pool.accelerator.resource] = str(asked.accelerators)
    return {"requests": requests, "limits": limits}
