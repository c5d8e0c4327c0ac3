"""What was seen of a model's replicas so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from tradewind_workload.measure.figures import Replica

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tradewind_workload.measure.sweep import Sweep

BEYOND = "http"  # the part of a request that the server does not see: the network, and what reads and writes HTTP


@dataclass(frozen=True)
class Served:
    """A model in the store."""

    folder: Path
    digest: str | None


@dataclass
class Asked:
    """Requests that were asked in one way, and where their time went."""

    times: list[np.ndarray] = field(default_factory=list)  # nanoseconds, int64, of a process
    means: list[float] = field(default_factory=list)  # nanoseconds, of a process
    parts: dict[str, list[float]] = field(default_factory=dict)  # seconds, and of how many requests

    def add(
        self, times: Sequence[int] | Sequence[Sequence[int]], mean: float, parts: Mapping[str, Sequence[float]]
    ) -> None:
        """What one process was asked."""
        self.times.append(np.array(times, np.int64))
        self.means.append(mean)
        for part, (seconds, count) in parts.items():
            total = self.parts.setdefault(part, [0.0, 0.0])
            total[0] += seconds
            total[1] += count

    def latency(self, percentile: int) -> float:
        """Milliseconds."""
        return float(np.percentile(np.concatenate([times.ravel() for times in self.times]), percentile)) * 1e-6

    def mean_parts(self) -> dict[str, float]:
        """Milliseconds by part, which are together the mean latency."""
        found = {part: seconds / count * 1e3 for part, (seconds, count) in self.parts.items() if count}
        return found | {BEYOND: max(0.0, float(np.mean(self.means)) * 1e-6 - sum(found.values()))}


@dataclass
class Seen:
    """A model, and what was seen of its processes."""

    served: Served
    at_once: Asked = field(default_factory=Asked)  # without pauses; times are [turns, requests of a turn]
    seldom: Asked = field(default_factory=Asked)  # now and then; nothing where it is too slow for that
    starts: list[float] = field(default_factory=list)  # seconds
    peak: int = 0  # bytes
    sweep: Sweep | None = None
    compared: bool = False  # with what was judged

    @property
    def asked(self) -> Asked:
        """The requests whose latency is told."""
        return self.seldom if self.seldom.times else self.at_once

    def figures(self, ratio: tuple[float, float, float]) -> Replica:
        """All of it."""
        assert self.sweep is not None
        value, low, high = ratio
        return Replica(
            p50_ms=self.asked.latency(50),
            p95_ms=self.asked.latency(95),
            p99_ms=self.asked.latency(99),
            throughput=self.sweep.median,
            peak_memory=self.peak,
            speedup=value,
            low=low,
            high=high,
            sweep=self.sweep,
            start_seconds=float(np.median(self.starts)),
            parts=self.asked.mean_parts(),
        )
