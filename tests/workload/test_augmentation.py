"""Images are moved as torchvision moves them, one by one."""

from __future__ import annotations

import torch
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2.functional import affine

from tradewind.api.data import Augment
from tradewind_workload.tasks.augmentation import moved, vary


def test_moved_as_by_torchvision() -> None:
    torch.manual_seed(0)
    images = torch.rand(40, 7, 12, 3)
    degrees = torch.rand(40) * 360 - 180
    right, down = torch.randint(-5, 6, (2, 40))
    expected = [
        affine(
            image.permute(2, 0, 1),
            angle=float(angle),
            translate=[int(x), int(y)],
            scale=1.0,
            shear=[0.0, 0.0],
            interpolation=InterpolationMode.BILINEAR,
        ).permute(1, 2, 0)
        for image, angle, x, y in zip(images, degrees, right, down, strict=True)
    ]
    torch.testing.assert_close(moved(images, degrees, right, down), torch.stack(expected), atol=1e-4, rtol=0)


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
