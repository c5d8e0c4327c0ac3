"""Every family of models that training makes is compressed: read as its training read it, judged by the same metric on
the same rows, and served as it was."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
import pytest
from jobs import Heard, alone, blobs, training_job, write_csv
from PIL import Image
from torch import nn

from tradewind.api.report import JobDocument, Report
from tradewind.api.trainingjob import Architecture
from tradewind_workload.compress import job as compression_job
from tradewind_workload.export.inference import ask
from tradewind_workload.export.signature import signature
from tradewind_workload.heads.answer import Classes
from tradewind_workload.io.artefacts import Draft, point
from tradewind_workload.io.fault import Fault
from tradewind_workload.io.store import open_model
from tradewind_workload.tasks.matrix.graph import to_onnx
from tradewind_workload.tasks.matrix.network import Classifier as TableNetwork
from tradewind_workload.tasks.matrix.network import build_network
from tradewind_workload.train.place import Alone

if TYPE_CHECKING:
    from pathlib import Path

    from tradewind.api.artefact import Manifest
    from tradewind.api.compressionjob import CompressionResult, Variant

INT8 = {"quantize": {"scheme": "static-int8", "calibrationRows": 64}}
DYNAMIC = {"quantize": {"scheme": "dynamic-int8"}}
HALF = {"prune": {"sparsity": "0.5", "fineTuneEpochs": 2}}
CANDIDATES = [
    {"name": "dynamic", "methods": [DYNAMIC]},
    {"name": "static", "methods": [INT8]},
    {"name": "half", "methods": [HALF]},
    {"name": "both", "methods": [HALF, INT8]},
]


@dataclass(frozen=True)
class Compressed:
    trained: Manifest
    rows: dict[str, Variant]
    manifests: dict[str, Manifest]
    folders: dict[str, Path]
    output: str


def compressed(
    volumes: Path,
    recipe: dict[str, Any],
    data: dict[str, Any],
    candidates: list[dict[str, Any]],
    goals: dict[str, Any] | None = None,
    other: dict[str, Any] | None = None,
) -> Compressed:
    """Train and compress in this process, on other data than the model's where it is given."""
    alone(training_job({"recipe": recipe, "data": data, "output": {"storageUri": "pvc://claim/model"}}))
    return compress(volumes, open_model(volumes / "claim/model")[1], candidates, goals, other)


def compress(
    volumes: Path,
    digest: str,
    candidates: list[dict[str, Any]],
    goals: dict[str, Any] | None = None,
    other: dict[str, Any] | None = None,
    memory: str = "2Gi",
    accelerators: int = 0,
) -> Compressed:
    """Compress the model with that digest."""
    trained, _ = open_model(volumes / "claim/model", digest)
    resources = {"memory": memory, "accelerators": accelerators}
    document = training_job(
        {
            "model": {"trainingJobRef": {"name": "job"}},
            "candidates": candidates,
            "measure": {"repeats": 10, "warmup": 2, "batchSizes": [1], "resources": resources},
            "output": {"storageUri": "pvc://claim/variants"},
        }
        | ({} if goals is None else {"goals": goals})
        | ({} if other is None else {"data": other}),
        uid="33333333-3333-3333-3333-333333333333",
    )
    document |= {"kind": "CompressionJob", "source": {"storageUri": "pvc://claim/model", "digest": digest}}
    heard, output = Heard(), io.StringIO()
    with redirect_stdout(output):
        compression_job.run(JobDocument.read(document), heard, Alone(heard))
    found: CompressionResult | None = Report.model_validate(heard.reports[-1]).compression
    assert found is not None
    rows = {row.name: row for row in found.variants}
    folders = {name: volumes / row.storage_uri.removeprefix("pvc://") for name, row in rows.items() if row.storage_uri}
    manifests = {name: open_model(folder)[0] for name, folder in folders.items()}
    page = (volumes / "claim/variants/report.html").read_text()
    assert all(name in page for name in rows)
    return Compressed(trained, rows, manifests, folders, output.getvalue())


