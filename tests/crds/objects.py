"""Good objects of the three kinds, with and without what may be left out."""

from __future__ import annotations

import copy
from typing import Any

from tradewind.api import API_VERSION

Manifest = dict[str, Any]

_DATA = {
    "train": {"storageUri": "pvc://claim/train", "format": "csv"},
    "validation": {"storageUri": "pvc://claim/validation.csv", "format": "csv"},
}
_EVERY_STEP = [
    {"dropNulls": {"columns": ["a", "b c"]}},
    {"dropDuplicates": {}},
    {"impute": {"strategy": "median"}},
    {"standardize": {}},
    {
        "augment": {
            "flip": "Horizontal",
            "shiftPixels": 2,
            "rotateDegrees": 15,
            "scale": "0.1",
            "color": {"brightness": "0.2", "contrast": "0.2", "saturation": "0.2"},
            "noise": "0.05",
            "mixup": "0.2",
        }
    },
]
_DATED = [{"name": "ordered", "type": "datetime", "format": "%d/%m/%Y"}]
_FILLED = [{"impute": {"strategy": "constant", "value": "0", "columns": ["a"]}}]
_RECIPE = {"task": "tabular-classification", "model": {"architecture": "mlp"}}
_OUTPUT = {"storageUri": "pvc://claim/model"}

