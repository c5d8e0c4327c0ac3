"""Images are varied as torchvision varies them, one by one."""

from __future__ import annotations

import pytest
import torch
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2.functional import adjust_brightness, adjust_contrast, adjust_saturation, affine

from tradewind.api.data import Augment, Color
from tradewind_workload.tasks.augmentation import coloured, mixed, moved, vary


def test_moved_as_by_torchvision() -> None:
    torch.manual_seed(0)
    images = torch.rand(40, 7, 12, 3)
    degrees = torch.rand(40) * 360 - 180
    sizes = 0.5 + torch.rand(40)
    right, down = torch.randint(-5, 6, (2, 40))
    expected = [
        affine(
            image.permute(2, 0, 1),
            angle=float(angle),
            translate=[int(x), int(y)],
            scale=float(size),
            shear=[0.0, 0.0],
            interpolation=InterpolationMode.BILINEAR,
        ).permute(1, 2, 0)
        for image, angle, x, y, size in zip(images, degrees, right, down, sizes, strict=True)
    ]
    torch.testing.assert_close(moved(images, degrees, right, down, sizes), torch.stack(expected), atol=1e-4, rtol=0)


@pytest.mark.parametrize("channels", [1, 3])
def test_coloured_as_by_torchvision(channels: int) -> None:
    torch.manual_seed(0)
    images = 0.3 + 0.3 * torch.rand(40, 7, 12, channels)  # so that no value meets a bound
    factors = 0.8 + 0.4 * torch.rand(3, 40)
    expected = [
        adjust_saturation(
            adjust_contrast(adjust_brightness(image.permute(2, 0, 1), float(bright)), float(contrast)), float(colour)
        ).permute(1, 2, 0)
        for image, bright, contrast, colour in zip(images, *factors, strict=True)
    ]
    torch.testing.assert_close(coloured(images, *factors), torch.stack(expected), atol=1e-3, rtol=0)


def test_each_image_of_a_batch_is_varied_for_itself() -> None:
    torch.manual_seed(0)
    one = torch.rand(1, 8, 8)
    varied = vary(one.expand(20, 8, 8), (8, 8, 1), Augment(shift_pixels=2, rotate_degrees=30))
    assert varied.shape == (20, 8, 8)
    assert len(torch.unique(varied, dim=0)) == 20
    torch.testing.assert_close(vary(one, (8, 8, 1), Augment()), one)
    # No further than its own width: something of it is still seen.
    far = vary(torch.ones(200, 2, 8), (2, 8, 1), Augment(shift_pixels=64))
    assert far.shape == (200, 2, 8)


def test_flips_are_by_chance() -> None:
    torch.manual_seed(0)
    one = torch.arange(6.0).reshape(1, 2, 3, 1)
    flips = {"Horizontal": 2, "Vertical": 2, "Both": 4}
    for flip, different in flips.items():
        varied = vary(one.expand(64, 2, 3, 1), (2, 3, 1), Augment.model_validate({"flip": flip}))
        assert len(torch.unique(varied, dim=0)) == different
    assert torch.equal(varied[0].sum(), one.sum())


@pytest.mark.parametrize(
    "augment",
    [
        {"color": {"brightness": "0.5"}},
        {"color": {"contrast": "0.5"}},
        {"color": {"saturation": "0.5"}},
        {"noise": "0.2"},
        {"scale": "0.5"},
    ],
)
def test_pixels_of_pictures_stay_from_0_to_255(augment: dict[str, object]) -> None:
    torch.manual_seed(0)
    picture = torch.randint(0, 256, (1, 9, 9, 3), dtype=torch.uint8)
    varied = vary(picture.expand(50, 9, 9, 3), (9, 9, 3), Augment.model_validate(augment))
    assert varied.dtype == torch.float32
    assert len(torch.unique(varied, dim=0)) == 50
    assert varied.min() >= 0 and varied.max() <= 255
    # The same values as numbers have no such bounds.
    free = vary(picture.float().expand(50, 9, 9, 3), (9, 9, 3), Augment(color=Color(brightness="1")))
    assert free.max() > 255


def test_mixed_with_another_one() -> None:
    images = torch.tensor([[0], [100], [200]], dtype=torch.uint8)
    blended = mixed(images, 0.75, torch.tensor([1, 2, 0]))
    torch.testing.assert_close(blended, torch.tensor([[25.0], [125.0], [150.0]]))
