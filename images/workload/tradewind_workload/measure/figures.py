"""The numbers of one model: of the model alone in ONNX Runtime, or of a replica that serves it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tradewind_workload.measure.sweep import Sweep


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What decides. The speed-up is that of `speedup`, with its interval of 99 %."""

    p50_ms: float
    p95_ms: float
    p99_ms: float
    throughput: float  # a second
    peak_memory: int  # bytes of the process
    speedup: float
    low: float
    high: float

    def latency(self, percentile: int) -> float:
        """A percentile of the latency in milliseconds: 50, 95 or 99."""
        return {50: self.p50_ms, 95: self.p95_ms, 99: self.p99_ms}[percentile]


@dataclass(frozen=True, kw_only=True)
class Alone(Figures):
    """Of the model in ONNX Runtime, without HTTP; the throughput is in rows, at the best batch size."""

    best_batch: int


@dataclass(frozen=True, kw_only=True)
class Replica(Figures):
    """Of a server that answers over HTTP: latencies of requests of one row that come now and then; the throughput is in
    requests, at the highest rate that keeps the SLO, the median of several processes. The speed-up is of requests
    without pauses."""

    sweep: Sweep
    start_seconds: float  # until it is Ready
    parts: dict[str, float]  # milliseconds of these requests on average, by the part; together their mean latency
