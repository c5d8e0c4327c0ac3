"""What kustomize and Helm render, and a real API server to install it on."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from e2e.cluster.apiserver import ApiServer
from e2e.cluster.binaries import binary
from e2e.cluster.foreign import define

ROOT = Path(__file__).resolve().parent.parent.parent
CHART = ROOT / "helm" / "tradewind"
NAMESPACE = "tradewind-system"

Manifest = dict[str, Any]


def helm(*arguments: str, values: Manifest | None = None) -> subprocess.CompletedProcess[str]:
    """Run Helm; values are given on its stdin."""
    command = [str(binary("helm")), *arguments, *(["--values", "-"] if values is not None else [])]
    return subprocess.run(command, input=yaml.safe_dump(values), capture_output=True, text=True, check=False)


def chart(values: Manifest | None = None, namespace: str = NAMESPACE) -> list[Manifest]:
    """What the chart renders with those values."""
    done = helm("template", "tradewind", str(CHART), "--namespace", namespace, values=values or {})
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def kustomization(folder: str) -> list[Manifest]:
    """What kustomize renders."""
    done = subprocess.run(
        [str(binary("kubectl")), "kustomize", str(ROOT / folder)], capture_output=True, text=True, check=True
    )
    return list(yaml.safe_load_all(done.stdout))


def find(documents: list[Manifest], kind: str, name: str) -> Manifest:
    """The one document of that kind whose name starts so."""
    (found,) = (one for one in documents if one["kind"] == kind and one["metadata"]["name"].startswith(name))
    return found


@pytest.fixture(scope="session")
def server() -> Iterator[ApiServer]:
    """An API server with those of the definitions of others that the installation and the operator use."""
    with ApiServer() as running:
        define(running.kubectl, "rayjobs", "inferenceservices", "clusterservingruntimes", "prometheusrules")
        yield running
