"""Images varied at random: each of a batch for itself, and all of a batch in one pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn.functional import affine_grid, grid_sample

if TYPE_CHECKING:
    from tradewind.api.data import Augment, Color

GREY = (0.299, 0.587, 0.114)  # shares of red, green and blue in the brightness of a pixel (ITU-R BT.601)


def vary(batch: torch.Tensor, image: tuple[int, int, int], augment: Augment) -> torch.Tensor:
    """The batch, float32 or uint8 [n, ...] of images (height, width, channels), each varied at random, as float32.

    The values of uint8 stay from 0 to 255.
    """
    images = batch.reshape(len(batch), *image).float()
    images = _moved_at_random(images, augment)
    if augment.flip in ("Horizontal", "Both"):
        images = _flipped(images, 2)
    if augment.flip in ("Vertical", "Both"):
        images = _flipped(images, 1)
    if augment.color is not None:
        images = coloured(images, *_changes(len(batch), augment.color))
    if float(augment.noise):
        span = 255.0 if batch.dtype == torch.uint8 else float(images.max() - images.min())
        images = images + torch.randn_like(images) * (float(augment.noise) * span)
    if batch.dtype == torch.uint8:
        images = images.clamp(0, 255)
    return images.reshape(batch.shape)


def _moved_at_random(images: torch.Tensor, augment: Augment) -> torch.Tensor:
    if not (augment.rotate_degrees or augment.shift_pixels or float(augment.scale)):
        return images
    rows, height, width, _ = images.shape
    degrees = (torch.rand(rows) * 2 - 1) * augment.rotate_degrees
    # An image is never shifted out of itself.
    right, down = (_pixels(rows, min(augment.shift_pixels, side)) for side in (width, height))
    sizes = _around_one(rows, augment.scale) if float(augment.scale) else torch.ones(rows)
    return moved(images, degrees, right, down, sizes)


def moved(
    images: torch.Tensor,
    degrees: torch.Tensor,
    right: torch.Tensor,
    down: torch.Tensor,
    sizes: torch.Tensor | None = None,
) -> torch.Tensor:
    """Images [n, height, width, channels], each turned clockwise and made larger about its middle, then shifted.

    Shifts are in pixels, sizes in times. Black comes in from outside. As torchvision's affine, which takes a call for
    each image (90 times as long for a batch of 64 images of 8 x 8) and imports torch's compiler (7 s of processor time
    and 180 MB in every process).
    """
    rows, height, width, channels = images.shape
    angle = torch.deg2rad(degrees)
    cos, sin = torch.cos(angle), torch.sin(angle)
    if sizes is not None:
        cos, sin = cos / sizes, sin / sizes
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


def coloured(
    images: torch.Tensor, brightness: torch.Tensor, contrast: torch.Tensor, saturation: torch.Tensor
) -> torch.Tensor:
    """Images [n, height, width, channels] with changed colours, by one factor an image each; 1 changes nothing.

    As torchvision's adjust_brightness, adjust_contrast and adjust_saturation in this order, but for the bounds of the
    values, which are the caller's.
    """
    images = images * _each(brightness)
    images = _blended(images, _grey(images).mean((1, 2, 3), keepdim=True), contrast)
    return _blended(images, _grey(images), saturation) if images.shape[3] == len(GREY) else images


def mixed(images: torch.Tensor, weight: float, order: torch.Tensor) -> torch.Tensor:
    """Each image, float32 or uint8 [n, ...], blended with the one at its place in `order`, which gets 1 - weight."""
    images = images.float()
    return images * weight + images[order] * (1 - weight)


def _changes(rows: int, color: Color) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return (
        _around_one(rows, color.brightness),
        _around_one(rows, color.contrast),
        _around_one(rows, color.saturation),
    )


def _flipped(images: torch.Tensor, axis: int) -> torch.Tensor:
    """Every second one, by chance."""
    return torch.where(_each(torch.rand(len(images)) < 0.5), images.flip(axis), images)


def _grey(images: torch.Tensor) -> torch.Tensor:
    if images.shape[3] != len(GREY):
        return images
    return (images * torch.tensor(GREY)).sum(3, keepdim=True)


def _blended(images: torch.Tensor, other: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return images * _each(weight) + other * (1 - _each(weight))


def _each(values: torch.Tensor) -> torch.Tensor:
    return values.reshape(-1, 1, 1, 1)


def _around_one(rows: int, most: str) -> torch.Tensor:
    return 1 + (torch.rand(rows) * 2 - 1) * float(most)


def _pixels(rows: int, most: int) -> torch.Tensor:
    return torch.randint(-most, most + 1, (rows,))
