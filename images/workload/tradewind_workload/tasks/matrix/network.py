"""The networks of the recipes, with the fitted preparation in front: raw rows in, logits out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from tradewind_workload.data.fitting import Stage
from tradewind_workload.tasks.layers import add_convolutions, add_perceptron

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tradewind.api.trainingjob import Architecture
    from tradewind_workload.tasks.matrix.family import Matrix

DEFAULT_CHANNELS = (32, 64)
DEFAULT_HIDDEN = (128,)


class Impute(nn.Module):
    """Missing (NaN or infinite) values become the fitted ones."""

    values: torch.Tensor

    def __init__(self, values: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("values", values)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Rows without a missing value."""
        return torch.where(torch.isfinite(rows), rows, self.values)


class Standardize(nn.Module):
    """Mean 0 and deviation 1 by the fitted values."""

    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(self, mean: torch.Tensor, deviation: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Rows on the scale of the training split."""
        return (rows - self.mean) / self.deviation


class Classifier(nn.Module):
    """`image` is (height, width, channels), or None for a table; rows come in the shape that they have in the file."""

    def __init__(self, preparation: nn.Sequential, network: nn.Sequential, image: tuple[int, int, int] | None) -> None:
        super().__init__()
        self.preparation = preparation
        self.network = network
        self.image = image

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Logits, float32 [n, classes], of raw rows, float32 [n, *row shape]."""
        rows = self.preparation(rows.reshape(len(rows), *(self.image or (-1,))))
        logits: torch.Tensor = self.network(rows.permute(0, 3, 1, 2) if self.image else rows)
        return logits


def widths(architecture: Architecture) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Channels of the convolution blocks and units of the hidden layers, with the defaults filled in."""
    if architecture.architecture == "linear":
        return (), ()
    hidden = architecture.hidden_units or DEFAULT_HIDDEN
    return (architecture.channels or DEFAULT_CHANNELS if architecture.architecture == "cnn" else ()), hidden


def build_network(
    architecture: Architecture, features: int, image: tuple[int, int, int] | None, classes: int
) -> nn.Sequential:
    """The network behind the preparation; its modules are named, and the names are those of its weights.

    cnn: blocks of 3x3 convolution, batch normalisation, ReLU, and halving of the image as long as it has two pixels a
    side.
    """
    channels, hidden = widths(architecture)
    network = nn.Sequential()
    size = features
    if channels:
        assert image is not None
        size = add_convolutions(network, channels, image)
    add_perceptron(network, size, hidden, classes, float(architecture.dropout or 0))
    return network


def build_preparation(stages: Sequence[Stage]) -> nn.Sequential:
    """The fitted stages as modules."""
    modules: list[nn.Module] = []
    for stage in stages:
        values = torch.from_numpy(np.array(stage.values))
        if stage.scale is None:
            modules.append(Impute(values))
        else:
            modules.append(Standardize(values, torch.from_numpy(np.array(stage.scale))))
    return nn.Sequential(*modules)


def build(architecture: Architecture, fitted: Matrix, outputs: int, seed: int) -> Classifier:
    """An untrained network; the same seed gives the same weights."""
    torch.manual_seed(seed)
    network = build_network(architecture, int(np.prod(fitted.shape)), fitted.image, outputs)
    return Classifier(build_preparation(fitted.stages), network, fitted.image)


def stages_of(tensors: Mapping[str, torch.Tensor]) -> tuple[Stage, ...]:
    """The stages of the preparation that a network's tensors have. Raises ValueError where they are of another kind."""
    stages: list[Stage] = []
    while any(name.startswith(f"preparation.{len(stages)}.") for name in tensors):
        mark = f"preparation.{len(stages)}."
        if f"{mark}mean" in tensors and f"{mark}deviation" in tensors:
            scale = tensors[f"{mark}deviation"].numpy()
            stages.append(Stage("standardize", tensors[f"{mark}mean"].numpy(), scale))
        elif f"{mark}values" in tensors:
            stages.append(Stage("impute", tensors[f"{mark}values"].numpy()))
        else:
            raise ValueError(f"there is no known preparation at {mark!r}")
    return tuple(stages)
