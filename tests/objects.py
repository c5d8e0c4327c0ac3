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
    whole = {
        "recipe": recipe,
        "data": data(),
        "workers": 2,
        "resources": {"pool": "local", "cpu": "300m", "memory": "1500Mi"},
        "output": {"storageUri": f"pvc://models/{name}"},
    }
    return _object("TrainingJob", name, whole | spec)


def program_job(name: str = "own", **entrypoint: Any) -> Manifest:
    """A TrainingJob with a program of the user's own."""
    spec = {
        "entrypoint": {"argv": ["python", "train.py"], "workingDir": {"configMap": "program"}} | entrypoint,
        "resources": {"pool": "local"},
        "output": {"storageUri": f"pvc://models/{name}"},
    }
    return _object("TrainingJob", name, spec)


def compression_job(name: str = "digits", **spec: Any) -> Manifest:
    """A CompressionJob of the TrainingJob digits."""
    whole = {
        "model": {"trainingJobRef": {"name": "digits"}},
        "candidates": [{"name": "int8", "methods": [{"quantize": {"scheme": "dynamic-int8"}}]}],
        "measure": {"resources": {"pool": "local", "cpu": "500m", "memory": "2Gi"}},
        "output": {"storageUri": "pvc://models/variants" if name == "digits" else f"pvc://models/variants-{name}"},
    }
    return _object("CompressionJob", name, whole | spec)


def model_deployment(name: str = "digits", **spec: Any) -> Manifest:
    """A ModelDeployment of the CompressionJob digits, on the pool local."""
    whole = {
        "model": {"compressionJobRef": {"name": "digits"}},
        "expectedRequestsPerSecond": "50",
        "resources": {"pool": "local", "cpu": "200m", "memory": "512Mi"},
        "scaling": {"minReplicas": 1, "maxReplicas": 2, "metric": "cpu", "target": 80},
    }
    return _object("ModelDeployment", name, whole | spec)


def model(**changes: Any) -> Manifest:
    """What a recipe reports at its end."""
    metrics = [{"name": "accuracy", "value": "0.975"}]
    return {"storageUri": "pvc://models/digits", "digest": DIGEST, "metrics": metrics, "sizeBytes": 100000} | changes


def quality(value: str) -> Manifest:
    """A measured accuracy."""
    return {"metric": "accuracy", "value": value}


def interval(low: str, high: str) -> Manifest:
    """What processes differ by."""
    return {"low": low, "high": high}


def latencies(median: str, tail: str) -> list[Manifest]:
    """A measured median and 95th percentile, in milliseconds."""
    return [{"percentile": 50, "milliseconds": median}, {"percentile": 95, "milliseconds": tail}]


def attempt(number: int = 1, state: str = "Running") -> Manifest:
    """An attempt as it stands in a status."""
    times = {"startTime": "2026-11-24T11:00:00Z", "activeSeconds": 0, "earlierActiveSeconds": 0}
    return {"number": number, "runName": f"attempt-{number}", "state": state, **times}


REPLICA = {"within": {"percentile": 95, "milliseconds": "0.5"}, "startSeconds": "0.50"}


def variant(name: str, **changes: Any) -> Manifest:
    """A row of which a replica was measured."""
    return {
        "name": name,
        "methods": name,
        "verdict": "Accepted",
        "reason": "It keeps all goals.",
        "quality": quality("0.97"),
        "latencies": latencies("0.10", "0.20"),
        "throughputPerSecond": "1000",
        "replica": REPLICA,
        "sizeBytes": 1000,
        "storageUri": f"pvc://models/variants/{name}",
        "digest": DIGEST,
    } | changes


def condition(kind: str, status: str = "True", reason: str = "Succeeded") -> Manifest:
    """A condition as it stands in a status."""
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": "",
        "lastTransitionTime": "2026-11-24T11:00:00Z",
    }


def complete(manifest: Manifest, **status: Any) -> Manifest:
    """The same object, ended well."""
    return manifest | {
        "status": {"conditions": [condition("Complete")], "completionTime": "2026-11-24T11:00:00Z", **status}
    }
