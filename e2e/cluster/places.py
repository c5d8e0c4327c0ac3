"""Where things lie: caches belong to the user, the record of what runs belongs to the machine."""

from __future__ import annotations

import fcntl
import os
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


def cache() -> Path:
    """The folder of everything that may be kept: binaries, images, downloads."""
    if path := os.environ.get("TRADEWIND_CACHE"):
        return Path(path).absolute()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base).absolute() / "tradewind"


def logs() -> Path:
    """The folder of the logs of builds; components of the cluster log to `STATE / "logs"`."""
    return cache() / "logs"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on that file; it falls with the process, however that ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
