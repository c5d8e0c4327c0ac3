"""What is measured. Labels have few values: the one model's name (or `unknown`), the protocol, and HTTP codes."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate

import prometheus_client
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]


class Observed:
    """How many values were in each bucket, and their sum."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0
        self._lock = threading.Lock()

    def observe(self, value: float) -> None:
        """Adds a value."""
        at = bisect_left(self._bounds, value)
        with self._lock:
            self._counts[at] += 1
            self._sum += value

    def seen(self) -> tuple[list[int], float]:
        """How many values are at most as large as each bound, and all of them; and their sum."""
        with self._lock:
            return list(accumulate(self._counts)), self._sum


class Histogram(Collector):
    """A histogram as prometheus_client has it, whose `observe` takes a tenth of the time: a request has nine."""

    def __init__(
        self,
        name: str,
        documentation: str,
        names: Sequence[str],
        buckets: Sequence[float],
        registry: CollectorRegistry = REGISTRY,
    ) -> None:
        self._name, self._documentation, self._names, self._bounds = name, documentation, names, tuple(buckets)
        self._children: dict[tuple[str, ...], Observed] = {}
        registry.register(self)

    def labels(self, *values: str) -> Observed:
        """The values with these labels."""
        found = self._children.get(values)
        return found if found is not None else self._children.setdefault(values, Observed(self._bounds))

    def collect(self) -> Iterable[HistogramMetricFamily]:
        """All of them, for prometheus_client."""
        family = HistogramMetricFamily(self._name, self._documentation, labels=self._names)
        bounds = [*map(floatToGoString, self._bounds), "+Inf"]
        for values, child in list(self._children.items()):
            counts, total = child.seen()
            family.add_metric(values, list(zip(bounds, map(float, counts), strict=True)), total)
        yield family


_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

REQUESTS = Counter("tradewind_request", "Predictions that were asked for.", ("model", "protocol", "code"))
REQUEST_SECONDS = Histogram(
    "tradewind_request_seconds",
    "From the request's headers to its last byte handed to the network.",
    ("model", "protocol"),
    buckets=_SECONDS,
)
INFERENCE_SECONDS = Histogram("tradewind_inference_seconds", "The model alone.", ("model",), buckets=_SECONDS)
PART_SECONDS = Histogram(
    "tradewind_request_part_seconds",
    "Where the time of an answered request goes: read (its body), parse (to values), queue (for a thread), process"
    " (texts and pictures to tensors), model, answer (written as JSON), compress (where its client asked for it).",
    ("model", "part"),
    buckets=_SECONDS,
)
BATCH_ROWS = Histogram(
    "tradewind_batch_rows",
    "Rows that the model was asked together, of one request or of several.",
    ("model",),
    buckets=tuple(2.0**power for power in range(13)),
)
_WAITING = Gauge("tradewind_requests_waiting", "Requests that wait for the model or run in it.")
MODEL_INFO = Gauge("tradewind_model_info", "1 for the model that is served.", ("model", "digest", "task", "provider"))
MODEL_TRIED = Gauge(
    "tradewind_model_tried", "1 if the model has answered samples or zeros before any client, else 0.", ("model", "by")
)

_requests: dict[tuple[str, ...], Counter] = {}  # to look for one takes as long as to count

UNKNOWN = "unknown"
PARTS = ("read", "parse", "queue", "process", "model", "answer", "compress")


class Parts:
    """The times of the parts of one model's requests."""

    def __init__(self, model: str) -> None:
        self._parts = {part: PART_SECONDS.labels(model, part) for part in PARTS}

    def add(self, part: str, seconds: float) -> None:
        """A part of a request took so long."""
        self._parts[part].observe(seconds)

    @contextmanager
    def timed(self, part: str) -> Iterator[None]:
        """Adds what the block takes, if it ends well."""
        started = time.perf_counter()
        yield
        self.add(part, time.perf_counter() - started)


def answered(model: str, protocol: str, code: str, seconds: float) -> None:
    """A prediction was answered, or refused, with that code."""
    labels = (model, protocol, code)
    if labels not in _requests:
        _requests[labels] = REQUESTS.labels(*labels)
    _requests[labels].inc()
    REQUEST_SECONDS.labels(model, protocol).observe(seconds)


def waiting(count: Callable[[], float]) -> None:
    """Says how many requests wait for the model or run in it, whenever it is asked."""
    _WAITING.set_function(count)


def describe(model: str, digest: str, task: str, provider: str, tried: str) -> None:
    """Says which model is served, and what it answered before it was: samples, zeros or nothing."""
    MODEL_INFO.labels(model, digest, task, provider).set(1)
    MODEL_TRIED.labels(model, tried).set(tried != "nothing")


def text() -> bytes:
    """All metrics, in Prometheus' text format."""
    return prometheus_client.generate_latest()
