"""Models that give a row any number of labels are compressed, and judged by what judged them."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from sklearn.metrics import average_precision_score
from test_compressed_families import CANDIDATES, HALF, compress, compressed, require_served_alike, sizes
from test_multilabel import LABELS, TASK, asked, things, write, write_texts

from tradewind_workload.export.inference import ask, open_session
from tradewind_workload.export.signature import signature
from tradewind_workload.heads import certainty as judgement
from tradewind_workload.heads.answer import undecided
from tradewind_workload.io.artefacts import Draft, point
from tradewind_workload.io.fault import Fault

if TYPE_CHECKING:
    from pathlib import Path

    from tradewind.api.compressionjob import Variant


@pytest.fixture(autouse=True)
def _fewer_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judgement, "DRAWS", 60)
    monkeypatch.setattr(judgement, "ORDERS", 40)


def recipe(model: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"task": TASK, "model": model, "epochs": 12, "batchSize": 16, "optimizer": {"lr": "0.01"}} | fields


def quality(row: Variant) -> tuple[str, float, float]:
    """Of a row of the report: the metric, its value and the loss."""
    assert row.quality is not None and row.quality.loss is not None
    return row.quality.metric, float(row.quality.value), float(row.quality.loss)


@pytest.mark.parametrize("town", [False, True], ids=["a matrix", "columns"])
def test_a_network_is_made_smaller(volumes: Path, *, town: bool) -> None:
    write(volumes / "claim", "columns", town=town)
    network = recipe({"architecture": "mlp", "hiddenUnits": [256, 128]}, classWeights="Balanced")
    found = compressed(volumes, network, asked("columns"), CANDIDATES)
    names = ["dynamic", "static", "half", "both"] if town else ["static", "half", "both"]
    require_served_alike(found, names)
    size = sizes(found)
    assert size["half"] < 0.5 and size["static"] < 0.5 and size["both"] < size["half"], size
    metric, baseline, _ = quality(found.rows["baseline"])
    assert metric == "average_precision" and baseline > 0.85
    for name in names:
        _, value, loss = quality(found.rows[name])
        assert loss == pytest.approx(baseline - value, abs=1e-6)
        assert loss < 0.05, name
        made = json.loads((found.folders[name] / "samples.json").read_bytes())["outputs"]
        np.testing.assert_array_equal(np.array(made["labels"]), np.array(made["probabilities"]) >= 0.5)
        evaluation = found.manifests[name].evaluation
        assert evaluation is not None and evaluation.labels == 3


def test_labels_of_texts(volumes: Path) -> None:
    write_texts(volumes / "claim", ";")
    bag = recipe({"architecture": "bag"}, task="text-multilabel-classification", epochs=20)
    found = compressed(volumes, bag, asked("cells"), [CANDIDATES[0], CANDIDATES[3]])
    require_served_alike(found, ["dynamic", "both"])
    assert sizes(found)["both"] < sizes(found)["dynamic"] < 0.5
    assert min(quality(row)[1] for row in found.rows.values()) > 0.9


def test_another_metric_of_labels_may_be_bounded(volumes: Path) -> None:
    write(volumes / "claim", "cells")
    network = recipe({"architecture": "mlp", "hiddenUnits": [16]})
    goals = {"maxQualityLoss": {"metric": "f1_micro", "value": "0.02"}}
    found = compressed(volumes, network, asked("cells"), CANDIDATES[1:2], goals)
    assert quality(found.rows["static"])[0] == "f1_micro"
    digest, goals = found.rows["baseline"].digest or "", {"maxQualityLoss": {"metric": "accuracy"}}
    with pytest.raises(
        Fault, match="'accuracy', which is not measured for this model; choose one of average_precision"
    ):
        compress(volumes, digest, CANDIDATES[1:2], goals)


def test_trees_have_nothing_to_compress_and_are_measured(volumes: Path) -> None:
    write(volumes / "claim", "columns")
    found = compressed(
        volumes, recipe({"architecture": "trees", "trees": {"rounds": 20}}), asked("columns"), CANDIDATES
    )
    assert {name: row.verdict for name, row in found.rows.items()} == {
        "baseline": "Accepted",
        **dict.fromkeys(("dynamic", "static", "half", "both"), "NotApplicable"),
    }


def others(path: Path, names: tuple[str, ...], rows: int = 160) -> np.ndarray:
    """Other rows, in whose cells only these labels are told; which they are, int8 [rows, 3]."""
    numbers, sets = things(rows, seed=2)
    sets = sets * np.array([name in names for name in LABELS], np.int8)
    lines = ["a,b,c,tags"]
    for values, has in zip(numbers, sets, strict=True):
        tags = ";".join(name for name, one in zip(LABELS, has, strict=True) if one)
        lines.append(",".join([*(f"{value:.6f}" for value in values), tags]))
    path.write_text("\n".join(lines) + "\n")
    return sets


def elsewhere(file: str) -> dict[str, Any]:
    return asked("cells", validation={"storageUri": f"pvc://claim/{file}"}, validationFraction=None) | {
        "train": {"storageUri": f"pvc://claim/{file}"}
    }


@pytest.mark.parametrize("memory", ["2Gi", "8Ki"], ids=["held", "streamed"])
def test_other_data_is_judged_by_the_models_own_labels(memory: str, volumes: Path) -> None:
    """Whichever of them it has, and in whatever order: a column of answers is compared with that label's rows."""
    write(volumes / "claim", "cells")
    network = recipe({"architecture": "mlp", "hiddenUnits": [16]})
    found = compressed(volumes, network, asked("cells"), CANDIDATES[1:2])
    sets = others(volumes / "claim/others.csv", ("loud", "red"))
    digest = found.rows["baseline"].digest or ""
    others(volumes / "claim/calibrating.csv", ("loud",))
    data = elsewhere("others.csv") | {"train": {"storageUri": "pvc://claim/calibrating.csv"}}
    other = compress(volumes, digest, [{"name": "fewer", "methods": [HALF]}], other=data, memory=memory)
    assert ("its rows are streamed from files" in other.output) is (memory == "8Ki")
    session = open_session(found.folders["baseline"] / "model.onnx")
    numbers = things(160, seed=2)[0].round(6).astype(np.float32)
    probabilities = ask(session, {found.trained.inputs[0].name: numbers})["probabilities"]
    expected = np.mean([average_precision_score(sets[:, i], probabilities[:, i]) for i in (1, 2)])
    assert quality(other.rows["baseline"])[:2] == ("average_precision", pytest.approx(expected, abs=1e-6))
    assert other.rows["fewer"].verdict != "Failed", other.rows["fewer"].reason

    others(volumes / "claim/strange.csv", LABELS)
    text = (volumes / "claim/strange.csv").read_text().replace("loud", "noisy")
    (volumes / "claim/strange.csv").write_text(text)
    with pytest.raises(Fault, match=r"has labels that the model does not know \(noisy\): correct spec.data"):
        compress(volumes, digest, CANDIDATES[:1], other=elsewhere("strange.csv"))


