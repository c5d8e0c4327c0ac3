"""The page of a compression says what its table says."""

from __future__ import annotations

import pytest

from tests.workload.jobs import small_compression
from tradewind.api.compressionjob import CompressionJobSpec, CompressionResult
from tradewind.api.report import JobDocument
from tradewind_workload.measure.page import Bounded, Part, page
from tradewind_workload.measure.sweep import Point, Slo, Sweep

BOUNDED = Bounded(Part("Validation", 9), Part("Test", 12), more_is_better=True, most=0.01, least=0.25)
LOSS = {"metric": "accuracy", "value": "0.9", "loss": "0.0125", "lossLow": "-0.01", "lossHigh": "0.0375"}


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
        BOUNDED,
        {},
    )
    assert f"<p>{said}" in made
    assert "latency of the model alone, without HTTP" in made
    assert "What a replica bears" not in made and "without HTTP, since no replica could be measured" in made


def test_what_replicas_bear_is_shown() -> None:
    document = small_compression("sha256:" + "0" * 64)
    parts = [{"part": part, "milliseconds": "0.1"} for part in ("parse", "model", "http")]
    replica = {"within": {"percentile": 95, "milliseconds": "2.5"}, "startSeconds": "1.2", "parts": parts}
    runtime = {"latencies": [{"percentile": 50, "milliseconds": "0.01"}], "throughputPerSecond": "250000"}
    more = {"replica": replica, "runtime": runtime, "throughputPerSecond": "1500"}
    ends = {"throughputInterval": {"low": "1200", "high": "1600"}}
    rows = [row("baseline", "Accepted") | more, row("int8", "Accepted") | more | ends]
    tried = (Point(700, 0.6, True), Point(1500, 2.4, True), Point(1500, 2.6, False), Point(1900, None, False))
    found = {name: Sweep(1600, Slo(95, 2.5), 2000, tried, (1200, 1500)) for name in ("baseline", "int8")}
    made = page(
        JobDocument.model_validate(document),
        CompressionJobSpec.model_validate(document["spec"]),
        CompressionResult.model_validate({"variants": rows}),
        BOUNDED,
        found,
    )
    assert "<th>requests/s</th>" in made and made.count("<svg") == 3
    assert "median latency of a request that comes now and then, ms" in made
    assert "95th percentile of the latency, ms" in made
    assert "<td>2.5 ms (95 %)</td><td>0.5</td><td>1.2</td><td>0.01</td><td>250000</td>" in made
    assert "asked over HTTP" in made and "int8: 1500 a second (1200 to 1600)" in made
    assert "<td>1500</td>" in made, "of a job of an earlier version"
    assert made.count("<td>1500\n(1200 to 1600)</td>") == 2
    assert "<th>speed without pauses</th>" in made


def test_losses_are_shown_with_their_intervals() -> None:
    document = small_compression("sha256:" + "0" * 64)
    judged = {"judgedQuality": LOSS | {"loss": "0.0025", "lossLow": "-0.02", "lossHigh": "0.025"}, "quality": LOSS}
    rows = [row("baseline", "Accepted"), row("int8", "Inconclusive") | judged]

    def made(bounded: Bounded, *found: dict[str, object]) -> str:
        return page(
            JobDocument.model_validate(document),
            CompressionJobSpec.model_validate(document["spec"]),
            CompressionResult.model_validate({"variants": found}),
            bounded,
            {},
        )

    whole = made(BOUNDED, *rows)
    assert "<h2>What is lost of accuracy</h2>" in whole and whole.count("<svg") == 2
    assert "loss of accuracy" in whole and ">Inconclusive<" in whole
    assert "<td>0.0125\n(-0.01 to 0.0375)</td><td>0.0025\n(-0.02 to 0.025)</td>" in whole
    assert "○ are the 12 test rows, by which nothing was chosen." in whole
    assert "what so few rows leave open even where none differs (up to 0.25)" in whole
    same = Bounded(Part("Validation", 900), Part("Validation", 900), more_is_better=True, most=0.01, least=0.004)
    alone = made(same, *rows)
    assert "○" not in alone and "since there is no test part" in alone and "leave open" not in alone
    assert made(BOUNDED, rows[0]).count("<svg") == 1, "nothing to show of the baseline alone"
