"""A server as a process of its own on a loopback port, as a pod would run it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx

from e2e.cluster.children import free_ports

ROOT = Path(__file__).resolve().parents[2]
SOURCES = os.pathsep.join(str(ROOT / source) for source in ("operator/src", "images/processors", "images/server"))

T = TypeVar("T")
PATIENCE = 120.0  # seconds; machines that run tests can be slow


def until(look: Callable[[], T], what: str) -> T:
    """Look until there is something; its value. Fails with `what` when it takes too long."""
    end = time.monotonic() + PATIENCE
    while not (found := look()):
        assert time.monotonic() < end, f"after {PATIENCE:.0f} s: {what}"
        time.sleep(0.01)
    return found


class Process:
    """The process, a client for it, and its log."""

    def __init__(
        self, model_dir: Path, log: Path, *flags: str, name: str = "m", env: dict[str, str] | None = None
    ) -> None:
        self.port, self.rpc_port = free_ports(2)
        self.url = f"http://127.0.0.1:{self.port}"
        self.name = name
        self._log = log
        command = [sys.executable, "-m", "tradewind_server", f"--model_name={name}", f"--model_dir={model_dir}"]
        command += [f"--http_port={self.port}", f"--grpc_port={self.rpc_port}", "--drain_seconds=0.5", *flags]
        with log.open("wb") as output:
            self.popen = subprocess.Popen(
                command, stdout=output, stderr=output, env={**os.environ, "PYTHONPATH": SOURCES, **(env or {})}
            )
        self.http = httpx.Client(base_url=self.url, timeout=PATIENCE)

    @property
    def log(self) -> str:
        """Everything that it has written."""
        return self._log.read_text()

    def listening(self) -> Process:
        """Waits until it answers at all."""
        return self._until("/v2/health/live")

    def ready(self) -> Process:
        """Waits until it is ready."""
        return self._until("/v2/health/ready")

    def _until(self, path: str) -> Process:
        end = time.monotonic() + PATIENCE
        while self.popen.poll() is None and time.monotonic() < end:
            try:
                if self.http.get(path).status_code == 200:
                    return self
            except httpx.TransportError:
                pass
            time.sleep(0.05)
        raise AssertionError(f"the server did not answer at {path}:\n{self.log}")

    def infer(self, *inputs: dict[str, Any], **rest: Any) -> httpx.Response:
        """Asks by v2 JSON."""
        return self.http.post(f"/v2/models/{self.name}/infer", json={"inputs": list(inputs), **rest})

    def predict(self, **document: Any) -> httpx.Response:
        """Asks by v1."""
        return self.http.post(f"/v1/models/{self.name}:predict", json=document)

    def metrics(self) -> dict[str, float]:
        """Samples by their name with labels."""
        lines = self.http.get("/metrics").text.splitlines()
        return {key: float(value) for key, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))}

    def memory(self) -> int:
        """The most bytes of memory that it ever had."""
        (line,) = [line for line in Path(f"/proc/{self.popen.pid}/status").read_text().splitlines() if "VmHWM" in line]
        return int(line.split()[1]) << 10

    def terminate(self) -> int:
        """SIGTERM, and the exit code."""
        self.popen.send_signal(signal.SIGTERM)
        return self.popen.wait(PATIENCE)

    def close(self) -> None:
        """Ends it in any case."""
        self.http.close()
        self.popen.kill()
        self.popen.wait()


@contextmanager
def running(model_dir: Path, log: Path, *flags: str, **rest: Any) -> Iterator[Process]:
    """A server that is ready, and gone afterwards."""
    process = Process(model_dir, log, *flags, **rest)
    try:
        yield process.ready()
    finally:
        process.close()
