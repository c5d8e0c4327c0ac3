"""The programs that are compared: ours, KubeRay's operator and Kubeflow Trainer's controllers, as processes."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from e2e.bench._runs import cpu_seconds
from e2e.bench.controlplane.client import JOB_SET, RAY_CLUSTER, RAY_JOB, TRAIN_JOB, TRAINING_JOB, Kind
from e2e.cluster.binaries import binary
from e2e.cluster.children import answers, free_ports, spawn
from e2e.cluster.launch import Launch
from e2e.cluster.progress import Failed, tail

ROOT = Path(__file__).resolve().parents[3]
START_SECONDS = 120.0
END_SECONDS = 20.0
RAISED = ("--qps=1000", "--burst=2000")


@dataclass(frozen=True)
class System:
    """A program, whose objects it looks after, and what it makes of them."""

    name: str
    account: tuple[str, str]  # namespace and name of its service account
    parent: Kind
    child: Kind
    arguments: tuple[str, ...] = ()
    lease: str = ""  # that a killed one leaves behind and its successor would wait for

    @property
    def user(self) -> str:
        """As the audit log names it."""
        return f"system:serviceaccount:{':'.join(self.account)}"


TRADEWIND = System("tradewind", ("tradewind-system", "tradewind-operator"), TRAINING_JOB, RAY_JOB)
# With their default limits (KubeRay 100 requests a second and 200 at once, Trainer 20 and 30), and without a brake.
_KUBERAY = ("kuberay-system", "kuberay-operator")
KUBERAY = System("kuberay", _KUBERAY, RAY_JOB, RAY_CLUSTER, lease="ray-operator-leader")
KUBERAY_RAISED = System("kuberay*", _KUBERAY, RAY_JOB, RAY_CLUSTER, RAISED, KUBERAY.lease)
_TRAINER = ("kubeflow-system", "kubeflow-trainer-controller-manager")
TRAINER = System("trainer", _TRAINER, TRAIN_JOB, JOB_SET)
TRAINER_RAISED = System("trainer*", _TRAINER, TRAIN_JOB, JOB_SET, RAISED)
SYSTEMS = (TRADEWIND, KUBERAY, KUBERAY_RAISED, TRAINER, TRAINER_RAISED)


@dataclass
class Installed:
    """What a program of a system is started with."""

    folder: Path  # logs; and config.yaml and tls/ of ours
    kubeconfigs: dict[tuple[str, str], Path]  # by service account
    starts: int = field(default=0)


class Contestant:
    """A program that runs. `name`: of the replica, for ours."""

    def __init__(self, system: System, installed: Installed, name: str = "bench", account: str = "") -> None:
        self.system = system
        installed.starts += 1
        self.log = installed.folder / f"{installed.starts:03d}-{system.name.rstrip('*')}.log"
        self._kubeconfig = installed.kubeconfigs[system.account[0], account or system.account[1]]
        self._name, self._folder = name, installed.folder
        self.report_port, self._metrics, self._health = free_ports(3)
        self._process: subprocess.Popen[bytes] | None = None
        self._start = 0.0

    def start(self) -> None:
        """Start it; it is not ready yet."""
        command = self._ours() if self.system is TRADEWIND else self._theirs()
        environment = [f"KUBECONFIG={self._kubeconfig}", f"POD_NAME={self._name}"]
        if self.system is TRADEWIND:
            environment.append(f"PYTHONPATH={self._folder / 'source'}")
        self._start = time.monotonic()
        launch = Launch(
            self.system.name,
            ["/usr/bin/env", "-u", "KUBECONTEXT", *environment, *command],
            str(self.log),
            None,
            os.getpid(),
        )
        self._process = spawn(launch)

    def _ours(self) -> list[str]:
        command = [sys.executable, "-m", "tradewind", "run", "--namespace-of-lease=tradewind-system"]
        command += [f"--config={self._folder / 'config.yaml'}", f"--tls-dir={self._folder / 'tls'}"]
        command += [f"--report-port={self.report_port}", f"--metrics-port={self._metrics}"]
        return [*command, f"--health-port={self._health}"]

    def _theirs(self) -> list[str]:
        probe = f"--health-probe-bind-address=127.0.0.1:{self._health}"
        if self.system.child is JOB_SET:
            return [str(binary("trainer")), probe, *self.system.arguments]
        command = [str(binary("kuberay")), probe, f"--metrics-addr=127.0.0.1:{self._metrics}"]
        return [*command, f"--leader-election-namespace={self.system.account[0]}", *self.system.arguments]

    @property
    def pid(self) -> int:
        """Of the process."""
        assert self._process is not None
        return self._process.pid

    @property
    def ready(self) -> bool:
        """Whether it works on objects."""
        if self.system is TRADEWIND:
            return answers(f"http://127.0.0.1:{self._health}/activez")
        # Their probes are good before they lead and before their caches are filled.
        return self.log.exists() and self.log.read_text().count("Starting workers") >= 3

    async def until_ready(self) -> float:
        """Wait until it is; the seconds since it was started."""
        assert self._process is not None
        while not self.ready:
            if self._process.poll() is not None or time.monotonic() - self._start > START_SECONDS:
                raise Failed(f"{self.system.name} is not ready:\n{tail(self.log)}")
            await asyncio.sleep(0.02)
        return time.monotonic() - self._start

    async def until_logged(self, text: str) -> None:
        """Wait until its log says so."""
        end = time.monotonic() + START_SECONDS
        while not self.log.exists() or text not in self.log.read_text():
            if time.monotonic() > end:
                raise Failed(f"{self.system.name} does not say {text!r}:\n{tail(self.log)}")
            await asyncio.sleep(0.05)

    @property
    def cpu(self) -> float:
        """User and system time so far, seconds."""
        return cpu_seconds(self.pid)

    @property
    def memory(self) -> float:
        """Resident memory now, MB (10^6 bytes)."""
        if not self.runs:
            raise Failed(f"{self.system.name} has ended by itself:\n{tail(self.log)}")
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) * 1024 / 1e6

    @property
    def runs(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        os.kill(self.pid, number)

    async def ended(self) -> int:
        """Wait for its end; the exit code."""
        assert self._process is not None
        end = time.monotonic() + END_SECONDS
        while (code := self._process.poll()) is None:
            if time.monotonic() > end:
                self._process.kill()
            await asyncio.sleep(0.02)
        return code

    async def stop(self) -> None:
        """Have it end."""
        if self._process is not None and self._process.poll() is None:
            self.send(signal.SIGCONT)
            self.send(signal.SIGTERM)
            await self.ended()
