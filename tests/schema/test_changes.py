"""What may be changed, changed there and back while the operator runs, leaves the children as they were."""

from __future__ import annotations

import itertools
import re
import time
from collections import Counter, defaultdict
from dataclasses import dataclass

from tests.apiserver.cluster import Cluster
from tests.apiserver.process import until
from tests.schema.leaves import SPECS, Leaf, leaves, placed
from tests.schema.verdict import Manifest, Refused, changed, created, manifest
from tests.schema.worlds import accepted, any_attempt, change, children, rest, specs, world
from tradewind.core.covers import applied_digest, canonical
from tradewind.core.labels import KIND, NAME

CHILDREN = ("RayJob", "NetworkPolicy", "Service", "InferenceService", "PrometheusRule")
LEAVES = [leaf for kind in SPECS for leaf in leaves(kind) if kind == "ModelDeployment" or leaf.path[0] == "runPolicy"]


@dataclass(frozen=True)
class Change:
    """A leaf of an object, and the specs before and after."""

    leaf: Leaf
    name: str
    one: Manifest
    other: Manifest
    visible: bool  # in a child


def _change(cluster: Cluster, leaf: Leaf, name: str) -> Change:
    """A change that the API server takes, best one that changes a child."""
    possible = []
    for spec in specs(leaf.kind):
        made = [placed(spec, leaf, value) for value in leaf.values]
        for one, other in itertools.permutations(made, 2):
            this = world(leaf.kind, one)
            rest(this)
            if accepted(this):
                before = children(this)
                change(this, other)
                possible.append(Change(leaf, name, one, other, children(this) != before))
    for found in sorted(possible, key=lambda found: not found.visible):
        answers = [created(cluster, manifest(leaf.kind, name, spec), dry_run=True) for spec in (found.one, found.other)]
        if not any(isinstance(answer, Refused) for answer in answers):
            return found
    raise AssertionError(f"no two good objects that differ in {leaf}: add an example to tests/crds/objects.py")


def _set(cluster: Cluster, namespace: str, about: Change, spec: Manifest) -> None:
    answer = changed(cluster, about.leaf.kind, about.name, namespace, spec)
    assert not isinstance(answer, Refused), answer


def _settled(cluster: Cluster, namespace: str) -> bool:
    """Whether every status speaks of the present spec."""
    return all(
        item.get("status", {}).get("observedGeneration") == item["metadata"]["generation"]
        for kind in SPECS
        for item in cluster.list(kind, namespace)
    )


@dataclass(frozen=True)
class Children:
    """The children of an object: their contents, in which attempts count as the same, and their digests."""

    contents: dict[str, str]
    digests: dict[str, str]

    def same(self, other: Children) -> bool:
        """Whether these are those; a further attempt has a digest of its own."""
        common = self.digests.keys() & other.digests.keys()
        return self.contents == other.contents and all(self.digests[c] == other.digests[c] for c in common)


def _children(cluster: Cluster, namespace: str) -> dict[str, Children]:
    """The children of each object."""
    found: defaultdict[str, Children] = defaultdict(lambda: Children({}, {}))
    for kind in CHILDREN:
        for child in cluster.list(kind, namespace):
            metadata, name = child["metadata"], f"{kind} {child['metadata']['name']}"
            if KIND not in metadata["labels"]:
                continue  # of the whole namespace
            of = found[f"{metadata['labels'][KIND]} {metadata['labels'][NAME]}"]
            of.contents[any_attempt(name)] = any_attempt(canonical([metadata["labels"], child["spec"]]))
            of.digests[name] = applied_digest(child)
    return found


def test_there_and_back_the_children_are_the_same(cluster: Cluster, workplace: str) -> None:
    changes = [_change(cluster, leaf, f"object-{number}") for number, leaf in enumerate(LEAVES)]
    for each in changes:
        made = created(cluster, manifest(each.leaf.kind, each.name, each.one), workplace)
        assert not isinstance(made, Refused), made
    until(lambda: _settled(cluster, workplace), "not every object has a status")
    cluster.quiet()
    before, since = _children(cluster, workplace), time.time()
    for each in changes:
        _set(cluster, workplace, each, each.other)
    until(lambda: _settled(cluster, workplace), "not every object was changed")
    cluster.quiet()
    between = _children(cluster, workplace)
    for each in changes:
        _set(cluster, workplace, each, each.one)
    until(lambda: _settled(cluster, workplace), "not every object was changed back")
    cluster.quiet()
    after = _children(cluster, workplace)
    written = Counter(request for request in cluster.written(since, workplace) if not request[1].endswith("/status"))
    for each in changes:
        key = f"{each.leaf.kind} {each.name}"
        assert after[key].same(before[key]), f"{each}: {before[key]} became {after[key]}"
        if not each.visible:
            assert between[key] == before[key], f"{each}: {before[key]} became {between[key]}"
            assert not _about(written, each), f"{each} wrote {_about(written, each)}"
    assert max(written.values()) <= 2, f"more than one write for a change: {written}"


def _about(written: Counter[tuple[str, str, str]], each: Change) -> list[tuple[str, str, str]]:
    """The writes of the object's children."""
    return [request for request in written if re.fullmatch(rf"{each.name}(-.*)?", request[2])]
