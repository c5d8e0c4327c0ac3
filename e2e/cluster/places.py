"""Where things lie: caches belong to the user, the record of what runs belongs to the machine."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOOLS = HERE / "tools"
MANIFESTS = HERE / "manifests"

# Not in the cache: another clone with another cache must find what runs on this machine.
RUN = Path("/run/tradewind-cluster")
# Not in /run, which may be small and in memory: volumes and pods write here.
STATE = Path("/var/lib/tradewind-cluster")
NEEDED_BYTES = 45e9  # for everything, from nothing


def cache() -> Path:
    """The folder of everything that may be kept: binaries, images, downloads."""
    if path := os.environ.get("TRADEWIND_CACHE"):
        return Path(path).absolute()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base).absolute() / "tradewind"


def logs() -> Path:
    """The folder of the logs of builds; components of the cluster log to `STATE / "logs"`."""
    return cache() / "logs"


def short_of_disk() -> str | None:
    """A sentence where nothing is built yet and the disk has not the room that README asks for; None where it has."""
    folder = cache()
    if (folder / "containerd").exists():
        return None
    there = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(there).free
    if free >= NEEDED_BYTES:
        return None
    return (
        f"{there} has {free / 1e9:.0f} GB free, and what is built takes up to {NEEDED_BYTES / 1e9:.0f} GB: if the disk "
        "fills up, make room, or name a folder on another disk as TRADEWIND_CACHE, and start again"
    )


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on that file; it falls with the process, however that ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
