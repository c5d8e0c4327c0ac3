"""The page of a compression says what its table says."""

from __future__ import annotations

import pytest

from tests.workload.jobs import small_compression
from tradewind.api.compressionjob import CompressionJobSpec, CompressionResult
from tradewind.api.report import JobDocument
from tradewind_workload.measure.page import Part, page


def row(name: str, verdict: str) -> dict[str, object]:
    """A variant that was measured, twice as fast as the baseline."""
    return {
        "name": name,
        "methods": "none",
        "verdict": verdict,
        "reason": "It was measured.",
        "quality": {"metric": "accuracy", "value": "0.9"},
        "latencies": [{"percentile": 50, "milliseconds": "0.5"}],
        "sizeBytes": 1000,
        "speedup": {"value": "2", "low": "1.9", "high": "2.1"},
    }


@pytest.mark.parametrize(
    ("verdicts", "said"),
    [
        (("Accepted", "NotFaster", "NotFaster"), "1 of 3 candidates was accepted."),
        (("Accepted", "Accepted", "Failed"), "2 of 3 candidates were accepted."),
        (("Accepted",), "1 of 1 candidate was accepted."),
        (("NotFaster",), "No variant is worth more than the baseline."),
    ],
)
def test_the_baseline_is_no_candidate_though_its_row_is_accepted(verdicts: tuple[str, ...], said: str) -> None:
    document = small_compression("sha256:" + "0" * 64)
    rows = [row("baseline", "Accepted"), *(row(f"c{i}", verdict) for i, verdict in enumerate(verdicts))]
    spec = CompressionJobSpec.model_validate(document["spec"])
    made = page(
        JobDocument.model_validate(document),
        spec,
        CompressionResult.model_validate({"variants": rows}),
        Part("test", 9, True),
    )
    assert f"<p>{said}" in made
    assert "latency of the model alone, without HTTP" in made