def test_rows_that_the_models_metric_says_nothing_of_are_refused(volumes: Path) -> None:
    """Rather than judged by another one."""
    write(volumes / "claim", "cells")
    network = recipe({"architecture": "mlp", "hiddenUnits": [16]}, epochs=1)
    found = compressed(volumes, network, asked("cells"), CANDIDATES[:1])
    others(volumes / "claim/others.csv", LABELS)
    (volumes / "claim/none.csv").write_text("a,b,c,tags\n1,2,3,\n3,1,2,\n")
    data = elsewhere("others.csv") | {"validation": {"storageUri": "pvc://claim/none.csv"}}
    with pytest.raises(Fault, match="average_precision, and the 2 validation rows have none, as none of them has a la"):
        compress(volumes, found.rows["baseline"].digest or "", CANDIDATES[:1], other=data)


def test_a_model_of_classes_keeps_the_metric_that_judged_it(volumes: Path) -> None:
    """Where other rows would suit another metric, and where they have none of it."""
    (volumes / "claim").mkdir()
    numbers = things(200)[0].round(6)
    for file, limit in (("even", 0.0), ("rare", 1.5), ("one", 9.0)):
        lines = ["a,b,c,kind", *(",".join(map(str, [*row, "yes" if row[0] > limit else "no"])) for row in numbers)]
        (volumes / f"claim/{file}.csv").write_text("\n".join(lines) + "\n")

    def data(train: str, **fields: Any) -> dict[str, Any]:
        return {"train": {"storageUri": f"pvc://claim/{train}.csv"}, "label": "kind"} | fields

    part = {"validationFraction": "0.25"}
    network = recipe({"architecture": "mlp", "hiddenUnits": [16]}, task="tabular-classification", epochs=2)
    found = compressed(volumes, network, data("even", **part), CANDIDATES[1:2], other=data("rare", **part))
    evaluation = found.manifests["static"].evaluation
    assert evaluation is not None
    assert (evaluation.metric, quality(found.rows["static"])[0]) == ("accuracy", "accuracy")
    shutil.rmtree(volumes / "claim/model")
    network |= {"primaryMetric": "auroc"}
    alike = data("even", validation={"storageUri": "pvc://claim/one.csv"})
    with pytest.raises(
        Fault, match="auroc, and the 200 validation rows have none, as they all have the same label: add"
    ):
        compressed(volumes, network, data("even", **part), CANDIDATES[1:2], other=alike)


