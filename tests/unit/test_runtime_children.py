"""Which children are made when another is refused, on a client that keeps what is applied."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import pytest

from tests.objects import model_deployment
from tradewind.core.plan import Child, Plan, Resource
from tradewind.kube.client import Client
from tradewind.kube.errors import Rejected
from tradewind.kube.kinds import Kinds
from tradewind.runtime.children import FIRST_RETRY, Children, in_order
from tradewind.runtime.controllers import CONTROLLERS
from tradewind.runtime.store import Held, Key, Store

OWNER = next(c.resource for c in CONTROLLERS if c.resource.kind == "ModelDeployment")
SERVICE = Resource("", "v1", "Service", "services")
INFERENCE = Resource("serving.kserve.io", "v1beta1", "InferenceService", "inferenceservices")
RULE = Resource("monitoring.coreos.com", "v1", "PrometheusRule", "prometheusrules")
FIRST = Child(SERVICE, "digits", {"spec": {"type": "ClusterIP"}})
SECOND = Child(INFERENCE, "digits-1", {"spec": {"predictor": {}}}, after=(("Service", "digits"),))
OTHER = Child(RULE, "digits", {"spec": {"groups": []}})


class Recorder:
    """Accepts what it is not told to refuse."""

    def __init__(self) -> None:
        self.applied: list[str] = []
        self.refused: set[str] = set()
        self.version = 10

    async def apply(
        self, resource: Resource, namespace: str, manifest: Mapping[str, Any], *, force: bool
    ) -> dict[str, Any]:
        """Keep it with a new version."""
        if resource.kind in self.refused:
            raise Rejected("a webhook says no")
        self.applied.append(resource.kind)
        self.version += 1
        entry = {"manager": "tradewind", "operation": "Apply", "fieldsV1": {"f:spec": {}}}
        metadata = {"uid": f"uid-of-{resource.kind}", "resourceVersion": str(self.version), "managedFields": [entry]}
        return {**manifest, "metadata": dict(manifest["metadata"]) | metadata}


class Bench:
    """The executor, and what it works with."""

    def __init__(self) -> None:
        self.client, self.time, self.store = Recorder(), 0.0, Store(CONTROLLERS)
        manifest = model_deployment()
        manifest["metadata"]["resourceVersion"] = "5"
        self.store.observe(OWNER, manifest)
        kinds = Kinds((SERVICE, INFERENCE, RULE), lambda changed: None)
        kinds.served = frozenset({SERVICE, INFERENCE, RULE})
        self.children = Children(self.store, cast("Client", self.client), kinds, lambda: self.time)

    @property
    def held(self) -> Held:
        """The owner."""
        found = self.store.get(Key("ModelDeployment", "digits", "digits"))
        assert found is not None
        return found

    async def execute(self, *children: Child) -> list[str]:
        """Carry a plan out until nothing changes; the kinds that were applied."""
        self.client.applied.clear()
        while await self.children.execute(self.held, Plan(children=children)):
            pass
        return list(self.client.applied)


async def test_children_are_made_after_those_that_they_come_after() -> None:
    assert in_order((SECOND, OTHER, FIRST)) == [OTHER, FIRST, SECOND]
    assert await Bench().execute(SECOND, OTHER, FIRST) == ["PrometheusRule", "Service", "InferenceService"]


async def test_what_comes_after_a_refused_child_waits_and_nothing_else_does() -> None:
    bench = Bench()
    bench.client.refused = {"Service"}
    assert await bench.execute(FIRST, SECOND, OTHER) == ["PrometheusRule"]
    assert [one.name for one in bench.children.rejections(bench.held.key)] == ["digits"]
    bench.client.refused, bench.time = set(), FIRST_RETRY
    assert await bench.execute(FIRST, SECOND, OTHER) == ["Service", "InferenceService"]
    assert bench.children.rejections(bench.held.key) == ()


async def test_what_comes_after_a_child_that_is_not_planned_waits() -> None:
    assert await Bench().execute(SECOND, OTHER) == ["PrometheusRule"]


async def test_a_refused_change_that_is_taken_back_holds_up_nothing() -> None:
    bench = Bench()
    await bench.execute(FIRST)
    bench.client.refused = {"Service"}
    changed = Child(SERVICE, "digits", {"spec": {"type": "NodePort"}})
    assert await bench.execute(changed, SECOND) == []
    assert await bench.execute(FIRST, SECOND) == ["InferenceService"]
    assert bench.children.rejections(bench.held.key) == ()


def test_a_circle_is_a_mistake_of_ours() -> None:
    circle = Child(SERVICE, "digits", {}, after=(("InferenceService", "digits-1"),))
    with pytest.raises(ValueError, match="wait for one another"):
        in_order((circle, SECOND))
