"""What the objects of a namespace share: made once, for all of them, and never deleted by us."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from tradewind.core import covers
from tradewind.core.labels import MANAGED_BY, MANAGER
from tradewind.core.plan import Child, Resource
from tradewind.kube.client import Client
from tradewind.kube.errors import Conflict, Denied, KindMissing, NotFound, Rejected
from tradewind.kube.kinds import Kinds
from tradewind.runtime.children import LONGEST_RETRY, Children, is_taken, manifest
from tradewind.runtime.denials import Denials
from tradewind.runtime.store import Store

logger = logging.getLogger(__name__)


class Shared:
    """The executor of what controllers declare as shared.

    Where it is refused it is tried again later, and nobody is told: it is there for speed, and whoever plans with it
    sees that it isn't there.
    """

    def __init__(
        self, store: Store, client: Client, kinds: Kinds, children: Children, monotonic: Callable[[], float]
    ) -> None:
        self._store, self._client, self._kinds, self._children = (store, client, kinds, children)
        self._monotonic = monotonic
        self._denials = Denials(monotonic)  # of kinds
        self._digests: dict[tuple[Resource, str], str] = {}  # it is always planned the same
        self._refused: dict[tuple[str, str], float] = {}  # by namespace and name: until when, on the monotonic clock

    def stands(self, namespace: str, child: Child) -> bool:
        """Whether it is there as planned."""
        present = self._store.named(child.resource, namespace, child.name)
        if present is None or present.record.deleting:
            return False
        return self._children.as_planned(child, self._digest(child), present)

    def _digest(self, child: Child) -> str:
        known = (child.resource, child.name)
        if known not in self._digests:
            self._digests[known] = covers.digest(child)
        return self._digests[known]

    async def make(self, namespace: str, child: Child) -> None:
        """Make it, or put right what others changed on it."""
        present, place = self._store.named(child.resource, namespace, child.name), (namespace, child.name)
        waits = self._monotonic() < self._refused.get(place, 0.0)
        if waits or child.resource in self._kinds.missing or self.stands(namespace, child):
            return
        if present is not None and present.record.deleting:
            return
        try:
            body = await self._apply(namespace, child, present.record.uid if present is not None else None)
        except (Rejected, Denied, NotFound, KindMissing) as error:
            if isinstance(error, Denied) and not self._denials.lasting(child.resource):
                raise
            self._refused[place] = self._monotonic() + LONGEST_RETRY
            logger.info("%s %s/%s is not made: %s", child.resource.kind, namespace, child.name, error)
            return
        self._denials.over(child.resource)
        self._refused.pop(place, None)
        self._store.observe(child.resource, body)
        self._children.note_dropped(child, self._digest(child), body)
        logger.info("applied %s %s/%s", child.resource.kind, namespace, child.name)

    async def _apply(self, namespace: str, child: Child, uid: str | None) -> dict[str, Any]:
        """Apply it, like a child. Raises `Rejected` where a stranger's object has the name."""
        body = manifest(child, self._digest(child), namespace, None, uid)
        try:
            return await self._client.apply(child.resource, namespace, body, force=uid is not None)
        except Conflict:
            found = None if uid is not None else await self._client.find(child.resource, namespace, child.name)
            if found is None:
                raise
            if (found["metadata"].get("labels") or {}).get(MANAGED_BY) != MANAGER:
                raise Rejected(is_taken(child, "somebody else")) from None
            return found  # the answer to the apply that made it was lost
