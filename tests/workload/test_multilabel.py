"""Rows with any number of labels: metrics, what labels are read, models of tables and texts, and their report."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from jobs import alone, training_job
from PIL import Image
from sklearn import metrics as reference

from tradewind.api.data import Data
from tradewind.api.trainingjob import Recipe
from tradewind_workload.data.headers import read_headers
from tradewind_workload.data.preparation import prepare
from tradewind_workload.export.inference import ask, open_session
from tradewind_workload.heads import certainty as judgement
from tradewind_workload.heads.certainty import certainty
from tradewind_workload.heads.multilabel import MultiLabel
from tradewind_workload.io.fault import Fault
from tradewind_workload.io.store import locate, open_model
from tradewind_workload.report import intervals
from tradewind_workload.report.record import OfClass
from tradewind_workload.report.words import never
from tradewind_workload.train.judging import require_measurable
from tradewind_workload.train.learning import loss_of

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ["average_precision", "f1_micro", "f1_macro", "subset_accuracy", "log_loss"]
LABELS = ("cold", "loud", "red")
TASK = "tabular-multilabel-classification"


@pytest.fixture(autouse=True)
def _fewer_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name, draws in ((judgement, "DRAWS", 60), (judgement, "ORDERS", 40), (intervals, "DRAWS", 60)):
        monkeypatch.setattr(module, name, draws)


def told(rows: int, knowledge: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels, int8 [rows, 3], the last one rare, and probabilities, float32, that know them more or less."""
    random = np.random.default_rng(seed)
    sets = (random.random((rows, 3)) < [0.5, 0.3, 0.05]).astype(np.int8)
    logits = random.normal(size=sets.shape) + knowledge * (2 * sets - 1)
    return sets, (1 / (1 + np.exp(-logits))).astype(np.float32)


def expected(name: str, sets: np.ndarray, probabilities: np.ndarray, weights: np.ndarray | None = None) -> float:
    """scikit-learn's number, of the labels that the rows have."""
    said = (probabilities >= 0.5).astype(int)
    given = {"sample_weight": weights}
    has = np.flatnonzero((sets if weights is None else sets[weights > 0]).any(0))
    exact = probabilities.astype(np.float64)
    numbers = {
        "average_precision": lambda: reference.average_precision_score(
            sets[:, has], probabilities[:, has], average="macro", **given
        ),
        "f1_micro": lambda: reference.f1_score(sets, said, average="micro", zero_division=0, **given),
        "f1_macro": lambda: reference.f1_score(sets[:, has], said[:, has], average="macro", zero_division=0, **given),
        "subset_accuracy": lambda: reference.accuracy_score(sets, said, **given),
        "log_loss": lambda: np.mean(
            [reference.log_loss(sets[:, i], exact[:, i], labels=[0, 1], **given) for i in range(3)]
        ),
    }
    return float(numbers[name]())


@pytest.mark.parametrize(("rows", "seed"), [(300, 0), (300, 1), (8, 2), (8, 3)])
def test_metrics_are_those_of_scikit_learn(rows: int, seed: int) -> None:
    """Of few rows too, which lack the rare label."""
    sets, probabilities = told(rows, 1.0, seed)
    head = MultiLabel.of(told(100, 1.0)[0])
    found = head.measured(probabilities, sets, "f1_micro")
    assert list(found) == ["f1_micro", *(name for name in NAMES if name != "f1_micro")]
    for name in NAMES:
        assert found[name] == pytest.approx(expected(name, sets, probabilities), abs=1e-9), name
        assert head.metric(name).higher_is_better == (name != "log_loss")


