"""One pass over an object: gather, plan, make children, write the status once, delete children, send the Events."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from tradewind.core.controller import Controller, Surroundings
from tradewind.core.covers import canonical
from tradewind.core.labels import labels
from tradewind.core.plan import Observed, Plan, Resource
from tradewind.kube.client import Client
from tradewind.kube.errors import AlreadyExists, KubeError, NotFound, NotLeader, Rejected, Retriable, Unavailable
from tradewind.runtime import events
from tradewind.runtime.children import Children
from tradewind.runtime.invalid import unreadable
from tradewind.runtime.metrics import Metrics
from tradewind.runtime.queue import Queue
from tradewind.runtime.reports import Reports
from tradewind.runtime.shared import Shared
from tradewind.runtime.store import Held, Key, Store

logger = logging.getLogger(__name__)

ROUNDS = 4  # plans in one pass: a plan sees what the one before it made, and the status is written after the last


@dataclass(slots=True)
class _Memory:
    """What a key's passes tell the next ones."""

    # The status that we wrote and what the API server made of it, where that differs (it drops unknown fields).
    rewritten: tuple[str, str] | None = None
    # A status of which we do not know whether it was written, and the Events about it.
    unsure: tuple[str, list[dict[str, Any]]] | None = None
    outbox: list[dict[str, Any]] = field(default_factory=list)  # Events of statuses that were written


@dataclass(frozen=True, slots=True)
class World:
    """What a reconciler works with."""

    store: Store
    client: Client
    queue: Queue[Key]
    reports: Reports
    children: Children
    shared: Shared
    metrics: Metrics
    surroundings: Callable[[], Surroundings]
    missing: Callable[[], frozenset[Resource]]
    instance: str  # name of this replica, for Events
    now: Callable[[], datetime] = lambda: datetime.now(UTC)


