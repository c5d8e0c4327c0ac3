"""Layers that networks of several families have; their names are those of the weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from collections.abc import Sequence


def add_convolutions(network: nn.Sequential, channels: Sequence[int], image: tuple[int, int, int]) -> int:
    """Add blocks to a network of images [n, channels, height, width]; `image` is height, width, channels.

    A block is a 3x3 convolution, batch normalisation, ReLU, and halving of the image as long as it has two pixels a
    side. Returns how many numbers an image has then.
    """
    height, width, depth = image
    for i, count in enumerate(channels):
        network.add_module(f"conv{i}", nn.Conv2d(depth, count, 3, padding=1, bias=False))
        network.add_module(f"norm{i}", nn.BatchNorm2d(count))
        network.add_module(f"relu{i}", nn.ReLU())
        if min(height, width) >= 2:
            network.add_module(f"pool{i}", nn.MaxPool2d(2))
            height, width = height // 2, width // 2
        depth = count
    return depth * height * width


def add_perceptron(network: nn.Sequential, size: int, hidden: Sequence[int], outputs: int, dropout: float) -> None:
    """Add fully connected layers, from `size` numbers a row to `outputs`."""
    network.add_module("flatten", nn.Flatten())
    for i, units in enumerate(hidden):
        if dropout:
            network.add_module(f"dropout{i}", nn.Dropout(dropout))
        network.add_module(f"hidden{i}", nn.Linear(size, units))
        network.add_module(f"active{i}", nn.ReLU())
        size = units
    network.add_module("classes", nn.Linear(size, outputs))
