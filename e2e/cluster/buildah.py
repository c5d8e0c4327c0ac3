"""buildah with a storage of its own in the cache, so that it meets no other image of the user's."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

from e2e.cluster import packages
from e2e.cluster.places import cache
from e2e.cluster.progress import run


def _folders() -> tuple[Path, Path]:
    root = cache() / "buildah"
    # What is mounted now must not outlive a boot, so it lies under /run.
    run = Path("/run/tradewind-buildah") / hashlib.sha256(str(root).encode()).hexdigest()[:12]
    root.mkdir(parents=True, exist_ok=True)
    run.mkdir(parents=True, exist_ok=True)
    return root, run


def buildah() -> list[str | Path]:
    """The beginning of a command line."""
    packages.require(*packages.IMAGES)
    root, run = _folders()
    return [packages.program("buildah") or "buildah", "--root", root, "--runroot", run, "--storage-driver", "overlay"]


def storage(name: str) -> str:
    """An image of the storage as skopeo calls it."""
    packages.require(*packages.IMAGES)
    root, run = _folders()
    return f"containers-storage:[overlay@{root}+{run}]{name}"


def image_id(name: str) -> str | None:
    """The id of an image in the storage, or None."""
    command = [str(part) for part in (*buildah(), "images", "--quiet", "--no-trunc", name)]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout.split()[0] if done.returncode == 0 and done.stdout.strip() else None


def has_image(name: str) -> bool:
    """Whether an image of that name is in the storage."""
    return image_id(name) is not None


def release() -> None:
    """Unmount the storage, which buildah leaves mounted on itself: the cache could not be removed."""
    root, _ = _folders()
    folder = root / "overlay"
    if any(line.split()[1] == str(folder) for line in Path("/proc/mounts").read_text().splitlines()):
        run("umount", folder)
