"""The operator as a process: its parts put together. Every replica takes reports; the one with the lease works."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any

from aiohttp import web

from tradewind.core.controller import Controller, Surroundings
from tradewind.core.plan import Resource
from tradewind.kube.client import Client
from tradewind.kube.connection import Connection, connect
from tradewind.kube.errors import KubeError
from tradewind.kube.kinds import Kinds
from tradewind.kube.lease import Lease
from tradewind.ray.job import RAY_JOB, TOKENS
from tradewind.runtime.caller import Callers
from tradewind.runtime.children import Children
from tradewind.runtime.health import start_health, start_metrics
from tradewind.runtime.kuberay import KubeRay
from tradewind.runtime.logs import on_stray_error
from tradewind.runtime.memory import keep, settle
from tradewind.runtime.metrics import Metrics
from tradewind.runtime.options import Options
from tradewind.runtime.passing import Passing
from tradewind.runtime.queue import Queue
from tradewind.runtime.reconciler import Reconciler, World, run_workers
from tradewind.runtime.report import Endpoint
from tradewind.runtime.reports import Reports
from tradewind.runtime.settings import BadConfig, ConfigFile
from tradewind.runtime.shared import Shared
from tradewind.runtime.store import Key, Store
from tradewind.runtime.sync import Sync
from tradewind.runtime.tasks import cancel, done_before, waiting
from tradewind.runtime.watching import Watching

logger = logging.getLogger(__name__)

LEASE = "tradewind-operator"
WORKERS = 16
CONFIG_SECONDS = 3.0  # between looks at the configuration file
STUCK_SECONDS = 300.0  # without a finished pass while keys wait: the process is to be restarted
KEEP_SECONDS = 0.1  # between two moments at which what was listed is kept: some hundred objects
TLS_SECONDS = 30.0  # between looks at the certificate of the report endpoint


class Operator:
    """A replica's parts, put together. `on_signal` sets the process's signal handlers.

    Raises `BadConfig` where the configuration file can't be used.
    """

    def __init__(
        self,
        options: Options,
        controllers: Sequence[Controller],
        connection: Connection,
        on_signal: Callable[[], None],
    ) -> None:
        self._options, self._config, self.metrics = options, ConfigFile(options.config), Metrics()
        self.lease = Lease(options.namespace_of_lease, LEASE, options.identity, options.address)
        self.client = Client(connection, self.metrics.request, self.lease.may_write)
        self.queue: Queue[Key] = Queue()
        self.store = Store(controllers)
        self.sync = Sync(self.store, self._touched, self._all_touched)
        self.watching = Watching(
            connection,
            self.sync,
            self.metrics.request,
            [controller.resource for controller in controllers],
            options.resync_seconds,
            on_signal,
        )
        self.kinds = Kinds(self.store.resources, self._kinds_changed, {RAY_JOB: TOKENS})
        self.kuberay = KubeRay(self.client, self._all_touched)
        self.reports = Reports(self.queue.add)
        self._ca = (options.tls_dir / "ca.crt").read_text()
        children = Children(self.store, self.client, self.kinds, time.monotonic)
        self.reconciler = Reconciler(
            World(
                store=self.store,
                client=self.client,
                queue=self.queue,
                reports=self.reports,
                children=children,
                shared=Shared(self.store, self.client, self.kinds, children, time.monotonic),
                metrics=self.metrics,
                surroundings=self._surroundings,
                missing=lambda: self.store.resources - (self.kinds.served & self.sync.synced),
                instance=options.identity,
            )
        )
        self._endpoint = Endpoint(
            self.store, self.reports, Callers(self.client), self.metrics, lambda: self.idle() is None, self._pass_on
        )
        self._passing = Passing(options.tls_dir / "ca.crt", lambda: self._config.config.reporting.url, options.identity)
        self._listening = False
        self._again = asyncio.Event()  # all objects are to be looked at again
        self.metrics.watch_queue(lambda: len(self.queue), self.queue.age)

    def idle(self) -> str | None:
        """Why this replica does not work on objects and reports; None on the active one, when it knows all there is."""
        if not self.lease.valid:
            return "this replica does not hold the lease"
        if not self.sync.complete:
            return "the first lists are not complete"
        return None if self.sync.watching else "not all watches are open yet"

    def unready(self) -> str | None:
        """Why no reports should be sent here; None while they are taken, or passed on to the active replica."""
        if not self._listening:
            return "the report endpoint does not listen yet"
        if self.lease.valid:
            return self.idle()
        return None if self.lease.looked else "the lease has not been read yet"

    def stuck(self) -> str | None:
        """Why the process should be restarted; None while it works."""
        if self.sync.complete and self.queue.age() > STUCK_SECONDS:
            return f"a key has waited for {self.queue.age():.0f} s"
        return None

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Take reports as long as the block runs, or pass them on to the replica that is active."""
        runner = await self._endpoint.start(self._options.report_port, self._options.tls_dir)
        following = asyncio.create_task(self._follow_certificate())
        self._listening = True
        logger.info("reports are taken on port %d", self._options.report_port)
        try:
            yield
        finally:
            self._listening = False
            await cancel(following)
            await runner.cleanup()
            await self._passing.close()

    async def run(self) -> None:
        """Work until cancelled; to be called when the lease is ours."""
        await self._discover()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.watching.run())
            tasks.create_task(self.kinds.follow(self.client))
            tasks.create_task(self._follow_files())
            tasks.create_task(self._look_again())
            await self._listed()
            logger.info("all lists are complete: %d objects", len(list(self.store)))
            tasks.create_task(self.kuberay.follow())
            tasks.create_task(run_workers(self.reconciler, WORKERS))

    async def _discover(self) -> None:
        while True:
            try:
                await self.kinds.discover(self.client)
                break
            except KubeError as error:
                logger.warning("asking which kinds are served: %s", error)
                await asyncio.sleep(1.0)
        for resource in sorted(self.kinds.missing):
            logger.info("%s is not served by the API server", resource.api_version + " " + resource.kind)
        self._serve()

    async def _listed(self) -> None:
        """Wait until all is listed; what the lists show is kept out of the garbage collector's rounds as it comes."""
        while not self.sync.complete:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.sync.wait(), KEEP_SECONDS)
            keep()

    def _serve(self) -> None:
        self.sync.serve(self.kinds.served)
        self.watching.serve(self.kinds.served)

    def _surroundings(self) -> Surroundings:
        tokens = RAY_JOB in self.kinds.with_field
        return Surroundings(self._config.config, self._ca, self.kuberay.namespaces, tokens)

    def _touched(self, keys: Iterable[Key]) -> None:
        for key in keys:
            self.queue.add(key)

    def _all_touched(self) -> None:
        self._again.set()

    async def _look_again(self) -> None:
        while True:
            await self._again.wait()
            self._again.clear()
            await self.queue.add_all(self.store)

    def _kinds_changed(self, changed: frozenset[Resource]) -> None:
        for resource in sorted(changed):
            served = resource in self.kinds.served
            logger.info("%s %s is %s", resource.api_version, resource.kind, "served" if served else "not served")
        self._serve()
        self.kuberay.look_again()
        self._all_touched()

    async def _pass_on(self, request: web.Request) -> web.Response:
        return await self._passing.pass_on(request, self.lease.holder)

    async def _follow_certificate(self) -> None:
        while True:
            await asyncio.sleep(TLS_SECONDS)
            self._endpoint.renew()

    async def _follow_files(self) -> None:
        """Read the configuration and the authority's certificate again when they change."""
        while True:
            await asyncio.sleep(CONFIG_SECONDS)
            changed = False
            try:
                if self._config.changed():
                    changed = True
                    self.metrics.reloaded(good=True)
                    logger.info("the configuration changed: all objects are looked at again")
            except BadConfig as error:
                self.metrics.reloaded(good=False)
                logger.error("the changed configuration is not used: %s", error)
            with contextlib.suppress(OSError):
                ca = (self._options.tls_dir / "ca.crt").read_text()
                changed |= ca != self._ca
                self._ca = ca
            if changed:
                self._all_touched()


