"""The API server, the proxy, the operator and the watches beside it, put together; and one life played on them."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import shutil
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from e2e.cluster.apiserver import ApiServer
from e2e.cluster.pki import kubeconfig
from e2e.equipment import equip
from e2e.faults.calls import Moment
from e2e.faults.fault import FREEZES, KILLS, Fault, WatchFault
from e2e.faults.history import Admin
from e2e.faults.lives import Life
from e2e.faults.operator import Operator
from e2e.faults.oracle import Ending, ending, forbidden, revisions
from e2e.faults.polling import until
from e2e.faults.proxy import Proxy
from e2e.faults.stage import STEP_SECONDS, Gap, Stage, nothing_held

ROOT = Path(__file__).resolve().parent.parent.parent
CONVERGE_SECONDS = 40.0  # from the script's last step to the faultless end
LATE_EVENT_SECONDS = 10.0  # for Events after all else
THROTTLED_EVENT_SECONDS = 60.0  # kube-apiserver sends throttled clients away for up to 32 s, and perhaps once more
STILL_SECONDS = 1.5  # after it was reached, until its resourceVersions are noted
APISERVER_SECONDS = 60.0  # for its start


@dataclass
class Run:
    """One life that was played, and what is wrong with it."""

    life: Life
    namespace: str
    moment: Moment | None = None
    fault: str | None = None  # in words, what it is played under
    reached: bool = True  # whether the moment of the fault came
    problems: list[str] = field(default_factory=list)
    revisions: dict[str, int] = field(default_factory=dict)


def prepare(server: ApiServer, folder: Path, source: Path) -> None:
    """Install what a cluster has, and lay ready what a pod of the operator finds."""
    server.apply(ROOT / "crds")
    server.install("kuberay", "kserve", "prometheus")
    server.apply(ROOT / "manifests" / "base" / "namespace.yaml")
    server.apply(ROOT / "manifests" / "base" / "rights.yaml")
    equip(folder)
    # A copy: who edits the sources while this runs does not change what is tried.
    shutil.copytree(source, folder / "source", ignore=shutil.ignore_patterns("__pycache__"))


# Of all namespaces in which lives are played; several benches may share an API server.
_numbers = itertools.count(1)


class Bench:
    """Where lives are played; no life begins while the file `pause` exists."""

    def __init__(self, server: ApiServer, folder: Path, pause: Path | None = None) -> None:
        self._pause = pause
        self.server, self._folder = server, folder
        self.admin = Admin(server, folder)
        self.proxy = Proxy(server.url, server.ca, folder / "proxy", self._strike)
        self._tls = ssl.create_default_context(cafile=str(folder / "tls" / "ca.crt"))
        self.operators: list[Operator] = []  # all that there were
        self.running: list[Operator] = []
        self.starts: list[tuple[str, str]] = []  # of kube-apiserver, RFC 3339: from the beginning to its readiness
        # Of the lives that are played now:
        self.gap: Gap = nothing_held
        self.patience = STEP_SECONDS
        self.may_lack_events = False  # Events are sent once, by whom the status was written: if it ends, they are not
        self.on_freeze: Callable[[Operator], None] = lambda _frozen: None

    async def start(self) -> None:
        """Start all but the operator."""
        await self.proxy.start()
        await self.admin.start()

    async def stop(self) -> None:
        """End what was started."""
        for operator in self.running:
            await operator.stop()
        await self.admin.stop()
        await self.proxy.stop()

    async def operate(self, *names: str, resync: float | None = None) -> None:
        """Have operators of these names run, in place of those before; the first is active then."""
        for operator in self.running:
            await operator.stop()
        self.running = []
        for name in names:
            token = await self._token()
            path = kubeconfig(self._folder / f"{name}.kubeconfig", self.proxy.url, self.proxy.ca, token=token)
            operator = Operator(self._folder / "source", path, token, self._folder, name, resync)
            self.operators.append(operator)
            self.running.append(operator)
            await operator.start()
            await (operator.lives() if len(self.running) > 1 else operator.ready())

    async def _token(self) -> str:
        """A token of the operator's service account; each has an identity of its own in the audit log."""
        path = "/api/v1/namespaces/tradewind-system/serviceaccounts/tradewind-operator/token"
        body = {"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1", "spec": {"expirationSeconds": 14400}}
        return str((await self.admin.send("POST", path, body))["status"]["token"])

    async def _strike(self, fault: Fault, token: str) -> None:
        operator = next(operator for operator in self.running if operator.token == token)
        if fault.kills:
            await operator.kill()
        elif not operator.frozen:
            operator.freeze()
            self.on_freeze(operator)

    def report_urls(self) -> list[str]:
        """Where a Service would send reports: an operator that is frozen is not ready."""
        return [operator.report_url for operator in self.running if not operator.frozen]

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

    async def spoiled(
        self,
        life: Life,
        usual: Ending,
        moment: Moment,
        fault: Fault | WatchFault,
        *further: tuple[Moment, Fault | WatchFault],
    ) -> Run:
        """Play a life with a fault at one moment, or at further ones too, and compare its end with the usual one."""
        run = await self._begin(life)
        run.moment, run.fault = moment, fault
        for when, what in ((moment, fault), *further):
            self.proxy.arm(run.namespace, when, what)
        return await self._compared(run, usual, LATE_EVENT_SECONDS if fault in (*KILLS, *FREEZES) else None)

    async def under(self, what: str, life: Life, usual: Ending) -> Run:
        """Play a life while something is done to the cluster, and compare its end with the usual one."""
        run = await self._begin(life)
        run.fault = what
        return await self._compared(run, usual, THROTTLED_EVENT_SECONDS if self.may_lack_events else None)

    async def _compared(self, run: Run, usual: Ending, wait_for_events: float | None) -> Run:
        """Events that are not there after so many seconds may lack; without a number none may."""
        await self._play(run)
        await self._converged(run, usual, wait_for_events)
        run.reached = not self.proxy.disarm(run.namespace)
        run.problems += forbidden(self.admin, run.namespace, run.life)
        run.revisions = revisions(self.admin, run.namespace)
        return run

    async def _converged(self, run: Run, usual: Ending, wait_for_events: float | None) -> None:
        may_lack = wait_for_events is not None

        def differences(events_may_lack: bool = may_lack) -> list[str]:
            return ending(self.admin, run.namespace, run.life).differences(usual, events_may_lack)

        try:
            await self.admin.until(run.namespace, lambda: not differences(), "", CONVERGE_SECONDS)
        except AssertionError:
            run.problems += differences()
            return
        if wait_for_events is not None:
            # An Event that is not lost can come late: a throttled one is sent again.
            with contextlib.suppress(AssertionError):
                await self.admin.until(run.namespace, lambda: not differences(False), "", wait_for_events)
        await asyncio.sleep(STILL_SECONDS)
        run.problems += differences()

    async def paused(self) -> None:
        """Wait while somebody asks for it."""
        while self._pause is not None and self._pause.exists():  # noqa: ASYNC110 - a file has no event
            await asyncio.sleep(1.0)

    async def _begin(self, life: Life) -> Run:
        await self.paused()
        namespace = f"life-{next(_numbers):04d}"
        await self.admin.send("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts"
        await self.admin.send("POST", path, {"metadata": {"name": "default"}})
        return Run(life, namespace)

    async def _play(self, run: Run) -> None:
        stage = Stage(self.admin, run.namespace, run.life.plural, self.report_urls, self._tls, self.gap, self.patience)
        try:
            await run.life.play(stage)
        except AssertionError as error:
            run.problems.append(str(error))

    async def restart_apiserver(self, *options: str, after: float = 0.0) -> None:
        """Kill kube-apiserver, and start it so many seconds later with further options."""
        self.server.kill_apiserver()
        await asyncio.sleep(after)
        began = datetime.now(UTC).isoformat()
        self.server.start_apiserver(*options)
        await self.answered()
        self.starts.append((began, datetime.now(UTC).isoformat()))

    async def answered(self) -> None:
        """Wait until kube-apiserver is ready."""
        await until(self.server.answers, "kube-apiserver is not ready", APISERVER_SECONDS)

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
