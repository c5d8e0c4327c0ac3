"""Networks on pictures, of our own and of torchvision: pixels in, logits out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from tradewind.api.trainingjob import Architecture

DEFAULT_CHANNELS = (32, 64, 128, 256, 256)
DEFAULT_HIDDEN = (128,)


class PictureNetwork(nn.Module):
    """Rows in, uint8 or float32 [n, height, width, channels] from 0 to 255; logits, or one value a row, out."""

    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(self, body: nn.Module, scale: tuple[tuple[float, ...], tuple[float, ...]]) -> None:
        """`scale` is what is subtracted from each channel, and what it is divided by then."""
        super().__init__()
        self.body = body
        for name, values in zip(("mean", "deviation"), scale, strict=True):
            self.register_buffer(name, torch.tensor(values, dtype=torch.float32))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Logits, or standardised values, float32 [n, outputs]."""
        pixels = (rows.float() - self.mean) / self.deviation
        return self.body(pixels.permute(0, 3, 1, 2))  # type: ignore[no-any-return]


def own(architecture: Architecture, image: tuple[int, int, int], outputs: int) -> nn.Sequential:
    """A linear model, a perceptron, or blocks of convolution, of pixels [n, channels, height, width].

    A block is a 3x3 convolution, batch normalisation, ReLU, and halving of the image as long as it has two pixels a
    side. Where the recipe says nothing there are as many blocks as leave 4 to 7 pixels of the shorter side.
    """
    height, width, depth = image
    network = nn.Sequential()
    for i, count in enumerate(_channels(architecture, min(height, width))):
        network.add_module(f"conv{i}", nn.Conv2d(depth, count, 3, padding=1, bias=False))
        network.add_module(f"norm{i}", nn.BatchNorm2d(count))
        network.add_module(f"relu{i}", nn.ReLU())
        if min(height, width) >= 2:
            network.add_module(f"pool{i}", nn.MaxPool2d(2))
            height, width = height // 2, width // 2
        depth = count
    network.add_module("flatten", nn.Flatten())
    size = depth * height * width
    hidden = () if architecture.architecture == "linear" else architecture.hidden_units or DEFAULT_HIDDEN
    for i, units in enumerate(hidden):
        if architecture.dropout:
            network.add_module(f"dropout{i}", nn.Dropout(float(architecture.dropout)))
        network.add_module(f"hidden{i}", nn.Linear(size, units))
        network.add_module(f"active{i}", nn.ReLU())
        size = units
    network.add_module("classes", nn.Linear(size, outputs))
    return network


def _channels(architecture: Architecture, side: int) -> tuple[int, ...]:
    if architecture.architecture != "cnn":
        return ()
    if architecture.channels:
        return architecture.channels
    return DEFAULT_CHANNELS[: max(2, (side // 4).bit_length() - 1)] if side >= 8 else DEFAULT_CHANNELS[:2]


def of_torchvision(architecture: str, outputs: int) -> nn.Module:
    """A network of torchvision with random weights."""
    import torchvision.models

    made: nn.Module = getattr(torchvision.models, architecture)(weights=None, num_classes=outputs)
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            # mobilenet has 0.01, for the long trainings on ImageNet: after some dozens of steps the running statistics
            # would still be those of the start, and every picture of the same class.
            module.momentum = 0.1
    return made
