"""How long requests take that come now and then: each finds its replica waiting, as most requests of users do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tradewind_workload.measure.sweep import Asks

SECONDS, FEWEST = 1.0, 10  # in which a process is asked so, and the fewest requests that are worth it
PAUSE = 0.02  # seconds on average between two requests to one replica, and besides
ROOM = 2.0  # times what the replicas take together for a request each, so that none waits for the one before


def seldom(
    ask: Asks, ports: Sequence[int], usual: Sequence[float], seed: int, patience: float
) -> dict[str, Any] | None:
    """What load.seldom gives of replicas that take so many seconds for a request without pauses.

    None where they are so slow that hardly any request would come in that time. What a pause costs a replica, which has
    to wake up and to read its weights from memory again, is little beside what such a request takes.
    """
    least = ROOM * sum(usual)
    count = int(SECONDS / (least + PAUSE))
    if count < FEWEST:
        return None
    pause = [least / len(ports), (least + 2 * PAUSE) / len(ports)]
    return ask("seldom", ports=list(ports), pause=pause, count=count, seed=seed, patience=patience)
