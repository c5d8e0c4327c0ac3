"""What is measured. Labels have few values: the one model's name (or `unknown`), the protocol, and HTTP codes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import prometheus_client
from prometheus_client import Counter, Gauge, Histogram

prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]

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
WAITING = Gauge("tradewind_requests_waiting", "Requests that wait for the model or run in it.")
MODEL_INFO = Gauge("tradewind_model_info", "1 for the model that is served.", ("model", "digest", "task", "provider"))
MODEL_TRIED = Gauge(
    "tradewind_model_tried", "1 if the model has answered samples or zeros before any client, else 0.", ("model", "by")
)

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


def describe(model: str, digest: str, task: str, provider: str, tried: str) -> None:
    """Says which model is served, and what it answered before it was: samples, zeros or nothing."""
    MODEL_INFO.labels(model, digest, task, provider).set(1)
    MODEL_TRIED.labels(model, tried).set(tried != "nothing")


def text() -> bytes:
    """All metrics, in Prometheus' text format."""
    return prometheus_client.generate_latest()
