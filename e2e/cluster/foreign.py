"""The custom resource definitions of other projects, from their own modules."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from e2e.cluster.binaries import module_folder
from e2e.cluster.progress import Failed

Kubectl = Callable[..., str]
_PATIENCE = 180.0  # seconds until definitions are served
# Names of those that are served; kubectl gives a list, or the one object where one name was asked for.
_SERVED = """go-template=
{{- define "one"}}{{$name := .metadata.name}}{{range .status.conditions}}
{{- if and (eq .type "Established") (eq .status "True")}}{{$name}} {{end}}{{end}}{{end}}
{{- if .items}}{{range .items}}{{template "one" .}}{{end}}{{else}}{{template "one" .}}{{end}}"""


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
    # The files are called group_plural.
    wait_served(kubectl, [".".join(reversed(path.stem.split("_"))) for path in files])


def wait_served(kubectl: Kubectl, names: Sequence[str]) -> None:
    """Wait until these definitions are served; raise `Failed` with those that are not."""
    end = time.monotonic() + _PATIENCE
    # `kubectl wait` gives up where a definition has no conditions yet.
    while missing := {*names} - {*kubectl("get", "customresourcedefinitions", *names, "--output", _SERVED).split()}:
        if time.monotonic() > end:
            raise Failed(f"after {_PATIENCE:.0f} s not served: {', '.join(sorted(missing))}")
        time.sleep(0.1)


def run_kubectl(binary: Path, kubeconfig: Path, *arguments: str, stdin: str | None = None) -> str:
    """Run kubectl and return its stdout; raise `Failed` with its words."""
    command = [str(binary), f"--kubeconfig={kubeconfig}", *arguments]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True)
    if done.returncode:
        raise Failed(
            f"`kubectl {' '.join(arguments)[:300]}`: {done.stderr.strip()[-4000:] or done.stdout.strip()[-4000:]}"
        )
    return done.stdout
