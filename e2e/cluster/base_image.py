"""A stand-in for `python:3.11-slim-bookworm` where no registry can be reached: Debian's own packages."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from e2e.cluster import packages
from e2e.cluster.buildah import buildah, has_image
from e2e.cluster.places import cache, locked, logs
from e2e.cluster.progress import Failed, run, run_long

SUITE = "bookworm"
SETTING = "TRADEWIND_DEBIAN_MIRROR"
_TARGETS = (
    *("apt-get", "indextargets", "--no-release-info"),
    *("--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages"),
)
_METHODS = ("http://", "https://", "file:")  # that debootstrap knows too
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
    name = f"localhost/tradewind-base:{SUITE}-{key}"
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
            SUITE,
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
    """Where Debian's packages come from: what TRADEWIND_DEBIAN_MIRROR says, else where this machine's apt gets them.

    apt itself reads its configuration. A mirror of Debian has all of its releases, so that of another release will do.
    """
    if given := os.environ.get(SETTING):
        return given.rstrip("/")
    lines = run(*_TARGETS).splitlines() if shutil.which("apt-get") else []
    found = [(uri.rstrip("/"), release) for uri, release, component in map(str.split, lines) if component == "main"]
    # Others publish packages for Debian's releases too, but theirs is not the path that Debian and its mirrors have.
    rated = [(uri.endswith("/debian"), release == SUITE, uri) for uri, release in found if uri.startswith(_METHODS)]
    debian, suite, uri = max(rated, key=lambda rating: rating[:2], default=(False, False, ""))
    if not (debian or suite):
        raise Failed(
            f"apt of this machine names no mirror of Debian: set {SETTING} to the URL of one, as debootstrap takes it"
        )
    return uri
