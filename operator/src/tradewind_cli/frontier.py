"""The frontier of a CompressionJob as it is drawn: what each variant loses of quality, over what is minimised."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tradewind.economics.bounds import BASELINE, latency, number

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

    from tradewind.api.bounds import MeasuredQuality
    from tradewind.api.compressionjob import Variant
    from tradewind.api.modeldeployment import ChosenVariant

SERVED = "served"
CHOSEN = "●"
LETTERS = "abcdefghijklmnopqrstuvwxyzδθλξπω"  # for as many variants as a job has


@dataclass(frozen=True)
class Point:
    """A variant that was measured."""

    name: str
    x: float  # of what is minimised
    loss: float
    low: float | None  # of the 95 % interval of the loss; None where there is none, as of the baseline
    high: float | None
    verdict: str
    chosen: bool
    refused: str | None  # why it can't be served; None where it can

    @property
    def told(self) -> str:
        """In words, what became of it."""
        return SERVED if self.chosen else self.refused or self.verdict

    @property
    def interval(self) -> tuple[float, float]:
        """Both ends; the loss itself where there is no interval."""
        return (self.loss if self.low is None else self.low, self.loss if self.high is None else self.high)


@dataclass(frozen=True)
class Frontier:
    """All variants of a job, the ones with the least of what is minimised first."""

    across: str  # what is minimised, with its unit
    lost: str  # of which metric, and by which rows
    points: tuple[Point, ...]
    others: tuple[tuple[str, str], ...]  # names of those without numbers, and what became of them

    @classmethod
    def of(
        cls, variants: Sequence[Variant], minimize: str, chosen: ChosenVariant | None, currency: str = ""
    ) -> Frontier:
        """Of these rows; `chosen` says which one is served and what can't be, where a deployment chose."""
        rejected = {row.name: row.reason for row in (chosen.rejected or ())} if chosen is not None else {}
        across, xs = _across(variants, minimize, currency)
        points, others, quality = [], [], None
        for variant in variants:
            refused = None if variant.name == BASELINE or variant.verdict == "Accepted" else variant.verdict
            refused = refused or rejected.get(variant.name)
            x, measured = xs.get(variant.name), variant.quality
            if x is None or measured is None or measured.loss is None:
                others.append((variant.name, refused or "not measured"))
                continue
            quality = measured
            loss, low, high = float(measured.loss), _number(measured.loss_low), _number(measured.loss_high)
            is_chosen = chosen is not None and variant.name == chosen.name
            points.append(Point(variant.name, x, loss, low, high, variant.verdict, is_chosen, refused))
        points.sort(key=lambda point: (point.x, point.loss, point.name))
        return cls(across, _lost(quality), tuple(points), tuple(others))

    @property
    def marks(self) -> dict[Point, str]:
        """A dot for the one that is served; a letter for each other one, a small one for what can't be."""
        letters = dict(zip(self.points, LETTERS, strict=False))
        return {
            point: CHOSEN if point.chosen else letter if point.refused else letter.upper()
            for point, letter in letters.items()
        }

    @property
    def edge(self) -> tuple[Point, ...]:
        """Of those that can be served, the ones that lose less than all with less of what is minimised."""
        found: list[Point] = []
        for point in self.points:
            if point.refused is None and (not found or point.loss < found[-1].loss):
                found.append(point)
        return tuple(found)


def _across(variants: Sequence[Variant], minimize: str, currency: str) -> tuple[str, dict[str, float | None]]:
    """What is minimised in words, and by the name of a variant. A cost without prices is the time of a replica."""
    if minimize == "Size":
        return "MB of model.onnx", {v.name: v.size_bytes and v.size_bytes / 1e6 for v in variants}
    if minimize == "Latency":
        of = " of a request that comes now and then" if any(variant.replica for variant in variants) else ""
        return f"95th percentile of the latency{of}, ms", {v.name: _float(latency(v, 95)) for v in variants}
    rates = {variant.name: _number(variant.throughput_per_second) for variant in variants}
    asked = "requests" if any(variant.replica for variant in variants) else "rows"
    costs = {variant.name: _number(variant.cost_per_million) for variant in variants}
    if all(costs[name] is not None for name, rate in rates.items() if rate):
        return f"{currency} for a million {asked} at full use".lstrip(), costs
    seconds = {name: 1e6 / rate if rate else None for name, rate in rates.items()}
    return f"seconds of a replica for a million {asked}", seconds


def _lost(quality: MeasuredQuality | None) -> str:
    if quality is None:
        return "loss of quality"
    rows = f" on {quality.rows} {quality.part.lower()} rows" if quality.rows and quality.part else ""
    return f"loss of {quality.metric}{rows}, with its 95 % interval"


def _number(text: str | None) -> float | None:
    return _float(number(text))


def _float(value: Decimal | None) -> float | None:
    return None if value is None else float(value)
