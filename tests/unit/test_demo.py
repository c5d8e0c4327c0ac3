"""The demo fails when anything of what it promises is missing."""

from __future__ import annotations

import copy
import json
from pathlib import Path
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
                    "methods": "none",
                    "verdict": "Accepted",
                    "reason": "the uncompressed model",
                    "pareto": True,
                    "quality": {"metric": "accuracy", "value": "0.98", "loss": "0"},
                    "latencies": [
                        {"percentile": 50, "milliseconds": "0.018"},
                        {"percentile": 95, "milliseconds": "0.031"},
                    ],
                    "sizeBytes": 213572,
                    "throughputPerSecond": "500",
                    "costPerMillion": "0.05",
                },
                {
                    "name": "int8",
                    "methods": "static-int8",
                    "verdict": "Inconclusive",
                    "reason": "may be worse by 0.0255",
                    "pareto": False,
                    "quality": {
                        "metric": "accuracy",
                        "value": "0.97",
                        "loss": "0.01",
                        "lossLow": "-0.0125",
                        "lossHigh": "0.02549",
                    },
                    "latencies": [
                        {"percentile": 50, "milliseconds": "0.009"},
                        {"percentile": 95, "milliseconds": "0.018"},
                    ],
                    "sizeBytes": 53572,
                    "throughputPerSecond": "1000",
                    "throughputInterval": {"low": "900", "high": "1100"},
                    "costPerMillion": "0.025",
                    "speedup": {"value": "2", "low": "1.9", "high": "2.1"},
                },
                {"name": "half", "methods": "prune", "verdict": "Failed", "reason": "could not be made"},
            ],
        }
    },
    "ModelDeployment": {
        "spec": {"select": {"minimize": "Cost"}},
        "status": {
            "url": "http://digits",
            "variant": {
                "name": "baseline",
                "storageUri": "pvc://digits/model",
                "reason": "The cheapest.",
                "rejected": [{"name": "int8", "reason": "Inconclusive (may be worse by 0.0255)"}],
            },
            "cost": {**COST},
        },
    },
}
ANSWERS = {"accuracy": 0.96, "requests": 100, "right": 96, "p50Ms": 1.0, "p95Ms": 2.0, "p99Ms": 3.0}


def test_nothing_is_missing_of_a_whole_run() -> None:
    assert digits.missing(OBJECTS, ANSWERS) == []
    told = digits.describe(OBJECTS, ANSWERS)
    assert "96 of 100 held-out digits right" in told
    assert "*: no other is at least as good in quality, latency and size)" in told
    lines = told.splitlines()
    (baseline,) = [line for line in lines if line.startswith("* baseline")]
    assert baseline.split()[2:] == ["Accepted", "0.98", "0", "0.018", "0.031", "500", "213572", "0.05"]
    (int8,) = [line for line in lines if line.startswith("  int8 ")]
    assert "1000 [900, 1100]" in int8
    assert "0.01 [-0.0125, 0.02549]" in int8 and int8.endswith("2 [1.9, 2.1]   0.025")
    assert "USD for a million rows at full use" in lines[lines.index("loss of accuracy, with its 95 % interval") + 18]
    assert "  ●  baseline: 0.05, loss 0; served" in lines
    assert "  a  int8: 0.025, loss 0.01 [-0.0125, 0.02549]; Inconclusive" in lines


def test_the_result_is_kept(tmp_path: Path) -> None:
    path, picture = digits.write(tmp_path / "build", OBJECTS, ANSWERS)
    assert json.loads(path.read_text()) == {"objects": OBJECTS, "answers": ANSWERS}
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("TrainingJob", ["model"]),
        ("TrainingJob", ["cost"]),
        ("CompressionJob", ["variants"]),
        ("CompressionJob", ["cost"]),
        ("CompressionJob", ["variants", 1, "quality", "lossHigh"]),
        ("ModelDeployment", ["url"]),
        ("ModelDeployment", ["variant", "reason"]),
        ("ModelDeployment", ["cost"]),
    ],
)
def test_a_gap_is_named(kind: str, path: list[Any]) -> None:
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
