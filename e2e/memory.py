"""What memory groups of the kernel hold: a pod's, or those that a benchmark makes, with cgroups of either version."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

EVERY = 0.1  # seconds between two looks


@dataclass(frozen=True)
class Held:
    """Bytes of a group."""

    own: int  # of processes, and shared memory: too much of it ends a process
    cache: int  # of files that were read or written, which the kernel takes back when it needs room

    def most(self, other: Held) -> Held:
        """The larger of each."""
        return Held(max(self.own, other.own), max(self.cache, other.cache))


NOTHING = Held(0, 0)


def held(group: Path) -> Held:
    """What a group and those below it hold now. Raises OSError where it is gone."""
    found = _figures(group / "memory.stat")
    if "anon" in found:  # version 2
        return Held(found["anon"] + found["shmem"], found["file"] - found["shmem"])
    shared = found["total_shmem"]
    return Held(found["total_rss"] + shared, found["total_cache"] - shared)


def killed(group: Path) -> int:
    """Processes that the kernel ended for too much memory. Raises OSError where it is gone."""
    old = group / "memory.oom_control"
    return _figures(old if old.exists() else group / "memory.events")["oom_kill"]


def _figures(file: Path) -> dict[str, int]:
    return {name: int(value) for name, value in (line.split() for line in file.read_text().splitlines())}


class Watch:
    """Looks at groups until it is left, and remembers the most that each held, and what was killed."""

    def __init__(self, groups: Callable[[], Mapping[str, Path]]) -> None:
        self.peaks: dict[str, Held] = {}
        self.killed: dict[str, int] = {}
        self._groups = groups
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            for name, group in self._groups().items():
                try:
                    now, ended = held(group), killed(group)
                except OSError:
                    continue  # it is gone meanwhile
                self.peaks[name] = self.peaks.get(name, NOTHING).most(now)
                self.killed[name] = max(self.killed.get(name, 0), ended)
            if self._over.wait(EVERY):
                return