class Reconciler:
    """The workers' work."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._memories: dict[Key, _Memory] = {}

    async def work(self) -> None:
        """Work on keys for ever. A key whose pass failed comes again."""
        queue, metrics = self._world.queue, self._world.metrics
        while True:
            key = await queue.get()
            start = time.monotonic()
            try:
                result = await self._pass(key)
            except Retriable as error:
                delay = queue.retry(key, error.retry_after or 0.0)
                logger.debug("%s: again in %.1f s: %s", key, delay, error)
                result = "Retried"
            except (KubeError, NotLeader) as error:
                logger.warning("%s: again in %.1f s: %s", key, queue.retry(key), error)
                result = "Failed"
            except Exception:
                logger.exception("%s: again in %.1f s after an error of ours", key, queue.retry(key))
                result = "Failed"
            else:
                queue.succeeded(key)
            finally:
                queue.done(key)
            metrics.reconciled(key.kind, result, time.monotonic() - start)

    async def _pass(self, key: Key) -> str:
        world = self._world
        held = world.store.get(key)
        if held is None or held.deleting:
            # Children go with their owner reference; nothing is ours to do.
            self._memories.pop(key, None)
            world.children.forget(key)
            world.reports.vanished(key)
            world.metrics.phase(key, None)
            return "Unchanged"
        memory = self._memories.get(key) or _Memory()
        changed, serial, plan = await self._children(held)
        try:
            changed |= await self._status(held, plan, memory)
            world.reports.heard(key, plan.heard, serial)
            world.reports.superseded(key, plan.superseded, serial)
            world.metrics.phase(key, str(plan.status.get("phase") or "Unknown"))
            if await world.children.prune(held, plan):
                changed = True
                world.queue.add(key)
            await self._post(memory)
            if plan.expired:
                await world.client.delete(self._resource(key), key.namespace, key.name, held.uid)
                logger.info("%s: deleted, as its spec asks for", key)
            elif plan.children:
                for child in world.store.controllers[key.kind].shared:
                    await world.shared.make(key.namespace, child)
        except NotFound:
            world.queue.add(key)
            self._enqueue(world.store.observe(self._resource(key), held.body(), deleted=True))
            return "Changed"
        finally:
            # Kept only where there is something to tell: most keys have no memory at all.
            if memory.rewritten or memory.unsure or memory.outbox:
                self._memories[key] = memory
            else:
                self._memories.pop(key, None)
        due = [seconds for seconds in (plan.requeue_after, world.children.retry_after(key)) if seconds is not None]
        if due:
            world.queue.add_after(key, min(due))
        return "Changed" if changed else "Unchanged"

    async def _children(self, held: Held) -> tuple[bool, int, Plan]:
        """Plan and make the children, again while that changes what the planner sees: the last plan stands."""
        changed = False
        for _ in range(ROUNDS):
            plan, serial = self._plan(held)
            if plan.rests_on and await self._news(held, plan.rests_on):
                plan, serial = self._plan(held)
            if not await self._world.children.execute(held, plan):
                return changed, serial, plan
            changed = True
        self._world.queue.add_after(held.key, 1.0)
        return changed, serial, plan

    async def _news(self, held: Held, kinds: Iterable[Resource]) -> bool:
        """Whether lists of the object's things of these kinds show something else than the watches have so far."""
        world, key = self._world, held.key
        store = world.store
        before = store.pods(held), store.children(held)
        for resource in kinds:
            bodies, version = await world.client.list(resource, key.namespace, labels(key.kind, key.name))
            for body in bodies:
                store.observe(resource, body)
            store.listed(resource, frozenset(body["metadata"]["uid"] for body in bodies), version, held)
        return (store.pods(held), store.children(held)) != before

    def _plan(self, held: Held) -> tuple[Plan, int]:
        world = self._world
        controller = world.store.controllers[held.key.kind]
        reports, serial = world.reports.pending(held.key, held.uid)
        body = held.body()
        try:
            given = controller.model.read_object(body)
        except ValidationError as error:
            return unreadable(held.key.kind, body, error, reports, world.now()), serial
        observed = Observed(
            children={
                name: child.record
                for name, child in world.store.children(held).items()
                if child.record.owner_uid in (held.uid, None)
            },
            pods=world.store.pods(held) if controller.pods else (),
            references=self._references(held),
            writers={uri: f"{key.kind} {key.name}" for uri, key in world.store.writers(held).items()},
            reports=reports,
            missing=world.missing() & {child.resource for child in controller.children},
            rejections=world.children.rejections(held.key),
            witnesses={name: one.record for name, one in world.store.witnesses(held).items()},
            shared=frozenset(
                (child.resource.kind, child.name)
                for child in controller.shared
                if world.shared.stands(held.key.namespace, child)
            ),
        )
        return controller.plan(given, observed, world.surroundings(), world.now()), serial

    def _references(self, held: Held) -> dict[tuple[str, str], Any]:
        found: dict[tuple[str, str], Any] = {}
        for reference in held.references:
            other = self._world.store.get(Key(reference.kind, held.key.namespace, reference.name))
            if other is None:
                continue
            controller: Controller = self._world.store.controllers[reference.kind]
            try:
                found[reference.kind, reference.name] = controller.model.read_object(other.body())
            except ValidationError:
                found[reference.kind, reference.name] = None  # its own status says what is wrong with it
        return found

    async def _status(self, held: Held, plan: Plan, memory: _Memory) -> bool:
        """Write the status if it is not so already; whether it was written."""
        world = self._world
        present = held.body().get("status") or {}
        wanted, found = canonical(plan.status), canonical(present)
        if memory.unsure is not None:
            # The watch may not have shown it yet: it stays unsure until it is seen, or until another write succeeds.
            written, about = memory.unsure
            if written == found:
                memory.outbox += about
                memory.unsure = None
        if wanted == found or memory.rewritten == (wanted, found):
            return False
        resource = self._resource(held.key)
        about = [
            events.manifest(event, held, resource.api_version, world.instance, world.now()) for event in plan.events
        ]
        try:
            body = await world.client.replace_status(
                resource, held.key.namespace, held.key.name, str(held.version), plan.status
            )
        except Unavailable:
            memory.unsure = (wanted, about)
            raise
        memory.unsure = None  # the version was still the one before it: it was not written
        memory.outbox += about
        result = canonical(body.get("status") or {})
        memory.rewritten = None if result == wanted else (wanted, result)
        if memory.rewritten:
            logger.warning("%s: the API server keeps another status than the one written", held.key)
        # The watch will show this version again, to no effect: who depends on the object hears of it now.
        self._enqueue(world.store.observe(resource, body) - {held.key})
        return True

    async def _post(self, memory: _Memory) -> None:
        while memory.outbox:
            event = memory.outbox[0]
            try:
                await self._world.client.create(events.API, events.PLURAL, event["metadata"]["namespace"], event)
            except AlreadyExists:
                pass
            except (Rejected, NotFound) as error:
                logger.warning("an Event about %s was refused: %s", event["regarding"]["name"], error)
            memory.outbox.pop(0)

    def _resource(self, key: Key) -> Resource:
        return self._world.store.controllers[key.kind].resource

    def _enqueue(self, keys: Iterable[Key]) -> None:
        for key in keys:
            self._world.queue.add(key)


async def run_workers(reconciler: Reconciler, number: int) -> None:
    """Run so many workers until cancelled."""
    async with asyncio.TaskGroup() as workers:
        for _ in range(number):
            workers.create_task(reconciler.work())