async def run(options: Options, controllers: Sequence[Controller]) -> int:
    """Run the operator until SIGTERM, SIGINT or the loss of the lease; the process's exit code."""
    stop = asyncio.Event()

    def on_signal() -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)

    on_signal()
    settle()
    asyncio.get_running_loop().set_exception_handler(on_stray_error)
    operator = Operator(options, controllers, await connect(), on_signal)
    runners = [
        await start_health(options.health_port, healthz=operator.stuck, readyz=operator.unready, activez=operator.idle),
        await start_metrics(options.metrics_port, operator.metrics),
    ]
    try:
        async with operator.listening(), waiting(stop) as stopped:
            if not await done_before(operator.lease.acquire(operator.client), stopped):
                return 0
            return await _lead(operator, stopped)
    finally:
        for runner in runners:
            await runner.cleanup()
        await operator.client.close()


async def _lead(operator: Operator, stopped: asyncio.Task[Any]) -> int:
    """Work as the active replica until stopped; the process's exit code."""
    lease, client = operator.lease, operator.client
    operator.metrics.active.set(1)
    try:
        lost = asyncio.create_task(lease.hold(client))
        work = asyncio.create_task(operator.run())
        await asyncio.wait([lost, work, stopped], return_when=asyncio.FIRST_COMPLETED)
        if stopped.done():
            logger.info("stopping")
            await cancel(work)
            await cancel(lost)
            await lease.release(client)
            return 0
        if lost.done() and not lost.cancelled():
            logger.error("the lease was lost: nothing is written any more, the process ends")
            await cancel(work, seconds=1.0)
            return 1
        logger.error("the operator ends after a mistake of its own", exc_info=work.exception())
        await cancel(lost)
        await lease.release(client)
        return 1
    finally:
        operator.metrics.active.set(0)
