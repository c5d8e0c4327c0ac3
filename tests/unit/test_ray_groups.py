"""CPU limits: only where the user asks for one, and then of the head too."""

from __future__ import annotations

import pytest

from tests.world import surroundings
from tradewind.ray.groups import Group

POOL = surroundings().config.pools[0]


def test_without_a_wish_there_is_no_cpu_limit() -> None:
    head, workers = Group("head", 1, POOL, "200m", "2Gi"), Group("worker", 2, POOL, "1", "2Gi")
    assert workers.resources()["limits"] == {"memory": "2Gi"}
    assert head.beside(workers).resources() == head.resources()


@pytest.mark.parametrize(
    ("head", "workers", "limit"),
    [
        ("200m", "1500m", "1500m"),
        ("200m", "96", "2"),
        ("200m", "100m", "200m"),
        ("4", "8", "4"),
        ("200m", "0.5", "500m"),
    ],
)
def test_the_head_has_a_limit_beside_workers_with_one(head: str, workers: str, limit: str) -> None:
    group = Group("worker", 2, POOL, "100m", "2Gi", cpu_limit=workers)
    assert group.resources()["limits"]["cpu"] == {"0.5": "500m"}.get(workers, workers)
    beside = Group("head", 1, POOL, head, "2Gi").beside(group).resources()
    assert (beside["limits"]["cpu"], beside["requests"]["cpu"]) == (limit, head)
