"""A server's process, as a stand runs it: started as the ServingRuntime has it, looked at, and ended."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from tradewind_server.cgroup import MEMORY, allowed_memory, killed_for_memory, part_of_memory

HOST = "127.0.0.1"
PATIENCE = 120.0  # seconds until a server is Ready, as its startup probe has it
_POLL = 0.01


class Unservable(Exception):
    """The server did not become Ready; the text says why."""


class Mistaken(Exception):
    """An order that is not one; the text says what is wrong."""


@dataclass(frozen=True)
class Order:
    """What is to be served, and where. `threads` is as the server finds it where it is None."""

    model_dir: str
    model_name: str
    http_port: int
    digest: str | None = None
    threads: int | None = None
    patience: float = PATIENCE

    @classmethod
    def read(cls, content: bytes) -> Order:
        """Raises Mistaken."""
        kinds = {"modelDir": str, "modelName": str, "httpPort": int, "digest": str, "threads": int, "patience": float}
        try:
            given = json.loads(content)
        except ValueError as error:
            raise Mistaken(f"the body is not JSON: {error}") from None
        if not isinstance(given, dict) or not {"modelDir", "modelName", "httpPort"} <= given.keys():
            raise Mistaken("the body must be an object with modelDir, modelName and httpPort")
        for name, value in given.items():
            if name not in kinds:
                raise Mistaken(f"{name!r} is not known; known are {', '.join(kinds)}")
            if kinds[name] is not type(value) and not (kinds[name] is float and type(value) is int):
                raise Mistaken(f"{name} must be of type {kinds[name].__name__}, got {value!r}")
        return cls(
            given["modelDir"],
            given["modelName"],
            given["httpPort"],
            given.get("digest"),
            given.get("threads"),
            float(given.get("patience", PATIENCE)),
        )

    @property
    def command(self) -> list[str]:
        """As the ServingRuntime has it; nobody outside of the pod asks it."""
        return [
            *(sys.executable, "-m", "tradewind_server", f"--model_name={self.model_name}"),
            *(f"--model_dir={self.model_dir}", f"--http_port={self.http_port}", f"--http_host={HOST}"),
            "--grpc_port=0",  # its memory is part of a replica's
        ]

    @property
    def environment(self) -> dict[str, str]:
        """This process's, with what a replica is told."""
        told = {"TRADEWIND_MODEL_NAME": self.model_name}
        if self.digest is not None:
            told["TRADEWIND_MODEL_DIGEST"] = self.digest
        if self.threads is not None:
            told["TRADEWIND_THREADS"] = str(self.threads)
        kept = ("TRADEWIND_DEVICE", MEMORY)  # what a replica has, in this container
        own = {name: value for name, value in os.environ.items() if name in kept or not name.startswith("TRADEWIND_")}
        return own | told


class Replica:
    """A server's process, from its start to its end."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 -- closed in `stop`
        self._killed_before = killed_for_memory()
        self._stopped = False
        self._too_large = False
        self._peak = 0
        self._started = time.monotonic()
        # A group of its own: a Ctrl-C is for whoever started the stand, who then stops it.
        self._process = subprocess.Popen(  # noqa: S603 -- our own server
            order.command,
            env=order.environment,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """Of the server."""
        return self._process.pid

    def wait_until_ready(self) -> float:
        """Seconds from its start until it was Ready. Raises Unservable, and then it has ended."""
        reason = "it does not listen"
        while self._process.poll() is None:
            took = time.monotonic() - self._started
            if took > self._order.patience:
                self.stop()
                raise Unservable(f"the server was not Ready within {self._order.patience:g} s: {reason}")
            with contextlib.suppress(OSError, ValueError, http.client.HTTPException):
                ready, reason = _readiness(self._order.http_port)
                if ready:
                    return time.monotonic() - self._started
            time.sleep(_POLL)
        raise Unservable(self._ending())

    def look(self) -> dict[str, Any]:
        """Whether it lives, how it ended, and what it has used."""
        exited = self._process.poll()
        if exited is None:
            self._peak = max(self._peak, _peak_memory(self.pid))
            part = part_of_memory()
            if part is not None and self._peak > part:  # the kernel lets it have what is the other's
                self._too_large = True
                self._process.kill()
                exited = self._process.wait()
        return {
            "alive": exited is None,
            "pid": self.pid,
            "exit": exited,
            "reason": None if exited is None or self._stopped else self._ending(),
            "peakMemoryBytes": self._peak,
            "cpuSeconds": _cpu_seconds(self.pid) if exited is None else None,
        }

    def stop(self) -> None:
        """At once: nobody asks it any more."""
        if self._process.poll() is None:
            self._stopped = True
            self._process.kill()
        self._process.wait()

    def _ending(self) -> str:
        if self._stopped:
            return "the server was told to stop"
        code = self._process.returncode
        if code == -signal.SIGKILL:
            if self._too_large or killed_for_memory() > self._killed_before:
                return f"the server was killed: it took more than the {allowed_memory()} bytes of memory that it may"
            return "the server was killed from outside, as where a machine has no memory left"
        said = self._last_words()
        if said:
            return said
        how = f"by signal {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        return f"the server ended {how} and said nothing"

    def _last_words(self) -> str:
        """The last error of its log, a JSON object a line, or else the last line."""
        self._log.seek(0)
        lines = [line for line in self._log.read()[-1 << 20 :].decode(errors="replace").splitlines() if line.strip()]
        for line in reversed(lines):
            with contextlib.suppress(ValueError, AttributeError):
                entry = json.loads(line)
                if entry.get("level") in ("error", "critical"):
                    return str(entry["message"])[:2000]
        return lines[-1].strip()[:2000] if lines else ""


def _readiness(port: int) -> tuple[bool, str]:
    """Whether the server is Ready, and if not, why."""
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", "/v2/health/ready")
        answer = connection.getresponse()
        return answer.status == HTTPStatus.OK, str(json.loads(answer.read()).get("reason", answer.status))
    finally:
        connection.close()


def _peak_memory(pid: int) -> int:
    """The most bytes that the process ever had resident; 0 where it is gone."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) << 10
    return 0


def _cpu_seconds(pid: int) -> float | None:
    """User and system time of the process."""
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return None
