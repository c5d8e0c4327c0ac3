"""The operator as a process of its own, as a pod would run it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from e2e.cluster.children import free_ports

ROOT = Path(__file__).resolve().parent.parent.parent
T = TypeVar("T")
PATIENCE = 180.0  # seconds; machines that run tests can be slow


def until(look: Callable[[], T], what: str, seconds: float = PATIENCE) -> T:
    """Look until there is something; its value. Fails with `what` after so many seconds."""
    end = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < end, f"after {seconds:.0f} s: {what}"
        time.sleep(0.05)


class OperatorProcess:
    """`python -m tradewind run` with a kubeconfig."""

    def __init__(
        self, kubeconfig: Path, config: Path, tls: Path, log: Path, namespace: str = "tradewind-system", name: str = ""
    ) -> None:
        self.report_port, self.metrics_port, self.health_port = free_ports(3)
        self._kubeconfig, self._config, self._tls, self._namespace = kubeconfig, config, tls, namespace
        self._name = name
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> OperatorProcess:
        """Start it; it stands by until it has the lease."""
        environment = {k: v for k, v in os.environ.items() if k not in ("POD_NAME", "KUBECONTEXT")}
        environment |= {"KUBECONFIG": str(self._kubeconfig), "PYTHONPATH": str(ROOT / "operator" / "src")}
        if self._name:
            environment["POD_NAME"] = self._name
        command = [sys.executable, "-m", "tradewind", "run", "--log-format=text", "--log-level=debug"]
        command += [f"--config={self._config}", f"--tls-dir={self._tls}", f"--namespace-of-lease={self._namespace}"]
        command += [f"--report-port={self.report_port}", f"--metrics-port={self.metrics_port}"]
        command += [f"--health-port={self.health_port}"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, env=environment, stderr=log, stdout=log)
        return self

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def ready(self) -> bool:
        """Whether it is the active replica and takes reports."""
        assert self.process is not None and self.process.poll() is None, self.log.read_text()[-3000:]
        return self.get("activez", self.health_port)[0] == 200

    def get(self, path: str, port: int) -> tuple[int, str]:
        """An answer over HTTP: code (0: none) and text."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def wait_ready(self) -> OperatorProcess:
        """Wait until it is the active replica and takes reports."""
        until(self.ready, f"the operator is not ready: {self.log}")
        return self

    def configure(self, text: str, result: str = "Accepted") -> None:
        """Write the configuration that all operators share, and wait until this one has read it, with that result."""

        def readings() -> int:
            metrics = self.get("metrics", self.metrics_port)[1]
            found = re.search(rf'^tradewind_config_reloads_total{{result="{result}"}} (\S+)', metrics, re.MULTILINE)
            return int(float(found[1])) if found else 0

        before = readings()
        self._config.write_text(text)
        until(lambda: readings() > before, "the changed configuration is not read")

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        os.kill(self.pid, number)

    def wait(self, seconds: float = PATIENCE) -> int:
        """Wait for its end; the exit code."""
        assert self.process is not None
        return self.process.wait(seconds)

    def stop(self) -> None:
        """End it, if it runs."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
