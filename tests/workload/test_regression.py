"""Numbers to predict: learnt from a matrix or from columns, judged beside the mean, served in the label's own unit."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from jobs import alone, training_job
from PIL import Image

from tradewind.api.artefact import Manifest
from tradewind_processors import Picturing
from tradewind_workload.export.inference import open_session
from tradewind_workload.io.fault import Fault
from tradewind_workload.io.store import locate, open_model

if TYPE_CHECKING:
    from pathlib import Path

ROWS = 900


def rents(path: Path, seed: int, *, town: bool) -> np.ndarray:
    """Flats with their rents, which are far from 0 and spread by hundreds; the rents, float64 [n]."""
    random = np.random.default_rng(seed)
    size, year = random.normal(80, 20, ROWS).clip(15), random.integers(1900, 2026, ROWS)
    place = random.choice(["Bern", "Zug"], ROWS)
    rent = 900 + 18 * size + 3 * (year - 1960) + (400 * (place == "Zug") if town else 0) + random.normal(0, 30, ROWS)
    names = ["size", "year", *(["town"] if town else []), "rent"]
    columns = [[f"{x:.2f}" for x in size], map(str, year), *([place] if town else []), [f"{x:.2f}" for x in rent]]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([",".join(names), *(",".join(row) for row in zip(*columns, strict=True))]) + "\n")
    return rent


def job(architecture: dict[str, Any], **data: Any) -> dict[str, Any]:
    sets = {part: {"storageUri": f"pvc://claim/{part}.csv"} for part in ("train", "test")}
    spec = {
        "recipe": {
            "task": "tabular-regression",
            "model": architecture,
            "epochs": 40,
            "batchSize": 32,
            "optimizer": {"lr": "0.01"},
        },
        "data": {**sets, "validationFraction": "0.2", "label": "rent", **data},
        "output": {"storageUri": "pvc://claim/model"},
    }
    return training_job(spec)


@pytest.mark.parametrize(
    ("architecture", "town"),
    [("mlp", False), ("linear", True), ("trees", True)],
    ids=["a matrix", "columns", "trees"],
)
def test_a_number_is_learnt_and_served_in_its_own_unit(architecture: str, town: bool, volumes: Path) -> None:
    rents(volumes / "claim/train.csv", 1, town=town)
    truths = rents(volumes / "claim/test.csv", 2, town=town)
    prepare = [] if town else [{"standardize": {}}]
    reports, _ = alone(job({"architecture": architecture}, prepare=prepare))
    folder, _ = locate(volumes / "claim/model")
    manifest = Manifest.read(json.loads((folder / "model.json").read_text()))
    evaluation = manifest.evaluation
    assert evaluation is not None
    assert (evaluation.metric, evaluation.part, evaluation.better_than_guessing) == ("rmse", "Test", True)
    assert float(evaluation.value) < 60
    assert float(evaluation.guessing) > 300
    assert [metric.name for metric in manifest.metrics] == ["rmse", "mae", "r2"]
    assert (manifest.labels, [output.name for output in manifest.outputs]) == ((), ["prediction"])
    assert (len(manifest.inputs) == 1) is not town

    lines = (volumes / "claim/test.csv").read_text().splitlines()[1:]
    cells = list(zip(*(line.split(",")[:-1] for line in lines), strict=True))
    if town:
        feeds = {
            tensor.name: np.array(column, dtype=object if tensor.datatype == "BYTES" else np.float64).astype(
                {"BYTES": object, "FP32": np.float32, "FP64": np.float64}[tensor.datatype]
            )
            for tensor, column in zip(manifest.inputs, cells, strict=True)
        }
    else:
        feeds = {manifest.inputs[0].name: np.array(cells, np.float32).T}
    (served,) = open_session(folder / "model.onnx").run(None, feeds)
    assert served.shape == (ROWS,)
    assert np.sqrt(np.mean((served - truths) ** 2)) == pytest.approx(float(evaluation.value), rel=1e-3)
    samples = json.loads((folder / "samples.json").read_text())
    assert len(samples["outputs"]["prediction"]) == len(samples["instances"]) > 0
    record = json.loads((folder / "report.json").read_text())
    assert record["quality"][0]["metrics"][0]["name"] == "rmse"
    assert reports[-1]["model"]["primaryMetric"] == "rmse"


def test_rows_that_a_model_can_not_answer_are_named(volumes: Path) -> None:
    """What overflows on the way is no answer, and not a wrong export either."""
    rents(volumes / "claim/train.csv", 1, town=False)
    rents(volumes / "claim/test.csv", 2, town=False)
    lines = (volumes / "claim/test.csv").read_text().splitlines()
    lines[7] = "3e38,-3e38,900"
    (volumes / "claim/test.csv").write_text("\n".join(lines) + "\n")
    document = job({"architecture": "mlp"}, prepare=[{"standardize": {}}])
    document["spec"]["recipe"]["epochs"] = 1
    with pytest.raises(Fault, match=r"no finite number for 1 test rows \(the first is row 7 of test.csv\)") as caught:
        alone(document)
    assert caught.value.reason == "InvalidData"


def test_labels_that_no_number_can_be_learnt_of_are_refused(volumes: Path) -> None:
    rents(volumes / "claim/train.csv", 1, town=True)
    rents(volumes / "claim/test.csv", 2, town=True)
    lines = (volumes / "claim/train.csv").read_text().splitlines()
    with pytest.raises(Fault, match=r"the label 'town' .*(Bern|Zug)|'town'.*(Bern|Zug)"):
        alone(job({"architecture": "linear"}, label="town"))
    same = [lines[0], *(",".join([*line.split(",")[:-1], "7.5"]) for line in lines[1:])]
    (volumes / "claim/train.csv").write_text("\n".join(same) + "\n")
    with pytest.raises(Fault, match=r"the label 'rent' .* is 7.5 in every row: there is nothing to predict"):
        alone(job({"architecture": "linear"}))
    lines[5] = ",".join([*lines[5].split(",")[:-1], "NA"])
    (volumes / "claim/train.csv").write_text("\n".join(lines) + "\n")
    with pytest.raises(Fault, match=r"the label 'rent' .* is missing in 1 rows \(the first is row 5\)"):
        alone(job({"architecture": "linear"}))


def discs(folder: Path, count: int = 150) -> np.ndarray:
    """Pictures of a bright disc, and a table of their paths with its size in per mille; the sizes, float64 [n]."""
    random = np.random.default_rng(3)
    high, wide = np.mgrid[:12, :16]
    radii = random.uniform(1, 6, count)
    lines = ["photo,size"]
    (folder / "photos").mkdir(parents=True)
    for number, radius in enumerate(radii):
        inside = (high - random.uniform(4, 8)) ** 2 + (wide - random.uniform(5, 11)) ** 2 < radius**2
        pixels = np.where(inside[..., None], 220, 40) + random.normal(0, 10, (12, 16, 3))
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"photos/{number}.png")
        lines.append(f"photos/{number}.png,{1000 * radius:.3f}")
    (folder / "photos.csv").write_text("\n".join(lines) + "\n")
    return radii * 1000


def of_pictures(volumes: Path, **fields: Any) -> dict[str, Any]:
    document = job({"architecture": "cnn", "channels": [4, 8], "hiddenUnits": [16]})
    document["spec"]["recipe"] |= {"task": "image-regression", "epochs": 20}
    data = {
        "train": {"storageUri": "pvc://claim/photos.csv"},
        "validationFraction": "0.2",
        "testFraction": "0.2",
        "label": "size",
        "columns": [{"name": "photo", "type": "image"}],
        "prepare": [{"augment": {"flip": "Both", "mixup": "0.1"}}],
    }
    document["spec"]["data"] = data | fields
    return document


def test_a_number_is_learnt_of_pictures(volumes: Path) -> None:
    sizes = discs(volumes / "claim")
    alone(of_pictures(volumes))
    manifest, _ = open_model(volumes / "claim/model")
    folder, _ = locate(volumes / "claim/model")
    (taken,) = manifest.inputs
    assert (taken.name, taken.kind, [output.name for output in manifest.outputs]) == ("photo", "image", ["prediction"])
    evaluation = manifest.evaluation
    assert evaluation is not None and evaluation.better_than_guessing
    assert evaluation.guess() == "always answering the mean of the training rows"
    assert float(evaluation.value) < float(evaluation.guessing) / 2
    contents = [(volumes / f"claim/photos/{number}.png").read_bytes() for number in range(len(sizes))]
    (told,) = open_session(folder / "model.onnx").run(None, {"photo": Picturing(12, 16, 3, "Stretch")(contents)})
    assert np.corrcoef(told, sizes)[0, 1] > 0.9
    samples = json.loads((folder / "samples.json").read_text())
    assert len(samples["outputs"]["prediction"]) == len(samples["instances"]) > 0
    assert "Where it is off" in (folder / "report.html").read_text()


def test_folders_of_classes_are_no_numbers(volumes: Path) -> None:
    discs(volumes / "claim", 4)
    for number, name in enumerate(("small", "large")):
        (volumes / "claim/folders" / name).mkdir(parents=True)
        (volumes / f"claim/photos/{number}.png").rename(volumes / f"claim/folders/{name}/1.png")
    with pytest.raises(Fault, match=r"has the folder 'large', .* and image-regression predicts a number: name a table"):
        alone(of_pictures(volumes, train={"storageUri": "pvc://claim/folders"}, label="label", columns=[]))


def test_a_number_is_learnt_of_texts(volumes: Path) -> None:
    random = np.random.default_rng(4)
    worth = {"leather": 40.0, "silver": 25.0, "new": 15.0, "scratched": -20.0, "old": -10.0, "torn": -30.0}
    lines, prices = ["words,price"], []
    for _ in range(240):
        words = random.choice(list(worth), 3, replace=False)
        prices.append(100 + sum(worth[word] for word in words) + random.normal(0, 2))
        lines.append(f"a bag that is {' and '.join(words)},{prices[-1]:.2f}")
    (volumes / "claim").mkdir()
    (volumes / "claim/bags.csv").write_text("\n".join(lines) + "\n")
    document = job({"architecture": "bag"}, label="price")
    document["spec"]["recipe"] |= {"task": "text-regression", "optimizer": {"lr": "0.05"}}
    document["spec"]["data"] |= {"train": {"storageUri": "pvc://claim/bags.csv"}, "testFraction": "0.2"}
    del document["spec"]["data"]["test"]
    reports, _ = alone(document)
    evaluation = reports[-1]["model"]["evaluation"]
    assert (evaluation["metric"], evaluation["betterThanGuessing"]) == ("rmse", True)
    assert float(evaluation["value"]) < float(evaluation["guessing"]) / 2
    folder, _ = locate(volumes / "claim/model")
    samples = json.loads((folder / "samples.json").read_text())
    told = dict(zip([line.split(",")[0] for line in lines[1:]], prices, strict=True))
    asked = [told[row["words"]] for row in samples["instances"]]
    assert np.corrcoef(samples["outputs"]["prediction"], asked)[0, 1] > 0.8