SPECS: dict[str, tuple[str, Manifest]] = {
    "a recipe": ("TrainingJob", {"recipe": _RECIPE, "data": _DATA, "output": _OUTPUT}),
    "a whole filled table": (
        "TrainingJob",
        {"recipe": _RECIPE, "data": {**_DATA, "prepare": _FILLED}, "output": _OUTPUT},
    ),
    "a whole compression with a filled table": (
        "CompressionJob",
        {
            "model": {"storageUri": "pvc://claim/model"},
            "data": {**_DATA, "prepare": _FILLED, "columns": _DATED},
            "candidates": [{"name": "small", "methods": [{"quantize": {"scheme": "dynamic-int8"}}]}],
            "output": _OUTPUT,
        },
    ),
    "a whole recipe": (
        "TrainingJob",
        {
            "recipe": {
                "task": "image-classification",
                "model": {"architecture": "cnn", "channels": [8, 16], "hiddenUnits": [32], "dropout": "0.25"},
                "optimizer": {"name": "sgd", "lr": "0.1", "weightDecay": "0", "schedule": "constant"},
                "epochs": 3,
                "batchSize": 32,
                "primaryMetric": "balanced_accuracy",
                "classWeights": "Balanced",
                "earlyStopping": {"patience": 3},
                "precision": "bf16",
                "seed": 2147483647,
            },
            "data": {
                "train": {"storageUri": "pvc://claim", "format": "npz"},
                "validationFraction": "0.2",
                "testFraction": "0.1",
                "split": {"by": "Group", "column": "customer"},
                "label": "digit",
                "inputs": ["image"],
                "imageShape": [8, 8, 1],
                "imageFit": "Crop",
                "prepare": _EVERY_STEP,
            },
            "workers": 2,
            "resources": {
                "pool": "gke-tpu-v5e",
                "cpu": 4,
                "cpuLimit": "8",
                "memory": "1.5Gi",
                "accelerators": 4,
                "topology": "2x4",
            },
            "podMetadata": {"labels": {"team": "search"}, "annotations": {"cost-center": "42"}},
            "runPolicy": {
                "suspend": True,
                "activeDeadlineSeconds": 60,
                "preRunningDeadlineSeconds": 600,
                "ttlSecondsAfterFinished": 3600,
                "retries": {"interruptions": 0, "errors": 3},
            },
            "checkpoint": {"everyEpochs": 2, "keep": 1},
            "output": {"storageUri": "pvc://claim/a_b/c-d/e.f=1+2"},
        },
    ),
    "a recipe with objects left empty": (
        "TrainingJob",
        {
            "recipe": {**_RECIPE, "optimizer": {}},
            "data": {**_DATA, "prepare": [{"impute": {}}, {"dropNulls": {}}]},
            "resources": {},
            "runPolicy": {"retries": {}},
            "checkpoint": {},
            "output": _OUTPUT,
        },
    ),
    "a whole recipe of trees": (
        "TrainingJob",
        {
            "recipe": {
                "task": "tabular-classification",
                "model": {
                    "architecture": "trees",
                    "trees": {"rounds": 500, "maxDepth": 6, "learningRate": "0.1"},
                },
                "earlyStopping": {"patience": 20},
            },
            "data": {**_DATA, "columns": _DATED},
            "output": _OUTPUT,
        },
    ),
    "a whole recipe of texts": (
        "TrainingJob",
        {
            "recipe": {
                "task": "text-classification",
                "model": {"architecture": "bag", "maxTokens": 64, "vocabularySize": 5000},
            },
            "data": _DATA,
            "output": _OUTPUT,
        },
    ),
    "a whole recipe of pictures": (
        "TrainingJob",
        {
            "recipe": {
                "task": "image-classification",
                "model": {"architecture": "resnet18", "storageUri": "pvc://claim/weights/resnet18.safetensors"},
            },
            "data": {
                "train": {"storageUri": "pvc://claim/products.csv"},
                "validationFraction": "0.2",
                "label": "kind",
                "columns": [{"name": "photo", "type": "image"}],
                "imageShape": [96, 128],
            },
            "output": _OUTPUT,
        },
    ),
    "a whole recipe of several labels a row": (
        "TrainingJob",
        {
            "recipe": {
                "task": "text-multilabel-classification",
                "model": {"architecture": "cnn"},
                "primaryMetric": "f1_micro",
                "classWeights": "Balanced",
            },
            "data": {**_DATA, "label": "tags", "labelSeparator": "; "},
            "output": _OUTPUT,
        },
    ),
    "a whole recipe of labels in columns": (
        "TrainingJob",
        {
            "recipe": {"task": "tabular-multilabel-classification", "model": {"architecture": "trees"}},
            "data": {
                "train": {"storageUri": "pvc://claim/train.csv"},
                "validationFraction": "0.2",
                "labelColumns": ["cold", "loud"],
            },
            "output": _OUTPUT,
        },
    ),
    "an entrypoint": ("TrainingJob", {"entrypoint": {"argv": ["python", "train.py"]}, "output": _OUTPUT}),
    "a whole entrypoint": (
        "TrainingJob",
        {
            "entrypoint": {
                "argv": ["python", "-c", 'print("$HOME; `id`")'],
                "image": "registry.example.com:5000/team/train@sha256:" + "0" * 64,
                "workingDir": {"configMap": "my.program"},
                "env": [
                    {"name": "LEVEL", "value": ""},
                    {"name": "KEY", "secretKeyRef": {"name": "keys", "key": "an.API_key"}},
                ],
            },
            "data": {"train": {"storageUri": "pvc://claim/x", "format": "parquet"}, "validationFraction": "0.5"},
            "output": _OUTPUT,
        },
    ),
    "a compression": (
        "CompressionJob",
        {
            "model": {"trainingJobRef": {"name": "digits"}},
            "candidates": [{"name": "int8", "methods": [{"quantize": {"scheme": "dynamic-int8"}}]}],
            "output": _OUTPUT,
        },
    ),
    "a compression with objects left empty": (
        "CompressionJob",
        {
            "model": {"trainingJobRef": {"name": "digits"}},
            "candidates": [
                {"name": "half", "methods": [{"prune": {"sparsity": "0.5"}}, {"quantize": {"scheme": "static-int8"}}]}
            ],
            "goals": {"maxLatency": {"milliseconds": "5"}, "maxQualityLoss": {}},
            "measure": {},
            "runPolicy": {},
            "output": _OUTPUT,
        },
    ),
    "a whole compression": (
        "CompressionJob",
        {
            "model": {"storageUri": "pvc://claim/model"},
            "data": {
                "train": _DATA["train"],
                "validationFraction": "0.2",
                "split": {"by": "Time", "column": "day"},
                "prepare": _EVERY_STEP[:4],
            },
            "candidates": [
                {
                    "name": "half",
                    "methods": [{"prune": {"sparsity": "0.5", "structure": "channels", "fineTuneEpochs": 0}}],
                },
                {
                    "name": "half-int8",
                    "methods": [
                        {"prune": {"sparsity": "0.50"}},
                        {"quantize": {"scheme": "static-int8", "calibrationRows": 8}},
                    ],
                },
            ],
            "goals": {
                "maxQualityLoss": {"metric": "accuracy", "value": "0.005"},
                "maxLatency": {"percentile": 50, "milliseconds": "12.5"},
                "maxSizeBytes": 1000000,
            },
            "measure": {
                "resources": {"pool": "local", "cpu": "500m", "memory": "2Gi"},
                "threads": 2,
                "batchSizes": [1],
                "warmup": 1,
                "repeats": 10,
            },
            "runPolicy": {"activeDeadlineSeconds": 3600},
            "output": _OUTPUT,
        },
    ),
    "a deployment": ("ModelDeployment", {"model": {"storageUri": "pvc://claim/model.onnx"}}),
    "a deployment with objects left empty": (
        "ModelDeployment",
        {
            "model": {"compressionJobRef": {"name": "digits"}},
            "select": {},
            "resources": {},
            "scaling": {},
            "alerts": [{"name": "missing", "replicasMissing": {}}],
        },
    ),
    "a whole deployment": (
        "ModelDeployment",
        {
            "model": {"compressionJobRef": {"name": "digits"}},
            "select": {
                "minimize": "Size",
                "where": {
                    "quality": {"metric": "accuracy", "min": "0.5"},
                    "maxLatency": {"percentile": 50, "milliseconds": "10"},
                    "maxSizeBytes": 5000,
                },
            },
            "expectedRequestsPerSecond": "0.5",
            "resources": {"pool": "local", "cpu": 2, "cpuLimit": 4, "memory": "512Mi", "accelerators": 1},
            "podMetadata": {"labels": {"team": "search"}, "annotations": {"cost-center": "42"}},
            "scaling": {"minReplicas": 2, "maxReplicas": 8, "metric": "memory", "target": 80},
            "alerts": [
                {"name": "errors", "errorRate": {"max": "0.01"}, "forSeconds": 0, "severity": "critical"},
                {"name": "slow", "latency": {"milliseconds": "250"}},
                {"name": "missing", "replicasMissing": {}},
            ],
        },
    ),
}


def good(which: str, name: str = "digits") -> Manifest:
    """A fresh copy of one of the objects."""
    kind, spec = SPECS[which]
    manifest = {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}
    return copy.deepcopy(manifest)


def changed(manifest: Manifest, path: str, value: Any) -> Manifest:
    """The object with a field set, by its path (`spec.alerts.0.name`); None takes the field away."""
    made = copy.deepcopy(manifest)
    *way, last = (int(part) if part.isdigit() else part for part in path.split("."))
    place: Any = made
    for part in way:
        place = place[part] if isinstance(part, int) else place.setdefault(part, {})
    if value is None:
        del place[last]
    else:
        place[last] = value
    return made
