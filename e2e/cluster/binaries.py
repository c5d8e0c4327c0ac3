"""The Go programs of a cluster: built once from pinned modules, kept in the cache under the hash of what went in."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from functools import cache as once
from pathlib import Path

from e2e.cluster.places import TOOLS, cache, locked, logs
from e2e.cluster.progress import Failed, run, run_long, say


@dataclass(frozen=True)
class Tool:
    """One Go module below `tools/`, and the programs to build from it, by name."""

    name: str
    programs: dict[str, str]  # name of the binary -> Go package
    module: str = ""  # the module whose files (CRDs, charts) are read
    tags: str = ""
    stamps: tuple[str, ...] = ()  # -X flags of the linker

    @property
    def folder(self) -> Path:
        """The folder of its go.mod."""
        return TOOLS / self.name

    @property
    def flags(self) -> list[str]:
        """The flags of `go build`; they are a part of the key."""
        tags = ["-tags", self.tags] if self.tags else []
        return ["-trimpath", *tags, "-ldflags", " ".join(["-s", "-w", *(f"-X {stamp}" for stamp in self.stamps)])]


# Kubernetes' components refuse one another without a version.
_VERSION = "k8s.io/component-base/version"
_KUBERNETES = (f"{_VERSION}.gitVersion=v1.36.3", f"{_VERSION}.gitMajor=1", f"{_VERSION}.gitMinor=36")
_COMPONENTS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl")
_CONTAINERD = "github.com/containerd/containerd/v2"

TOOLS_BY_NAME = {
    tool.name: tool
    for tool in (
        Tool("kubernetes", {name: f"k8s.io/kubernetes/cmd/{name}" for name in _COMPONENTS}, stamps=_KUBERNETES),
        Tool(
            "containerd",
            {name: f"{_CONTAINERD}/cmd/{name}" for name in ("containerd", "containerd-shim-runc-v2", "ctr")},
            tags="no_btrfs,no_zfs",
        ),
        Tool("coredns", {"coredns": "."}),
        Tool("volumes", {"volumes": "."}),
        Tool(
            "kuberay",
            {"kuberay": "github.com/ray-project/kuberay/ray-operator"},
            module="github.com/ray-project/kuberay/ray-operator",
        ),
        Tool("kserve", {"kserve": "github.com/kserve/kserve/cmd/manager"}, module="github.com/kserve/kserve"),
        Tool("prometheus-operator", {}, module="github.com/prometheus-operator/prometheus-operator"),
        Tool("kwok", {"kwok": "sigs.k8s.io/kwok/cmd/kwok"}, module="sigs.k8s.io/kwok"),
        Tool("helm", {"helm": "helm.sh/helm/v4/cmd/helm"}),
        # Kubeflow Trainer's controllers, to measure beside them.
        Tool("trainer", {"trainer": "."}, module="github.com/kubeflow/trainer/v2"),
    )
}
OWNER = {program: tool for tool in TOOLS_BY_NAME.values() for program in tool.programs}


def key(tool: Tool, folder: Path | None = None) -> str:
    """The hash of everything that a build of this tool depends on."""
    files = sorted(
        path for path in (folder or tool.folder).iterdir() if path.name in ("go.mod", "go.sum") or path.suffix == ".go"
    )
    content = hashlib.sha256(json.dumps([tool.flags, sorted(tool.programs.items()), os.uname().machine]).encode())
    for path in files:
        content.update(f"\0{path.name}\0".encode() + path.read_bytes())
    return content.hexdigest()[:16]


def path_of(program: str) -> Path:
    """Where the binary of that name lies in the cache, built or not."""
    tool = OWNER[program]
    return cache() / "bin" / f"{tool.name}-{key(tool)}" / program


def binary(program: str) -> Path:
    """The binary of that name; it is built if the cache lacks it."""
    path = path_of(program)
    if path.exists():
        return path
    with locked(cache() / "bin" / f"{OWNER[program].name}.lock"):
        if not path.exists():
            _build(program, path)
    return path


def _build(program: str, path: Path) -> None:
    tool = OWNER[program]
    require_go(tool)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".building-") as folder:
        built = Path(folder) / program
        run_long(
            f"building {program} ({_version(tool)})",
            ["go", "build", *tool.flags, "-o", built, tool.programs[program]],
            logs() / f"build-{program}.log",
            cwd=tool.folder,
            env=_go_environment(),
        )
        built.rename(path)


def build(*names: str) -> None:
    """Build tools or single programs by name (all without a name), saying what is there already."""
    wanted = names or tuple(TOOLS_BY_NAME)
    unknown = [name for name in wanted if name not in TOOLS_BY_NAME and name not in OWNER]
    if unknown:
        raise Failed(f"no such target: {', '.join(unknown)}. There are: {', '.join([*TOOLS_BY_NAME, *OWNER])}")
    programs = [
        program for name in wanted for program in (TOOLS_BY_NAME[name].programs if name in TOOLS_BY_NAME else [name])
    ]
    missing = [program for program in programs if not path_of(program).exists()]
    if there := [program for program in programs if program not in missing]:
        say(f"in the cache: {' '.join(there)}")
    if missing:
        say(f"to build: {' '.join(missing)}")
    for program in missing:
        binary(program)
    for name in wanted:
        if name in TOOLS_BY_NAME and not TOOLS_BY_NAME[name].programs:
            say(f"the files of {name}: {module_folder(name)}")


@once
def module_folder(name: str) -> Path:
    """The folder with the files of that tool's module, downloaded if needed."""
    tool = TOOLS_BY_NAME[name]
    require_go(tool)
    found = json.loads(run("go", "mod", "download", "-json", tool.module, cwd=tool.folder, env=_go_environment()))
    return Path(found["Dir"])


@once
def _go_version() -> tuple[int, ...]:
    if not shutil.which("go"):
        raise Failed(
            "the cluster's programs are built with Go, and there is no `go` on the PATH: install it, see https://go.dev/dl"
        )
    found = re.search(r"go(\d+)\.(\d+)", run("go", "env", "GOVERSION"))
    return tuple(int(part) for part in found.groups()) if found else (0, 0)


def require_go(tool: Tool) -> None:
    """Raise `Failed` where Go is missing, or too old even to fetch the toolchain that the module asks for."""
    if _go_version() < (1, 21):
        raise Failed(f"Go {'.'.join(map(str, _go_version()))} is too old for {tool.name}: at least 1.21 is needed")


def _go_environment() -> dict[str, str]:
    # Static binaries run in images without a libc. A GOFLAGS of the user's (-mod=vendor, -race) would break the builds.
    return {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly -buildvcs=false", "GOWORK": "off"}


def _version(tool: Tool) -> str:
    text = (tool.folder / "go.mod").read_text()
    direct = re.search(r"^require (\S+) (\S+)$", text, re.MULTILINE)
    return f"{direct[1]} {direct[2]}" if direct else f"module {tool.name}"
