"""Channels that are taken out of every network that training makes: really gone, the least important first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from tradewind.api.trainingjob import Architecture
from tradewind_workload.compress.methods.channels import without_channels
from tradewind_workload.tasks.image.networks import PictureNetwork, of_torchvision, own
from tradewind_workload.tasks.stored import filled
from tradewind_workload.tasks.tabular.network import Layers, TabularNetwork
from tradewind_workload.tasks.text import network as texts
from tradewind_workload.tasks.text.transformer import Transformer
from tradewind_workload.train.training import summed_cross_entropy

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

CLASSES = 3
SCALE = ((100.0,) * 3, (50.0,) * 3)


def pictures() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3)).astype(np.uint8)


def tokens() -> np.ndarray:
    rows = np.random.default_rng(0).integers(3, 300, (40, 12)).astype(np.int32)
    rows[::3, 8:] = -1  # shorter texts
    return rows


def columns() -> np.ndarray:
    random = np.random.default_rng(0)
    return np.concatenate([random.normal(size=(60, 4)), random.integers(0, 9, (60, 2))], 1).astype(np.float32)


def transformer(kind: str, **settings: Any) -> Transformer:
    import transformers

    config = getattr(transformers, f"{kind}Config")(vocab_size=300, max_position_embeddings=40, **settings)
    body = transformers.AutoModel.from_config(config, attn_implementation="eager")
    if getattr(body, "pooler", None) is not None:
        body.pooler = None
    return Transformer(body, CLASSES, 0.1)


BERT = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
DISTILBERT = {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64}


def _text(architecture: str) -> Callable[[], nn.Module]:
    return lambda: texts.build(Architecture.read({"architecture": architecture}), 300, CLASSES, 0)


def _torchvision(architecture: str) -> Callable[[], nn.Module]:
    return lambda: PictureNetwork(of_torchvision(architecture, CLASSES), SCALE)


# How it is made, rows of it, and which part of its numbers is left at most when half of the channels are gone.
NETWORKS: dict[str, tuple[Callable[[], nn.Module], Callable[[], np.ndarray], float]] = {
    "columns": (lambda: TabularNetwork(4, (9, 9), CLASSES, Layers((64, 32), 0.1)), columns, 0.55),
    "bag": (_text("bag"), tokens, 0.55),
    "convolutions": (_text("cnn"), tokens, 0.4),
    "cnn": (
        lambda: PictureNetwork(own(Architecture.read({"architecture": "cnn"}), (32, 32, 3), CLASSES), SCALE),
        pictures,
        0.3,
    ),
    **{name: (_torchvision(name), pictures, 0.4) for name in ("resnet18", "mobilenet_v3_small", "efficientnet_b0")},
    "BERT": (lambda: transformer("Bert", **BERT), tokens, 0.75),
    "RoBERTa": (lambda: transformer("Roberta", **BERT), tokens, 0.75),
    "DistilBERT": (lambda: transformer("DistilBert", **DISTILBERT), tokens, 0.75),
    # Queries, keys and values are one layer: its heads stay.
    "ModernBERT": (
        lambda: transformer("ModernBert", pad_token_id=0, cls_token_id=1, sep_token_id=2, **BERT),
        tokens,
        0.9,
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_half_of_the_channels(name: str) -> None:
    make, rows, most = NETWORKS[name]
    torch.manual_seed(0)
    torch.set_num_threads(1)  # more of them wait for each other where other tests run
    network, inputs = make().eval(), rows()
    targets = np.arange(len(inputs)) % CLASSES
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    smaller = without_channels(network, inputs, targets, summed_cross_entropy, 0.5)
    assert all(torch.equal(before[key], tensor) for key, tensor in network.state_dict().items()), "it was a copy"
    count, left = (sum(parameter.numel() for parameter in one.parameters()) for one in (network, smaller))
    assert left < most * count
    with torch.inference_mode():
        answers = smaller(torch.from_numpy(inputs))
        assert answers.shape == (len(inputs), CLASSES)
        # As a finished model is opened again: the network of the recipe with the tensors of the file.
        again = filled(make(), smaller.state_dict())
        assert torch.equal(again(torch.from_numpy(inputs)), answers)
    second = without_channels(network, inputs, targets, summed_cross_entropy, 0.5)
    assert all(torch.equal(tensor, second.state_dict()[key]) for key, tensor in smaller.state_dict().items())


def test_heads_and_units_that_do_nothing_go_first_and_nothing_changes() -> None:
    """Half of a transformer is made useless: whole heads, and hidden units. Exactly these must go."""
    torch.manual_seed(0)
    network, inputs = transformer("Bert", **BERT).eval(), tokens()
    random = np.random.default_rng(1)
    with torch.no_grad():
        for layer in network.body.encoder.layer:
            heads = np.concatenate([np.arange(8) + 8 * head for head in random.permutation(4)[:2]])
            layer.attention.output.dense.weight[:, heads] = 0
            layer.output.dense.weight[:, random.permutation(64)[:32]] = 0
    targets = np.arange(len(inputs)) % CLASSES
    smaller = without_channels(network, inputs, targets, summed_cross_entropy, 0.5)
    with torch.inference_mode():
        rows = torch.from_numpy(inputs)
        torch.testing.assert_close(smaller(rows), network(rows), atol=1e-5, rtol=1e-4)


def test_tensors_of_another_network_are_refused() -> None:
    make, _, _ = NETWORKS["columns"]
    other, _, _ = NETWORKS["bag"]
    with pytest.raises(ValueError, match="Missing key"):
        filled(make(), other().state_dict())
