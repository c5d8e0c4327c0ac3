"""The InferenceService of a revision, and what is read of it (KServe 0.16, Standard mode)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tradewind.api.config import Pool
from tradewind.api.modeldeployment import ChosenVariant, ModelDeploymentSpec
from tradewind.core import covers
from tradewind.core.labels import POOL, REVISION
from tradewind.core.plan import Child, Resource
from tradewind.core.reading import condition, mapping, text
from tradewind.core.security import CONTAINER_SECURITY, POD_SECURITY
from tradewind.economics.pools import ON_GPU, as_replica, scheduling

INFERENCE_SERVICE = Resource("serving.kserve.io", "v1beta1", "InferenceService", "inferenceservices")
RUNTIME = "tradewind-onnx"  # the ClusterServingRuntime that is installed with the operator

# Seconds of a replica's end beside `limits.drainSeconds`: five in which it takes new requests still, and five to spare.
BESIDE_DRAINING = 10

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
    status = mapping(body.get("status"))
    ready = condition(status, "Ready")
    model = mapping(status.get("modelStatus"))
    failure = mapping(model.get("lastFailureInfo"))
    words = ": ".join(word for word in (text(failure.get("reason")), text(failure.get("message"))) if word)
    return InferenceServiceSeen(
        ready=ready.get("status") == "True",
        message=text(ready.get("message"))[:1024],
        transition=text(model.get("transitionStatus")),
        failure=words[:1024],
    )


@dataclass(frozen=True, slots=True)
class Replica:
    """What each replica of a revision is."""

    revision: str
    model_name: str  # under which it answers
    variant: ChosenVariant
    pool: Pool
    image: str | None = None  # in place of the ClusterServingRuntime's: of a replica with GPUs


def inference_service(
    name: str,
    labels: Mapping[str, str],
    spec: ModelDeploymentSpec,
    replica: Replica,
    floor: int,
    after: tuple[tuple[str, str], ...] = (),
) -> Child:
    """The InferenceService of a revision, with `floor` replicas at least."""
    scaling, pool = spec.scaling, replica.pool
    own = {**labels, REVISION: replica.revision}
    fixed = scaling.min_replicas == scaling.max_replicas
    predictor: dict[str, Any] = {
        "labels": {**spec.pod_metadata.labels, **own, POOL: pool.name},
        # KServe copies annotations to the pods, whose own win: a new plan of the whole must not start all pods anew.
        "annotations": {**spec.pod_metadata.annotations, covers.ANNOTATION: replica.revision},
        "minReplicas": floor,
        "maxReplicas": scaling.max_replicas,
        # A replica leaves only when its successor answers.
        "deploymentStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": POD_SECURITY,
        **scheduling(pool, spec.resources.accelerators),
        "volumes": [{"name": "tmp", "emptyDir": {}}],
        "model": _model(spec, replica),
    }
    if spec.limits.drain_seconds is not None:
        predictor["terminationGracePeriodSeconds"] = spec.limits.drain_seconds + BESIDE_DRAINING
    if not fixed:
        predictor |= {"scaleMetric": scaling.metric, "scaleTarget": scaling.target}
    # With `none` KServe itself keeps the Deployment at minReplicas; with `hpa` it leaves that to the autoscaler.
    annotations = {**MODE, AUTOSCALER: "none" if fixed else "hpa"}
    metadata = {"labels": own, "annotations": annotations}
    return Child(INFERENCE_SERVICE, name, {"metadata": metadata, "spec": {"predictor": predictor}}, after)


def _model(spec: ModelDeploymentSpec, replica: Replica) -> dict[str, Any]:
    # Each revision answers under the same name, so no client sees which one serves.
    environment = {"TRADEWIND_MODEL_NAME": replica.model_name}
    if replica.variant.digest is not None:
        # The server refuses to become ready with any other file.
        environment["TRADEWIND_MODEL_DIGEST"] = replica.variant.digest
    if spec.resources.accelerators:
        environment |= ON_GPU
    wait = spec.limits.max_wait_milliseconds
    limits = {
        "TRADEWIND_MAX_BODY_BYTES": spec.limits.max_body_bytes,
        "TRADEWIND_MAX_ROWS": spec.limits.max_rows,
        "TRADEWIND_MAX_QUEUE": spec.limits.max_queue,
        "TRADEWIND_MAX_PIXELS": spec.limits.max_pixels,
        "TRADEWIND_MAX_BATCH": spec.limits.max_batch_rows,
        "TRADEWIND_MAX_WAIT_SECONDS": None if wait is None else wait / 1000,
        "TRADEWIND_MAX_READ_SECONDS": spec.limits.max_read_seconds,
        "TRADEWIND_GRACE_SECONDS": spec.limits.drain_seconds,
    }
    environment |= {name: str(limit) for name, limit in limits.items() if limit is not None}
    return {
        "modelFormat": {"name": "onnx"},
        "runtime": RUNTIME,
        **({"image": replica.image} if replica.image is not None else {}),
        "storageUri": replica.variant.storage_uri,
        "env": [{"name": name, "value": value} for name, value in environment.items()],
        "resources": as_replica(spec.resources, replica.pool),
        "securityContext": CONTAINER_SECURITY,
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 -- an emptyDir of the pod's own
    }
