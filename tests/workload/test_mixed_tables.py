"""Tables of texts, booleans, times and missing values, from the file to a model that takes its columns by name."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
import pytest
from jobs import alone, blobs, finish, start, training_job, write_csv

from tradewind.api.data import Data
from tradewind.api.report import Report
from tradewind.api.trainingjob import Recipe
from tradewind_workload.data.headers import read_headers
from tradewind_workload.data.preparation import prepare
from tradewind_workload.io.fault import Fault
from tradewind_workload.io.store import locate, open_model
from tradewind_workload.report.record import Record
from tradewind_workload.tasks.tabular import family
from tradewind_workload.train.boosting import depths_of, settings_of
from tradewind_workload.train.families import encoded

if TYPE_CHECKING:
    from pathlib import Path

    from endpoint import Endpoint

    from tradewind.api.artefact import Manifest
    from tradewind_workload.data.dataset import Takes

HEADER = ["Größe", "Stadt", "Mitglied", "seit", "PLZ", "kein Wert", "Nummer", "label"]
CLASSES = ("001", "002", "010")


def credit(rows: int, seed: int = 0) -> list[list[str]]:
    """Rows whose class the town, the size and the membership say, each of which may be missing."""
    random = np.random.default_rng(seed)
    made = []
    for number in range(rows):
        size, town = random.normal(70, 12), str(random.choice(["Köln", "Zürich", "São Paulo", "東京"]))
        member, day = random.random() < 0.5, int(random.integers(1, 29))
        score = (size - 70) / 12 + 2 * (town == "Zürich") - 2 * (town == "Köln") + member
        label = CLASSES[int(np.digitize(score, [-0.8, 1.2]))]
        cells = [f"{size:.2f}", town, str(member).lower(), f"2026-{1 + day % 12:02}-{day:02}T{day % 24:02}:30:00"]
        cells = ["" if random.random() < 0.08 else cell for cell in cells]
        made.append([*cells, f"0{random.integers(1000, 1040)}", "", str(1000 + number), label])
    return made


def write(volumes: Path, rows: list[list[str]], name: str = "train.csv") -> None:
    (volumes / "claim").mkdir(exist_ok=True)
    with (volumes / "claim" / name).open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([HEADER, *rows])


def run(
    operator: Endpoint, volumes: Path, model: dict[str, Any], **fields: Any
) -> tuple[Report, Manifest, Path, list[str]]:
    data = {
        "train": {"storageUri": "pvc://claim/train.csv"},
        "validationFraction": "0.2",
        "testFraction": "0.3",
        "prepare": [{"dropDuplicates": {}}],
    }
    spec = {
        "recipe": {"task": "tabular-classification", "model": model} | fields.pop("recipe", {}),
        "data": data | fields.pop("data", {}),
        "output": {"storageUri": "pvc://claim/model"},
    } | fields
    if spec.get("workers", 1) == 1:
        operator.reports, output = alone(training_job(spec))
    else:
        code, output = finish(start(training_job(spec, url=operator.url), volumes, TRADEWIND_MOUNT=str(operator.mount)))
        assert code == 0, output
    manifest, _ = open_model(volumes / "claim/model")
    folder, _ = locate(volumes / "claim/model")
    return Report.model_validate(operator.reports[-1]), manifest, folder, output.splitlines()


def feeds(manifest: Manifest, instances: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    """What the server makes of rows by name (tests/server looks at how)."""
    made = {}
    for tensor in manifest.inputs:
        values = [row[tensor.name] for row in instances]
        if tensor.datatype == "BYTES":
            texts = ["" if value is None else str(value) for value in values]
            made[tensor.name] = np.array([t.lower() if tensor.kind == "boolean" else t for t in texts], object)
        elif tensor.kind == "datetime":
            moments = np.array(["NaT" if value is None else value for value in values], "datetime64[us]")
            seconds = moments.astype(np.int64) / 1e6
            made[tensor.name] = np.where(np.isnat(moments), np.nan, seconds)
        else:
            kind = {"FP32": np.float32, "FP64": np.float64}[tensor.datatype]
            made[tensor.name] = np.array([np.nan if value is None else value for value in values], kind)
    return made


MODELS: dict[str, dict[str, Any]] = {
    "mlp": {
        "model": {"architecture": "mlp", "hiddenUnits": [32]},
        "recipe": {"epochs": 15, "optimizer": {"lr": "0.01"}},
        "workers": 2,
    },
    "linear": {"model": {"architecture": "linear"}, "recipe": {"epochs": 15, "optimizer": {"lr": "0.05"}}},
    "trees": {
        "model": {"architecture": "trees", "trees": {"rounds": 200, "learningRate": "0.1"}},
        "recipe": {"earlyStopping": {"patience": 10}, "classWeights": "Balanced"},
    },
}


@pytest.mark.parametrize("which", MODELS)
def test_a_mixed_table_becomes_a_model_that_takes_its_columns(
    which: str, operator: Endpoint, volumes: Path, request: pytest.FixtureRequest
) -> None:
    """By two workers on Ray, and by one without it."""
    if MODELS[which].get("workers"):
        request.getfixturevalue("ray_cluster")
    write(volumes, credit(900))
    report, manifest, folder, output = run(operator, volumes, **MODELS[which])
    assert manifest.labels == CLASSES
    assert {tensor.name: (tensor.kind, tensor.datatype) for tensor in manifest.inputs} == {
        "Größe": ("number", "FP32"),
        "Stadt": ("category", "BYTES"),
        "Mitglied": ("boolean", "BYTES"),
        "seit": ("datetime", "FP64"),
        "PLZ": ("category", "BYTES"),
    }
    assert all(tensor.nullable and tensor.shape == (-1,) for tensor in manifest.inputs)
    assert [tensor.name for tensor in manifest.outputs] == ["label", "probabilities"]
    weights = "model.ubj" if which == "trees" else "model.safetensors"
    beside = {"samples.json", "report.json", "report.html"}
    assert set(manifest.files) == {"model.onnx", "encoding.json", weights} | beside
    for name in ("kein Wert", "Nummer"):
        assert any(f"the column {name!r} is left out" in line for line in output)
    assert manifest.evaluation is not None and manifest.split is not None
    assert manifest.evaluation.better_than_guessing
    assert manifest.evaluation.part == "Test"
    assert manifest.split.training_rows + manifest.split.validation_rows + manifest.split.test_rows == 900
    assert report.model is not None and report.model.evaluation == manifest.evaluation

    samples = json.loads((folder / "samples.json").read_bytes())
    assert len(samples["instances"]) == 16
    assert any(value is None for row in samples["instances"] for value in row.values())
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    label, probabilities = session.run(["label", "probabilities"], feeds(manifest, samples["instances"]))
    assert label.tolist() == samples["outputs"]["label"]
    np.testing.assert_allclose(probabilities, samples["outputs"]["probabilities"], atol=1e-6)

    # Rows that the job never saw, by their names: as good as the test data says.
    rows = credit(600, seed=1)
    given = {
        "Größe": lambda text: float(text) if text else None,
        "Stadt": lambda text: text or None,
        "Mitglied": lambda text: text or None,
        "seit": lambda text: text or None,
        "PLZ": str,
    }
    instances = [
        {name: given[name](cell) for name, cell in zip(HEADER, row, strict=True) if name in given} for row in rows
    ]
    (label,) = session.run(["label"], feeds(manifest, instances))
    right = np.mean([CLASSES[found] == row[-1] for found, row in zip(label, rows, strict=True)])
    measured = {entry.name: float(entry.value) for entry in manifest.metrics}["accuracy"]
    assert measured > 0.7
    assert right == pytest.approx(measured, abs=0.08)
    _is_reported(Record.read(json.loads((folder / "report.json").read_bytes())), manifest, volumes)
    if which == "trees":
        _reports_of_trees(operator, output)


def _is_reported(record: Record, manifest: Manifest, volumes: Path) -> None:
    """The numbers of the status, each column, and rows that stand in the file where the report says."""
    judged, evaluation = record.quality[0], manifest.evaluation
    assert evaluation is not None
    assert [found.part for found in record.quality] == ["test", "validation"]
    assert {metric.name: metric.value for metric in judged.metrics} == pytest.approx(
        {metric.name: float(metric.value) for metric in manifest.metrics}, abs=1e-5
    )
    counts = judged.metrics[0]
    assert (counts.name, counts.low, counts.high, counts.guessing) == pytest.approx(
        (evaluation.metric, float(evaluation.low), float(evaluation.high), float(evaluation.guessing)), abs=1e-5
    )
    became = {column.name: column.became or "" for column in record.columns if column.role == "input"}
    assert set(became) == set(HEADER[:-1])
    assert became["Nummer"].startswith("nothing: it numbers the rows") and "0 or 1" in became["Mitglied"]
    unused = {column.name: column.why for column in manifest.unused}
    assert unused.pop("Nummer").startswith("it numbers the rows")
    assert unused.pop(HEADER[-1]) == "it is the label"
    assert unused == {
        name: words[9:] for name, words in became.items() if words.startswith("nothing: ") and name != "Nummer"
    }
    assert record.curve is not None and record.curve.best is not None
    assert {point.number for point in record.curve.points} == set(range(1, record.curve.done + 1))
    best = min(record.curve.points, key=lambda point: point.validation_loss or 0)
    assert record.curve.unit == "epoch" or best.number == record.curve.best
    assert [phase.name for phase in record.spent.phases][2:] == ["train", "export and judge"]
    assert record.classes is not None and record.classes.matrix is not None
    assert sum(map(sum, record.classes.matrix)) == judged.rows == record.split.parts[2].rows
    wrong = judged.rows - sum(row[i] for i, row in enumerate(record.classes.matrix))
    assert len(record.mistakes) == min(20, wrong)
    with (volumes / "claim" / "train.csv").open(encoding="utf-8", newline="") as file:
        _, *rows = csv.reader(file)
    for mistake in record.mistakes:
        number = int(mistake.place.removeprefix("row ").removesuffix(" of train.csv"))
        row = dict(zip(HEADER, rows[number - 1], strict=True))
        assert (mistake.truth, mistake.row["Stadt"]) == (row["label"], row["Stadt"] or None)
        assert mistake.row["Größe"] == (float(row["Größe"]) if row["Größe"] else None)
        assert mistake.answer != mistake.truth


def _reports_of_trees(operator: Endpoint, output: list[str]) -> None:
    told = [status for report in operator.reports if (status := report.get("trainerStatus")) is not None]
    assert told[0]["progressPercentage"] == 0
    assert {metric["name"] for metric in told[-1]["metrics"]} == {"loss", "round"}
    (line,) = [line for line in output if "the model is that of round" in line]
    assert 0 < int(line.split()[-1]) < 200


def test_numbers_that_lack_values_need_no_step(operator: Endpoint, volumes: Path) -> None:
    inputs, classes = blobs(400)
    inputs[::9, 1] = np.nan
    write_csv(volumes / "claim/train.csv", inputs, classes)
    recipe = {"epochs": 5, "optimizer": {"lr": "0.05"}}
    _, manifest, _, _ = run(operator, volumes, {"architecture": "linear"}, recipe=recipe)
    assert [(tensor.name, tensor.kind, tensor.nullable) for tensor in manifest.inputs] == [
        (f"f{i}", "number", True) for i in range(4)
    ]


def prepared(takes: Takes = "either", **fields: Any) -> Any:
    data = {"train": {"storageUri": "pvc://claim/train.csv"}, "validationFraction": "0.25"} | fields
    read = Data.model_validate(data)
    return prepare(read, read_headers(read, "tabular-classification", takes), 0)


def test_which_tables_go_by_columns(volumes: Path) -> None:
    inputs, classes = blobs(60)
    write_csv(volumes / "claim/train.csv", inputs, classes)
    assert prepared().schema is None
    assert prepared("columns").schema is not None
    inputs[7, 2] = np.nan
    write_csv(volumes / "claim/train.csv", inputs, classes)
    assert prepared().schema is not None
    for step in ({"dropNulls": {}}, {"impute": {}}):
        assert prepared(prepare=[step]).schema is None
    write(volumes, credit(60))
    assert prepared().schema is not None
    assert prepared(inputs=["Größe"], prepare=[{"impute": {}}]).schema is None
    with pytest.raises(Fault, match="is a category, not a number"):
        prepared("matrix")
    noted = prepared(prepare=[{"impute": {}}, {"standardize": {}}]).notes
    assert any(note.startswith("standardize changes nothing here") for note in noted)


def test_rows_are_dropped_and_split_by_their_typed_values(volumes: Path) -> None:
    rows = credit(200)
    write(volumes, [*rows, *rows[:50]])
    whole = prepared(columns=[{"name": "kein Wert", "type": "ignore"}])
    parts = [whole.train.table(), whole.validation.table()]
    assert [part.num_rows for part in parts] == [len(whole.train), len(whole.validation)]
    numbers = [set(part["Nummer"].to_pylist()) for part in parts]
    assert not numbers[0] & numbers[1], "equal rows stay together"
    by_number = {float(row[HEADER.index("Nummer")]): row for row in rows}
    for part, held in zip(parts, (whole.train, whole.validation), strict=True):
        for number, town, label in zip(
            part["Nummer"].to_pylist(), part["Stadt"].to_pylist(), held.targets, strict=True
        ):
            assert (town or "", whole.labels[label]) == (by_number[number][1], by_number[number][-1])
    again = prepared(columns=[{"name": "kein Wert", "type": "ignore"}], prepare=[{"dropDuplicates": {}}])
    assert len(again.train) + len(again.validation) == 200
    assert set(again.train.table()["Nummer"].to_pylist()) == numbers[0]
    steps = [{"dropDuplicates": {}}, {"dropNulls": {"columns": ["Stadt", "Größe"]}}]
    dropped = prepared(prepare=steps)
    assert len(dropped.train) + len(dropped.validation) == sum(bool(row[0] and row[1]) for row in rows)
    assert dropped.train.table()["Stadt"].null_count == 0


def test_nothing_is_fitted_on_rows_that_judge(volumes: Path) -> None:
    """A town that only the validation data has is no code of the model, and its sizes are not in the mean."""
    write(volumes, credit(100))
    held = [["5000", "Überlingen", *row[2:]] for row in credit(50, seed=3)]
    write(volumes, held, "validation.csv")
    found = prepared(validationFraction=None, validation={"storageUri": "pvc://claim/validation.csv"})
    fitted = family.fit(found, (), trees=False)
    encoding = fitted.encoding
    (towns,) = [codes.values for codes in encoding.codes if codes.name == "Stadt"]
    assert set(towns) == {"Köln", "Zürich", "São Paulo", "東京"}
    (size,) = [number for number in encoding.numbers if number.name == "Größe"]
    assert size.mean < 100
    rows = encoded(found, fitted)
    assert rows.train.load().shape == (100, encoding.width + len(encoding.codes))
    np.testing.assert_array_equal(rows.validation.load(), encoding.rows(found.validation.table()))


def test_trees_take_tables_alone(volumes: Path) -> None:
    (volumes / "claim").mkdir()
    np.savez(volumes / "claim/train.npz", x=np.zeros((4, 2)), label=np.arange(4))
    with pytest.raises(Fault, match=r"trees take a table, whose columns have names: write it as csv"):
        prepared("columns", train={"storageUri": "pvc://claim/train.npz"})


@pytest.mark.parametrize(
    "step",
    [
        {"impute": {"strategy": "constant", "value": "0"}},
        {"impute": {"strategy": "mostFrequent"}},
        {"impute": {"columns": ["x"]}},
        {"log": {"columns": ["x"]}},
        {"dropOutliers": {"columns": ["x"]}},
    ],
)
def test_a_step_on_columns_is_not_passed_over_where_there_are_none(step: dict[str, Any], volumes: Path) -> None:
    (volumes / "claim").mkdir()
    np.savez(volumes / "claim/train.npz", x=np.array([[np.nan, 2.0]] * 40), label=np.arange(40) % 2)
    (name,) = step
    said = rf"{name} \(spec.data.prepare\[0\]\) works on single columns of a table, .*: write the data as csv, jsonl"
    with pytest.raises(Fault, match=said):
        prepared(train={"storageUri": "pvc://claim/train.npz"}, prepare=[step], columns=[])
    (volumes / "claim/train.csv").write_text("x,label\n" + "1,0\n,1\n" * 20)
    with pytest.raises(Fault, match=r"as a whole: remove the step"):
        prepared("matrix", prepare=[step], columns=[])


def test_a_recipe_says_how_trees_are_grown() -> None:
    recipe = {
        "task": "tabular-classification",
        "model": {"architecture": "trees", "trees": {"rounds": 7, "maxDepth": 2, "learningRate": "0.5"}},
        "earlyStopping": {"patience": 3},
    }
    settings = settings_of(Recipe.model_validate(recipe))
    assert (settings.rounds, settings.max_depth, settings.learning_rate, settings.patience) == (7, 2, 0.5, 3)
    plain = settings_of(Recipe.model_validate({"task": recipe["task"], "model": {"architecture": "trees"}}))
    assert plain == type(plain)()


@pytest.mark.parametrize(
    ("asked", "rows", "tried"),
    [
        ({}, 500, (1, 2, 3, 4)),
        ({"trees": {"rounds": 7}}, 20_000, (1, 2, 3, 4)),
        ({}, 20_001, (4,)),
        ({"trees": {"maxDepth": 6}}, 500, (6,)),
        ({"trees": {"maxDepth": 2}}, 20_001, (2,)),
    ],
)
def test_depths_are_tried_where_none_is_asked_for_and_rows_are_few(
    asked: dict[str, Any], rows: int, tried: tuple[int, ...]
) -> None:
    recipe = Recipe.model_validate({"task": "tabular-regression", "model": {"architecture": "trees", **asked}})
    assert depths_of(recipe, rows) == tried
