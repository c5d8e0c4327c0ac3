"""What the watches showed last, in compact form, and which object each thing belongs to.

Of our own rather than kopf's indices: those keep objects that were deleted while a watch was broken, hold back all
events (with all bodies) until every kind is listed, and start from nothing when kopf does.
"""

from __future__ import annotations

import bisect
import logging
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

from tradewind.api import GROUP
from tradewind.core import covers
from tradewind.core.controller import Controller, Reference
from tradewind.core.labels import KIND, NAME
from tradewind.core.plan import PODS, ChildRecord, PodRecord, Resource
from tradewind.core.timestamps import moment
from tradewind.runtime.index import Index
from tradewind.runtime.packing import Packed, Packer
from tradewind.runtime.pods import pod_record

logger = logging.getLogger(__name__)

REMEMBERED = 10_000  # deleted objects, so that a late answer does not bring one back


class Key(NamedTuple):
    """One of our objects."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


class Fieldset:
    """A set of owned fields as JSON; children of equal plans share one."""

    __slots__ = ("__weakref__", "text")

    def __init__(self, text: str) -> None:
        self.text = text


@dataclass(frozen=True, slots=True)
class Held:
    """One of our objects as it was last seen."""

    key: Key
    uid: str
    version: int
    generation: int
    created: datetime | None
    deleting: bool
    packed: Packed
    references: tuple[Reference, ...]
    outputs: tuple[str, ...]  # addresses in the store that it writes to
    started: bool  # whether an attempt of it is known to have started

    def body(self) -> dict[str, Any]:
        """The object as JSON, without managedFields."""
        return self.packed.body()


@dataclass(frozen=True, slots=True)
class HeldChild:
    """A child as it was last seen."""

    namespace: str
    version: int
    owner: Key | None  # by its owner reference, else by its labels
    fields: Fieldset
    record: ChildRecord


@dataclass(frozen=True, slots=True)
class HeldPod:
    """A pod as it was last seen."""

    namespace: str
    version: int
    owner: Key | None  # by its labels
    created: datetime | None
    record: PodRecord
    cluster: str = ""  # the RayCluster that controls it


class Store:
    """All that is known of the cluster. `observe` and `listed` say which of our objects are touched by a change."""

    def __init__(self, controllers: Iterable[Controller]) -> None:
        self.controllers = {controller.resource.kind: controller for controller in controllers}
        # Two controllers may have children of one kind, and read different things of them.
        self._observe = {
            (controller.resource.kind, kind.resource): kind.observe
            for controller in self.controllers.values()
            for kind in (*controller.witnesses, *controller.children)
        }
        kinds = frozenset(resource for _, resource in self._observe)
        owned = {child.resource for controller in self.controllers.values() for child in controller.children}
        self._witnessed = kinds - owned
        self._objects: dict[Key, Held] = {}
        self._children: dict[str, HeldChild] = {}  # by uid
        self._pods: dict[str, HeldPod] = {}  # by uid
        self._names: dict[tuple[Resource, str, str], str] = {}  # uid of the child of that name
        self._children_of: Index[str] = Index()  # by uid of the owner
        self._orphans_of: Index[Key] = Index()  # children that lost their owner reference
        self._witnesses_of: Index[Key] = Index()  # by labels: what others made of the object's children
        self._pods_of: Index[Key] = Index()
        self._dependents: dict[Key, set[Key]] = {}  # objects that name this one
        # Objects that write to an address in a namespace, in the order of their right to it.
        self._writers: dict[tuple[str, str], list[tuple[Right, Key]]] = {}
        # Version at which an object was deleted. Later it can be there again: to the watch, one that lost our label is
        # deleted, until our next apply.
        self._gone: OrderedDict[str, int] = OrderedDict()
        self._packer = Packer()
        self._fieldsets: WeakValueDictionary[str, Fieldset] = WeakValueDictionary()

    @property
    def resources(self) -> frozenset[Resource]:
        """The kinds to watch."""
        pods = {PODS} if any(controller.pods for controller in self.controllers.values()) else set()
        watched = {resource for _, resource in self._observe}
        return frozenset({controller.resource for controller in self.controllers.values()} | watched | pods)

    # Reading

    def __iter__(self) -> Iterator[Key]:
        return iter(list(self._objects))

    def get(self, key: Key) -> Held | None:
        """The object, if it exists."""
        return self._objects.get(key)

    def children(self, held: Held) -> dict[tuple[str, str], HeldChild]:
        """The object's children by kind and name: what it controls, and what lost its owner reference."""
        found = (self._children[uid] for uid in sorted(self._uids(held)))
        return {(child.record.resource.kind, child.record.name): child for child in found}

    def witnesses(self, held: Held) -> dict[tuple[str, str], HeldChild]:
        """By kind and name: what the owners of the object's children made of them."""
        found = (self._children[uid] for uid in self._witnesses_of.get(held.key))
        return {(one.record.resource.kind, one.record.name): one for one in found}

    def named(self, resource: Resource, namespace: str, name: str) -> HeldChild | None:
        """The child of that name, whoever owns it."""
        uid = self._names.get((resource, namespace, name))
        return self._children[uid] if uid is not None else None

    def pods(self, held: Held) -> tuple[PodRecord, ...]:
        """Pods labelled with the object, without those of an earlier object of the same name."""
        found = (self._pods[uid] for uid in self._pods_of.get(held.key))
        ours = [pod.record for pod in found if not (pod.created and held.created and pod.created < held.created)]
        return tuple(sorted(ours, key=lambda pod: pod.name))

    def pod(self, uid: str) -> HeldPod | None:
        """The pod with that uid."""
        return self._pods.get(uid)

    def dependents(self, key: Key) -> frozenset[Key]:
        """Objects that name this one."""
        return frozenset(self._dependents.get(key, ()))

    def writers(self, held: Held) -> dict[str, Key]:
        """By address that the object writes to: the object that may write there, where that is another one."""
        found: dict[str, Key] = {}
        for uri in held.outputs:
            # The object may have changed since the pass over it began: another pass follows.
            writers = self._writers.get((held.key.namespace, uri))
            if writers and writers[0][1] != held.key:
                found[uri] = writers[0][1]
        return found

    # Writing

    def observe(self, resource: Resource, body: Mapping[str, Any], deleted: bool = False) -> frozenset[Key]:
        """Take in an object as a watch, a list or an answer shows it; the keys that are touched.

        What is older than what is held changes nothing, so answers to our own writes and late events mix freely.
        """
        uid = body["metadata"]["uid"]
        if deleted:
            self._bury(uid, _version(body))
            return self._forget(resource, uid, Key(resource.kind, *_place(body)))
        if _version(body) <= self._gone.get(uid, -1):
            return frozenset()
        if resource.group == GROUP and resource.kind in self.controllers:
            return self._observe_object(resource, body)
        if resource == PODS:
            return self._observe_pod(body)
        return self._observe_child(resource, body)

    def listed(self, resource: Resource, uids: frozenset[str], version: int, of: Held | None = None) -> frozenset[Key]:
        """Take in that a list at a version had exactly these uids: what is older and not in it was deleted.

        The list was of everything, or of the children or pods of one object.
        """
        touched: set[Key] = set()
        missing = [(uid, key) for uid, held, key in self._others(resource, uids, of) if held <= version]
        for uid, key in missing:
            self._bury(uid, version)
            touched |= self._forget(resource, uid, key)
        return frozenset(touched)

    def drop(self, resource: Resource) -> frozenset[Key]:
        """Forget a kind that is not served any more; if it is served again, its objects may be there again."""
        touched: set[Key] = set()
        for uid, _, key in list(self._others(resource, frozenset())):
            touched |= self._forget(resource, uid, key)
        return frozenset(touched)

    def lost(self, child: HeldChild) -> None:
        """Note that there is no such child any more, though no watch showed it yet."""
        self._bury(child.record.uid, child.version)
        resource = child.record.resource
        self._forget(resource, child.record.uid, Key(resource.kind, child.namespace, child.record.name))

    def _bury(self, uid: str, version: int) -> None:
        self._gone[uid] = version
        if len(self._gone) > REMEMBERED:
            self._gone.popitem(last=False)

    def _others(
        self, resource: Resource, uids: frozenset[str], of: Held | None = None
    ) -> Iterator[tuple[str, int, Key]]:
        """What there is of a kind, or what an object has of it, without these uids: uid, version, place."""
        if resource.group == GROUP and resource.kind in self.controllers:
            for key, held in self._objects.items():
                if held.uid not in uids and key.kind == resource.kind:
                    yield held.uid, held.version, key
            return
        things: Mapping[str, HeldPod | HeldChild] = self._pods if resource == PODS else self._children
        candidates: Iterable[str] = things
        if of is not None:
            candidates = self._pods_of.get(of.key) if resource == PODS else self._uids(of)
        for uid in candidates:
            if uid in uids:
                continue
            thing = things[uid]
            if isinstance(thing, HeldPod) or thing.record.resource == resource:
                yield uid, thing.version, Key(resource.kind, thing.namespace, thing.record.name)

    def _uids(self, held: Held) -> set[str]:
        """Of the object's children."""
        return {*self._children_of.get(held.uid), *self._orphans_of.get(held.key)}

    def deleting(self, child: HeldChild) -> None:
        """Note that a child's deletion was accepted, until the watch shows its end."""
        if child.record.uid in self._children:
            record = replace(child.record, deleting=True)
            self._children[child.record.uid] = HeldChild(
                child.namespace, child.version, child.owner, child.fields, record
            )

    def _observe_object(self, resource: Resource, body: Mapping[str, Any]) -> frozenset[Key]:
        metadata = body["metadata"]
        key, uid = self._shared(Key(resource.kind, *_place(body)), metadata["uid"])
        version, old = _version(body), self._objects.get(key)
        if old is not None and old.version >= version:
            return frozenset()
        generation = int(metadata.get("generation") or 0)
        same_spec = old is not None and (old.uid, old.generation) == (uid, generation)
        named = (old.references, old.outputs) if old is not None else ((), ())
        references, outputs = named if same_spec else self._named(resource, body) or named
        held = Held(
            key=key,
            uid=uid,
            version=version,
            generation=generation,
            created=moment(metadata.get("creationTimestamp")),
            deleting=bool(metadata.get("deletionTimestamp")),
            packed=self._packer.pack(resource.kind, body),
            references=references,
            outputs=outputs,
            started=bool((body.get("status") or {}).get("attempt")),
        )
        self._objects[key] = held
        if old is None or old.references != references:
            self._refer(key, old.references if old else (), references)
        touched = frozenset({key}) | self.dependents(key)
        if old is None or (old.outputs, _right(old)) != (outputs, _right(held)):
            touched |= self._write(key, old, held)
        return touched

    def _shared(self, key: Key, uid: str) -> tuple[Key, str]:
        """An object's key and uid: those that it or a child of it has in memory already, so that each is there once."""
        held = self._objects.get(key)
        if held is not None and held.uid == uid:
            return held.key, held.uid
        for sibling in self._children_of.get(uid):
            child = self._children[sibling]
            if child.owner is not None and child.owner == key:
                return child.owner, child.record.owner_uid or uid
        return key, uid

    def _named(
        self, resource: Resource, body: Mapping[str, Any]
    ) -> tuple[tuple[Reference, ...], tuple[str, ...]] | None:
        """The objects that a spec names, and the addresses that it writes to; None where it can't be read."""
        controller = self.controllers[resource.kind]
        try:
            item = controller.model.read_object({name: body[name] for name in ("metadata", "spec") if name in body})
        except ValueError:
            return None  # the pass over this object says what is wrong with it
        return controller.references(item), controller.outputs(item)

    def _reader(self, owner: Key | None, resource: Resource) -> Callable[[Mapping[str, Any]], Any]:
        """What the owner's controller reads of the kind; of an object of nobody's nothing is read but by another's."""
        found = self._observe.get((owner.kind, resource)) if owner is not None else None
        return found or next(observe for (_, kind), observe in self._observe.items() if kind == resource)

    def _write(self, key: Key, old: Held | None, new: Held | None) -> frozenset[Key]:
        """Note where an object writes; who else writes to an address whose first writer has changed."""
        touched: set[Key] = set()
        for uri in {*(old.outputs if old else ()), *(new.outputs if new else ())}:
            place = (key.namespace, uri)
            present = self._writers.setdefault(place, [])
            first = present[0] if present else None
            if old is not None and uri in old.outputs:
                present.remove((_right(old), key))
            if new is not None and uri in new.outputs:
                bisect.insort(present, (_right(new), key))
            if not present:
                del self._writers[place]
            elif present[0] != first:
                touched |= {other for _, other in present}
        return frozenset(touched)

    def _refer(self, key: Key, old: tuple[Reference, ...], new: tuple[Reference, ...]) -> None:
        for reference in old:
            named = Key(reference.kind, key.namespace, reference.name)
            dependents = self._dependents.setdefault(named, set())
            dependents.discard(key)
            if not dependents:
                del self._dependents[named]
        for reference in new:
            self._dependents.setdefault(Key(reference.kind, key.namespace, reference.name), set()).add(key)

    def _observe_child(self, resource: Resource, body: Mapping[str, Any]) -> frozenset[Key]:
        metadata = body["metadata"]
        uid, version, (namespace, name) = metadata["uid"], _version(body), _place(body)
        old = self._children.get(uid)
        if old is not None and old.version >= version:
            return frozenset()
        witness = resource in self._witnessed
        owner, owner_uid = _controller_key(metadata) or _labelled(metadata), _controller_uid(metadata)
        if owner is not None and owner_uid is not None:
            owner, owner_uid = self._shared(owner, owner_uid)
        record = ChildRecord(
            resource=resource,
            name=name,
            uid=uid,
            owner_uid=owner_uid,
            digest=covers.applied_digest(body),
            deleting=bool(metadata.get("deletionTimestamp")) or (old is not None and old.record.deleting),
            created=moment(metadata.get("creationTimestamp")) or datetime.fromtimestamp(0, UTC),
            seen=self._reader(owner, resource)(body),
        )
        fields = {} if witness else covers.owned_fields(body)
        child = HeldChild(namespace, version, owner, self._fieldset(fields), record)
        # What had this name before, or this child as it was before, is not any more.
        before = self._names.get((resource, namespace, name), uid)
        touched: frozenset[Key] = frozenset()
        for past in {before, uid} & self._children.keys():
            touched |= self._forget(resource, past, Key(resource.kind, namespace, name))
        self._children[uid] = child
        self._names[resource, namespace, name] = uid
        if witness:
            if owner is not None:
                self._witnesses_of.add(owner, uid)
            return frozenset() if old is not None and old.record == record else touched | _one(owner)
        if owner_uid is not None:
            self._children_of.add(owner_uid, uid)
        elif child.owner is not None:
            self._orphans_of.add(child.owner, uid)
        return touched | _one(child.owner)

    def _observe_pod(self, body: Mapping[str, Any]) -> frozenset[Key]:
        metadata = body["metadata"]
        uid, version, old = (metadata["uid"], _version(body), self._pods.get(metadata["uid"]))
        if old is not None and old.version >= version:
            return frozenset()
        owner, record = _labelled(metadata), pod_record(body)
        self._pods[uid] = HeldPod(
            metadata["namespace"],
            version,
            owner,
            moment(metadata.get("creationTimestamp")),
            record,
            _ray_cluster(metadata),
        )
        if owner is not None:
            self._pods_of.add(owner, uid)
        return frozenset() if old is not None and old.record == record else _one(owner)

    def _forget(self, resource: Resource, uid: str, key: Key) -> frozenset[Key]:
        if resource == PODS:
            pod = self._pods.pop(uid, None)
            if pod is None or pod.owner is None:
                return frozenset()
            self._pods_of.discard(pod.owner, uid)
            return frozenset({pod.owner})
        if resource.group == GROUP and resource.kind in self.controllers:
            held = self._objects.get(key)
            if held is None or held.uid != uid:
                return frozenset()
            del self._objects[key]
            self._refer(key, held.references, ())
            return frozenset({key}) | self.dependents(key) | self._write(key, held, None)
        child = self._children.pop(uid, None)
        if child is None:
            return frozenset()
        place = (resource, child.namespace, child.record.name)
        if self._names.get(place) == uid:
            del self._names[place]
        if child.record.owner_uid is not None:
            self._children_of.discard(child.record.owner_uid, uid)
        if child.owner is not None:
            self._orphans_of.discard(child.owner, uid)
            self._witnesses_of.discard(child.owner, uid)
        return _one(child.owner)

    def _fieldset(self, fields: Mapping[str, Any]) -> Fieldset:
        text = covers.canonical(fields)
        found = self._fieldsets.get(text)
        if found is None:
            found = self._fieldsets[text] = Fieldset(text)
        return found


