"""Debian packages that the tool calls, installed when they are missing."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from e2e.cluster.places import locked, logs
from e2e.cluster.progress import Failed, run_long

# The program that shows a package is there. A path where the program is not on everyone's PATH.
PROGRAMS = {
    "etcd-server": "etcd",
    "runc": "runc",
    "containernetworking-plugins": "/usr/lib/cni/ptp",
    "buildah": "buildah",
    "skopeo": "skopeo",
    "debootstrap": "debootstrap",
    "busybox-static": "/bin/busybox",
    "iproute2": "ip",
    "nftables": "nft",
    "conntrack": "conntrack",
    "socat": "socat",
    "openssl": "openssl",
    "prometheus": "promtool",
}
CONTROL_PLANE = ("etcd-server", "openssl")
NODE = ("runc", "containernetworking-plugins", "busybox-static", "iproute2", "nftables", "conntrack", "socat")
IMAGES = ("buildah", "skopeo", "debootstrap")
_PATH = f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin"


def program(package: str) -> Path | None:
    """The path of the program that a package is wanted for, or None where it is not installed."""
    found = shutil.which(PROGRAMS[package], path=_PATH)
    return Path(found) if found else None


def require(*packages: str) -> None:
    """Install those packages that are missing, with apt-get."""
    if all(program(package) for package in packages):
        return
    with locked(logs() / "apt.lock"):
        missing = [package for package in packages if not program(package)]
        if not missing:
            return
        names = " ".join(missing)
        if os.geteuid() != 0 or not shutil.which("apt-get"):
            raise Failed(f"missing: {names} (Debian's names). Install them, or run this as root on Debian.")
        quiet = {"DEBIAN_FRONTEND": "noninteractive"}
        run_long("apt-get update", ["apt-get", "update"], logs() / "apt-update.log", env=quiet)
        # A daemon that a package would start (etcd, Prometheus) is not wanted: 101 from policy-rc.d forbids it.
        command = f"apt-get install -y --no-install-recommends {names}"
        with _NoDaemons():
            run_long(
                f"installing Debian packages: {names}", ["sh", "-c", command], logs() / "apt-install.log", env=quiet
            )


class _NoDaemons:
    """While packages are installed, services must not be started by them."""

    policy = Path("/usr/sbin/policy-rc.d")

    def __enter__(self) -> None:
        self.ours = not self.policy.exists()
        if self.ours:
            self.policy.write_text("#!/bin/sh\nexit 101\n")
            self.policy.chmod(0o755)

    def __exit__(self, *error: object) -> None:
        if self.ours:
            self.policy.unlink(missing_ok=True)
