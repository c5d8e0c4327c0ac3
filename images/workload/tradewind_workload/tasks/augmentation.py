"""Images varied at random: each of a batch for itself, and all of a batch in one pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn.functional import affine_grid, grid_sample

if TYPE_CHECKING:
    from tradewind.api.data import Augment


def vary(batch: torch.Tensor, image: tuple[int, int, int], augment: Augment) -> torch.Tensor:
    """The batch, float32 [n, ...] of images (height, width, channels), each turned and shifted at random."""
    height, width, _ = image
    rows = len(batch)
    degrees = (torch.rand(rows) * 2 - 1) * augment.rotate_degrees
    # An image is never shifted out of itself.
    right, down = (_pixels(rows, min(augment.shift_pixels, side)) for side in (width, height))
    return moved(batch.reshape(rows, *image), degrees, right, down).reshape(batch.shape)


def moved(images: torch.Tensor, degrees: torch.Tensor, right: torch.Tensor, down: torch.Tensor) -> torch.Tensor:
    """Images [n, height, width, channels], each turned clockwise about its middle, then shifted by pixels.

    Black comes in from outside. As torchvision's affine, which takes a call for each image and imports torch's
    compiler: 3 s and 160 MB in every process.
    """
    rows, height, width, channels = images.shape
    angle = torch.deg2rad(degrees)
    cos, sin = torch.cos(angle), torch.sin(angle)
    # From a pixel of the result back to where it comes from: the shift undone, then the turn. Both sides are measured
    # from -1 to 1, whatever the shape.
    back = torch.stack(
        [
            torch.stack([cos, sin * height / width, -2 * (cos * right + sin * down) / width], 1),
            torch.stack([-sin * width / height, cos, -2 * (cos * down - sin * right) / height], 1),
        ],
        1,
    )
    grid = affine_grid(back, [rows, channels, height, width], align_corners=False)
    moved = grid_sample(images.permute(0, 3, 1, 2), grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return moved.permute(0, 2, 3, 1)


def _pixels(rows: int, most: int) -> torch.Tensor:
    return torch.randint(-most, most + 1, (rows,))
