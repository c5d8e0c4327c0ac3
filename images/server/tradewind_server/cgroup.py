"""What this process may use: CPUs by affinity (a cpuset) and quota, and memory, by control groups of either version."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")
MEMORY = "TRADEWIND_MEMORY_BYTES"


def allowed_cpus(root: Path = ROOT, membership: Path = MEMBERSHIP) -> float:
    """CPUs: those of the affinity, or the smallest quota."""
    quotas = _limits("cpu", _cpus_v1, _cpus_v2, root, membership)
    return min([float(len(os.sched_getaffinity(0))), *quotas])


def allowed_threads(root: Path = ROOT, membership: Path = MEMBERSHIP) -> int:
    """Threads that can run at once: the CPUs to the nearest whole number."""
    return max(1, int(allowed_cpus(root, membership) + 0.5))


def allowed_memory(root: Path = ROOT, membership: Path = MEMBERSHIP) -> int:
    """Bytes: the smallest limit of the groups, or the memory of the machine; less where a container is for several."""
    if (part := part_of_memory()) is not None:
        return part
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return int(min([machine, *_limits("memory", _memory_v1, _memory_v2, root, membership)]))


def part_of_memory() -> int | None:
    """Bytes that this process is told it may have of its container's; None where it may have all."""
    told = os.environ.get(MEMORY, "")
    return int(told) if told.isdigit() and int(told) else None


def used_memory() -> int:
    """Bytes of this process that are in memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def killed_for_memory(root: Path = ROOT, membership: Path = MEMBERSHIP) -> int:
    """Processes of this process's group that the kernel has killed since they took more memory than they may."""
    return int(max(_limits("memory", _killed_v1, _killed_v2, root, membership), default=0))


def refuse_more_memory() -> None:
    """From now on a model or a request that asks for more than all the allowed memory fails, and nothing else does.

    Without this the kernel may grant it, and when it is touched kill the process with all that it is answering. What it
    has reserved so far is left out, so that the kernel's limit is always met before this one by what is really used.
    """
    data = int(Path("/proc/self/statm").read_text().split()[5]) * os.sysconf("SC_PAGE_SIZE")
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    soft = data + allowed_memory()
    resource.setrlimit(resource.RLIMIT_DATA, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


Reader = Callable[[Path], float | None]


def _limits(controller: str, v1: Reader, v2: Reader, root: Path, membership: Path) -> Iterator[float]:
    """What each group grants, from this process's own up to the root.

    In a container the path of the membership may be the host's, not mounted: then the mount's root is the group.
    """
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            yield from filter(None, map(v2, _groups(root, path)))
        elif controller in controllers.split(","):
            for mount in (root / controllers, root / controller):
                yield from filter(None, map(v1, _groups(mount, path)))


def _groups(mount: Path, path: str) -> Iterator[Path]:
    group = mount / path.strip("/")
    yield group
    while group != mount and mount in group.parents:
        group = group.parent
        yield group


def _numbers(file: Path) -> list[int]:
    """The numbers in a file; none if it isn't there or says `max`."""
    try:
        return [int(word) for word in file.read_text().split()]
    except (OSError, ValueError):
        return []


def _cpus_v2(group: Path) -> float | None:
    """`cpu.max` has microseconds, and of how many."""
    return _ratio(_numbers(group / "cpu.max"))


def _cpus_v1(group: Path) -> float | None:
    return _ratio(_numbers(group / "cpu.cfs_quota_us") + _numbers(group / "cpu.cfs_period_us"))


def _ratio(numbers: list[int]) -> float | None:
    return numbers[0] / numbers[1] if len(numbers) == 2 and min(numbers) > 0 else None


def _memory_v2(group: Path) -> float | None:
    return next(iter(_numbers(group / "memory.max")), None)


def _memory_v1(group: Path) -> float | None:
    return next(iter(_numbers(group / "memory.limit_in_bytes")), None)


def _killed_v2(group: Path) -> float | None:
    return _killed(group / "memory.events")


def _killed_v1(group: Path) -> float | None:
    return _killed(group / "memory.oom_control")


def _killed(file: Path) -> float | None:
    """Of lines with a name and a number, that of `oom_kill`."""
    try:
        lines = [line.split() for line in file.read_text().splitlines()]
    except OSError:
        return None
    return next((float(line[1]) for line in lines if len(line) == 2 and line[0] == "oom_kill"), None)
