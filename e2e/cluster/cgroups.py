"""A cgroup of the cluster's own in every hierarchy: by it every process of a pod is found, whoever its parent."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

NAME = "tradewind-cluster"
HOST = "host"  # below it: the components and the shims; the kubelet makes `kubepods` beside it


def hierarchies() -> list[Path]:
    """The mount points of all cgroup hierarchies: one with version 2, many with version 1, or both."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        if right.split()[0] in ("cgroup", "cgroup2"):
            found.append(Path(left.split()[4]))
    return found


def create() -> None:
    """Make the cgroup and its part for the components."""
    for root in hierarchies():
        own = root / NAME
        own.mkdir(exist_ok=True)
        if (root / "cgroup.subtree_control").exists():
            _delegate(root)
            _delegate(own)
        (own / HOST).mkdir(exist_ok=True)
        if (root / "cpuset.cpus").exists() and not (root / "cgroup.subtree_control").exists():
            # Version 1 starts a cpuset empty, and an empty one takes no process.
            for group in (own, own / HOST):
                for file in ("cpuset.cpus", "cpuset.mems"):
                    (group / file).write_text((group.parent / file).read_text())


def _delegate(group: Path) -> None:
    for controller in (group / "cgroup.controllers").read_text().split():
        try:
            (group / "cgroup.subtree_control").write_text(f"+{controller}")
        except OSError:
            continue  # a controller that is not to be had in this place


def host_folders() -> list[str]:
    """The folders that a component joins by writing its pid there."""
    return [str(root / NAME / HOST) for root in hierarchies()]


def _groups(root: Path) -> Iterator[Path]:
    """The cluster's groups of one hierarchy, the deepest first."""
    for folder, _, _ in os.walk(root / NAME, topdown=False):
        yield Path(folder)


def memory_of(pod: str) -> Path | None:
    """The memory group of the pod with that uid; None where there is none (yet)."""
    for root in hierarchies():
        for group in (root / NAME).glob(f"kubepods/**/pod{pod}"):
            if (group / "memory.stat").exists():
                return group
    return None


def processes() -> set[int]:
    """The pids of everything in the cluster's cgroups."""
    found: set[int] = set()
    for root in hierarchies():
        for group in _groups(root):
            try:
                found |= {int(pid) for pid in (group / "cgroup.procs").read_text().split()}
            except OSError:
                continue  # it is gone meanwhile
    return found - {os.getpid()}


def destroy(seconds: float = 15) -> None:
    """Kill all processes of the cluster's cgroups and remove these."""
    end = time.monotonic() + seconds
    while (pids := processes()) and time.monotonic() < end:
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.05)
    for root in hierarchies():
        for group in _groups(root):
            try:
                group.rmdir()
            except OSError:
                continue  # a process in it is still ending; the next cleanup gets it
