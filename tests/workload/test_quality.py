"""What a job says of its model: guessing beside it, the best epoch, test data that chose nothing."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from jobs import alone, training_job, write_csv
from test_training import recipe, training, weights

from tradewind.api.base import KeyValue
from tradewind.api.report import Report
from tradewind_workload.heads.classification import Classification
from tradewind_workload.io.files import REPORT, REPORT_PAGE
from tradewind_workload.io.store import locate, open_model
from tradewind_workload.train import checkpoint
from tradewind_workload.train.best import Choice, Patience
from tradewind_workload.train.judging import metric_of

if TYPE_CHECKING:
    from pathlib import Path

METRIC = Classification(np.array([5, 5])).metric("accuracy")


def chosen(values: list[float], losses: list[float]) -> Choice:
    choice = Choice(METRIC, None)
    for epoch, (value, loss) in enumerate(zip(values, losses, strict=True), 1):
        choice.judge(epoch, value, loss, torch.nn.Linear(1, 1))
    return choice


def test_the_best_epoch_and_of_equal_ones_that_with_the_lowest_loss() -> None:
    """The first epoch that reaches the best metric has learnt least of those that have it."""
    best = chosen([0.5, 0.9, 0.7, 0.9, 0.9, 0.8], [0.9, 0.5, 0.2, 0.3, 0.4, 0.1]).best
    assert best is not None
    assert (best.epoch, best.value, best.loss, best.reached) == (4, 0.9, 0.3, 2)
    same = chosen([0.9, 0.9, 0.9], [0.5, 0.5, math.nan]).best  # equal in both, or a loss that is none: the first
    assert same is not None and same.epoch == 1


def test_the_training_ends_when_no_epoch_is_better() -> None:
    choice = Choice(METRIC, Patience(2))
    ended = []
    for epoch, value in enumerate([0.5, 0.6, 0.6, 0.7, 0.1, 0.2], 1):
        choice.judge(epoch, value, 1 / epoch, torch.nn.Linear(1, 1))  # a loss that falls keeps nothing going
        ended.append(choice.over(epoch))
    assert ended == [False, False, False, False, False, True]
    assert not chosen([0.5, 0.1, 0.1, 0.1], [1, 1, 1, 1]).over(4)  # without patience it never does


def test_metrics_are_told_at_the_scale_of_the_labels() -> None:
    told = [0.812345678, 12.0, -0.0, 0.000012345678, -3e-28, 1e-80, -1.8e55]
    found = [metric_of(value) for value in told]
    assert found[:4] == ["0.812346", "12", "0", "0.0000123457"]
    assert [float(text) for text in found[4:]] == [-3e-28, 0, -1e50]
    assert all(KeyValue(name="r2", value=text).value == text for text in found)


def bits(tensors: dict[str, torch.Tensor]) -> dict[str, bytes]:
    return {name: tensor.numpy().tobytes() for name, tensor in tensors.items()}


def test_the_best_epoch_outlives_a_kill_bit_for_bit(tmp_path: Path) -> None:
    """Epoch 1 is the best one; the process is killed after epoch 2, whose checkpoint has both."""
    values = [0.9, 0.5, 0.6]
    whole, choice = training(recipe()), Choice(METRIC, None)
    for epoch, value in enumerate(values):
        whole.epoch(epoch)
        choice.judge(epoch + 1, value, 0.5, whole.model)

    first, before = training(recipe()), Choice(METRIC, None)
    for epoch in range(2):
        first.epoch(epoch)
        before.judge(epoch + 1, values[epoch], 0.5, first.model)
    checkpoint.write(tmp_path, first.state(2, before.best), "mark", keep=1)
    state = checkpoint.restore(tmp_path, "mark")
    assert state is not None
    second, after = training(recipe()), Choice(METRIC, None, state.best)
    second.restore(state)
    second.epoch(2)
    after.judge(3, values[2], 0.5, second.model)

    assert choice.best is not None and after.best is not None
    assert choice.best == after.best
    assert after.best.epoch == 1
    assert bits(choice.best.tensors) == bits(after.best.tensors)
    assert weights(second) == weights(whole)
    second.model.load_state_dict(after.best.tensors)
    assert weights(second) != weights(whole)


def fraud(rows: int, knowable: float, seed: int = 0) -> tuple[np.ndarray, list[str]]:
    """A table with 1 % of frauds, which differ from the rest by so many deviations."""
    random = np.random.default_rng(seed)
    classes = np.arange(rows) % 100 == 0
    return (random.normal(size=(rows, 3)) + knowable * classes[:, None]).astype(np.float32), [
        "fraud" if found else "ok" for found in classes
    ]


def run(**fields: Any) -> tuple[Report, str]:
    spec = {
        "recipe": {"task": "tabular-classification", "model": {"architecture": "linear"}, "epochs": 3, "batchSize": 256}
        | fields.pop("recipe", {}),
        "data": {
            "train": {"storageUri": "pvc://claim/train.csv", "format": "csv"},
            "validationFraction": "0.2",
            "testFraction": "0.3",
            "prepare": [{"standardize": {}}],
        },
        "output": {"storageUri": "pvc://claim/model"},
    }
    reports, output = alone(training_job(spec))
    return Report.model_validate(reports[-1]), output


def test_a_fraud_table_that_nothing_can_be_learnt_of_is_no_silent_success(volumes: Path) -> None:
    write_csv(volumes / "claim/train.csv", *fraud(2000, knowable=0.0))
    report, output = run(recipe={"optimizer": {"lr": "0.1"}, "batchSize": 64})
    model = report.model
    assert model is not None
    found = {metric.name: float(metric.value) for metric in model.metrics}
    assert found["accuracy"] > 0.97  # what used to be told of it
    assert model.primary_metric == "average_precision"
    judged = model.evaluation
    assert judged is not None
    assert not judged.better_than_guessing
    assert (judged.metric, judged.part, judged.commonest, judged.rarest) == ("average_precision", "Test", "ok", "fraud")
    told = json.loads((locate(volumes / "claim/model")[0] / REPORT).read_bytes())
    (tested,) = [part for part in told["split"]["parts"] if part["name"] == "test"]
    assert (judged.missed, judged.missed_rows) == (("fraud",), tested["classes"][told["labels"].index("fraud")])
    assert float(judged.low) <= float(judged.value) <= float(judged.high)
    assert f"{judged.guessing} for always answering 'ok'" in output
    manifest, _ = open_model(volumes / "claim/model")
    assert manifest.evaluation == judged
    assert manifest.split is not None
    assert manifest.split.digest.startswith("sha256:")
    parts = (manifest.split.training_rows, manifest.split.validation_rows, manifest.split.test_rows)
    assert sum(parts) == 2000
    assert judged.rows == parts[2] > 400


def test_frauds_that_can_be_told_apart_are_found(volumes: Path) -> None:
    write_csv(volumes / "claim/train.csv", *fraud(4000, knowable=3.0))
    settings = {"classWeights": "Balanced", "optimizer": {"lr": "0.05"}, "epochs": 40, "earlyStopping": {"patience": 2}}
    report, output = run(recipe=settings)
    model = report.model
    assert model is not None
    assert model.evaluation is not None
    assert model.evaluation.better_than_guessing
    assert model.evaluation.missed is None
    assert float(model.evaluation.value) > 0.5
    assert "epoch 40/40" not in output
    assert output.count("the model is that of epoch") == 1


@pytest.mark.parametrize(
    ("metric", "said"), [("accuracy", "95 % interval 0.8"), ("f1", "no 95 % interval: each resample of these rows")]
)
def test_few_rows_that_are_all_right_have_no_interval_from_1_to_1(metric: str, said: str, volumes: Path) -> None:
    truths = np.arange(100) % 2
    inputs = np.random.default_rng(0).normal(size=(100, 3)) + 100 * truths[:, np.newaxis]
    write_csv(volumes / "claim/train.csv", inputs, ["ab"[truth] for truth in truths])
    _, output = run(recipe={"model": {"architecture": "trees"}, "primaryMetric": metric})
    folder, _ = locate(volumes / "claim/model")
    page = (folder / REPORT_PAGE).read_text()
    assert f"{metric} 1 ({said}" in output and f"{metric} 1 ({said}" in page
    assert "1 to 1" not in output and "1 to 1" not in page


@pytest.mark.parametrize("unit", [1e-6, 1e20])
def test_trees_learn_numbers_of_any_unit(unit: float, volumes: Path) -> None:
    inputs = np.random.default_rng(0).normal(size=(300, 3)).astype(np.float32)
    write_csv(volumes / "claim/train.csv", inputs, unit * (3 * inputs[:, 0] + inputs[:, 1] + 5))
    report, _ = run(recipe={"task": "tabular-regression", "model": {"architecture": "trees", "trees": {"rounds": 60}}})
    assert report.model is not None
    found = {metric.name: float(metric.value) for metric in report.model.metrics}
    assert found["r2"] > 0.8
    assert 0.01 * unit < found["rmse"] < 2 * unit
    page = json.loads((locate(volumes / "claim/model")[0] / "report.json").read_bytes())
    assert 0.01 * unit < page["curve"]["points"][-1]["validationLoss"] < 3 * unit, "the curve has the label's unit"
