"""Networks on pictures, of our own and of torchvision: pixels in, logits out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from tradewind_workload.tasks.layers import add_convolutions, add_perceptron

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

    Where the recipe says nothing there are as many blocks as leave 4 to 7 pixels of the shorter side.
    """
    network = nn.Sequential()
    size = add_convolutions(network, _channels(architecture, min(image[:2])), image)
    hidden = () if architecture.architecture == "linear" else architecture.hidden_units or DEFAULT_HIDDEN
    add_perceptron(network, size, hidden, outputs, float(architecture.dropout or 0))
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
