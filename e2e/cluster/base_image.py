"""A stand-in for `python:3.11-slim-bookworm` where no registry can be reached: Debian's own packages."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from pathlib import Path

from e2e.cluster import packages
from e2e.cluster.buildah import buildah, has_image
from e2e.cluster.places import cache, locked, logs
from e2e.cluster.progress import run, run_long

PACKAGES = "ca-certificates,python3,python3-pip,python3-venv"
_DOCKERFILE = """\
FROM scratch
ADD root.tar /
ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8
CMD ["python3"]
"""


def base_image() -> str:
    """The name of the base image in buildah's storage; it is made if it is not there."""
    key = hashlib.sha256(f"{PACKAGES}\n{_DOCKERFILE}\n{os.uname().machine}\n1".encode()).hexdigest()[:12]
    name = f"localhost/tradewind-base:bookworm-{key}"
    if has_image(name):
        return name
    with locked(cache() / "images" / "base.lock"):
        if not has_image(name):
            _make(name)
    return name


def _make(name: str) -> None:
    packages.require(*packages.IMAGES)
    downloads = cache() / "debs"
    downloads.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache(), prefix=".base-") as folder:
        root = Path(folder) / "root"
        command: list[str | Path] = [
            "debootstrap",
            "--variant=minbase",
            f"--cache-dir={downloads}",
            f"--include={PACKAGES}",
            "bookworm",
            root,
            mirror(),
        ]
        run_long("the base image: Debian and Python", command, logs() / "debootstrap.log")
        _tidy(root)
        context = Path(folder) / "context"
        context.mkdir()
        # The nodes in /dev belong to whoever runs a container.
        run("tar", "-C", root, "--exclude=./dev/*", "-cf", context / "root.tar", ".")
        (context / "Dockerfile").write_text(_DOCKERFILE)
        run_long(
            f"committing {name}",
            [*buildah(), "bud", "--isolation=chroot", "-t", name, context],
            logs() / "base-image.log",
        )


def _tidy(root: Path) -> None:
    """Take out what only the installation needed, and put Python where the public image has it."""
    for pattern in (
        "var/cache/apt/archives/*.deb",
        "var/lib/apt/lists/*",
        "var/log/*",
        "etc/resolv.conf",
        "etc/hostname",
    ):
        for path in root.glob(pattern):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    for path in root.glob("usr/lib/python3.*/EXTERNALLY-MANAGED"):
        path.unlink()  # pip may install here, as in the public image
    for link, to in {"python": "python3", "python3": "python3", "pip": "pip3", "pip3": "pip3"}.items():
        (root / "usr/local/bin" / link).symlink_to(f"/usr/bin/{to}")


def mirror() -> str:
    """The Debian mirror that this machine's apt uses, else the public one."""
    places = [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*.sources"))]
    for place in places:
        text = place.read_text() if place.exists() else ""
        for found in re.finditer(r"^(?:URIs:|deb(?: \[[^]]*])?)\s+(https?://\S+/debian)/?(?:\s|$)", text, re.MULTILINE):
            return found[1]
    return "http://deb.debian.org/debian"
