"""The custom resource definitions of other projects, from their own modules."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

from e2e.cluster.binaries import module_folder
from e2e.cluster.progress import Failed

Kubectl = Callable[..., str]


def _kuberay() -> list[Path]:
    return sorted((module_folder("kuberay") / "config" / "crd" / "bases").glob("*.yaml"))


def _kserve() -> list[Path]:
    return sorted((module_folder("kserve") / "config" / "crd" / "full").glob("serving.kserve.io_*.yaml"))


def _prometheus() -> list[Path]:
    folder = module_folder("prometheus-operator") / "example" / "prometheus-operator-crd"
    return [folder / f"monitoring.coreos.com_{plural}.yaml" for plural in ("prometheusrules", "podmonitors")]


DEFINITIONS: dict[str, Callable[[], list[Path]]] = {"kuberay": _kuberay, "kserve": _kserve, "prometheus": _prometheus}


def install(kubectl: Kubectl, *names: str) -> None:
    """Install definitions by the name of their project and wait until they are served."""
    unknown = [name for name in names if name not in DEFINITIONS]
    if unknown:
        raise Failed(f"no definitions of {', '.join(unknown)}; there are those of {', '.join(DEFINITIONS)}")
    _install(kubectl, [path for name in names for path in DEFINITIONS[name]()])


def define(kubectl: Kubectl, *plurals: str) -> None:
    """Install the definitions of these kinds only, each of which costs the API server a second, and wait likewise."""
    found = {path.stem.partition("_")[2]: path for find in DEFINITIONS.values() for path in find()}
    if unknown := [plural for plural in plurals if plural not in found]:
        raise Failed(f"no definitions of {', '.join(unknown)}; there are those of {', '.join(found)}")
    _install(kubectl, [found[plural] for plural in plurals])


def _install(kubectl: Kubectl, files: list[Path]) -> None:
    if not files:
        return
    # Server-side: they are too large for the annotation of a client-side apply.
    kubectl("apply", "--server-side", "--force-conflicts", *(f"--filename={path}" for path in files))
    # By name: to read megabytes of YAML again takes longer than the waiting. The files are called group_plural.
    definitions = [".".join(reversed(path.stem.split("_"))) for path in files]
    kubectl("wait", "--for=condition=Established", "--timeout=60s", "customresourcedefinitions", *definitions)


def run_kubectl(binary: Path, kubeconfig: Path, *arguments: str, stdin: str | None = None) -> str:
    """Run kubectl and return its stdout; raise `Failed` with its words."""
    command = [str(binary), f"--kubeconfig={kubeconfig}", *arguments]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True)
    if done.returncode:
        raise Failed(
            f"`kubectl {' '.join(arguments)[:300]}`: {done.stderr.strip()[-4000:] or done.stdout.strip()[-4000:]}"
        )
    return done.stdout
