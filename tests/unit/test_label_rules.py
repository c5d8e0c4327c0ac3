"""Where a recipe may say that a row has several labels, and the sentence where it may not."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tradewind.api.trainingjob import TrainingJobSpec
from tradewind_cli.cel import broken

SPEC: dict[str, Any] = {
    "recipe": {"task": "tabular-multilabel-classification", "model": {"architecture": "mlp"}},
    "data": {"train": {"storageUri": "pvc://claim/train.csv"}, "validationFraction": "0.2"},
    "output": {"storageUri": "pvc://claim/model"},
}
CELL, COLUMNS = {"label": "tags", "labelSeparator": ";"}, {"labelColumns": ["red", "large"]}


def told(data: dict[str, Any], **fields: Any) -> list[str]:
    """What is wrong with such a recipe."""
    spec = copy.deepcopy(SPEC)
    spec["data"] |= data
    spec["recipe"] |= fields
    return [rule.message for _, rule in broken(TrainingJobSpec.model_validate(spec), "spec")]


@pytest.mark.parametrize("data", [CELL, COLUMNS], ids=["one cell", "columns"])
@pytest.mark.parametrize(
    ("task", "architecture"), [("tabular", "mlp"), ("tabular", "trees"), ("text", "bag"), ("image", "resnet18")]
)
def test_a_row_may_have_several_labels(task: str, architecture: str, data: dict[str, Any]) -> None:
    assert not told(data, task=f"{task}-multilabel-classification", model={"architecture": architecture})
    assert not told(data, primaryMetric="f1_macro", classWeights="Balanced")


@pytest.mark.parametrize(
    ("data", "fields", "sentence"),
    [
        ({}, {}, "a multi-label task needs to know where a row's labels stand"),
        (CELL, {"task": "tabular-classification"}, "labelSeparator and labelColumns are for rows with several labels"),
        (COLUMNS, {"task": "tabular-regression"}, "labelSeparator and labelColumns are for rows with several labels"),
        (CELL | COLUMNS, {}, "give labelSeparator (all labels of a row stand in the column label) or labelColumns"),
        (COLUMNS | {"label": "tags"}, {}, "labelColumns have the labels: remove label"),
        (CELL, {"primaryMetric": "accuracy"}, "a multi-label classification is judged by average_precision, f1_micro"),
        (CELL, {"primaryMetric": "rmse"}, "a multi-label classification is judged by average_precision, f1_micro"),
        (
            {},
            {"task": "tabular-classification", "primaryMetric": "f1_micro"},
            "a classification is judged by accuracy, balanced_accuracy",
        ),
        (COLUMNS, {"model": {"architecture": "trees"}, "classWeights": "Balanced"}, "trees weigh whole rows"),
    ],
)
def test_what_does_not_go_together_is_refused(data: dict[str, Any], fields: dict[str, Any], sentence: str) -> None:
    assert any(sentence in message for message in told(data, **fields)), told(data, **fields)


def test_letters_part_no_labels() -> None:
    with pytest.raises(ValueError, match="labelSeparator"):
        told(CELL | {"labelSeparator": "and"})
