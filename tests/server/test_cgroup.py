"""Threads and memory from control groups of both versions, and a real one where this machine lets the test make it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from process import SOURCES

from tradewind_server.cgroup import allowed_memory, allowed_threads

CPUS = len(os.sched_getaffinity(0))


def tree(root: Path, files: dict[str, str], membership: str) -> int:
    """Threads with these files under /sys/fs/cgroup and this /proc/self/cgroup."""
    for name, content in files.items():
        (root / "fs" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "fs" / name).write_text(content)
    (root / "membership").write_text(membership)
    return allowed_threads(root / "fs", root / "membership")


@pytest.mark.parametrize(
    ("quota", "threads"),
    [
        ("max 100000", CPUS),
        ("100000 100000", 1),
        ("20000 100000", 1),
        ("50000 50000", 1),
        (f"{CPUS * 100_000} 100000", CPUS),
        (f"{CPUS * 100_000 + 900_000} 100000", CPUS),
        ("nonsense", CPUS),
        ("100000 0", CPUS),
    ],
)
def test_version_2_in_a_container(tmp_path: Path, quota: str, threads: int) -> None:
    assert tree(tmp_path, {"cpu.max": quota}, "0::/\n") == threads


def test_version_2_looks_at_the_groups_above(tmp_path: Path) -> None:
    files = {"pod/container/cpu.max": "max 100000", "pod/cpu.max": "100000 100000"}
    assert tree(tmp_path, files, "0::/pod/container\n") == 1


@pytest.mark.parametrize("mount", ["cpu", "cpu,cpuacct"])
@pytest.mark.parametrize("path", ["/", "/kubepods/pod1/container"], ids=["own root", "path of the host"])
def test_version_1(tmp_path: Path, mount: str, path: str) -> None:
    files = {f"{mount}/cpu.cfs_quota_us": "100000", f"{mount}/cpu.cfs_period_us": "100000"}
    assert tree(tmp_path, files, f"4:{mount}:{path}\n0::/\n") == 1


def test_version_1_without_a_quota(tmp_path: Path) -> None:
    files = {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}
    assert tree(tmp_path, files, "4:cpu:/\n") == CPUS


def test_no_control_groups_at_all(tmp_path: Path) -> None:
    assert allowed_threads(tmp_path, tmp_path / "nothing") == CPUS


def test_memory(tmp_path: Path) -> None:
    machine = allowed_memory(tmp_path, tmp_path / "nothing")
    assert machine > 1 << 28
    v1 = {"memory/memory.limit_in_bytes": "9223372036854771712", "memory/pod/memory.limit_in_bytes": "1048576"}
    tree(tmp_path / "v1", v1, "4:memory:/pod\n")
    assert allowed_memory(tmp_path / "v1/fs", tmp_path / "v1/membership") == 1048576
    tree(tmp_path / "v2", {"memory.max": "2097152", "pod/memory.max": "max"}, "0::/pod\n")
    assert allowed_memory(tmp_path / "v2/fs", tmp_path / "v2/membership") == 2097152
    tree(tmp_path / "none", {"memory.max": "max"}, "0::/\n")
    assert allowed_memory(tmp_path / "none/fs", tmp_path / "none/membership") == machine


@pytest.fixture
def quota_group() -> Iterator[Path]:
    """A real group with a quota of one CPU."""
    v1, v2 = Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup")
    group = (v1 if (v1 / "cpu.cfs_quota_us").exists() else v2) / f"tradewind-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError:
        pytest.skip("this user may not make control groups here")
    try:
        if group.parent == v1:
            (group / "cpu.cfs_quota_us").write_text("100000")
        elif (group / "cpu.max").exists():
            (group / "cpu.max").write_text("100000 100000")
        else:
            pytest.skip("groups here have no CPU controller")
        yield group
    finally:
        group.rmdir()


@pytest.mark.skipif(CPUS < 2, reason="one CPU is one thread with any quota")
def test_a_real_quota(quota_group: Path) -> None:
    script = "from tradewind_server.cgroup import allowed_threads; print(allowed_threads())"

    def enter() -> None:
        (quota_group / "cgroup.procs").write_text(str(os.getpid()))

    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": SOURCES},
        capture_output=True,
        text=True,
        preexec_fn=enter,
    )
    assert done.stdout.strip() == "1", done.stderr
