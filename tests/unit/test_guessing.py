"""What the condition BetterThanGuessing says of few rows and of classes that the model never answers."""

from __future__ import annotations

from typing import Any

from tradewind.api.evaluation import Evaluation
from tradewind.core.guessing import better_than_guessing


def said(**fields: Any) -> str:
    made: dict[str, Any] = {
        "metric": "accuracy",
        "value": "1",
        "low": "0.895734",
        "high": "1",
        "part": "Validation",
        "rows": 33,
        "guessing": "0.5",
        "better_than_guessing": True,
        "commonest": "a",
    }
    (verdict,) = better_than_guessing(Evaluation(**made | fields), "Try more rows.")
    return verdict.message


def test_an_interval_without_a_width_is_none() -> None:
    assert "accuracy is 1 (95 % interval 0.895734 to 1) on 33 validation rows" in said()
    alike = said(metric="f1", low="1")
    assert "f1 is 1 (no 95 % interval: each resample of these rows gives the same value" in alike
    assert "1 to 1" not in alike
