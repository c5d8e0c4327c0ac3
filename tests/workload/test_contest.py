"""The benchmark of quality: that it can tell better from worse, and a served answer from another one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from e2e.bench.quality import asking, page, served
from e2e.bench.quality.tables import Division
from e2e.bench.quality.verdict import Judged, difference
from tradewind_workload.heads.classification import Classification
from tradewind_workload.heads.regression import Regression

ROWS = 200


def probabilities(truths: np.ndarray, right: float, seed: int) -> np.ndarray:
    """Answers of which that share is right."""
    random = np.random.default_rng(seed)
    told = np.where(random.random(len(truths)) < right, truths, 1 - truths)
    return np.stack([1 - told, told], 1).astype(np.float32)


def judged(ours: float, theirs: float) -> list[Judged]:
    found = []
    for seed in range(3):
        truths = np.random.default_rng([seed, 1]).integers(0, 2, ROWS)
        found.append(Judged(probabilities(truths, ours, seed), probabilities(truths, theirs, seed + 100), truths))
    return found


@pytest.mark.parametrize(("ours", "theirs", "word"), [(0.9, 0.7, "better"), (0.7, 0.9, "worse"), (0.8, 0.8, "equal")])
def test_a_verdict_says_which_model_is_better_and_whether_that_is_chance(ours: float, theirs: float, word: str) -> None:
    metric = Classification.of(np.array([0, 1]), 2).metric("accuracy")
    found = difference(metric, judged(ours, theirs))
    assert found.word == word
    assert found.low <= found.value <= found.high


def test_of_an_error_less_is_better() -> None:
    truths = np.linspace(0, 1, ROWS)
    near, far = (truths + np.random.default_rng(seed).normal(0, off, ROWS) for seed, off in ((1, 0.1), (2, 0.3)))
    metric = Regression.of(truths).metric("rmse")
    assert difference(metric, [Judged(near, far, truths)] * 2).word == "better"
    assert difference(metric, [Judged(far, near, truths)] * 2).word == "worse"


def test_a_seed_divides_rows_without_any_in_both_parts() -> None:
    parts = Division.of(101, 3)
    assert sorted([*parts.train, *parts.test]) == list(range(101))
    assert len(parts.test) == 20
    assert not np.array_equal(parts.test, Division.of(101, 4).test)


def test_a_label_that_was_served_otherwise_is_counted() -> None:
    expected = np.array([[0.2, 0.8], [0.6, 0.4]], np.float32)
    same = asking.Answers(("b", "a"), expected)
    assert served.compared(expected, ("a", "b"), same) == {"labels": 0, "largest": 0.0}
    other = asking.Answers(("b", "b"), np.array([[0.2, 0.8], [0.4, 0.6]]))
    assert served.compared(expected, ("a", "b"), other) == {"labels": 1, "largest": pytest.approx(0.2)}
    with pytest.raises(SystemExit, match="2 rows were asked, and 1 answered"):
        served.compared(expected, ("a", "b"), asking.Answers(("b",), expected[:1]))


def found(word: str = "equal", *, labels: int = 0, linear: str = "better") -> dict[str, Any]:
    """What the benchmark writes, of one table and one example."""

    def beside(word: str) -> dict[str, Any]:
        return {"value": 0.01, "low": -0.02, "high": 0.04, "word": word}

    table = {
        "table": "calls",
        "metric": "average_precision",
        "higher_is_better": True,
        "values": {"trees": 0.93, "mlp": 0.7, "linear": 0.4, "boosting": 0.92},
        "best": "boosting",
        "differences": {
            "trees": {"linear": beside(linear), "boosting": beside(word)},
            "mlp": {"linear": beside("better"), "boosting": beside("worse")},
        },
        "boosting_less_linear": beside("better"),
    }
    example = {
        "example": "credit",
        "architecture": "trees",
        "part": "test",
        "rows": 890,
        "missing": 90,
        "metric": "auroc",
        "value": "0.84",
        "v1": {"labels": 0, "largest": 1e-7},
        "v2": {"labels": labels, "largest": 2e-7},
    }
    runs = [{"table": "calls", "rows": 4000, "test_rows": 1000}]
    return {"at": "2026-11-26", "seeds": 5, "runs": runs, "tables": [table], "served": [example]}


def test_the_page_has_the_numbers_of_the_benchmark() -> None:
    text = page.page(found())
    assert (
        "| 5,000 | average_precision | trees 0.9300 | 0.4000 | 0.9200 | +0.0100 (-0.0200 to +0.0400) | equal "
        "| yes; ours beside linear: better |" in text
    )
    assert "| ours better by | ours is | boosting better than linear |" in text
    assert "0 better, 1 equal, 0 worse" in text
    assert "890 test rows, 90 values missing | auroc 0.84 | 0 | 0 | 2.0e-07 |" in text


def test_it_fails_where_ours_is_worse_or_served_otherwise() -> None:
    assert page.holds(found())
    assert page.holds(found("better"))
    assert not page.holds(found("worse"))
    assert not page.holds(found(labels=1))
    assert not page.holds(found(linear="equal")), "trees help there, and ours is no better than linear"
