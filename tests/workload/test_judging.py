"""Which classes the verdict on a finished model names."""

from __future__ import annotations

from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pytest

from tradewind.api.evaluation import Evaluation
from tradewind.api.trainingjob import Recipe
from tradewind_workload.train.judging import evaluate

RECIPE = Recipe.model_validate({"task": "tabular-classification", "model": {"architecture": "linear"}})


def rows(targets: np.ndarray) -> Any:
    some = MagicMock(targets=targets)
    some.__len__.return_value = len(targets)
    return some


def judged(training: list[int], test: list[int], *, never: int) -> Evaluation:
    """Of so many rows a class; the model is right of all, but answers the class `never` as the one before it."""
    truths = np.repeat(np.arange(len(test)), test)
    prepared: Any = MagicMock(
        train=rows(np.repeat(np.arange(len(training)), training)),
        test=rows(truths),
        labels=tuple("abcdef"[: len(test)]),
        several=False,
    )
    answers = np.eye(len(test))[np.where(truths == never, never - 1, truths)] * 0.8 + 0.05
    return evaluate(prepared, RECIPE, answers.astype(np.float32))[1]


@pytest.mark.parametrize(("count", "missed", "missed_rows"), [(1, None, None), (4, None, None), (5, ("c",), 5)])
def test_a_class_is_missed_only_where_it_has_rows_enough(
    count: int, missed: tuple[str, ...] | None, missed_rows: int | None
) -> None:
    found = judged([50, 50, 50], [20, 20, count], never=2)
    assert (found.missed, found.missed_rows) == (missed, missed_rows)


@pytest.mark.parametrize(("training", "rarest"), [([50, 50, 48], None), ([50, 50, 20], "c")])
def test_the_rarest_class_is_named_only_where_classes_differ_in_size(training: list[int], rarest: str | None) -> None:
    found = judged(training, [20, 20, 20], never=2)
    assert found.rarest == rarest
    assert found.uneven is (rarest is not None)