def _place(body: Mapping[str, Any]) -> tuple[str, str]:
    return sys.intern(body["metadata"].get("namespace") or ""), body["metadata"]["name"]


def _version(body: Mapping[str, Any]) -> int:
    """The resourceVersion as a number: versions of one kind can be compared (KEP-5504)."""
    return int(body["metadata"]["resourceVersion"])


def _controller_uid(metadata: Mapping[str, Any]) -> str | None:
    return next((owner["uid"] for owner in metadata.get("ownerReferences") or () if owner.get("controller")), None)


def _ray_cluster(metadata: Mapping[str, Any]) -> str:
    owners = (owner for owner in metadata.get("ownerReferences") or () if owner.get("controller"))
    return next((owner["name"] for owner in owners if owner.get("kind") == "RayCluster"), "")


def _controller_key(metadata: Mapping[str, Any]) -> Key | None:
    """The object of ours that controls this one, in the same namespace."""
    for owner in metadata.get("ownerReferences") or ():
        if owner.get("controller") and str(owner.get("apiVersion")).startswith(f"{GROUP}/"):
            return _key(owner["kind"], metadata, owner["name"])
    return None


def _key(kind: str, metadata: Mapping[str, Any], name: str) -> Key:
    return Key(sys.intern(kind), sys.intern(metadata.get("namespace") or ""), name)


def _labelled(metadata: Mapping[str, Any]) -> Key | None:
    labels = metadata.get("labels") or {}
    if labels.get(KIND) and labels.get(NAME):
        return _key(labels[KIND], metadata, labels[NAME])
    return None


Right = tuple[bool, datetime, str]


def _right(held: Held) -> Right:
    """Of two objects that write to one address the smaller one may: who has started, then who is older."""
    return not held.started, held.created or datetime.fromtimestamp(0, UTC), held.uid


def _one(key: Key | None) -> frozenset[Key]:
    return frozenset() if key is None else frozenset({key})