def require_served_alike(found: Compressed, names: list[str]) -> None:
    """What the server goes by is as the source has it, but for what the model answers."""
    evaluation = found.trained.evaluation
    assert evaluation is not None
    baseline = found.rows["baseline"].quality
    assert baseline is not None
    assert (baseline.metric, baseline.value) == (evaluation.metric, evaluation.value)
    assert "the rows are not those" not in found.output
    for name in names:
        made = found.manifests[name]
        assert (made.inputs, made.outputs) == (found.trained.inputs, found.trained.outputs)
        assert (made.labels, made.split, made.task) == (found.trained.labels, found.trained.split, found.trained.task)
        assert "samples.json" in made.files
        processors = {tensor.processor.tokenizer for tensor in made.inputs if tensor.processor is not None} - {None}
        assert {tokenizer.file for tokenizer in processors if tokenizer is not None} <= made.files.keys()
        assert made.evaluation is not None
        assert (made.evaluation.metric, made.evaluation.part) == (evaluation.metric, evaluation.part)
        row = found.rows[name]
        assert row.quality is not None
        assert (row.quality.metric, row.quality.value) == (evaluation.metric, made.evaluation.value)
        assert row.verdict in ("Accepted", "NotFaster", "Regression", "Inconclusive"), row.reason
        assert row.judged_quality is not None and row.judged_quality.part == "Validation"
        assert (row.quality.part, row.quality.rows) == (evaluation.part, evaluation.rows)
        for quality in (row.quality, row.judged_quality):
            assert quality.loss is not None
            if quality.loss_low is None or quality.loss_high is None:  # all rows are ranked as before
                assert (quality.loss, quality.loss_low, quality.loss_high) == ("0", None, None)
                continue
            assert float(quality.loss_low) <= float(quality.loss) <= float(quality.loss_high)


def sizes(found: Compressed) -> dict[str, float]:
    """By variant, as parts of the baseline's."""
    whole = found.rows["baseline"].size_bytes or 0
    return {name: (row.size_bytes or 0) / whole for name, row in found.rows.items()}


