"""What the condition BetterThanGuessing says of few rows and of classes that the model never answers."""

from __future__ import annotations

from typing import Any

from tradewind.api.evaluation import Evaluation
from tradewind.core.guessing import better_than_guessing, more_rows


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


def test_a_class_that_is_never_answered_is_told_with_its_rows() -> None:
    missed: dict[str, Any] = {"missed": ("fraud",), "missed_rows": 12, "rarest": "fraud"}
    message = said(metric="average_precision", **missed)
    assert "But none of the 12 rows of 'fraud' was answered so: its probabilities tell rows apart" in message
    message = said(**missed)
    assert message.endswith("But none of the 12 rows of 'fraud' was answered so. Try more rows.")


def test_advice_names_the_class_that_was_missed() -> None:
    judged: dict[str, Any] = {
        "metric": "accuracy",
        "value": "0.9",
        "low": "0.8",
        "high": "1",
        "part": "Test",
        "rows": 90,
        "guessing": "0.1",
    }
    missing = Evaluation(**judged, better_than_guessing=True, rarest="2", missed=("8",), missed_rows=9)
    assert more_rows(missing) == "more rows of '8'"
    assert more_rows(Evaluation(**judged, better_than_guessing=False, rarest="2")) == "more rows of class '2'"
    alike = Evaluation(**judged, better_than_guessing=False)
    assert more_rows(alike) == "more rows"
    assert not alike.uneven and missing.uneven
