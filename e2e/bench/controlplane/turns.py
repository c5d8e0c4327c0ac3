"""Rounds in which the systems take turns: at a steady rate, and all at once."""

from __future__ import annotations

from typing import Any

from e2e.bench.controlplane.contestants import KUBERAY, KUBERAY_RAISED, TRADEWIND, TRAINER, TRAINER_RAISED
from e2e.bench.controlplane.progress import Progress
from e2e.bench.controlplane.site import Site
from e2e.bench.controlplane.turn import turn

EACH_ROUND = (TRADEWIND, KUBERAY_RAISED, TRAINER_RAISED)
ONCE = (KUBERAY, TRAINER)  # as they come; where their own limit holds them back, more rounds say nothing more


async def turns(
    site: Site, progress: Progress, what: str, objects: int, rate: float | None, rounds: int
) -> list[dict[str, Any]]:
    """All turns, in the order in which they were taken, as `Turn.dump` gives them, with the number of the round."""
    result = []
    for number in range(rounds):
        systems = EACH_ROUND if number % 2 == 0 else EACH_ROUND[::-1]
        for system in (*systems, *(ONCE if number == 0 else ())):
            await progress.measures(f"{what}, round {number + 1} of {rounds}: {system.name}")
            result.append({"round": number, **(await turn(site, system, objects, rate)).dump()})
    return result