@pytest.mark.parametrize("name", NAMES)
def test_draws_have_the_numbers_of_scikit_learn(name: str) -> None:
    sets, probabilities = told(40, 1.0, 4)
    draws = np.concatenate(list(intervals.draws(sets.any(1).astype(np.int64), np.random.default_rng([7, 5]))))
    low, high = intervals.of_sets((name,), probabilities, sets, 7)[name]
    numbers = [expected(name, sets, probabilities, weights) for weights in draws]
    assert (low, high) == pytest.approx(tuple(np.quantile(numbers, [0.025, 0.975])), abs=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_only_a_model_that_knows_is_better_than_guessing(name: str) -> None:
    for knowledge, better in ((2.0, True), (0.0, False)):
        sets, probabilities = told(300, knowledge)
        head = MultiLabel.of(sets)
        groups = sets.any(1).astype(np.int64)
        found = certainty(head.metric(name), probabilities, head.guesses(300), sets, groups, 0)
        assert found.low <= found.value <= found.high
        assert found.better_than_guessing is better, (knowledge, found)


def test_rows_without_any_label_have_no_average_precision() -> None:
    sets, probabilities = np.zeros((6, 3), np.int8), told(6, 1.0)[1]
    head = MultiLabel.of(told(100, 1.0)[0])
    assert head.primary(None).name == "average_precision"
    assert head.undefined("average_precision", sets)
    assert set(head.measured(probabilities, sets, "f1_micro")) == {"f1_micro", "subset_accuracy", "log_loss"}


def test_balanced_weights_give_rows_with_a_label_the_same_say_as_those_without() -> None:
    sets = (np.arange(100)[:, None] < [10, 50, 90]).astype(np.int8)
    head = MultiLabel.of(sets)
    weights = head.balanced_weights()
    np.testing.assert_allclose(weights[1] * [10, 50, 90], [50, 50, 50], rtol=1e-6)
    np.testing.assert_allclose(weights[0] * [90, 50, 10], [50, 50, 50], rtol=1e-6)
    logits, truths = torch.zeros(100, 3), torch.from_numpy(sets.astype(np.float32))
    for balanced in ("None", "Balanced"):
        model = {"architecture": "mlp"}
        recipe = Recipe.model_validate({"task": TASK, "model": model, "classWeights": balanced})
        assert float(loss_of(head, recipe, "cpu")(logits, truths)) == pytest.approx(100 * np.log(2), rel=1e-5)


def things(rows: int = 240, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Three numbers a row, float64, and which labels go with them, int8 [rows, 3]; some rows have none."""
    numbers = np.random.default_rng(seed).normal(size=(rows, 3))
    return numbers, (numbers > [0.2, 0.4, 0.8]).astype(np.int8)


def write(folder: Path, form: str, *, town: bool = False) -> np.ndarray:
    """A table of them, its labels in one cell or in a column each."""
    numbers, sets = things()
    header = ["a", "b", "c", *(["town"] if town else []), *(["tags"] if form == "cells" else LABELS)]
    lines = [",".join(header)]
    for i, (values, has) in enumerate(zip(numbers, sets, strict=True)):
        cells = [f"{value:.6f}" for value in values] + ([("Rome", "Zug")[i % 2]] if town else [])
        named = [name for name, one in zip(LABELS, has, strict=True) if one]
        cells += [" ; ".join(named[::-1])] if form == "cells" else [str(one) for one in has]
        lines.append(",".join(cells))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "things.csv").write_text("\n".join(lines) + "\n")
    return sets


def asked(form: str, **fields: Any) -> dict[str, Any]:
    named = {"label": "tags", "labelSeparator": ";"} if form == "cells" else {"labelColumns": list(LABELS)}
    return {"train": {"storageUri": "pvc://claim/things.csv"}, "validationFraction": "0.25", **named} | fields


def job(architecture: dict[str, Any], form: str, **recipe: Any) -> dict[str, Any]:
    recipe = {
        "task": TASK,
        "model": architecture,
        "epochs": 12,
        "batchSize": 16,
        "optimizer": {"lr": "0.03"},
    } | recipe
    return training_job({"recipe": recipe, "data": asked(form), "output": {"storageUri": "pvc://claim/model"}})


@pytest.mark.parametrize(
    ("architecture", "form", "town"),
    [
        ({"architecture": "mlp", "hiddenUnits": [16]}, "cells", False),
        ({"architecture": "linear"}, "columns", True),
        ({"architecture": "trees", "trees": {"rounds": 60}}, "columns", True),
    ],
    ids=["a matrix", "columns", "trees"],
)
def test_labels_are_learnt_of_a_table_and_served(
    architecture: dict[str, Any], form: str, town: bool, volumes: Path
) -> None:
    sets = write(volumes / "claim", form, town=town)
    reports, output = alone(job(architecture, form))
    assert "3 labels" in output
    folder, _ = locate(volumes / "claim/model")
    manifest, _ = open_model(volumes / "claim/model")
    assert manifest.labels == LABELS
    assert [(of.name, of.datatype, of.shape) for of in manifest.outputs] == [
        ("labels", "BOOL", (-1, 3)),
        ("probabilities", "FP32", (-1, 3)),
    ]
    evaluation = manifest.evaluation
    assert evaluation is not None and evaluation.better_than_guessing
    assert (evaluation.metric, evaluation.labels) == ("average_precision", 3)
    assert evaluation.guess() == "always answering how often each label occurs"
    assert float(evaluation.value) > 0.85
    assert float(evaluation.guessing) < 0.5
    assert [metric.name for metric in manifest.metrics] == NAMES

    numbers = things()[0].round(6)
    if town:
        towns = np.array(["Rome", "Zug"] * 120, object)
        types = {"FP32": np.float32, "FP64": np.float64}
        values = dict(zip("abc", numbers.T, strict=True))
        feeds = {of.name: values[of.name].astype(types[of.datatype]) for of in manifest.inputs if of.name in values}
        feeds |= {of.name: towns for of in manifest.inputs if of.name == "town"}
    else:
        feeds = {manifest.inputs[0].name: numbers.astype(np.float32)}
    found = ask(open_session(folder / "model.onnx"), feeds)
    np.testing.assert_array_equal(found["labels"], found["probabilities"] >= 0.5)
    assert (found["labels"] == (sets > 0)).mean() > 0.8

    samples = json.loads((folder / "samples.json").read_bytes())
    shown = np.array(samples["outputs"]["labels"])
    assert shown.any(0).all(), "every label is among the samples"
    assert (~shown).all(1).any(), "and a row without any"
    record = json.loads((folder / "report.json").read_bytes())
    counts = np.sum([part["classes"] for part in record["split"]["parts"]], axis=0)
    np.testing.assert_array_equal(counts, sets.sum(0))
    assert [one["label"] for one in record["sets"]["labels"]] == list(LABELS)
    page = (folder / "report.html").read_text()
    assert "How each label fares" in page
    assert "always answering how often each label occurs" in page
    assert reports[-1]["model"]["evaluation"]["labels"] == 3


def write_texts(folder: Path, separator: str) -> None:
    """Texts whose words say which labels they have."""
    random = np.random.default_rng(3)
    lines = ["words,tags"]
    for _ in range(200):
        has = random.random(3) < 0.5
        said = ["freezing" if has[0] else "mild", "noisy" if has[1] else "quiet", "crimson" if has[2] else "pale"]
        tags = separator.join(name for name, one in zip(LABELS, has, strict=True) if one)
        lines.append(f"a {' and '.join(random.permutation(said))} thing,{tags}")
    folder.mkdir()
    (folder / "things.csv").write_text("\n".join(lines) + "\n")


def test_labels_are_learnt_of_texts(volumes: Path) -> None:
    write_texts(volumes / "claim", "|")
    document = job({"architecture": "bag"}, "cells", task="text-multilabel-classification", classWeights="Balanced")
    document["spec"]["data"]["labelSeparator"] = "|"
    alone(document)
    manifest, _ = open_model(volumes / "claim/model")
    assert manifest.evaluation is not None and float(manifest.evaluation.value) > 0.9
    assert [of.name for of in manifest.outputs] == ["labels", "probabilities"]


def read(form: str, task: str = TASK, **fields: Any) -> Any:
    data = Data.model_validate(asked(form) | fields)
    return prepare(data, read_headers(data, task, "either"), 0)


def test_both_forms_give_the_same_labels(volumes: Path) -> None:
    """Spaces around a label and their order say nothing; an empty cell is a row without labels, and not missing."""
    found = []
    for form in ("cells", "columns"):
        sets = write(volumes / "claim", form)
        prepared = read(form, prepare=[{"dropNulls": {}}])
        assert prepared.labels == LABELS
        assert len(prepared.train) + len(prepared.validation) == len(sets)
        assert prepared.train.targets.sum() + prepared.validation.targets.sum() == sets.sum()
        found.append(prepared.train.targets)
    np.testing.assert_array_equal(*found)
    assert require_measurable(prepared, Recipe.model_validate({"task": TASK, "model": {"architecture": "mlp"}})) == ()


def test_arrays_have_labels_in_arrays_of_their_own(volumes: Path) -> None:
    numbers, sets = things()
    (volumes / "claim").mkdir()
    arrays = {"cold": sets[:, 0], "loud": sets[:, 1].astype(bool), "red": sets[:, 2].astype(np.float32)}
    np.savez(volumes / "claim/things.npz", numbers=numbers.astype(np.float32), **arrays)
    prepared = read("columns", train={"storageUri": "pvc://claim/things.npz"})
    found = np.concatenate([prepared.train.targets, prepared.validation.targets])
    assert found.sum(0).tolist() == sets.sum(0).tolist()
    np.savez(volumes / "claim/things.npz", numbers=numbers, labels=sets)
    with pytest.raises(Fault, match="'labels' has more than one value a row; write the labels of a row as one text"):
        read("cells", train={"storageUri": "pvc://claim/things.npz"}, label="labels")


def test_each_label_has_a_training_row(volumes: Path) -> None:
    """However few rows have it, and whatever the split would be."""
    write(volumes / "claim", "cells")
    path = volumes / "claim/things.csv"
    lines = path.read_text().splitlines()
    for row in range(1, 6):
        changed = [*lines[:row], f"{lines[row]};rare", *lines[row + 1 :]]
        (volumes / "claim/one.csv").write_text("\n".join(changed) + "\n")
        prepared = read("cells", train={"storageUri": "pvc://claim/one.csv"})
        assert prepared.labels == ("cold", "loud", "rare", "red")
        assert prepared.train.targets[:, 2].sum() == 1


@pytest.mark.parametrize(
    ("cells", "fields", "said"),
    [
        (["red", "loud", "red"], {}, r"never has ';', .* is between labels \(a cell is 'red'\): correct the separator"),
        (["red;loud", "NA", ""], {}, r"missing in 10 rows \(the first is row 2\)"),
        (["red;", "red", ""], {}, "has only one label, 'red'"),
        (["a b;c", "a\u00a0b", ""], {}, r"has 'a b' and 'a\\xa0b', which look the same"),
        (['"[""red"", ""loud""]"', "", ""], {}, "is a list: write its labels as a text"),
    ],
)
def test_cells_that_are_no_labels_are_refused(
    cells: list[str], fields: dict[str, Any], said: str, volumes: Path
) -> None:
    (volumes / "claim").mkdir()
    lines = ["a,tags", *(f"{i},{cells[i % 3]}" for i in range(30))]
    (volumes / "claim/things.csv").write_text("\n".join(lines) + "\n")
    with pytest.raises(Fault, match=said):
        read("cells", **fields)


def test_columns_that_are_no_labels_are_refused(volumes: Path) -> None:
    write(volumes / "claim", "columns")
    path = volumes / "claim/things.csv"
    lines = path.read_text().splitlines()
    whole = [line.split(",") for line in lines[1:]]

    def refused(said: str, column: int, value: str, rows: slice, **fields: Any) -> None:
        changed = [list(cells) for cells in whole]
        for cells in changed[rows]:
            cells[column] = value
        path.write_text("\n".join([lines[0], *map(",".join, changed)]) + "\n")
        with pytest.raises(Fault, match=said):
            read("columns", **fields)

    refused("has no row with the label 'red': a model can't learn it", 5, "0", slice(None))
    refused("'2' in row 8 of things.csv is neither true nor false, and the column 'loud'", 4, "2", slice(7, 8))
    refused(
        r"one of the labels 'cold', 'loud', 'red' .* is missing in 1 rows \(the first is row 5\)", 4, "", slice(4, 5)
    )
    one = slice(0, 1)
    columns = ["red", "blue"]
    refused("no column 'blue' for the label.* Correct spec.data.labelColumns", 5, "1", one, labelColumns=columns)
    refused("names 'red' twice: remove it once", 5, "1", one, labelColumns=["red", "cold", "red"])
    refused("labelColumns are for rows with several labels", 5, "1", one, task="tabular-classification")


def test_labels_are_learnt_of_pictures(volumes: Path) -> None:
    """Bright halves, each a label, in a folder whose name has both labels or one."""
    random = np.random.default_rng(5)
    for number in range(120):
        left, top = random.random(2) < 0.5
        pixels = random.normal(60, 10, (12, 12, 3))
        pixels[:, :6] += 90 * left
        pixels[:6] += 90 * top
        name = "+".join(name for name, has in (("left", left), ("top", top)) if has) or "+"
        (volumes / "claim/photos" / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(volumes / f"claim/photos/{name}/{number}.png")
    model = {"architecture": "cnn", "channels": [4, 8], "hiddenUnits": [8]}
    document = job(model, "cells", task="image-multilabel-classification", epochs=8)
    document["spec"]["data"] |= {"train": {"storageUri": "pvc://claim/photos"}, "label": "label"}
    document["spec"]["data"] |= {"labelSeparator": "+", "prepare": [{"augment": {"noise": "0.02"}}]}
    alone(document)
    manifest, _ = open_model(volumes / "claim/model")
    assert manifest.labels == ("left", "top")
    assert manifest.evaluation is not None and manifest.evaluation.better_than_guessing
    assert float(manifest.evaluation.value) > 0.9
    assert (manifest.inputs[0].kind, [of.name for of in manifest.outputs]) == ("image", ["labels", "probabilities"])


@pytest.mark.parametrize(("architecture", "advised"), [("mlp", True), ("trees", False)])
def test_weights_of_classes_are_advised_only_where_they_are_accepted(architecture: str, *, advised: bool) -> None:
    recipe = Recipe.model_validate({"task": TASK, "model": {"architecture": architecture}})
    assert recipe.may_yet_weigh is advised
    missed = [OfClass(label="red", rows=5, answered=0, right=0)]
    assert ("classWeights" in never(missed, may_weigh=recipe.may_yet_weigh)) is advised
