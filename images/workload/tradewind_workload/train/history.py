"""What was measured after each epoch or round; checkpoints have it, so a training that goes on has all of it."""

from __future__ import annotations

import time
from dataclasses import astuple, dataclass
from typing import Any, Literal, Self

from tradewind_workload.report.figures import evenly, finite
from tradewind_workload.report.record import POINTS, Curve, Point


@dataclass(frozen=True)
class Lap:
    """An epoch of a network, or a round of trees."""

    number: int  # from 1
    loss: float | None  # mean over the training rows, while they were learnt from
    validation_loss: float | None  # mean over the validation rows, afterwards
    value: float | None  # the primary metric on the validation rows, afterwards
    seconds: float  # that it took

    def written(self) -> list[Any]:
        """As JSON."""
        return list(astuple(self))

    @classmethod
    def read(cls, content: list[Any]) -> Self:
        """From what `written` gave; a newer version may have more. Raises TypeError for anything else."""
        return cls(*content[:5])


class History:
    """Takes laps down as they end."""

    def __init__(self, laps: tuple[Lap, ...] = ()) -> None:
        self.laps = laps
        self._since = time.monotonic()

    def ended(
        self, number: int, loss: float | None, *, validation_loss: float | None = None, value: float | None = None
    ) -> None:
        """One more."""
        now = time.monotonic()
        self.laps += (Lap(number, loss, validation_loss, value, round(now - self._since, 3)),)
        self._since = now

    @property
    def seconds(self) -> float:
        """That all of them took."""
        return sum(lap.seconds for lap in self.laps)


def curve(
    laps: tuple[Lap, ...],
    *,
    unit: Literal["epoch", "round"],
    loss: str,
    metric: str | None = None,
    best: int | None = None,
) -> Curve | None:
    """The curve of a report; of very many laps some, the best one among them. None where there is none."""
    if not laps:
        return None
    chosen = {lap.number: lap for lap in evenly(laps, POINTS - 1)}
    chosen |= {lap.number: lap for lap in laps if lap.number == best}
    points = tuple(_point(chosen[number]) for number in sorted(chosen))
    return Curve(unit=unit, loss=loss, metric=metric, best=best, done=laps[-1].number, points=points)


def _point(lap: Lap) -> Point:
    def known(value: float | None) -> float | None:
        return None if value is None else finite(value)

    return Point(
        number=lap.number, loss=known(lap.loss), validation_loss=known(lap.validation_loss), value=known(lap.value)
    )
