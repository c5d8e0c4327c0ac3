"""Lists and watches of the kinds in use: kopf's, and the one place for what we bend in it. Nothing else sees kopf.

kopf knows how to list a kind, watch it, and begin again when a watch ends, is silent or fails. It is made for handlers
that keep their state in annotations of users' objects. Ours is in the store, so objects go there from the HTTP session
itself (`kube/listing.py`, `kube/streaming.py`), and kopf is told how far its lists and watches have come.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
import time
from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from typing import Any

import kopf

from tradewind.core.labels import MANAGED_BY, MANAGER
from tradewind.core.plan import Resource
from tradewind.kube.connection import Connection, Counter
from tradewind.kube.listing import watching_session
from tradewind.runtime.sync import Sync
from tradewind.runtime.tasks import cancel

logger = logging.getLogger(__name__)

IDENTITY: Any = "tradewind"  # kopf asks for one for its peering, which is off
PAGE = 500  # objects a page where a list does not come from the API server's cache, which gives it as a whole
LIST_SECONDS = 60.0  # for a list: an API server works on none for longer
SILENCE_SECONDS = 240.0  # without an event, after which a watch is opened again: a broken one looks the same
RESTART_SECONDS = (0.2, 15.0)  # before the watches of a group are started again after they failed: first, longest


class _Backoffs:
    """Seconds between attempts at a request, without end: an absent API server is waited for.

    kopf's own end after seconds, and its watches with them.
    """

    def __iter__(self) -> Iterator[float]:
        for seconds in itertools.chain((0.2, 0.5, 1.0, 2.0), itertools.repeat(4.0)):
            yield seconds * random.uniform(0.5, 1.0)


def watch_settings(resources: Iterable[Resource], own: Iterable[Resource]) -> kopf.OperatorSettings:
    """Settings under which kopf lists and watches, and writes nothing. Of kinds that are not our own, what is ours."""
    own = frozenset(own)
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.peering.standalone = True
    settings.scanning.disabled = True  # we follow the definitions ourselves: their schemas are megabytes
    settings.process.ultimate_exiting_timeout = None
    settings.networking.request_timeout = LIST_SECONDS
    settings.networking.connect_timeout = 5.0
    settings.networking.error_backoffs = _Backoffs()
    settings.watching.connect_timeout = 5.0
    settings.watching.server_timeout = 1500
    settings.watching.client_timeout = 1560
    settings.watching.inactivity_timeout = SILENCE_SECONDS
    settings.watching.chunk_size = PAGE
    for resource in resources:
        if resource not in own:
            selector = (resource.group, resource.version, resource.plural)
            settings.watching.label_selectors[selector] = f"{MANAGED_BY}={MANAGER}"
    return settings


class Watching:
    """Keeps a set of watches for each API group that is served, and gives what they show to `sync`.

    One of kopf's operators for each group: a group whose definitions go, or whose watch fails, never stops the others.
    """

    def __init__(
        self,
        connection: Connection,
        sync: Sync,
        count: Counter,
        own: Iterable[Resource],  # our own kinds
        resync_seconds: float,  # after which everything is listed afresh
        on_signal: Callable[[], None],  # sets the process's signal handlers
    ) -> None:
        self._connection, self._sync, self._count, self._own = connection, sync, count, frozenset(own)
        self._resync_seconds, self._on_signal = resync_seconds, on_signal
        self._served: frozenset[Resource] = frozenset()
        self._changed = asyncio.Event()
        self._groups: dict[str, tuple[frozenset[Resource], asyncio.Task[None]]] = {}

    def serve(self, served: frozenset[Resource]) -> None:
        """Watch these kinds from now on, and no others."""
        self._served = served
        self._changed.set()

    async def run(self) -> None:
        """Watch until cancelled."""
        try:
            while True:
                self._changed.clear()
                await self._regroup()
                running: list[asyncio.Task[Any]] = [task for _, task in self._groups.values()]
                change: asyncio.Task[Any] = asyncio.create_task(self._changed.wait())
                try:
                    done, _ = await asyncio.wait([*running, change], return_when=asyncio.FIRST_COMPLETED)
                finally:
                    change.cancel()
                for task in done - {change}:
                    task.result()  # they never end, unless by a mistake of ours
        finally:
            await asyncio.gather(*(cancel(task) for _, task in self._groups.values()))

    async def _regroup(self) -> None:
        """Start and end watches so that each group has those of its kinds that are served."""
        wanted: dict[str, set[Resource]] = {}
        for resource in self._served:
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
                self._groups[group] = (resources, asyncio.create_task(self._watch(resources)))

    async def _watch(self, resources: frozenset[Resource]) -> None:
        """Watch the kinds of a group for ever; they are listed afresh from time to time, or when a watch failed."""
        names = ", ".join(sorted(resource.plural for resource in resources))
        delay, longest = RESTART_SECONDS
        while True:
            start = time.monotonic()
            tasks = await kopf.spawn_tasks(
                registry=self._registry(resources),
                settings=watch_settings(resources, self._own),
                clusterwide=True,
                identity=IDENTITY,
                memo=(),
            )
            self._on_signal()  # kopf has set handlers of its own, which would end its watches and not the process
            try:
                done, _ = await asyncio.wait(
                    tasks, timeout=self._resync_seconds * random.uniform(0.8, 1.0), return_when=asyncio.FIRST_COMPLETED
                )
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                # Where the watch of one kind failed, kopf leaves those of the others behind, which wait for ever.
                left = {task for task in asyncio.all_tasks() if task.get_name() in map(watcher_name, resources)}
                await asyncio.gather(*map(cancel, left))
            if not done:
                continue  # time to list everything afresh
            failure = next((task.exception() for task in done if not task.cancelled() and task.exception()), None)
            delay = RESTART_SECONDS[0] if time.monotonic() - start > longest else min(longest, delay * 2)
            logger.warning("the watches of %s ended (%r); listing again in %.1f s", names, failure, delay)
            await asyncio.sleep(delay * random.uniform(0.5, 1.0))

    def _registry(self, resources: Iterable[Resource]) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()

        async def login(**_: Any) -> kopf.AiohttpSession:
            # A session of ours: it counts, and hands the objects of lists and the events of watches to `sync` one by
            # one. kopf has a whole page of bodies in memory, a task for each object, and a millisecond for each event.
            sync = self._sync
            session = await watching_session(self._connection, self._asked, sync.page, sync.watched)
            return kopf.AiohttpSession(server=self._connection.server, default_namespace=None, aiohttp_session=session)

        kopf.on.login(registry=registry, id="login")(login)
        for resource in resources:
            kopf.on.event(
                group=resource.group,
                version=resource.version,
                plural=resource.plural,
                registry=registry,
                id=resource.plural,
            )(_nothing)
        return registry

    def _asked(self, verb: str, resource: str, code: int) -> None:
        self._count(verb, resource, code)
        if verb == "watch" and code == HTTPStatus.OK:
            self._sync.opened(resource)


def watcher_name(resource: Resource) -> str:
    """What kopf calls the task that watches a kind in all namespaces."""
    return f"watcher for {'.'.join(filter(None, (resource.plural, resource.version, resource.group)))}@None"


async def _nothing(**_: Any) -> None:
    """kopf watches the kinds that it has a handler for. It sees no object of them, so there is nothing to handle."""