def test_a_model_of_two_classes_is_judged_by_the_same_one(volumes: Path) -> None:
    """Also where that one is the commoner among the rows of the compression."""
    (volumes / "claim").mkdir()
    limits = {"rare": 1, "often": -1, "judging": -1}
    numbers = {file: things(200, seed=seed)[0].round(6) for seed, file in enumerate(limits)}
    for file, limit in limits.items():
        rows = [",".join(map(str, [*row, f"k{int(row[0] > limit)}"])) for row in numbers[file]]
        (volumes / f"claim/{file}.csv").write_text("\n".join(["a,b,c,kind", *rows]) + "\n")

    def data(train: str, **fields: Any) -> dict[str, Any]:
        return {"train": {"storageUri": f"pvc://claim/{train}.csv"}, "label": "kind"} | fields

    network = recipe({"architecture": "mlp", "hiddenUnits": [8]}, task="tabular-classification", epochs=2)
    network["primaryMetric"] = "average_precision"
    often = data("often", validation={"storageUri": "pvc://claim/judging.csv"})
    found = compressed(volumes, network, data("rare", validationFraction="0.25"), CANDIDATES[1:2], other=often)
    evaluation = found.trained.evaluation
    assert evaluation is not None and evaluation.positive == "k1"
    session = open_session(found.folders["baseline"] / "model.onnx")
    judging = numbers["judging"]
    told = ask(session, {found.trained.inputs[0].name: judging.astype(np.float32)})["probabilities"][:, 1]
    expected = average_precision_score(judging[:, 0] > -1, told)
    assert quality(found.rows["baseline"])[:2] == ("average_precision", pytest.approx(expected, abs=1e-6))
    evaluation = found.manifests["static"].evaluation
    assert evaluation is not None and evaluation.positive == "k1"


def of_a_program(folder: Path, threshold: float) -> str:
    """A model that a program left: a label is answered where its probability is at least that. Its digest."""
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "weights"], ["logits"]),
            helper.make_node("Sigmoid", ["logits"], ["probabilities"]),
            helper.make_node("GreaterOrEqual", ["probabilities", "threshold"], ["labels"]),
        ],
        "labels",
        [value("x", TensorProto.FLOAT, ["rows", 3])],
        [value("labels", TensorProto.BOOL, ["rows", 3]), value("probabilities", TensorProto.FLOAT, ["rows", 3])],
        [
            onnx.numpy_helper.from_array(3 * np.eye(3, dtype=np.float32), "weights"),
            onnx.numpy_helper.from_array(np.float32(threshold), "threshold"),
        ],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    inputs, outputs = signature(proto)
    with Draft.begin(folder) as draft:
        draft.write("model.onnx", proto.SerializeToString())
        stored = draft.finish(
            {"formatVersion": 1, "task": "custom", "inputs": inputs, "outputs": outputs, "files": draft.files}
        )
    point(folder, stored)
    return stored.digest


def test_a_model_of_a_program_is_judged_where_it_answers_by_its_probabilities(volumes: Path) -> None:
    numbers, sets = things()
    (volumes / "claim").mkdir()
    lines = ["a,b,c,0,1,2"]
    lines += [",".join(map(str, [*row, *has])) for row, has in zip(numbers.tolist(), sets.tolist(), strict=True)]
    (volumes / "claim/things.csv").write_text("\n".join(lines) + "\n")
    data = asked("columns") | {"labelColumns": ["0", "1", "2"]}
    found = compress(volumes, of_a_program(volumes / "claim/model", 0.5), CANDIDATES[1:2], other=data)
    assert quality(found.rows["baseline"])[0] == "average_precision"
    assert found.rows["static"].verdict not in ("Failed", "NotApplicable"), found.rows["static"].reason
    digest = of_a_program(volumes / "claim/model", 0.3)
    with pytest.raises(Fault, match=r"names other labels in labels than those whose probability is at least 0.5, and"):
        compress(volumes, digest, CANDIDATES[1:2], other=data)


def test_a_label_agrees_with_its_probabilities() -> None:
    """Of equal ones any may be named: a graph finds the label in logits that one probability stands for."""
    probabilities = np.array([[0.4, 0.4, 0.2], [0.1, 0.2, 0.7]], np.float32)
    for label, agrees in (([0, 2], True), ([1, 2], True), ([2, 2], False), ([0, 3], False)):
        assert (undecided({"label": np.array(label), "probabilities": probabilities}) is None) is agrees
    assert undecided({"labels": probabilities >= 0.5, "probabilities": probabilities}) is None
    assert undecided({"labels": probabilities >= 0.4, "probabilities": probabilities}) is not None
    assert undecided({"prediction": np.zeros(2, np.float32)}) is None