def write_table(volumes: Path, label: str = "class", rows: int = 600) -> None:
    """Numbers that lack values, a boolean and a category that says most."""
    random = np.random.default_rng(5)
    age, rate = random.uniform(18, 80, rows), random.normal(0, 1, rows)
    city = random.choice(["Bern", "Köln", "Ulm", "Wien"], rows)
    good = (city == "Ulm") | (age > 60)
    said = {
        "class": np.where(good, "yes", "no"),
        "price": 2e5 * good + 900 * age + 1000 * rate + 5e4,
    }[label]
    lines = [f"age,rate,city,open,{label}"]
    for i in range(rows):
        number = "" if i % 11 == 0 else f"{rate[i]:.4f}"
        lines.append(f"{age[i]:.2f},{number},{city[i] if i % 13 else ''},{'true' if i % 2 else 'false'},{said[i]}")
    (volumes / "claim").mkdir(parents=True, exist_ok=True)
    (volumes / "claim/table.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def table(label: str = "class") -> dict[str, Any]:
    train = {"storageUri": "pvc://claim/table.csv"}
    return {"train": train, "label": label, "validationFraction": "0.2", "testFraction": "0.2"}


def test_a_network_that_takes_columns(volumes: Path) -> None:
    write_table(volumes)
    model = {"architecture": "mlp", "hiddenUnits": [256, 128]}
    recipe = {"task": "tabular-classification", "model": model, "epochs": 12, "optimizer": {"lr": "0.003"}}
    found = compressed(volumes, recipe, table(), CANDIDATES)
    require_served_alike(found, ["dynamic", "static", "half", "both"])
    assert [tensor.kind for tensor in found.trained.inputs] == ["number", "number", "category", "boolean"]
    assert all("encoding.json" in made.files for made in found.manifests.values())
    size = sizes(found)
    assert size["half"] < 0.45 and size["static"] < 0.4 and size["dynamic"] < 0.4 and size["both"] < size["half"]
    values = {name: float(row.quality.value) for name, row in found.rows.items() if row.quality is not None}
    assert all(value >= values["baseline"] - 0.05 for value in values.values()), values


def test_a_number_is_judged_in_its_own_unit_and_direction(volumes: Path) -> None:
    write_table(volumes, "price")
    model = {"architecture": "mlp", "hiddenUnits": [128, 64]}
    recipe = {"task": "tabular-regression", "model": model, "epochs": 15, "optimizer": {"lr": "0.003"}}
    goals = {"maxQualityLoss": {"metric": "mae", "value": "4000"}}
    found = compressed(volumes, recipe, table("price"), CANDIDATES, goals=goals)
    (baseline, *others) = found.rows.values()
    for row in others:
        assert row.quality is not None and baseline.quality is not None and row.quality.loss is not None
        assert row.quality.metric == "mae"
        loss = float(row.quality.value) - float(baseline.quality.value)
        assert float(row.quality.loss) == pytest.approx(loss, abs=1e-3)
        assert row.judged_quality is not None and row.judged_quality.loss is not None
        if row.verdict != "Regression" or "do not show it" not in row.reason:
            assert (row.verdict == "Regression") == (float(row.judged_quality.loss) > 4000), row.reason
    # The value is as the last layer computes it: 256 steps of all prices would be one of 1500 each.
    graph = onnx.load(found.folders["static"] / "model.onnx").graph
    made_by = {output: node for node in graph.node for output in node.output}
    node = made_by["prediction"]
    while node.op_type not in ("Gemm", "MatMul", "DequantizeLinear"):
        node = made_by[node.input[0]]
    assert node.op_type != "DequantizeLinear"


def test_rows_of_one_group_tell_no_interval(volumes: Path) -> None:
    """A fifth of four cities is one of them."""
    write_table(volumes)
    recipe = {"task": "tabular-classification", "model": {"architecture": "mlp"}, "epochs": 3}
    data = table() | {"split": {"by": "Group", "column": "city"}}
    data |= {"prepare": [{"dropNulls": {"columns": ["city", "rate"]}}]}
    found = compressed(volumes, recipe | {"primaryMetric": "accuracy"}, data, CANDIDATES)
    for row in found.rows.values():
        assert row.judged_quality is not None and row.judged_quality.loss is not None
        assert (row.judged_quality.loss_low, row.judged_quality.loss_high) == (None, None)
        if float(row.judged_quality.loss) > 0:
            assert row.verdict != "Accepted", row.reason


@pytest.mark.parametrize("label", ["class", "price"])
def test_a_table_larger_than_memory_is_judged_by_the_same_rows(label: str, volumes: Path) -> None:
    """Calibration and pruning see other rows of it, and the 8 bits of each request are those of the same requests."""
    write_table(volumes, label)
    task = "tabular-classification" if label == "class" else "tabular-regression"
    model = {"architecture": "mlp", "hiddenUnits": [64, 64]}
    recipe = {"task": task, "model": model, "epochs": 12, "optimizer": {"lr": "0.003"}}
    alone(training_job({"recipe": recipe, "data": table(label), "output": {"storageUri": "pvc://claim/model"}}))
    digest = open_model(volumes / "claim/model")[1]
    held, streamed = (compress(volumes, digest, CANDIDATES, memory=memory) for memory in ("2Gi", "8Ki"))
    require_served_alike(streamed, ["dynamic", "static", "half", "both"])
    said = "more than 0 MB (1/8 of spec.measure.resources.memory): its rows are streamed from files"
    assert said in streamed.output and said not in held.output
    assert not list(volumes.glob("claim/variants/.train/rows/*"))
    for name in ("baseline", "dynamic"):
        assert streamed.rows[name].quality == held.rows[name].quality
        assert streamed.rows[name].judged_quality == held.rows[name].judged_quality
    samples = [(found.folders["dynamic"] / "samples.json").read_text() for found in (held, streamed)]
    assert samples[0] == samples[1]


def test_classes_of_a_larger_table_are_the_models_own(volumes: Path) -> None:
    """The data of the compression lacks a class, so its own classes have other numbers."""
    recipe = {
        "task": "tabular-classification",
        "model": {"architecture": "linear"},
        "epochs": 30,
        "optimizer": {"lr": "0.1"},
    }
    inputs, classes = blobs(300)
    names = np.array(["a", "b", "c"])[classes]
    write_csv(volumes / "claim/table.csv", inputs, names)
    write_csv(volumes / "claim/fewer.csv", inputs[names != "a"], names[names != "a"])
    data = table() | {"label": "label"}
    alone(training_job({"recipe": recipe, "data": data, "output": {"storageUri": "pvc://claim/model"}}))
    other, digest = data | {"train": {"storageUri": "pvc://claim/fewer.csv"}}, open_model(volumes / "claim/model")[1]
    held, streamed = (
        compress(volumes, digest, CANDIDATES[1:2], other=other, memory=memory) for memory in ("2Gi", "8Ki")
    )
    quality = streamed.rows["baseline"].quality
    assert quality == held.rows["baseline"].quality
    assert quality is not None and float(quality.value) > 0.9


def test_trees_have_nothing_to_compress_and_are_measured(volumes: Path) -> None:
    write_table(volumes)
    recipe = {"task": "tabular-classification", "model": {"architecture": "trees", "trees": {"rounds": 20}}}
    found = compressed(volumes, recipe, table(), CANDIDATES)
    assert {name: row.verdict for name, row in found.rows.items()} == {
        "baseline": "Accepted",
        **dict.fromkeys(("dynamic", "static", "half", "both"), "NotApplicable"),
    }
    assert "boosted trees compare numbers with thresholds" in found.rows["static"].reason
    assert "boosted trees have no channels to prune" in found.rows["half"].reason
    assert found.rows["baseline"].latencies


def write_texts(volumes: Path, rows: int = 240) -> None:
    random = np.random.default_rng(3)
    words = [f"wort{i}" for i in range(60)]
    lines = ["text,label"]
    for i in range(rows):
        good = i % 2 == 0
        said = [*random.choice(words, int(random.integers(3, 12))), "prima" if good else "übel"]
        lines.append(f"{' '.join(random.permutation(said))},{'good' if good else 'bad'}")
    (volumes / "claim").mkdir(parents=True, exist_ok=True)
    (volumes / "claim/texts.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


TEXTS = {
    "train": {"storageUri": "pvc://claim/texts.csv"},
    "validationFraction": "0.2",
    "columns": [{"name": "text", "type": "text"}],
}


def test_texts(volumes: Path) -> None:
    write_texts(volumes)
    recipe = {
        "task": "text-classification",
        "model": {"architecture": "bag", "vocabularySize": 600},
        "optimizer": {"lr": "0.01"},
        "epochs": 12,
        "batchSize": 32,
    }
    found = compressed(volumes, recipe, TEXTS, [CANDIDATES[0], CANDIDATES[3]])
    require_served_alike(found, ["dynamic", "both"])
    size = sizes(found)
    assert size["dynamic"] <= 0.3 and size["both"] < 0.2, size
    values = {name: float(row.quality.value) for name, row in found.rows.items() if row.quality is not None}
    assert all(value >= values["baseline"] - 0.1 for value in values.values()), values


def write_pictures(volumes: Path) -> None:
    """Folders of pictures, red ones and blue ones, with some noise."""
    random = np.random.default_rng(2)
    for name, channel in (("red", 0), ("blue", 2)):
        folder = volumes / "claim/pictures" / name
        folder.mkdir(parents=True)
        for i in range(40):
            pixels = random.integers(0, 120, (32, 32, 3))
            pixels[..., channel] += 100
            Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{i}.png")


def test_pictures(volumes: Path) -> None:
    """Of a network of our own; those of torchvision, whose export takes long, are in test_channels."""
    write_pictures(volumes)
    recipe = {
        "task": "image-classification",
        "model": {"architecture": "cnn"},
        "optimizer": {"lr": "0.001"},
        "epochs": 4,
        "batchSize": 16,
    }
    data = {"train": {"storageUri": "pvc://claim/pictures"}, "validationFraction": "0.25"}
    found = compressed(volumes, recipe, data, [CANDIDATES[1], CANDIDATES[2]])
    require_served_alike(found, ["static", "half"])
    size = sizes(found)
    assert size["static"] < 0.32 and size["half"] < 0.4, size
    # The file answers its own golden samples, and says what it is asked: pixels, of the same picture.
    folder = found.folders["half"]
    samples = json.loads((folder / "samples.json").read_text())
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    assert len(samples["instances"]) == len(samples["outputs"]["label"])
    assert ask(session, {"image": np.zeros((1, 32, 32, 3), np.uint8)})["label"].shape == (1,)


def of_a_program(volumes: Path) -> str:
    """A model as a program leaves it, which says no recipe and no names of its classes: its digest."""
    network = TableNetwork(nn.Sequential(), build_network(Architecture.read({"architecture": "mlp"}), 4, None, 3), None)
    content = to_onnx(network, (4,), Classes(("0", "1", "2")))
    inputs, outputs = signature(onnx.load_from_string(content))
    with Draft.begin(volumes / "claim/model") as draft:
        draft.write("model.onnx", content)
        stored = draft.finish(
            {"formatVersion": 1, "task": "custom", "inputs": inputs, "outputs": outputs, "files": draft.files}
        )
    point(volumes / "claim/model", stored)
    return stored.digest


def test_a_model_of_a_program_is_quantised(volumes: Path) -> None:
    inputs, classes = blobs(200)
    write_csv(volumes / "claim/table.csv", inputs, classes)
    digest = of_a_program(volumes)
    data = {"train": {"storageUri": "pvc://claim/table.csv"}, "validationFraction": "0.25"}
    found = compress(volumes, digest, [CANDIDATES[1], CANDIDATES[2]], other=data)
    assert found.rows["static"].size_bytes is not None
    assert found.manifests["static"].outputs == found.trained.outputs
    assert (found.rows["half"].verdict, found.rows["half"].reason) == (
        "NotApplicable",
        "prune takes units out of the network of a recipe, and this model was made by a program: use quantize.",
    )
    write_csv(volumes / "claim/table.csv", inputs, [f"kind{label}" for label in classes])
    with pytest.raises(Fault, match=r"does not know \(kind0, kind1, kind2\), which knows its classes by their numbers"):
        compress(volumes, digest, CANDIDATES[:1], other=data)


def test_other_data_than_the_models_is_refused_by_what_it_lacks(volumes: Path) -> None:
    write_table(volumes)
    recipe = {"task": "tabular-classification", "model": {"architecture": "linear"}, "epochs": 1}
    other = table() | {"inputs": ["age", "rate"]}
    with pytest.raises(Fault, match=r"the model takes 'city', 'open', and the data has no such column"):
        compressed(volumes, recipe, table(), CANDIDATES[:1], other=other)
