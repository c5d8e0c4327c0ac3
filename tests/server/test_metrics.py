"""Histograms of our own say what those of prometheus_client say."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client import Histogram as Theirs

from tradewind_server.metrics import Histogram

BUCKETS = (0.0005, 0.25, 1.0, 10.0)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.one_of(st.sampled_from(BUCKETS), st.floats(0, 100)))))
def test_they_count_alike(values: list[tuple[str, float]]) -> None:
    registries = CollectorRegistry(), CollectorRegistry()
    ours = Histogram("asked_seconds", "How long.", ("part",), BUCKETS, registries[0])
    theirs = Theirs("asked_seconds", "How long.", ("part",), buckets=BUCKETS, registry=registries[1])
    for part, value in values:
        ours.labels(part).observe(value)
        theirs.labels(part).observe(value)
    one, other = ({*generate_latest(registry).decode().splitlines()} for registry in registries)
    assert one == {line for line in other if "_created" not in line}
