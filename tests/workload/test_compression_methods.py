"""Pruning takes units out for good, quantisation computes in integers, and calibration never sees validation rows."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from tradewind.api.artefact import Manifest
from tradewind.api.trainingjob import Architecture, Recipe
from tradewind_workload.compress.methods.channels import without_channels
from tradewind_workload.compress.methods.quantisation import dynamic_int8, static_int8
from tradewind_workload.compress.source import Source
from tradewind_workload.data.fitting import Stage
from tradewind_workload.data.preparation import Room
from tradewind_workload.export.inference import ask, asked, batch_of, in_8_bits, joined, open_session
from tradewind_workload.heads.answer import Classes
from tradewind_workload.io.fault import Fault
from tradewind_workload.io.files import ONNX, WEIGHTS
from tradewind_workload.measure.processor import processor
from tradewind_workload.tasks.matrix.family import Matrix
from tradewind_workload.tasks.matrix.graph import to_onnx
from tradewind_workload.tasks.matrix.network import Classifier, build_network, build_preparation
from tradewind_workload.train.training import outputs_of, summed_cross_entropy

if TYPE_CHECKING:
    from pathlib import Path

CNN = Architecture.model_validate({"architecture": "cnn", "channels": [8, 16], "hiddenUnits": [32, 12]})
MLP = Architecture.model_validate({"architecture": "mlp", "hiddenUnits": [512, 512]})
STAGES = [Stage("standardize", np.array([0.2], np.float32), np.array([1.5], np.float32))]


def classifier(
    architecture: Architecture, features: int, image: tuple[int, int, int] | None, seed: int = 0
) -> Classifier:
    torch.manual_seed(seed)
    made = Classifier(build_preparation(STAGES), build_network(architecture, features, image, 5), image)
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.uniform_(module.bias, -0.2, 0.2)
    return made.eval()


def rows(count: int, *shape: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(4)
    return random.normal(size=(count, *shape)).astype(np.float32), random.integers(0, 5, count)


def test_pruned_units_are_gone() -> None:
    model = classifier(CNN, 64, (8, 8, 1))
    inputs, classes = rows(64, 8, 8)
    smaller: Any = without_channels(model, inputs, classes, summed_cross_entropy, 0.5)
    shapes = {
        name: tuple(tensor.shape) for name, tensor in smaller.network.state_dict().items() if name.endswith("weight")
    }
    assert shapes["conv0.weight"] == (4, 1, 3, 3)
    assert shapes["conv1.weight"] == (8, 4, 3, 3)
    assert shapes["hidden0.weight"] == (16, 8 * 4)
    assert shapes["hidden1.weight"] == (6, 16)
    assert shapes["classes.weight"] == (5, 6)
    big, small = (len(to_onnx(network, (8, 8), Classes(tuple("abcde")))) for network in (model, smaller))
    assert small < 0.45 * big


def test_units_that_do_nothing_go_first_and_nothing_changes() -> None:
    """Half of the units are made useless: pruning by half must find exactly these, and give the same outputs."""
    model = classifier(CNN, 64, (8, 8, 1))
    random = np.random.default_rng(0)
    with torch.no_grad():
        for name, module in model.network.named_children():
            if isinstance(module, nn.BatchNorm2d):
                dead = torch.from_numpy(random.permutation(module.num_features)[: module.num_features // 2])
                module.weight[dead] = 0
                module.bias[dead] = 0
            elif name.startswith("hidden") and isinstance(module, nn.Linear):
                dead = torch.from_numpy(random.permutation(module.out_features)[: module.out_features // 2])
                module.weight[dead] = 0
                module.bias[dead] = 0
    inputs, classes = rows(256, 8, 8)
    smaller = without_channels(model, inputs, classes, summed_cross_entropy, 0.5)
    np.testing.assert_allclose(outputs_of(smaller, inputs), outputs_of(model, inputs), atol=1e-5)


def source(folder: Path, network: dict[str, torch.Tensor] | None = None) -> Source:
    if network is not None:
        save_file(network, folder / WEIGHTS)
    fitted = Matrix((8, 8), (), (8, 8, 1), (), None)
    manifest = Manifest(task="image-classification", inputs=(fitted.taken,), outputs=(), files={})
    prepared: Any = SimpleNamespace(labels=tuple("abcde"), train=[], several=False)
    return Source(folder, "pvc://claim/model", manifest, "sha256:0", prepared, fitted, Room(0, folder, "a test"))


def test_network_is_rebuilt_from_safetensors_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Source, "require_same", lambda *_: None)
    (tmp_path / ONNX).touch()
    model = classifier(CNN, 64, (8, 8, 1))
    recipe = Recipe(task="image-classification", model=CNN)
    inputs, classes = rows(64, 8, 8)
    smaller = without_channels(model, inputs, classes, summed_cross_entropy, 0.5)
    for one in (model, smaller):
        again = source(tmp_path, one.state_dict()).network(recipe)
        np.testing.assert_array_equal(outputs_of(again, inputs), outputs_of(one, inputs))

    other = Recipe(task="image-classification", model=MLP)
    with pytest.raises(Fault, match=r"does not fit the recipe in model.json"):
        source(tmp_path, model.state_dict()).network(other)


class Bomb:
    """A pickle of this would make a file."""

    def __init__(self, target: str) -> None:
        self.target = target

    def __reduce__(self) -> object:
        return open, (self.target, "w")


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    import pickle

    target = tmp_path / "pwned"
    (tmp_path / WEIGHTS).write_bytes(pickle.dumps(Bomb(str(target))))
    with pytest.raises(Fault, match="can't be read as safetensors"):
        source(tmp_path).network(Recipe(task="image-classification", model=CNN))
    assert not target.exists()


@pytest.mark.parametrize("scheme", ["dynamic", "static"])
def test_int8_is_a_quarter_of_the_size_and_says_nearly_the_same(scheme: str) -> None:
    model = classifier(MLP, 784, None)
    content = to_onnx(model, (784,), Classes(tuple("abcde")))
    inputs, _ = rows(300, 784)
    quantised = (
        dynamic_int8(content, reduce_range=False)
        if scheme == "dynamic"
        else static_int8(content, {"inputs": inputs[:200]}, reduce_range=False)
    )
    assert len(quantised) <= 0.27 * len(content)
    exact, near = (ask(open_session(one), {"inputs": inputs})["label"] for one in (content, quantised))
    assert (exact == near).mean() > 0.95
    again = (
        dynamic_int8(content, reduce_range=False)
        if scheme == "dynamic"
        else static_int8(content, {"inputs": inputs[:200]}, reduce_range=False)
    )
    assert again == quantised


@pytest.mark.parametrize("scheme", ["none", "dynamic", "static"])
def test_each_row_is_judged_as_if_it_were_asked_alone(scheme: str) -> None:
    """As a request has one row: 8 bits that are found at each request are those of its largest value."""
    content = to_onnx(classifier(MLP, 64, None), (64,), Classes(tuple("abcde")))
    inputs, _ = rows(100, 64)
    inputs[3] *= 50
    if scheme == "dynamic":
        content = dynamic_int8(content, reduce_range=False)
    elif scheme == "static":
        content = static_int8(content, {"inputs": inputs[:50]}, reduce_range=False)
    session = open_session(content)
    alone = joined(ask(session, {"inputs": inputs[i : i + 1]}) for i in range(100))["probabilities"]
    judged = joined(asked(session, [{"inputs": inputs[:60]}, {"inputs": inputs[60:]}], batch_of(content)))
    np.testing.assert_allclose(judged["probabilities"], alone, atol=1e-3)
    assert in_8_bits(content) is (scheme != "none")


def test_preparation_and_outputs_stay_in_floats() -> None:
    content = to_onnx(classifier(CNN, 64, (8, 8, 1)), (8, 8), Classes(tuple("abcde")))
    inputs, _ = rows(100, 8, 8)
    graph = onnx.load_from_string(static_int8(content, {"inputs": inputs}, reduce_range=False)).graph
    made_by = {output: node for node in graph.node for output in node.output}
    order = [node.op_type for node in graph.node if node.op_type != "DequantizeLinear"]
    assert order[:4] == ["Reshape", "Sub", "Div", "QuantizeLinear"]
    assert made_by["probabilities"].op_type == "Softmax"
    assert made_by["label"].op_type == "ArgMax"
    assert {made_by[made_by[name].input[0]].op_type for name in ("label", "probabilities")} == {"Gemm"}
    weights = [
        constant
        for constant in graph.initializer
        if constant.data_type == onnx.TensorProto.INT8 and len(constant.dims) == 4
    ]
    assert len(weights) == 2
    scales = {constant.name: constant.dims for constant in graph.initializer}
    assert list(scales["conv1.weight_scale"]) == [16]  # one a channel


def test_range_is_reduced_where_products_would_overflow() -> None:
    old = "model name\t: Some CPU\nflags\t: sse2 avx2\n"
    new = "model name\t: Newer CPU\nflags\t: avx2 avx512f avx512_vnni\n"
    assert processor(old).reduce_range
    assert not processor(new).reduce_range
    assert "avx512_vnni" in str(processor(new))
    assert not processor("CPU part\t: 0xd0c\nFeatures\t: fp asimd asimddp\n").reduce_range
    content = to_onnx(classifier(MLP, 20, None), (20,), Classes(tuple("abcde")))
    inputs, _ = rows(50, 20)
    graph = onnx.load_from_string(static_int8(content, {"inputs": inputs}, reduce_range=True)).graph
    largest = [
        np.abs(onnx.numpy_helper.to_array(constant).astype(int)).max()
        for constant in graph.initializer
        if constant.data_type == onnx.TensorProto.INT8 and len(constant.dims) == 2
    ]
    assert largest
    assert max(largest) <= 64
