"""What programs ask and use while nothing happens."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from e2e.bench.controlplane.contestants import Contestant
from e2e.bench.controlplane.site import Site
from e2e.bench.controlplane.turn import settle_down

START_SECONDS = 60.0  # at most, until they have worked off what their start brought


async def idle(site: Site, contestants: list[Contestant], seconds: float) -> dict[str, Any]:
    """By system: requests (leases and broken-off watches among them) and CPU seconds a second, memory in MB."""
    await settle_down(contestants, START_SECONDS)
    mark, start = site.audit.mark(), time.monotonic()
    before = [contestant.cpu for contestant in contestants]
    await asyncio.sleep(seconds)
    took = time.monotonic() - start
    result = {}
    for contestant, cpu in zip(contestants, before, strict=True):
        asked = [f"{e.verb} {e.resource}" for e in site.audit.since(mark, contestant.system.user)]
        result[contestant.system.name] = {
            "seconds": took,
            "requests": len(asked),
            "of": {what: asked.count(what) for what in sorted(set(asked))},
            "cpu": (contestant.cpu - cpu) / took,
            "memory": contestant.memory,
        }
    return result
