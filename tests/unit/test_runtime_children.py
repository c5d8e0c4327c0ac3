"""Which children are made when another is refused, on a client that keeps what is applied."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import pytest

from tests.objects import model_deployment
from tradewind.core import covers
from tradewind.core.plan import Child, Plan, Resource
from tradewind.kube.client import Client
from tradewind.kube.errors import Rejected
from tradewind.kube.kinds import Kinds
from tradewind.runtime import children
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
        self.bodies: dict[str, dict[str, Any]] = {}
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
        self.bodies[resource.kind] = {**manifest, "metadata": dict(manifest["metadata"]) | metadata}
        return self.bodies[resource.kind]


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

    def taken(self, child: Child) -> None:
        """Somebody else sets a field of a child that was applied."""
        manifest = self.client.bodies[child.resource.kind]
        self.client.version += 1
        metadata = {**manifest["metadata"], "resourceVersion": str(self.client.version), "managedFields": []}
        self.store.observe(child.resource, {**manifest, "metadata": metadata})

    async def execute(self, *planned: Child) -> list[str]:
        """Carry a plan out until nothing changes; the kinds that were applied."""
        self.client.applied.clear()
        while await self.children.execute(self.held, Plan(children=planned)):
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


async def test_a_field_that_somebody_took_is_applied_again_each_time() -> None:
    bench = Bench()
    assert await bench.execute(FIRST) == ["Service"]
    assert await bench.execute(FIRST) == []
    for _ in range(2):
        bench.taken(FIRST)
        assert await bench.execute(FIRST) == ["Service"]
        assert await bench.execute(FIRST) == []


async def test_what_was_compared_is_not_compared_at_every_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[str] = []
    compare = covers.unowned

    def noted(fields: Mapping[str, Any], body: Any) -> str | None:
        compared.append(str(body))
        return compare(fields, body)

    monkeypatch.setattr(covers, "unowned", noted)
    monkeypatch.setattr(children, "REMEMBERED", 2)
    bench = Bench()
    await bench.execute(FIRST, SECOND)
    for _ in range(3):
        await bench.execute(FIRST, SECOND)
    assert len(compared) == 2
    await bench.execute(FIRST, SECOND, OTHER)  # one more than is remembered
    compared.clear()
    await bench.execute(FIRST)
    assert len(compared) == 1
