"""When a training ends before its last epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from jobs import alone, training_job, write_csv

from tradewind.api.trainingjob import Recipe
from tradewind_workload.heads.metric import Metric
from tradewind_workload.io.files import REPORT
from tradewind_workload.io.store import locate
from tradewind_workload.report.record import Record
from tradewind_workload.train.beginning import patience_of
from tradewind_workload.train.best import Choice, Patience
from tradewind_workload.train.history import Lap

if TYPE_CHECKING:
    from pathlib import Path

ACCURACY = Metric("accuracy", True, lambda answers, truths: float((answers == truths).mean()))
MODEL = torch.nn.Linear(1, 1)


def recipe(**fields: Any) -> Recipe:
    return Recipe.model_validate(
        {"task": "tabular-classification", "model": {"architecture": "mlp"}, "batchSize": 16} | fields
    )


@pytest.mark.parametrize(
    ("fields", "rows", "expected"),
    [
        ({}, 16, Patience(250, with_loss=True)),
        ({}, 16 * 7, Patience(36, with_loss=True)),
        ({}, 16 * 50, Patience(10, with_loss=True)),
        ({}, 16 * 100, None),
        ({"epochs": 500}, 16, None),
        ({"earlyStopping": {"patience": 3}}, 16, Patience(3)),
        ({"epochs": 500, "earlyStopping": {"patience": 3}}, 16, Patience(3)),
        ({"task": "image-classification", "model": {"architecture": "resnet18"}}, 16, None),
    ],
)
def test_patience_is_counted_in_steps_where_the_number_of_epochs_is(
    fields: dict[str, Any], rows: int, expected: Patience | None
) -> None:
    assert patience_of(recipe(**fields), rows) == expected


# Of each epoch the metric and the validation loss.
COURSES: dict[str, tuple[Patience | None, list[tuple[float, float]], int | None]] = {
    "nothing better": (Patience(2, with_loss=True), [(0.5, 1), (0.4, 1), (0.5, 1), (0.6, 0.5)], 3),
    "a lower loss": (Patience(2, with_loss=True), [(0.5, 1), (0.5, 0.9), (0.4, 0.8), (0.4, 0.8), (0.4, 0.9)], 5),
    "a better metric": (Patience(2, with_loss=True), [(0.5, 1), (0.6, 2), (0.7, 3), (0.6, 2), (0.6, 2)], 5),
    "the metric alone counts": (Patience(2), [(0.5, 1), (0.5, 0.9), (0.5, 0.8)], 3),
    "the better of equals": (Patience(2, with_loss=True), [(0.4, 1), (0.5, 3), (0.5, 2), (0.4, 2), (0.4, 2)], 5),
    "a loss that is no number": (Patience(2, with_loss=True), [(0.5, 1), (0.5, float("nan")), (0.5, float("nan"))], 3),
    "no patience": (None, [(0.5, 1)] * 9, None),
}


@pytest.mark.parametrize("course", COURSES)
@pytest.mark.parametrize("begun_anew", [False, True])
def test_a_training_ends_when_nothing_became_better(course: str, begun_anew: bool) -> None:
    """Also where each epoch is trained by another attempt, which has what the checkpoint says."""
    patience, epochs, ends = COURSES[course]
    choice, laps = Choice(ACCURACY, patience), list[Lap]()
    for epoch, (value, loss) in enumerate(epochs, 1):
        choice.judge(epoch, value, loss, MODEL)
        laps.append(Lap(epoch, 0.0, loss, value, 0.1))
        if begun_anew:
            choice = Choice(ACCURACY, patience, choice.best, laps)
        assert choice.over(epoch) == (epoch == ends)
        if epoch == ends:
            return
    assert ends is None


def test_few_rows_that_teach_nothing_do_not_take_a_thousand_steps(volumes: Path) -> None:
    random = np.random.default_rng(0)
    write_csv(volumes / "claim/noise.csv", random.normal(0, 1, (100, 3)), random.integers(0, 2, 100))
    spec: dict[str, Any] = {
        "recipe": {"task": "tabular-classification", "model": {"architecture": "mlp"}},
        "data": {"train": {"storageUri": "pvc://claim/noise.csv"}, "validationFraction": "0.3"},
        "output": {"storageUri": "pvc://claim/model"},
    }
    _, log = alone(training_job(spec))
    folder, _ = locate(volumes / "claim/model")
    curve = Record.model_validate_json((folder / REPORT).read_bytes()).curve
    assert curve is not None and curve.best is not None
    assert "starting; 500 epochs of 2 steps" in log
    assert curve.best + 125 <= curve.done < 500
    assert f"ending after epoch {curve.done}: the last 125 brought nothing better" in log
    assert f"the model is that of epoch {curve.best}" in log
