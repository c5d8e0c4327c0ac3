"""Texts from the file to a stored model: which columns are read, what is refused, and a whole job."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
import pytest
from jobs import alone, training_job
from test_text import reviews

from tradewind.api.data import Data
from tradewind.api.report import Report
from tradewind_processors import Tokenizing
from tradewind_workload.data.dataset import infer
from tradewind_workload.data.headers import read_headers
from tradewind_workload.data.texts import only_texts
from tradewind_workload.io.fault import Fault
from tradewind_workload.io.store import locate, open_model

if TYPE_CHECKING:
    from pathlib import Path
COLUMNS = ("ASIN", "city", "stars", "title", "review", "score")


def write(volumes: Path, rows: int = 120) -> None:
    """Reviews with an id, a city, stars, a short title and what is to be told."""
    said, classes = reviews(rows)
    (volumes / "claim").mkdir(exist_ok=True)
    with (volumes / "claim/train.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for i, (text, label) in enumerate(zip(said, classes, strict=True)):
            city = ("New York", "San Jose", "Rome")[i % 3]
            title = f"on my {i}th cup" if i % 5 else ""
            writer.writerow([f"B00{i:05}X", city, i % 6, title, text, ("other", "great")[label]])


def asked(**fields: Any) -> Data:
    train = {"storageUri": "pvc://claim/train.csv"}
    return Data.model_validate({"train": train, "validationFraction": "0.2", "label": "score"} | fields)


def read(**fields: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The columns that are read, and what is said of the others."""
    data = asked(**fields)
    headers = read_headers(data, "text-classification", "texts")
    schema, notes = only_texts(infer(headers.train, data), data, headers.train.uri)
    assert all(column.kind == "text" for column in schema.inputs)
    return tuple(column.name for column in schema.inputs), notes


def test_which_columns_are_read(volumes: Path) -> None:
    write(volumes)
    found, notes = read()
    assert found == ("title", "review")
    assert [note.split(" is not read")[0] for note in notes] == [
        f"the column {name!r}" for name in ("ASIN", "city", "stars")
    ]
    assert all("spec.data.inputs" in note for note in notes)
    assert read(inputs=["review"])[0] == ("review",)
    assert read(inputs=["review", "city"])[0] == ("review", "city")
    assert read(columns=[{"name": "stars", "type": "text"}])[0] == ("stars", "title", "review")
    assert read(columns=[{"name": "title", "type": "ignore"}])[0] == ("review",)


def test_a_table_with_one_column_of_names_has_that(volumes: Path) -> None:
    (volumes / "claim").mkdir()
    lines = ["query,score", *(f"{word},{'ab'[i % 2]}" for i, word in enumerate(["tea", "coffee"] * 20))]
    (volumes / "claim/train.csv").write_text("\n".join(lines))
    assert read()[0] == ("query",)


def test_what_can_not_be_read_is_refused_before_anything_starts(volumes: Path) -> None:
    write(volumes)
    with pytest.raises(
        Fault, match=r"the column 'stars' is a number, not a text .*set its type in spec\.data\.columns"
    ):
        read(inputs=["review", "stars"])
    ignored = [{"name": name, "type": "ignore"} for name in ("title", "review", "city")]
    assert read(columns=ignored)[0] == ("ASIN",)
    with pytest.raises(Fault, match=r"no column of .* has texts of several words: it has stars \(number\)"):
        read(columns=[*ignored, {"name": "ASIN", "type": "ignore"}])
    with pytest.raises(Fault, match="augment shifts and rotates images"):
        read(prepare=[{"augment": {"shiftPixels": 1}}])
    with pytest.raises(Fault, match=r"impute \(spec\.data\.prepare\[1\]\) does nothing to a text"):
        read(prepare=[{"dropNulls": {}}, {"impute": {}}])
    np.savez(volumes / "claim/train.npz", x=np.zeros((4, 2)), score=np.arange(4))
    with pytest.raises(Fault, match="a model of texts takes a table with a column of texts"):
        read(train={"storageUri": "pvc://claim/train.npz"})


def test_a_job_from_the_file_to_the_answer(volumes: Path) -> None:
    write(volumes, 400)
    spec = {
        "recipe": {
            "task": "text-classification",
            "model": {"architecture": "bag", "vocabularySize": 1000},
            "optimizer": {"lr": "0.01"},
            "epochs": 5,
            "batchSize": 32,
        },
        "data": json.loads(asked(testFraction="0.2").model_dump_json(by_alias=True, exclude_unset=True)),
        "output": {"storageUri": "pvc://claim/model"},
    }
    reports, output = alone(training_job(spec))
    report = Report.model_validate(reports[-1])
    assert report.model is not None and report.model.evaluation is not None
    assert float(report.model.evaluation.value) > 0.9
    for said in (
        "the column 'ASIN' is not read",
        "texts are read from the columns 'title' and 'review', one line each",
        "tokens were learnt from",
    ):
        assert said in output
    assert "Skipping constant folding" not in output and "unused nodes" not in output, "the exporter keeps quiet"

    # By model.json alone, as the server goes by it: what users send to what was stored.
    manifest, _ = open_model(volumes / "claim/model")
    folder, _ = locate(volumes / "claim/model")
    assert [(tensor.name, tensor.datatype, tensor.kind) for tensor in manifest.inputs] == [
        ("title", "BYTES", "text"),
        ("review", "BYTES", "text"),
    ]
    assert manifest.task == "text-classification" and manifest.labels == ("great", "other")
    (processor,) = {tensor.model_dump_json(include={"processor"}) for tensor in manifest.inputs}
    tokenizer = json.loads(processor)["processor"]["tokenizer"]
    assert {"model.onnx", "model.safetensors", tokenizer["file"], "samples.json"} <= manifest.files.keys()
    samples = json.loads((folder / "samples.json").read_text())
    texts = ["\n".join(text for text in (row["title"], row["review"]) if text) for row in samples["instances"]]
    made = Tokenizing((folder / tokenizer["file"]).read_bytes(), tokenizer["length"])(texts)
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    label, probabilities = session.run(["label", "probabilities"], made)
    assert label.tolist() == samples["outputs"]["label"]
    np.testing.assert_allclose(probabilities, samples["outputs"]["probabilities"], atol=1e-5)
