"""The operator as a process that is started again whenever it ends, as a kubelet would."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
from pathlib import Path

import aiohttp

from e2e.cluster.children import free_ports

BACK_OFF = 0.2  # seconds; a kubelet's first restart comes at once
READY_SECONDS = 60.0
PROBE_SECONDS, PROBE_FAILURES = 5.0, 6
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


class Operator:
    """`python -m tradewind run`, with one name in all its lives: a restarted container has its lease again at once."""

    def __init__(
        self, source: Path, kubeconfig: Path, token: str, folder: Path, name: str, resync: float | None = None
    ) -> None:
        self._source, self._folder = source, folder
        self.name, self.token = name, token
        self.report_port, self._metrics_port, self._health_port = free_ports(3)
        self.log = folder / f"{name}.log"
        self._environment = {k: v for k, v in os.environ.items() if k != "KUBECONTEXT"} | {
            "KUBECONFIG": str(kubeconfig),
            "PYTHONPATH": str(source),
            "POD_NAME": name,
            "TMPDIR": str(folder),  # the client puts the kubeconfig's certificates there, and leaves them when killed
            "PYTHONFAULTHANDLER": "1",  # what it hung in is in its log, if it ever does
        }
        self._resync = resync
        self._process: asyncio.subprocess.Process | None = None
        self._keepers: list[asyncio.Task[None]] = []
        self._killed = False
        self.kills = 0
        self._unanswered = 0  # probes in a row
        self.hung = 0  # times that it did not answer its liveness probe any more
        self.frozen = False
        self.exits: list[int] = []  # exit codes of ends that nobody asked for

    async def start(self) -> None:
        """Start it, and start it again when it ends."""
        await self._spawn()
        self._keepers = [asyncio.create_task(self._keep()), asyncio.create_task(self._probe())]

    @property
    def report_url(self) -> str:
        """Where it takes reports."""
        return f"https://localhost:{self.report_port}"

    def freeze(self) -> None:
        """SIGSTOP, as when its node has no processor time for it."""
        assert self._process is not None
        self.frozen = True
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)
        self.frozen = False

    async def kill(self) -> None:
        """SIGKILL, as when its node loses power; returns when it is gone."""
        assert self._process is not None
        if self._process.returncode is None:
            self._killed = True
            self.kills += 1
            self._process.kill()
            await self._process.wait()

    async def stop(self) -> None:
        """End it for good."""
        for keeper in self._keepers:
            keeper.cancel()
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(signal.SIGCONT)
            self._process.terminate()
            try:
                await asyncio.wait_for(self._process.wait(), 10)
            except TimeoutError:
                self._process.kill()
                await self._process.wait()

    async def ready(self, seconds: float = READY_SECONDS) -> None:
        """Wait until it says that it is: it holds the lease and takes reports."""
        await self._answers("activez", seconds)

    async def lives(self) -> None:
        """Wait until it answers at all: it is active, or stands by."""
        await self._answers("healthz", READY_SECONDS)

    async def _answers(self, path: str, seconds: float) -> None:
        url = f"http://127.0.0.1:{self._health_port}/{path}"
        try:
            async with asyncio.timeout(seconds), aiohttp.ClientSession() as session:
                while True:
                    try:
                        async with session.get(url) as answer:
                            if answer.status == 200:
                                return
                    except aiohttp.ClientError:
                        pass
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"{self.name} does not answer 200 to /{path} in {seconds:.0f} s") from None

    async def _probe(self) -> None:
        """What a kubelet does: a process that does not answer is ended."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PROBE_SECONDS)) as session:
            while True:
                await asyncio.sleep(PROBE_SECONDS)
                self._unanswered += 1
                try:
                    async with session.get(f"http://127.0.0.1:{self._health_port}/healthz") as answer:
                        if answer.status == 200:
                            self._unanswered = 0
                except (aiohttp.ClientError, TimeoutError):
                    pass
                if self.frozen:
                    self._unanswered = 0
                process = self._process
                if self._unanswered >= PROBE_FAILURES and process is not None and process.returncode is None:
                    self._unanswered, self.hung = 0, self.hung + 1
                    process.send_signal(signal.SIGABRT)

    async def _spawn(self) -> None:
        command = [
            sys.executable,
            "-m",
            "tradewind",
            "run",
            "--log-format=text",
            "--namespace-of-lease=tradewind-system",
        ]
        command += [f"--config={self._folder / 'config.yaml'}", f"--tls-dir={self._folder / 'tls'}"]
        command += [f"--report-port={self.report_port}", f"--metrics-port={self._metrics_port}"]
        command += [f"--health-port={self._health_port}"]
        if self._resync is not None:
            command += [f"--resync-seconds={self._resync}"]
        log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            self._unanswered = 0
            self._process = await asyncio.create_subprocess_exec(
                *command, env=self._environment, stdout=log, stderr=log, cwd=self._folder, preexec_fn=_die_with_parent
            )
        finally:
            os.close(log)

    async def _keep(self) -> None:
        while True:
            assert self._process is not None
            code = await self._process.wait()
            if not self._killed:
                self.exits.append(code)
            self._killed = False
            await asyncio.sleep(BACK_OFF)
            await self._spawn()


def _die_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
