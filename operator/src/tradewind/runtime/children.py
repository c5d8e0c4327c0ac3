"""An object's children made as planned: apply what is not so, delete what is not planned, remember what is refused."""

from __future__ import annotations

import json
import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tradewind.core import covers
from tradewind.core.plan import Child, Plan, Rejection, Resource
from tradewind.kube.client import Client
from tradewind.kube.errors import AlreadyExists, Conflict, Denied, KindMissing, NotFound, Rejected, Unavailable
from tradewind.kube.kinds import Kinds
from tradewind.runtime.denials import Denials
from tradewind.runtime.store import Held, HeldChild, Key, Store

logger = logging.getLogger(__name__)

FIRST_RETRY = 5.0  # seconds until a refused child is tried again though its plan is the same: a quota may be raised
LONGEST_RETRY = 600.0
# A version that no object has: with it, the API server makes an object that isn't there, and answers `Conflict` for
# one that is. (With a version, apply looks at it only where it finds an object.)
NEW = "1"
LONGEST_MESSAGE = 1024  # of a refusal, in characters
REMEMBERED = 1000  # plans that were compared with the fields that we own: of a RayJob that takes a millisecond


@dataclass(frozen=True, slots=True)
class _Refusal:
    rejection: Rejection
    wait: float
    again: float  # on the monotonic clock


