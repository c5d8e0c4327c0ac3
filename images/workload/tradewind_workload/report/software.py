"""The versions of what a training ran on."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

_ALWAYS = ("ray", "numpy", "pyarrow", "onnx", "onnxruntime")
_TREES = ("xgboost-cpu",)
_NETWORKS = ("torch", "torchvision", "tokenizers", "transformers")


def versions(architecture: str) -> dict[str, str]:
    """Of Python and of the packages that a recipe with this architecture uses, where they are installed."""
    found = {"python": platform.python_version()}
    for package in (*(_TREES if architecture == "trees" else _NETWORKS), *_ALWAYS):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
