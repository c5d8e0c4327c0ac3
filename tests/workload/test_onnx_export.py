"""The exported file gives what torch gives, with the preparation inside, on whatever shape the data has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
import torch
from jobs import alone, blobs, training_job, write_csv
from torch import nn

from tradewind.api.trainingjob import Architecture
from tradewind_workload.data.fitting import Stage
from tradewind_workload.export import inference
from tradewind_workload.export.inference import ask, open_session
from tradewind_workload.export.signature import signature
from tradewind_workload.heads.answer import Classes
from tradewind_workload.tasks.matrix.graph import to_onnx
from tradewind_workload.tasks.matrix.network import Classifier, build_network, build_preparation
from tradewind_workload.train.training import outputs_of

if TYPE_CHECKING:
    from pathlib import Path

CNN = {"architecture": "cnn", "channels": [5, 7, 9], "hiddenUnits": [11], "dropout": "0.5"}
MLP = {"architecture": "mlp", "hiddenUnits": [6, 5]}
CASES = {
    "a table": (MLP, (7,), None),
    "a linear model": ({"architecture": "linear"}, (7,), None),
    "a table in an array of two axes": (MLP, (2, 3), None),
    "grey images": (CNN, (8, 8), (8, 8, 1)),
    "grey images with a channel axis": (CNN, (9, 6, 1), (9, 6, 1)),
    "coloured images": (CNN, (5, 6, 3), (5, 6, 3)),
    "images whose pixels are columns": (CNN, (30,), (5, 2, 3)),
    "images for a network without convolutions": (MLP, (4, 5, 3), (4, 5, 3)),
}


def classifier(model: dict[str, object], shape: tuple[int, ...], image: tuple[int, int, int] | None) -> Classifier:
    random = np.random.default_rng(1)
    torch.manual_seed(1)
    features = int(np.prod(shape))
    pixel = image or (features,)
    channel = (image[2],) if image else (features,)
    stages = [
        Stage("impute", random.normal(size=pixel).astype(np.float32)),
        Stage(
            "standardize",
            random.normal(size=channel).astype(np.float32),
            random.uniform(0.5, 2, channel).astype(np.float32),
        ),
    ]
    made = Classifier(
        build_preparation(stages), build_network(Architecture.model_validate(model), features, image, 4), image
    )
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):  # as after a training
            nn.init.uniform_(module.running_mean, -1, 1)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.uniform_(module.bias, -1, 1)
    return made.eval()


@pytest.mark.parametrize("case", CASES)
def test_equals_torch(case: str) -> None:
    model, shape, image = CASES[case]
    made = classifier(model, shape, image)
    rows = np.random.default_rng(2).normal(size=(300, *shape)).astype(np.float32)
    flat = rows.reshape(300, -1)
    flat[3, 1], flat[5, 0], flat[9, 2] = np.nan, np.inf, -np.inf
    content = to_onnx(made, shape, Classes(tuple("abcd")))
    served = ask(open_session(content), {"inputs": rows})
    expected = torch.softmax(torch.from_numpy(outputs_of(made, rows)), 1).numpy()
    np.testing.assert_allclose(served["probabilities"], expected, atol=1e-5)
    np.testing.assert_array_equal(served["label"], expected.argmax(1))
    assert served["label"].dtype == np.int64

    inputs, outputs = signature(onnx.load_from_string(content))
    assert [(tensor["name"], tensor["datatype"], tuple(tensor["shape"])) for tensor in (*inputs, *outputs)] == [
        ("inputs", "FP32", (-1, *shape)),
        ("label", "INT64", (-1,)),
        ("probabilities", "FP32", (-1, 4)),
    ]
    assert to_onnx(made, shape, Classes(tuple("abcd"))) == content


def test_one_row_and_many_rows() -> None:
    made = classifier(*CASES["grey images"])
    session = open_session(to_onnx(made, (8, 8), Classes(tuple("abcd"))))
    for count in (1, 2, 1000):
        label, probabilities = session.run(None, {"inputs": np.zeros((count, 8, 8), np.float32)})
        assert label.shape == (count,)
        assert probabilities.shape == (count, 4)


@pytest.mark.parametrize(("cpu", "whole"), [("3", 3), ("1500m", 1)])
def test_the_exported_model_is_compared_with_all_cpus_of_the_worker(
    cpu: str, whole: int, volumes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a training on a GPU that is what takes longest."""
    threads = []

    def opened(model: Any, number: int = 1) -> Any:
        threads.append(number)
        return open_session(model, number)

    monkeypatch.setattr(inference, "open_session", opened)
    write_csv(volumes / "claim/train.csv", *blobs(60))
    spec = {
        "recipe": {"task": "tabular-classification", "model": {"architecture": "linear"}, "epochs": 1},
        "data": {"train": {"storageUri": "pvc://claim/train.csv"}, "validationFraction": "0.3"},
        "resources": {"cpu": cpu},
        "output": {"storageUri": "pvc://claim/model"},
    }
    alone(training_job(spec))
    assert threads == [whole]
