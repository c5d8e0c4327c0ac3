"""How many CPUs this process may use: its affinity (a cpuset), and the quotas of its control groups."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path


def allowed_threads(root: Path = Path("/sys/fs/cgroup"), membership: Path = Path("/proc/self/cgroup")) -> int:
    """Threads that can run at once: the CPUs of the affinity, or the smallest quota, to the nearest whole number."""
    cpus = float(len(os.sched_getaffinity(0)))
    return max(1, int(min([cpus, *_quotas(root, membership)]) + 0.5))


def _quotas(root: Path, membership: Path) -> Iterator[float]:
    """CPUs granted by each group from this process's own up to the root, in either version of control groups.

    In a container the path of the membership may be the host's, not mounted: then the mount's root is the group.
    """
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            yield from filter(None, map(_quota_v2, _groups(root, path)))
        elif "cpu" in controllers.split(","):
            for mount in (root / controllers, root / "cpu"):
                yield from filter(None, map(_quota_v1, _groups(mount, path)))


def _groups(mount: Path, path: str) -> Iterator[Path]:
    group = mount / path.strip("/")
    yield group
    while group != mount and mount in group.parents:
        group = group.parent
        yield group


def _quota_v2(group: Path) -> float | None:
    """`cpu.max` is "max 100000" or "50000 100000": microseconds, and the period that they are for."""
    try:
        quota, period = (group / "cpu.max").read_text().split()
        return int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None


def _quota_v1(group: Path) -> float | None:
    try:
        quota = int((group / "cpu.cfs_quota_us").read_text())
        return quota / int((group / "cpu.cfs_period_us").read_text()) if quota > 0 else None
    except (OSError, ValueError, ZeroDivisionError):
        return None
