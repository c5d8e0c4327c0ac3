"""When the store is whole: each kind was listed to the end, and everything in the list was taken in."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tradewind.core.plan import Resource
from tradewind.runtime.store import Key, Store

logger = logging.getLogger(__name__)

AT_ONCE = 10  # objects of a list that are taken in before others have their turn: a few milliseconds


class Sync:
    """Between the watches and the store. Keys that a change touches go to `touched`; `all_touched` speaks of all."""

    def __init__(self, store: Store, touched: Callable[[Iterable[Key]], None], all_touched: Callable[[], None]) -> None:
        self._store, self._touched, self._all_touched = store, touched, all_touched
        self._paths = {list_path(resource): resource for resource in store.resources}
        self._served: frozenset[Resource] = frozenset()
        self._listing: dict[Resource, set[str]] = {}  # uids of a list's pages so far
        self._synced: set[Resource] = set()
        self._complete = asyncio.Event()
        self._opened: set[str] = set()
        self._watching = False

    @property
    def synced(self) -> frozenset[Resource]:
        """Kinds of which the store has all objects."""
        return frozenset(self._synced)

    @property
    def complete(self) -> bool:
        """Whether the store had all objects of all kinds that were served at the start."""
        return self._complete.is_set()

    @property
    def watching(self) -> bool:
        """Whether, besides, a watch of each of these kinds has been opened: changes are seen at once from then on."""
        return self._watching

    async def wait(self) -> None:
        """Wait until it is complete."""
        await self._complete.wait()

    def serve(self, served: frozenset[Resource]) -> None:
        """Only these kinds can be listed now; what is known of others is dropped."""
        for resource in (self._served - served) | (self._synced - served):
            self._synced.discard(resource)
            self._touched(self._store.drop(resource))
        self._served = served
        self._check()

    async def page(self, path: str, first: bool, members: Iterable[tuple[str, Any]]) -> dict[str, Any] | None:
        """Take in the objects of a page of a list, and leave the rest of it; None where they are none of ours.

        Here rather than one by one as events: then thousands of whole bodies would be in memory at once, each in a task
        of its own. Others have their turn after every few objects.
        """
        resource = self._paths.get(path)
        if resource is None:
            return None
        if first:
            self._listing[resource] = set()
        uids = self._listing.setdefault(resource, set())
        rest: dict[str, Any] = {"items": []}
        for name, value in members:
            if name == "items" and value:
                uids.add(value["metadata"]["uid"])
                self.event(resource, None, value)
                if len(uids) % AT_ONCE == 0:
                    await asyncio.sleep(0)
            elif name != "items":
                rest[name] = value
        if not rest["metadata"].get("continue"):
            everything = frozenset(self._listing.pop(resource))
            self._touched(self._store.listed(resource, everything, int(rest["metadata"]["resourceVersion"])))
            self._check(resource)
        return rest

    def opened(self, plural: str) -> None:
        """Note that the API server accepted a watch. It refuses those of a kind that it has served for a moment."""
        self._opened.add(plural)
        self._check()

    def watched(self, path: str, kind: str, body: Mapping[str, Any]) -> None:
        """Take in an event of the watch with that path. It never fails."""
        if (resource := self._paths.get(path)) is not None:
            self.event(resource, kind, body)

    def event(self, resource: Resource, kind: str | None, body: Mapping[str, Any]) -> None:
        """Take in an event of a watch (ADDED, MODIFIED, DELETED) or an object of a list (None). It never fails."""
        try:
            self._touched(self._store.observe(resource, body, deleted=kind == "DELETED"))
        except Exception:
            logger.exception("a %s that can't be read was passed over", resource.kind)

    def _check(self, listed: Resource | None = None) -> None:
        if listed is not None and listed in self._served and listed not in self._synced:
            self._synced.add(listed)
            if self.complete:  # a kind that came later: who waited for it can go on
                self._all_touched()
        if self._served <= self._synced:
            self._complete.set()  # for good: a kind that comes later counts as missing until it is listed
            self._watching |= {resource.plural for resource in self._served} <= self._opened  # for good, too


def list_path(resource: Resource) -> str:
    """Path of the list of all objects of a kind."""
    prefix = f"/apis/{resource.group}" if resource.group else "/api"
    return f"{prefix}/{resource.version}/{resource.plural}"
