"""The InferenceService of a ModelDeployment, and what is read of it (KServe 0.16, Standard mode)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING
from typing import Any

from tradewind.api.config import Pool
from tradewind.api.modeldeployment import ChosenVariant, ModelDeploymentSpec
from tradewind.core import covers
from tradewind.core.labels import POOL
from tradewind.core.names import fingerprint
from tradewind.core.plan import Child, Resource
from tradewind.core.quantity import canonical, parse
from tradewind.core.security import CONTAINER_SECURITY, POD_SECURITY
from tradewind.economics.pools import scheduling

INFERENCE_SERVICE = Resource("serving.kserve.io", "v1beta1", "InferenceService", "inferenceservices")
RUNTIME = "tradewind-onnx"  # the ClusterServingRuntime that is installed with the operator
MODEL_LABEL = "tradewind.dev/model"  # on pods: the fingerprint of what they serve

# With the older value RawDeployment, KServe's webhook checks the scaling as if Knative did it, and refuses cpu.
MODE = {"serving.kserve.io/deploymentMode": "Standard"}
AUTOSCALER = "serving.kserve.io/autoscalerClass"


@dataclass(frozen=True, slots=True)
class InferenceServiceSeen:
    """What planners read of a live InferenceService."""

    ready: bool
    message: str  # why it isn't ready
    transition: str  # status.modelStatus.transitionStatus
    failure: str  # why the model could not be loaded


def observe(body: Mapping[str, Any]) -> InferenceServiceSeen:
    """Read a live InferenceService; what isn't there or isn't as expected reads as empty."""
    status = _mapping(body.get("status"))
    conditions = status.get("conditions")
    ready: Mapping[str, Any] = {}
    for condition in conditions if isinstance(conditions, list) else ():
        if isinstance(condition, Mapping) and condition.get("type") == "Ready":
            ready = condition
    model = _mapping(status.get("modelStatus"))
    failure = _mapping(model.get("lastFailureInfo"))
    words = ": ".join(word for word in (_text(failure.get("reason")), _text(failure.get("message"))) if word)
    return InferenceServiceSeen(
        ready=ready.get("status") == "True",
        message=_text(ready.get("message"))[:1024],
        transition=_text(model.get("transitionStatus")),
        failure=words[:1024],
    )


def model_fingerprint(variant: ChosenVariant) -> str:
    """Stands for the very files that are served."""
    return fingerprint(variant.storage_uri, variant.digest or "")


def url(name: str, namespace: str) -> str:
    """Address of the predictor's Service, which KServe makes whether or not it makes an ingress; its port is 80."""
    return f"http://{name}-predictor.{namespace}.svc"


def inference_service(
    name: str, labels: Mapping[str, str], spec: ModelDeploymentSpec, pool: Pool, variant: ChosenVariant
) -> Child:
    """The InferenceService that serves the variant on the pool."""
    scaling = spec.scaling
    fixed = scaling.min_replicas == scaling.max_replicas
    predictor: dict[str, Any] = {
        "labels": {**spec.pod_metadata.labels, **labels, POOL: pool.name, MODEL_LABEL: model_fingerprint(variant)},
        # KServe copies annotations to the pods, whose own win: a new plan of the whole must not start all pods anew.
        "annotations": {**spec.pod_metadata.annotations, covers.ANNOTATION: model_fingerprint(variant)},
        "minReplicas": scaling.min_replicas,
        "maxReplicas": scaling.max_replicas,
        # A replica leaves only when its successor answers.
        "deploymentStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": POD_SECURITY,
        **scheduling(pool, spec.resources.accelerators),
        "volumes": [{"name": "tmp", "emptyDir": {}}],
        "model": _model(spec, pool, variant),
    }
    if not fixed:
        predictor |= {"scaleMetric": scaling.metric, "scaleTarget": scaling.target}
    # With `none` KServe itself keeps the Deployment at minReplicas; with `hpa` it leaves that to the autoscaler.
    annotations = {**MODE, AUTOSCALER: "none" if fixed else "hpa"}
    metadata = {"labels": dict(labels), "annotations": annotations}
    return Child(INFERENCE_SERVICE, name, {"metadata": metadata, "spec": {"predictor": predictor}})


def _model(spec: ModelDeploymentSpec, pool: Pool, variant: ChosenVariant) -> dict[str, Any]:
    model: dict[str, Any] = {
        "modelFormat": {"name": "onnx"},
        "runtime": RUNTIME,
        "storageUri": variant.storage_uri,
        "resources": _resources(spec, pool),
        "securityContext": CONTAINER_SECURITY,
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 -- an emptyDir of the pod's own
    }
    if variant.digest is not None:
        # The server refuses to become ready with any other file.
        model["env"] = [{"name": "TRADEWIND_MODEL_DIGEST", "value": variant.digest}]
    return model


def _resources(spec: ModelDeploymentSpec, pool: Pool) -> dict[str, Any]:
    asked = spec.resources
    cpu, memory = canonical(asked.cpu), canonical(asked.memory)
    # Left out, KServe's webhook would set one CPU. Whole cores give the server whole threads and room for a burst.
    cores = str(int(parse(asked.cpu).to_integral_value(ROUND_CEILING)) or 1)
    limit = canonical(asked.cpu_limit or cores)
    requests, limits = {"cpu": cpu, "memory": memory}, {"cpu": limit, "memory": memory}
    if asked.accelerators and pool.accelerator:
        requests[pool.accelerator.resource] = limits[pool.accelerator.resource] = str(asked.accelerators)
    return {"requests": requests, "limits": limits}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