class Children:
    """The executor of the children in plans."""

    def __init__(self, store: Store, client: Client, kinds: Kinds, monotonic: Callable[[], float]) -> None:
        self._store, self._client, self._kinds, self._monotonic = (store, client, kinds, monotonic)
        self._refused: dict[Key, dict[tuple[str, str], _Refusal]] = {}
        # Plans of which the API server drops a field, with the fields that it keeps: applying again would not help.
        self._dropped: set[tuple[str, str]] = set()
        self._owned: OrderedDict[tuple[str, str], None] = (
            OrderedDict()
        )  # plans of which we own all fields, last ones last
        self._denials = Denials(monotonic)  # of kinds

    def rejections(self, key: Key) -> tuple[Rejection, ...]:
        """What the API server refused of the object's children, in its words."""
        return tuple(refusal.rejection for refusal in self._refused.get(key, {}).values())

    def retry_after(self, key: Key) -> float | None:
        """Seconds until a refused child is to be tried again."""
        due = [refusal.again for refusal in self._refused.get(key, {}).values()]
        return max(0.0, min(due) - self._monotonic()) if due else None

    def forget(self, key: Key) -> None:
        """The object is gone."""
        self._refused.pop(key, None)

    async def execute(self, held: Held, plan: Plan) -> bool:
        """Make the planned children so; whether anything changed that the planner should see before the status.

        One that comes after others is not made while one of those is refused or missing: no RayJob runs without its
        NetworkPolicy. What is refused holds up nothing else.
        """
        existing = self._store.children(held)
        wanted = {(child.resource.kind, child.name): child for child in in_order(plan.children)}
        self._withdraw(held.key, wanted)
        changed = False
        for name, child in wanted.items():
            if all(self._stands(held, before) for before in child.after):
                changed |= await self._ensure(held, child, existing.get(name))
        return changed

    def _stands(self, held: Held, name: tuple[str, str]) -> bool:
        """Whether the object's child of that kind and name is there, and was not refused."""
        if name in self._refused.get(held.key, {}):
            return False
        present = self._store.children(held).get(name)
        return present is not None and not present.record.deleting

    async def prune(self, held: Held, plan: Plan) -> bool:
        """Delete the children that are not planned; whether there were any.

        After the status: what is deleted can't be judged any more, so why it was deleted has to be written before.
        """
        if plan.hands_off:
            return False
        wanted = {(child.resource.kind, child.name) for child in plan.children}
        changed = False
        for name, present in self._store.children(held).items():
            record = present.record
            if name in wanted or name in plan.keep or record.deleting or record.owner_uid != held.uid:
                continue
            changed |= await self._delete(held, present)
        return changed

    async def _ensure(self, held: Held, child: Child, present: HeldChild | None) -> bool:
        if child.resource in self._kinds.missing:
            return False  # the planner says so in a condition
        digest = covers.digest(child)
        refusal = self._refused.get(held.key, {}).get((child.resource.kind, child.name))
        if refusal and refusal.rejection.digest == digest and self._monotonic() < refusal.again:
            return False
        if present is None:
            other = self._store.named(child.resource, held.key.namespace, child.name)
            if other is not None:
                return self._taken(held, child, digest, other, refusal)
        elif present.record.deleting:
            return False
        elif self.covered(held, child, digest, present):
            # What was refused was another plan, and is not wanted any more.
            return self._refused.get(held.key, {}).pop((child.resource.kind, child.name), None) is not None
        try:
            body = await self._apply(held, child, digest, present)
        except Rejected as error:
            return self._refuse(held, child, digest, str(error), refusal)
        except Denied as error:
            if not self._denials.lasting(child.resource):
                raise  # tried again soon, and not told: nothing is wrong with the object
            return self._refuse(held, child, digest, str(error), refusal)
        except KindMissing as error:
            return await self._missing(child.resource, error)
        self._denials.over(child.resource)
        self._refused.get(held.key, {}).pop((child.resource.kind, child.name), None)
        self._store.observe(child.resource, body)
        self.note_dropped(child, digest, body)
        logger.info("%s: applied %s %s", held.key, child.resource.kind, child.name)
        return True

    async def _apply(self, held: Held, child: Child, digest: str, present: HeldChild | None) -> dict[str, Any]:
        """Apply a child; what others changed on it is put right. One that we have not seen must not exist.

        Raises `Rejected` where a stranger's object has the name: it is not merged with ours.
        """
        if present is not None:
            return await self._put(held, child, digest, present.record.uid)
        try:
            return await self._put(held, child, digest, None)
        except (AlreadyExists, Conflict) as error:
            # Perhaps it is ours: the answer to the request that made it was lost, or someone took our labels off it.
            found = await self._client.find(child.resource, held.key.namespace, child.name)
            if found is None:
                raise Conflict(str(error)) from error  # it is gone again: tried again soon
            if all(owner.get("uid") != held.uid for owner in found["metadata"].get("ownerReferences") or ()):
                raise Rejected(is_taken(child, "somebody else")) from None
            return await self._put(held, child, digest, found["metadata"]["uid"])

    async def _put(self, held: Held, child: Child, digest: str, uid: str | None) -> dict[str, Any]:
        owner = _owner(held, self._store.controllers[held.key.kind].resource)
        body = manifest(child, digest, held.key.namespace, owner, uid)
        if uid is None and child.fixed:
            return await self._client.make(child.resource, held.key.namespace, body)
        return await self._client.apply(child.resource, held.key.namespace, body, force=uid is not None)

    def covered(self, held: Held, child: Child, digest: str, present: HeldChild) -> bool:
        """Whether a live child is as planned."""
        return present.record.owner_uid == held.uid and self.as_planned(child, digest, present)

    def as_planned(self, child: Child, digest: str, present: HeldChild) -> bool:
        """Whether a live child is as planned, whoever owns it."""
        if present.record.digest != digest:
            return False
        text = present.fields.text
        return self._unowned(child, digest, text) is None or (digest, text) in self._dropped

    def note_dropped(self, child: Child, digest: str, body: Mapping[str, Any]) -> None:
        """Remember what the API server did not keep of an apply: to apply it again would not help."""
        text = covers.canonical(covers.owned_fields(body))
        path = self._unowned(child, digest, text)
        if path is not None:
            logger.warning("%s %s: the API server does not keep %s as applied", child.resource.kind, child.name, path)
            self._dropped.add((digest, text))

    def _unowned(self, child: Child, digest: str, fields: str) -> str | None:
        """Path of the first leaf of a planned child that is not in a set of owned fields; None where all are."""
        known = (digest, fields)
        if known in self._owned:
            self._owned.move_to_end(known)
            return None
        path = covers.unowned(json.loads(fields), child.body)
        if path is None:
            self._owned[known] = None
            if len(self._owned) > REMEMBERED:
                self._owned.popitem(last=False)
        return path

    def _taken(self, held: Held, child: Child, digest: str, other: HeldChild, refusal: _Refusal | None) -> bool:
        if other.owner == held.key:
            return False  # of an earlier object of this name: it is being deleted, its end brings us here again
        return self._refuse(held, child, digest, is_taken(child, str(other.owner or "nobody")), refusal)

    def _refuse(self, held: Held, child: Child, digest: str, message: str, before: _Refusal | None) -> bool:
        same = before is not None and before.rejection.digest == digest
        wait = min(LONGEST_RETRY, before.wait * 2) if before is not None and same else FIRST_RETRY
        rejection = Rejection(child.resource, child.name, digest, message[:LONGEST_MESSAGE])
        self._refused.setdefault(held.key, {})[child.resource.kind, child.name] = _Refusal(
            rejection, wait, self._monotonic() + wait
        )
        if before is not None and before.rejection == rejection:
            return False
        logger.warning("%s: %s %s was refused: %s", held.key, child.resource.kind, child.name, message)
        return True

    async def _missing(self, resource: Resource, error: KindMissing) -> bool:
        await self._kinds.discover(self._client, {resource})
        if resource in self._kinds.served:
            raise Unavailable(str(error)) from error  # the API server contradicts itself: it is starting, or upgraded
        return True

    def _withdraw(self, key: Key, wanted: Mapping[tuple[str, str], Child]) -> None:
        refused = self._refused.get(key, {})
        for name in [name for name in refused if name not in wanted]:
            del refused[name]
        if not refused:
            self._refused.pop(key, None)

    async def _delete(self, held: Held, present: HeldChild) -> bool:
        record = present.record
        try:
            await self._client.delete(record.resource, present.namespace, record.name, record.uid)
        except NotFound:
            self._store.lost(present)  # gone before us
            return True
        except KindMissing as error:
            return await self._missing(record.resource, error)
        self._store.deleting(present)
        logger.info("%s: deleted %s %s", held.key, record.resource.kind, record.name)
        return True


