"""The API server, the proxy, the operator and the watches beside it, put together; and one life played on them."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from e2e.cluster.apiserver import ApiServer
from e2e.cluster.pki import kubeconfig
from e2e.faults.calls import Moment
from e2e.faults.history import Admin
from e2e.faults.lives import Life, Stage
from e2e.faults.operator import Operator
from e2e.faults.oracle import Ending, ending, forbidden, revisions
from e2e.faults.proxy import Fault, Proxy, WatchFault
from tradewind.runtime.certificates import make

ROOT = Path(__file__).resolve().parent.parent.parent
CONVERGE_SECONDS = 40.0  # from the script's last step to the faultless end
STILL_SECONDS = 1.5  # after it was reached, until its resourceVersions are noted
CONFIG = """
pools:
  - name: local
    node: {cpu: "8", memory: 32Gi}
    price: {perHour: "1.20"}
images: {workload: "tradewind/workload:dev"}
reporting: {url: "https://tradewind-operator.tradewind-system.svc:8443"}
"""


@dataclass
class Run:
    """One life that was played, and what is wrong with it."""

    life: Life
    namespace: str
    moment: Moment | None = None
    fault: Fault | WatchFault | None = None
    reached: bool = True  # whether the moment of the fault came
    problems: list[str] = field(default_factory=list)
    revisions: dict[str, int] = field(default_factory=dict)


def prepare(server: ApiServer, folder: Path, source: Path) -> None:
    """Install what a cluster has, and lay ready what a pod of the operator finds."""
    server.apply(ROOT / "crds")
    server.install("kuberay", "kserve", "prometheus")
    server.apply(ROOT / "manifests" / "base" / "namespace.yaml")
    server.apply(ROOT / "manifests" / "base" / "rights.yaml")
    (folder / "tls").mkdir()
    for name, content in make(["localhost"], datetime.now(UTC)).items():
        (folder / "tls" / name).write_bytes(content)
    (folder / "config.yaml").write_text(CONFIG)
    # A copy: who edits the sources while this runs does not change what is tried.
    shutil.copytree(source, folder / "source", ignore=shutil.ignore_patterns("__pycache__"))


class Bench:
    """Where lives are played."""

    def __init__(self, server: ApiServer, folder: Path) -> None:
        self._server, self._folder = server, folder
        self.admin = Admin(server.kubeconfig, folder)
        self.proxy = Proxy(server.url, server.ca, folder / "proxy", self._kill)
        self._token = server.kubectl(
            "create", "token", "tradewind-operator", "--namespace=tradewind-system", "--duration=4h"
        ).strip()
        self._tls = ssl.create_default_context(cafile=str(folder / "tls" / "ca.crt"))
        self._numbers = itertools.count(1)
        self.operators: list[Operator] = []

    async def start(self) -> None:
        """Start all but the operator."""
        await self.proxy.start()
        await self.admin.start()

    async def stop(self) -> None:
        """End what was started."""
        for operator in self.operators:
            await operator.stop()
        await self.admin.stop()
        await self.proxy.stop()

    async def operate(self, name: str, resync: float | None = None) -> None:
        """Have one operator run, in place of the one before."""
        if self.operators:
            await self.operators[-1].stop()
        path = kubeconfig(self._folder / f"{name}.kubeconfig", self.proxy.url, self.proxy.ca, token=self._token)
        self.operators.append(Operator(self._folder / "source", path, self._folder, name, resync))
        await self.operators[-1].start()

    async def _kill(self) -> None:
        await self.operators[-1].kill()

    async def faultless(self, life: Life) -> tuple[Run, Ending]:
        """Play a life without any fault; its end, once nothing has changed for a while."""
        run = await self._begin(life)
        await self._play(run)
        before = -1
        while before != len(self.admin.versions[run.namespace]):
            before = len(self.admin.versions[run.namespace])
            await asyncio.sleep(2 * STILL_SECONDS)
        run.problems += forbidden(self.admin, run.namespace, life)
        run.revisions = revisions(self.admin, run.namespace)
        return run, ending(self.admin, run.namespace, life)

    async def spoiled(self, life: Life, moment: Moment, fault: Fault | WatchFault, usual: Ending) -> Run:
        """Play a life with a fault at one moment, and compare its end with the usual one."""
        run = await self._begin(life)
        run.moment, run.fault = moment, fault
        self.proxy.arm(run.namespace, moment, fault)
        await self._play(run)
        may_lack = isinstance(fault, Fault) and fault.kills  # Events are sent once, by whom the status was written
        await self._converged(run, usual, may_lack)
        run.reached = run.namespace not in self.proxy.armed
        self.proxy.armed.pop(run.namespace, None)
        run.problems += forbidden(self.admin, run.namespace, life)
        run.revisions = revisions(self.admin, run.namespace)
        return run

    async def _converged(self, run: Run, usual: Ending, may_lack: bool) -> None:
        def differences() -> list[str]:
            return ending(self.admin, run.namespace, run.life).differences(usual, may_lack)

        try:
            await self.admin.until(run.namespace, lambda: not differences(), "", CONVERGE_SECONDS)
        except AssertionError:
            run.problems += differences()
            return
        await asyncio.sleep(STILL_SECONDS)
        run.problems += differences()

    async def _begin(self, life: Life) -> Run:
        namespace = f"life-{next(self._numbers):04d}"
        await self.admin.send("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts"
        await self.admin.send("POST", path, {"metadata": {"name": "default"}})
        return Run(life, namespace)

    async def _play(self, run: Run) -> None:
        url = f"https://localhost:{self.operators[-1].report_port}"
        stage = Stage(self.admin, run.namespace, run.life.plural, url, self._tls)
        try:
            await run.life.play(stage)
        except AssertionError as error:
            run.problems.append(str(error))

    def moved(self, run: Run) -> list[str]:
        """The objects of a life that were written after it had converged."""
        now = revisions(self.admin, run.namespace)
        return [
            f"{name} was written after convergence"
            for name in sorted(set(now) | set(run.revisions))
            if now.get(name) != run.revisions.get(name)
        ]

    def tracebacks(self) -> int:
        """How many tracebacks the operators logged."""
        return sum(operator.log.read_text().count("Traceback") for operator in self.operators)
