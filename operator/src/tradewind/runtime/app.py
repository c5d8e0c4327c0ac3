"""The operator as a process: leader first, then kopf's watches, then workers. Nothing else imports kopf."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import random
import signal
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from http import HTTPStatus
from typing import Any

import kopf
from kopf._core.reactor.inventory import ResourceMemories, ResourceMemory

from tradewind.core.controller import Controller, Surroundings
from tradewind.core.labels import MANAGED_BY, MANAGER
from tradewind.core.plan import Resource
from tradewind.kube.client import Client
from tradewind.kube.connection import Connection, connect, watching_session
from tradewind.kube.errors import KubeError
from tradewind.kube.kinds import Kinds
from tradewind.kube.lease import Lease
from tradewind.runtime.caller import Callers
from tradewind.runtime.children import Children
from tradewind.runtime.health import start_health, start_metrics
from tradewind.runtime.logs import on_stray_error
from tradewind.runtime.memory import settle
from tradewind.runtime.metrics import Metrics
from tradewind.runtime.options import Options
from tradewind.runtime.queue import Queue
from tradewind.runtime.reconciler import Reconciler, World, run_workers
from tradewind.runtime.report import Endpoint
from tradewind.runtime.reports import Reports
from tradewind.runtime.settings import BadConfig, ConfigFile
from tradewind.runtime.store import Key, Store
from tradewind.runtime.sync import Sync
from tradewind.runtime.tasks import cancel, done_before, waiting

logger = logging.getLogger(__name__)

LEASE = "tradewind-operator"
IDENTITY: Any = "tradewind"  # kopf asks for one for its peering, which is off
WORKERS = 16
CONFIG_SECONDS = 3.0  # between looks at the configuration file
STUCK_SECONDS = 300.0  # without a finished pass while keys wait: the process is to be restarted
RESTART_SECONDS = (0.2, 15.0)  # before the watches of a group are started again after they failed: first, longest


class _Backoffs:
    """Seconds between kopf's attempts at a request, without end: an absent API server is waited for."""

    def __iter__(self) -> Iterator[float]:
        for seconds in itertools.chain((0.2, 0.5, 1.0, 2.0), itertools.repeat(4.0)):
            yield seconds * random.uniform(0.5, 1.0)


