"""What holds for a TrainingJob and a CompressionJob whatever happens to them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.property.checks import at_rest, every_pod_is_restricted, labelled, times_follow_statuses
from tests.property.jobs import Action, ended, lives, worlds
from tests.world import World
from tradewind.deployment import inferenceservice
from tradewind.ray import job

LIVES = lives()


@settings(max_examples=150, deadline=None)
@given(worlds(), LIVES)
def test_planning_again_after_executing_changes_nothing(world: World, life: list[Action]) -> None:
    world.execute()
    at_rest(world)
    for action in life:
        action(world)
        world.execute()
        at_rest(world)


@settings(max_examples=120, deadline=None)
@given(worlds(), LIVES)
def test_what_holds_at_each_step(world: World, life: list[Action]) -> None:
    spent, was_over = Decimal(0), False
    for action in [lambda w: None, *life]:
        action(world)
        before = world.status
        plan = world.execute()
        labelled(world, plan)
        every_pod_is_restricted(plan)
        times_follow_statuses(before, world.status)
        accrued = world.status.get("cost", {}).get("accrued", "0")
        if accrued != "Unknown":
            assert Decimal(accrued) >= spent, "cost went down"
            spent = Decimal(accrued)
        if was_over:
            assert ended(world), "a job that has ended came back"
            assert not plan.children, "a job that has ended makes nothing"
        was_over = ended(world)
        assert sum(child.resource.kind == "RayJob" for child in plan.children) <= 1
        assert len(plan.events) <= 1


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["status", "conditions", "rayJobInfo", "startTime", "modelStatus", "message", "dashboardURL", "type"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=120, deadline=None)
@given(st.dictionaries(st.sampled_from(["status", "spec", "metadata"]), JSON))
def test_no_body_makes_an_observer_fail(body: dict[str, Any]) -> None:
    for observe in (job.observe, inferenceservice.observe):
        assert hash(observe(body)) == hash(observe(body))
