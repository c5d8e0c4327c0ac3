"""The demo fails when anything of what it promises is missing."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from e2e.demo import digits

COST = {"accrued": "0.01", "currency": "USD"}
OBJECTS: dict[str, Any] = {
    "TrainingJob": {"status": {"model": {"digest": "sha256:" + "0" * 64}, "cost": {**COST}}},
    "CompressionJob": {
        "status": {
            "cost": {**COST},
            "variants": [
                {
                    "name": "baseline",
                    "verdict": "Accepted",
                    "pareto": True,
                    "quality": {"metric": "accuracy", "value": "0.98"},
                    "latencies": [
                        {"percentile": 50, "milliseconds": "0.018"},
                        {"percentile": 95, "milliseconds": "0.031"},
                    ],
                    "sizeBytes": 213572,
                },
                {"name": "half", "verdict": "Failed"},
            ],
        }
    },
    "ModelDeployment": {
        "status": {"url": "http://digits", "variant": {"name": "baseline", "reason": "The cheapest."}, "cost": {**COST}}
    },
}
ANSWERS = {"accuracy": 0.96, "requests": 100, "right": 96, "p50Ms": 1.0, "p95Ms": 2.0, "p99Ms": 3.0}


def test_nothing_is_missing_of_a_whole_run() -> None:
    assert digits.missing(OBJECTS, ANSWERS) == []
    told = digits.describe(OBJECTS, ANSWERS)
    assert "96 of 100 held-out digits right" in told
    assert "*: no other is at least as good in quality, latency and size)" in told
    (baseline,) = [line for line in told.splitlines() if line.startswith("* baseline")]
    assert baseline.split()[2:] == ["Accepted", "0.98", "0.018", "0.031", "213572", "-"]


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("TrainingJob", ["model"]),
        ("TrainingJob", ["cost"]),
        ("CompressionJob", ["variants"]),
        ("CompressionJob", ["cost"]),
        ("ModelDeployment", ["url"]),
        ("ModelDeployment", ["variant", "reason"]),
        ("ModelDeployment", ["cost"]),
    ],
)
def test_a_gap_is_named(kind: str, path: list[str]) -> None:
    objects = copy.deepcopy(OBJECTS)
    part = objects[kind]["status"]
    for name in path[:-1]:
        part = part[name]
    del part[path[-1]]
    assert digits.missing(objects, ANSWERS)


def test_an_unknown_cost_is_a_gap() -> None:
    objects = copy.deepcopy(OBJECTS)
    objects["TrainingJob"]["status"]["cost"]["accrued"] = "Unknown"
    assert digits.missing(objects, ANSWERS) == ["missing: the cost of the training"]


@pytest.mark.parametrize("answers", [{**ANSWERS, "accuracy": 0.94}, {}])
def test_too_low_an_accuracy_is_a_gap(answers: dict[str, Any]) -> None:
    assert any("accuracy" in gap for gap in digits.missing(OBJECTS, answers))