class _NoDiffBase(kopf.DiffBaseStorage):
    """kopf compares objects only for handlers that we have none of; no copies are made for that."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        return kopf.BodyEssence()

    def fetch(self, **_: Any) -> kopf.BodyEssence | None:
        return None

    def store(self, **_: Any) -> None:
        """Nothing is ever stored on an object."""


class NoMemories(ResourceMemories):
    """kopf keeps more than a kilobyte of each object that it saw, for kinds of handlers that we have none of."""

    async def recall(self, raw_body: kopf.RawBody, **options: Any) -> ResourceMemory:
        """A memory that is not kept."""
        return await super().recall(raw_body, **(options | {"ephemeral": True}))


def watch_settings(resources: Iterable[Resource], controllers: Iterable[Controller]) -> kopf.OperatorSettings:
    """Settings under which kopf lists and watches, and writes nothing."""
    own = {controller.resource for controller in controllers}
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.peering.standalone = True
    settings.scanning.disabled = True  # we follow the definitions ourselves: their schemas are megabytes
    settings.process.ultimate_exiting_timeout = None
    settings.persistence.diffbase_storage = _NoDiffBase()
    settings.queueing.worker_limit = None  # a limit below the number of objects blocks the start
    settings.queueing.idle_timeout = 0.1  # an object's task keeps its whole body for so long
    settings.queueing.exit_timeout = 0.2
    settings.networking.request_timeout = 30.0
    settings.networking.connect_timeout = 5.0
    settings.networking.error_backoffs = _Backoffs()
    settings.watching.connect_timeout = 5.0
    settings.watching.server_timeout = 1500
    settings.watching.client_timeout = 1560
    settings.watching.inactivity_timeout = 240.0  # a kind without changes gets no bookmarks
    settings.watching.chunk_size = 100  # bodies that are in memory at once
    for resource in resources:
        if resource not in own:
            selector = (resource.group, resource.version, resource.plural)
            settings.watching.label_selectors[selector] = f"{MANAGED_BY}={MANAGER}"
    return settings


class Watches:
    """kopf's watches of one API group's kinds, started again when they end."""

    def __init__(self, connection: Connection, sync: Sync, metrics: Metrics, controllers: Sequence[Controller]) -> None:
        self._connection, self._sync, self._metrics, self._controllers = (connection, sync, metrics, controllers)

    def _registry(self, resources: Iterable[Resource]) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()

        async def login(**_: Any) -> kopf.AiohttpSession:
            session = await watching_session(self._connection, self._asked, self._sync.page)
            return kopf.AiohttpSession(server=self._connection.server, default_namespace=None, aiohttp_session=session)

        kopf.on.login(registry=registry, id="login")(login)
        for resource in resources:
            kopf.on.event(
                group=resource.group,
                version=resource.version,
                plural=resource.plural,
                registry=registry,
                id=resource.plural,
            )(self._handler(resource))
        return registry

    def _asked(self, verb: str, resource: str, code: int) -> None:
        self._metrics.request(verb, resource, code)
        if verb == "watch" and code == HTTPStatus.OK:
            self._sync.opened(resource)

    def _handler(self, resource: Resource) -> Any:
        async def handle(event: kopf.RawEvent, **_: Any) -> None:
            self._sync.event(resource, event["type"], event["object"])

        return handle

    async def run(self, resources: Collection[Resource], resync_seconds: float, on_signal: Any) -> None:
        """Watch for ever; everything is listed afresh after so many seconds, or when a watch failed."""
        names = ", ".join(sorted(resource.plural for resource in resources))
        delay, longest = RESTART_SECONDS
        while True:
            start = time.monotonic()
            tasks = await kopf.spawn_tasks(
                registry=self._registry(resources),
                settings=watch_settings(resources, self._controllers),
                clusterwide=True,
                identity=IDENTITY,
                memo=(),
                memories=NoMemories(),
            )
            on_signal()  # kopf set its own signal handlers
            try:
                done, _ = await asyncio.wait(
                    tasks, timeout=resync_seconds * random.uniform(0.8, 1.0), return_when=asyncio.FIRST_COMPLETED
                )
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            if not done:
                continue  # time to list everything afresh
            failure = next((task.exception() for task in done if not task.cancelled() and task.exception()), None)
            delay = RESTART_SECONDS[0] if time.monotonic() - start > longest else min(longest, delay * 2)
            logger.warning("the watches of %s ended (%r); listing again in %.1f s", names, failure, delay)
            await asyncio.sleep(delay * random.uniform(0.5, 1.0))


class Operator:
    """The active replica's parts, put together."""

    def __init__(
        self,
        options: Options,
        controllers: Sequence[Controller],
        connection: Connection,
        client: Client,
        config: ConfigFile,
        metrics: Metrics,
        lease: Lease,
    ) -> None:
        self._options, self._config, self._metrics, self._lease = (options, config, metrics, lease)
        self._connection, self._client, self._controllers = (connection, client, controllers)
        self.queue: Queue[Key] = Queue()
        self.store = Store(controllers)
        self.sync = Sync(self.store, self._touched)
        self.kinds = Kinds(self.store.resources, self._kinds_changed)
        self.reports = Reports(self.queue.add)
        self._ca = (options.tls_dir / "ca.crt").read_text()
        self.reconciler = Reconciler(
            World(
                store=self.store,
                client=client,
                queue=self.queue,
                reports=self.reports,
                children=Children(self.store, client, self.kinds, time.monotonic),
                metrics=metrics,
                surroundings=self._surroundings,
                missing=lambda: self.store.resources - (self.kinds.served & self.sync.synced),
                instance=options.identity,
            )
        )
        self.listening = False
        self._groups: dict[str, tuple[frozenset[Resource], asyncio.Task[None]]] = {}
        self._regroup = asyncio.Event()
        metrics.watch_queue(lambda: len(self.queue), self.queue.age)

    def amiss(self) -> str | None:
        """Why reports can't be taken now; None when they can."""
        if not self._lease.valid:
            return "this replica does not hold the lease"
        if not self.sync.complete:
            return "the first lists are not complete"
        if not self.sync.watching:
            return "not all watches are open yet"
        return None if self.listening else "the report endpoint does not listen yet"

    def stuck(self) -> str | None:
        """Why the process should be restarted; None while it works."""
        if self.sync.complete and self.queue.age() > STUCK_SECONDS:
            return f"a key has waited for {self.queue.age():.0f} s"
        return None

    async def run(self, on_signal: Any) -> None:
        """Work until cancelled."""
        await self._discover()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch(on_signal))
            tasks.create_task(self.kinds.follow(self._client))
            tasks.create_task(self._follow_files())
            await self.sync.wait()
            logger.info("all lists are complete: %d objects", len(list(self.store)))
            tasks.create_task(self._listen())
            tasks.create_task(run_workers(self.reconciler, WORKERS))

    async def _discover(self) -> None:
        while True:
            try:
                await self.kinds.discover(self._client)
                break
            except KubeError as error:
                logger.warning("asking which kinds are served: %s", error)
                await asyncio.sleep(1.0)
        for resource in sorted(self.kinds.missing):
            logger.info("%s is not served by the API server", resource.api_version + " " + resource.kind)
        self.sync.serve(self.kinds.served)

    def _surroundings(self) -> Surroundings:
        return Surroundings(config=self._config.config, ca=self._ca)

    def _touched(self, keys: Iterable[Key]) -> None:
        for key in keys:
            self.queue.add(key)

    def _kinds_changed(self, changed: frozenset[Resource]) -> None:
        for resource in sorted(changed):
            served = resource in self.kinds.served
            logger.info("%s %s is %s", resource.api_version, resource.kind, "served" if served else "not served")
        self.sync.serve(self.kinds.served)
        self._regroup.set()
        self._touched(self.store)

    async def _watch(self, on_signal: Any) -> None:
        """Keep one set of watches for each API group that is served."""
        watches = Watches(self._connection, self.sync, self._metrics, self._controllers)
        try:
            while True:
                self._regroup.clear()
                wanted: dict[str, set[Resource]] = {}
                for resource in self.kinds.served:
                    wanted.setdefault(resource.group, set()).add(resource)
                for group in set(self._groups) | set(wanted):
                    resources = frozenset(wanted.get(group, ()))
                    if group in self._groups:
                        running, task = self._groups[group]
                        if running == resources:
                            continue
                        await cancel(task)
                        del self._groups[group]
                    if resources:
                        run = watches.run(resources, self._options.resync_seconds, on_signal)
                        self._groups[group] = (resources, asyncio.create_task(run))
                running_tasks: list[asyncio.Task[Any]] = [task for _, task in self._groups.values()]
                change: asyncio.Task[Any] = asyncio.create_task(self._regroup.wait())
                try:
                    done, _ = await asyncio.wait([*running_tasks, change], return_when=asyncio.FIRST_COMPLETED)
                finally:
                    change.cancel()
                for task in done - {change}:
                    task.result()  # they never end, unless by a mistake of ours
        finally:
            await asyncio.gather(*(cancel(task) for _, task in self._groups.values()))

    async def _listen(self) -> None:
        callers = Callers(self._client)
        endpoint = Endpoint(self.store, self.reports, callers, self._metrics, lambda: self.amiss() is None)
        runner = await endpoint.start(self._options.report_port, self._options.tls_dir)
        self.listening = True
        logger.info("ready: reports are taken on port %d", self._options.report_port)
        try:
            while True:
                await asyncio.sleep(30.0)
                endpoint.renew()
        finally:
            self.listening = False
            await runner.cleanup()

    async def _follow_files(self) -> None:
        """Read the configuration and the authority's certificate again when they change."""
        while True:
            await asyncio.sleep(CONFIG_SECONDS)
            changed = False
            try:
                if self._config.changed():
                    changed = True
                    self._metrics.reloaded(good=True)
                    logger.info("the configuration changed: all objects are looked at again")
            except BadConfig as error:
                self._metrics.reloaded(good=False)
                logger.error("the changed configuration is not used: %s", error)
            with contextlib.suppress(OSError):
                ca = (self._options.tls_dir / "ca.crt").read_text()
                changed |= ca != self._ca
                self._ca = ca
            if changed:
                self._touched(self.store)


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
    config = ConfigFile(options.config)
    metrics = Metrics()
    connection = await connect()
    lease = Lease(options.namespace_of_lease, LEASE, options.identity)
    client = Client(connection, metrics.request, lease.may_write)
    operator = Operator(options, controllers, connection, client, config, metrics, lease)
    runners = [
        await start_health(options.health_port, operator.stuck, operator.amiss),
        await start_metrics(options.metrics_port, metrics),
    ]
    try:
        async with waiting(stop) as stopped:
            if not await done_before(lease.acquire(client), stopped):
                return 0
            metrics.active.set(1)
            try:
                lost = asyncio.create_task(lease.hold(client))
                work = asyncio.create_task(operator.run(on_signal))
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
                metrics.active.set(0)
    finally:
        for runner in runners:
            await runner.cleanup()
        await client.close()
