"""CPU limits: only where the user asks for one."""

from __future__ import annotations

import pytest

from tests.world import surroundings
from tradewind.ray.groups import Group

POOL = surroundings().config.pools[0]


@pytest.mark.parametrize(("asked", "limits"), [(None, {}), ("1500m", {"cpu": "1500m"}), ("0.5", {"cpu": "500m"})])
def test_a_cpu_limit_is_set_where_it_is_asked_for(asked: str | None, limits: dict[str, str]) -> None:
    resources = Group("worker", 2, POOL, "100m", "2Gi", cpu_limit=asked).resources()
    assert resources["limits"] == {"memory": "2Gi"} | limits
    assert resources["requests"]["cpu"] == "100m"
