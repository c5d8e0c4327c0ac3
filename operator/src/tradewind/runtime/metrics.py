"""What the operator tells Prometheus about itself."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.process_collector import ProcessCollector

from tradewind.runtime.store import Key


class Metrics:
    """All metrics, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._reconcile = Histogram(
            "tradewind_reconcile_seconds",
            "Duration of a pass over an object.",
            ["kind", "result"],  # Unchanged, Changed, Retried, Failed
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5),
            registry=self.registry,
        )
        self._requests = Counter(
            "tradewind_api_requests",
            "Requests to the API server; code 0 is one without an answer.",
            ["verb", "resource", "code"],
            registry=self.registry,
        )
        self._objects = Gauge(
            "tradewind_objects", "Objects by kind and phase.", ["kind", "phase"], registry=self.registry
        )
        self._reports = Counter(
            "tradewind_reports",
            "Reports of programs, by the HTTP code that they got.",
            ["code"],
            registry=self.registry,
        )
        self._reloads = Counter(
            "tradewind_config_reloads", "Readings of a changed configuration file.", ["result"], registry=self.registry
        )
        self.active = Gauge("tradewind_active", "1 on the replica that holds the lease.", registry=self.registry)
        self._phases: dict[Key, str] = {}

    def watch_queue(self, depth: Callable[[], float], age: Callable[[], float]) -> None:
        """Show how many keys wait, and for how long the oldest does."""
        Gauge("tradewind_queue_depth", "Keys that wait for a worker.", registry=self.registry).set_function(depth)
        Gauge("tradewind_queue_age_seconds", "How long the oldest of them waits.", registry=self.registry).set_function(
            age
        )

    def request(self, verb: str, resource: str, code: int) -> None:
        """Count a request to the API server."""
        self._requests.labels(verb, resource, code).inc()

    def reconciled(self, kind: str, result: str, seconds: float) -> None:
        """Count a pass."""
        self._reconcile.labels(kind, result).observe(seconds)

    def report(self, code: int) -> None:
        """Count an answer to a report."""
        self._reports.labels(code).inc()

    def reloaded(self, good: bool) -> None:
        """Count a reading of the configuration."""
        self._reloads.labels("Accepted" if good else "Refused").inc()

    def phase(self, key: Key, phase: str | None) -> None:
        """Note the phase of an object; None when it is gone."""
        old = self._phases.pop(key, None)
        if old is not None:
            self._objects.labels(key.kind, old).dec()
        if phase is not None:
            self._phases[key] = phase
            self._objects.labels(key.kind, phase).inc()

    def text(self) -> bytes:
        """The metrics in Prometheus' text format."""
        return generate_latest(self.registry)