def in_order(children: Sequence[Child]) -> list[Child]:
    """The children, each after those that it comes after, otherwise as planned. ValueError for a circle."""
    left = {(child.resource.kind, child.name): child for child in children}
    ordered: list[Child] = []
    while left:
        name = next((name for name, child in left.items() if not left.keys() & set(child.after)), None)
        if name is None:
            raise ValueError(f"children wait for one another: {sorted(left)}")
        ordered.append(left.pop(name))
    return ordered


def is_taken(child: Child, owner: str) -> str:
    """Why a child can't be made where another object has its name."""
    return f"{child.resource.kind} {child.name} is there already and belongs to {owner}: remove or rename one"


def _owner(held: Held, resource: Resource) -> dict[str, Any]:
    """The reference to the object that controls a child."""
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "name": held.key.name,
        "uid": held.uid,
        "controller": True,
        # True would need the right to change the owner's finalizers, and hold up its deletion.
        "blockOwnerDeletion": False,
    }


def manifest(
    child: Child, digest: str, namespace: str, owner: Mapping[str, Any] | None, uid: str | None = None
) -> dict[str, Any]:
    """The body to apply: the plan's, with its name, its owner, its digest.

    With the uid of what is to be changed it changes nothing else; without one it makes the child, and never changes
    an object that is there.
    """
    metadata = dict(child.body.get("metadata") or {})
    metadata["annotations"] = {**(metadata.get("annotations") or {}), covers.ANNOTATION: digest}
    metadata |= {"name": child.name, "namespace": namespace}
    if owner is not None:
        metadata["ownerReferences"] = [owner]
    if uid is not None:
        metadata["uid"] = uid
    elif not child.fixed:  # that one is created, which never changes what is there
        metadata["resourceVersion"] = NEW
    return {
        "apiVersion": child.resource.api_version,
        "kind": child.resource.kind,
        **{key: value for key, value in child.body.items() if key != "metadata"},
        "metadata": metadata,
    }
