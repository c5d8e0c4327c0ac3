"""An API server for tests: etcd and kube-apiserver only, on loopback, gone with the process that started it.

    with ApiServer() as server:
        server.install("kuberay")
        server.apply("crds/")
        subprocess.run(["kubectl", f"--kubeconfig={server.kubeconfig}", "get", "crds"])

Several may run at once. The components die when the *thread* that started them ends: start it from one that lives on.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from e2e.cluster import packages
from e2e.cluster.binaries import binary
from e2e.cluster.children import answers, free_ports, listens, spawn, wait_until
from e2e.cluster.controlplane import ControlPlane
from e2e.cluster.foreign import install, run_kubectl
from e2e.cluster.launch import Launch
from e2e.cluster.pki import kubeconfig
from e2e.cluster.progress import Failed
from e2e.cluster.record import start_time

_PREFIX = "tradewind-apiserver-"
_SHARED = Path("/dev/shm")  # noqa: S108 - what is made there is made by mkdtemp
_ATTEMPTS = 3  # another process may take a port between our looking and our using


class ApiServer:
    """A context manager; see the module."""

    def __init__(self, controller_manager: bool = False) -> None:
        self._with_controllers = controller_manager
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._plane: ControlPlane | None = None

    def __enter__(self) -> ApiServer:
        packages.require(*packages.CONTROL_PLANE)
        _sweep()
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                self._start()
                return self
            except BaseException as failure:
                self.stop()
                if attempt == _ATTEMPTS or not isinstance(failure, Failed):
                    raise
        raise AssertionError("unreachable")

    def __exit__(self, *error: object) -> None:
        self.stop()

    @property
    def folder(self) -> Path:
        """The folder of everything of this server, with the components' logs."""
        return self._running.folder

    @property
    def url(self) -> str:
        """Where the API server listens, https."""
        return self._running.url

    @property
    def ca(self) -> Path:
        """The certificate authority of the API server, PEM."""
        return self._running.ca

    @property
    def kubeconfig(self) -> Path:
        """The kubeconfig of a cluster administrator."""
        return self._running.admin

    @property
    def audit_log(self) -> Path:
        """One JSON object a line, an event a request."""
        return self._running.audit_log

    @property
    def etcd_url(self) -> str:
        """Where etcd listens, http."""
        return f"http://127.0.0.1:{self._running.etcd_port}"

    @property
    def pids(self) -> dict[str, int]:
        """The process of each component, by name."""
        return {name: process.pid for name, process in self._processes.items()}

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl as the administrator; raise `Failed` with its words."""
        return run_kubectl(binary("kubectl"), self.kubeconfig, *arguments, stdin=stdin)

    def apply(self, manifest: str | Path) -> None:
        """Server-side apply of a file, a folder or the text of a manifest."""
        options = ("apply", "--server-side", "--force-conflicts", "-f")
        if isinstance(manifest, Path) or ("\n" not in manifest and Path(manifest).exists()):
            self.kubectl(*options, str(manifest))
            return
        self.kubectl(*options, "-", stdin=manifest)

    def install(self, *names: str) -> None:
        """Install the definitions of "kuberay", "kserve" or "prometheus", and wait until they are served."""
        install(self.kubectl, *names)

    def kubeconfig_for(self, service_account_namespace: str, name: str) -> Path:
        """A kubeconfig with a token for that service account, which must exist."""
        token = self.kubectl("create", "token", name, "--namespace", service_account_namespace, "--duration=4h").strip()
        path = self.folder / f"{service_account_namespace}.{name}.kubeconfig"
        return kubeconfig(path, self.url, self.ca, token=token)

    def kill_apiserver(self) -> None:
        """End kube-apiserver at once, as when its machine loses power; etcd goes on."""
        process = self._processes.pop("kube-apiserver")
        process.kill()
        process.wait()

    def start_apiserver(self, *options: str) -> None:
        """Start kube-apiserver again after it was killed, with further options; `answers` says when it is there."""
        self._spawn("kube-apiserver", [*self._running.apiserver(), *options])

    def answers(self) -> bool:
        """Whether kube-apiserver says that it is ready."""
        admin = self._running.certificate("admin")
        return answers(f"{self.url}/readyz", self.ca, (admin.crt, admin.key))

    def stop(self) -> None:
        """End the components and remove their folder."""
        for process in self._processes.values():
            process.kill()
        for process in self._processes.values():
            process.wait()
        self._processes.clear()
        if self._plane:
            shutil.rmtree(self._plane.folder, ignore_errors=True)
            self._plane = None

    @property
    def _running(self) -> ControlPlane:
        if self._plane is None:
            raise Failed("the API server is not running: use it in a `with` statement")
        return self._plane

    def _start(self) -> None:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=_memory()))
        (folder / "owner").write_text(json.dumps([os.getpid(), start_time(os.getpid())]))
        port, etcd, peer, controllers = free_ports(4)
        plane = ControlPlane(folder, "127.0.0.1", port, etcd, peer, controllers_port=controllers, volatile=True)
        self._plane = plane
        self._spawn("etcd", plane.etcd())
        plane.prepare()
        self._wait("etcd", lambda: answers(f"{self.etcd_url}/health"), 60)
        self._spawn("kube-apiserver", plane.apiserver())
        self._wait("kube-apiserver", self.answers, 180)
        if self._with_controllers:
            self._spawn("kube-controller-manager", plane.controllers())
            self._wait("kube-controller-manager", lambda: listens(plane.controllers_port), 120)

    def _spawn(self, name: str, command: list[str]) -> None:
        launch = Launch(name, command, str(self.folder / f"{name}.log"), parent=os.getpid())
        self._processes[name] = spawn(launch)

    def _wait(self, name: str, ready: Callable[[], bool], seconds: float) -> None:
        wait_until(name, ready, self._processes[name], self.folder / f"{name}.log", seconds)


def _memory() -> Path | None:
    """A file system in memory where there is one: etcd waits for its disk."""
    return _SHARED if os.access(_SHARED, os.W_OK) and shutil.disk_usage(_SHARED).free > 2 << 30 else None


def _sweep() -> None:
    """Remove the folders of test servers whose process was killed."""
    for base in {_SHARED, Path(tempfile.gettempdir())}:
        for folder in base.glob(f"{_PREFIX}*"):
            try:
                pid, start = json.loads((folder / "owner").read_text())
            except (OSError, ValueError):
                continue
            if start_time(pid) != start:
                shutil.rmtree(folder, ignore_errors=True)
