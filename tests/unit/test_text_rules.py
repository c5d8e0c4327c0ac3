"""What a recipe of texts may ask for, and the sentence where it may not."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tradewind.api.trainingjob import TrainingJobSpec
from tradewind_cli.cel import broken

SPEC: dict[str, Any] = {
    "recipe": {"task": "text-classification", "model": {"architecture": "bag"}},
    "data": {"train": {"storageUri": "pvc://claim/train.csv"}, "validationFraction": "0.2"},
    "output": {"storageUri": "pvc://claim/model"},
}
WEIGHTS = "pvc://weights/minilm"


def told(**fields: Any) -> list[str]:
    """What is wrong with such a recipe."""
    spec = copy.deepcopy(SPEC)
    spec["data"] |= fields.pop("data", {})
    spec["recipe"] |= fields
    return [rule.message for _, rule in broken(TrainingJobSpec.model_validate(spec), "spec")]


@pytest.mark.parametrize(
    "model",
    [
        {"architecture": "bag"},
        {"architecture": "cnn", "maxTokens": 64, "vocabularySize": 8000, "dropout": "0.2"},
        {"architecture": "transformer", "storageUri": WEIGHTS, "maxTokens": 128},
    ],
)
@pytest.mark.parametrize("task", ["text-classification", "text-regression"])
def test_a_model_of_texts(task: str, model: dict[str, Any]) -> None:
    assert not told(task=task, model=model)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"model": {"architecture": "mlp"}}, "choose bag, cnn or transformer"),
        ({"model": {"architecture": "trees"}}, "choose bag, cnn or transformer"),
        ({"model": {"architecture": "transformer"}}, "a transformer starts from weights: set storageUri"),
        (
            {"model": {"architecture": "cnn", "storageUri": WEIGHTS}},
            "choose the network that they are of, for example resnet18 or transformer, or remove it",
        ),
        (
            {"model": {"architecture": "transformer", "storageUri": WEIGHTS, "vocabularySize": 300}},
            "brings its own vocabulary",
        ),
        ({"model": {"architecture": "cnn", "channels": [8]}}, "neither channels nor hiddenUnits"),
        ({"model": {"architecture": "bag", "hiddenUnits": [8]}}, "neither channels nor hiddenUnits"),
        ({"task": "tabular-classification"}, "bag and transformer read texts: choose trees for a tabular task"),
        ({"task": "image-classification"}, "bag and transformer read texts"),
        (
            {"task": "tabular-classification", "model": {"architecture": "mlp", "maxTokens": 64}},
            "maxTokens and vocabularySize are about texts",
        ),
        ({"data": {"prepare": [{"augment": {"shiftPixels": 1}}]}}, "augment shifts and rotates images"),
        ({"data": {"prepare": [{"standardize": {}}]}}, "impute and standardize are about numbers"),
        ({"data": {"prepare": [{"log": {"columns": ["price"]}}]}}, "prepare the columns of a table"),
    ],
)
def test_what_a_model_of_texts_has_not(fields: dict[str, Any], sentence: str) -> None:
    assert any(sentence in message for message in told(**fields)), told(**fields)


def test_tables_and_images_have_what_they_had() -> None:
    for task, architecture in (
        ("image-classification", "cnn"),
        ("image-regression", "resnet18"),
        ("tabular-classification", "trees"),
        ("tabular-regression", "linear"),
    ):
        assert not told(task=task, model={"architecture": architecture})
    assert any(
        "a cnn needs images or texts" in message
        for message in told(task="tabular-classification", model={"architecture": "cnn"})
    )
