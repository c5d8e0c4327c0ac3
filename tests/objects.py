"""Small objects of the three kinds, as a user would write them, for the tests of planners."""

from __future__ import annotations

from typing import Any

DIGEST = "sha256:" + "a" * 64

Manifest = dict[str, Any]


def _object(kind: str, name: str, spec: Manifest) -> Manifest:
    metadata = {"name": name, "namespace": "digits", "uid": f"uid-of-{name}", "generation": 1}
    return {"apiVersion": "tradewind.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}


def data() -> Manifest:
    """Training and validation data on a claim of its own."""
    return {
        "train": {"storageUri": "pvc://data/train.npz", "format": "npz"},
        "validation": {"storageUri": "pvc://data/validation.npz", "format": "npz"},
        "inputs": ["image"],
        "label": "digit",
    }


def training_job(name: str = "digits", **spec: Any) -> Manifest:
    """A TrainingJob with a recipe on two workers of the pool local."""
    recipe = {"task": "image-classification", "model": {"architecture": "cnn"}}
    resources = {"pool": "local", "workers": 2, "cpusPerWorker": "300m", "memoryPerWorker": "1500Mi"}
    whole = {"recipe": recipe, "data": data(), "resources": resources, "output": {"storageUri": "pvc://models/digits"}}
    return _object("TrainingJob", name, whole | spec)


def program_job(name: str = "own", **entrypoint: Any) -> Manifest:
    """A TrainingJob with a program of the user's own."""
    spec = {
        "entrypoint": {"argv": ["python", "train.py"], "workingDir": {"configMap": "program"}} | entrypoint,
        "resources": {"pool": "local", "workers": 1},
        "output": {"storageUri": "pvc://models/own"},
    }
    return _object("TrainingJob", name, spec)


def compression_job(name: str = "digits", **spec: Any) -> Manifest:
    """A CompressionJob of the TrainingJob digits."""
    whole = {
        "model": {"trainingJob": "digits"},
        "candidates": [{"name": "int8", "methods": [{"quantize": {"scheme": "dynamic-int8"}}]}],
        "measure": {"pool": "local", "cpus": "500m", "memory": "2Gi"},
        "output": {"storageUri": "pvc://models/variants"},
    }
    return _object("CompressionJob", name, whole | spec)


def model_deployment(name: str = "digits", **spec: Any) -> Manifest:
    """A ModelDeployment of the CompressionJob digits, on the pool local."""
    whole = {
        "model": {"compressionJob": "digits"},
        "expectedRequestsPerSecond": "50",
        "resources": {"pool": "local", "cpus": "200m", "memory": "512Mi"},
        "scaling": {"minReplicas": 1, "maxReplicas": 2, "metric": "cpu", "target": 80},
    }
    return _object("ModelDeployment", name, whole | spec)


def model(**changes: Any) -> Manifest:
    """What a recipe reports at its end."""
    metrics = [{"name": "accuracy", "value": "0.975"}]
    return {"storageUri": "pvc://models/digits", "digest": DIGEST, "metrics": metrics, "sizeBytes": 100000} | changes


def variant(name: str, **changes: Any) -> Manifest:
    """A measured row."""
    return {
        "name": name,
        "methods": name,
        "verdict": "Accepted",
        "reason": "It keeps all goals.",
        "accuracy": "0.97",
        "latencyP50Ms": "0.10",
        "latencyP95Ms": "0.20",
        "throughputPerSecond": "1000",
        "sizeBytes": 1000,
        "storageUri": f"pvc://models/variants/{name}",
        "digest": DIGEST,
    } | changes


def condition(kind: str, status: str = "True", reason: str = "Succeeded") -> Manifest:
    """A condition as it stands in a status."""
    return {"type": kind, "status": status, "reason": reason, "lastTransitionTime": "2026-11-24T11:00:00Z"}


def complete(manifest: Manifest, **status: Any) -> Manifest:
    """The same object, ended well."""
    return manifest | {"status": {"conditions": [condition("Complete")], **status}}
