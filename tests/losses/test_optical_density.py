"""Focal optical density against scikit-image, and the losses on it by hand."""

import math

import numpy as np
import pytest
import torch
from skimage.color import hed2rgb, rgb2hed

from restain.losses.optical_density import LARGEST, dab_mask, focal_optical_density, protein_losses
from restain.tensors import to_tensor


def oracle(rgb: np.ndarray) -> np.ndarray:
    """FOD of an image in [0, 1] by scikit-image's separation."""
    hed = rgb2hed(rgb)
    alone = hed2rgb(np.stack([np.zeros_like(hed[..., 0]), np.zeros_like(hed[..., 0]), hed[..., 2]], axis=-1))
    grey = alone @ [0.2125, 0.7154, 0.0721]
    return np.maximum(np.log10(1 / (grey + 10 ** -(math.e ** (1 / 1.8)))), 0) ** 1.8


def test_the_density_is_that_of_dab_alone() -> None:
    rgb = np.random.default_rng(0).random((9, 7, 3)) * 0.9 + 0.05
    image = torch.from_numpy(rgb).permute(2, 0, 1)[None] * 2 - 1
    np.testing.assert_allclose(focal_optical_density(image)[0].numpy(), oracle(rgb), rtol=1e-9, atol=1e-12)


def test_the_released_code_takes_the_tensor_itself_for_light() -> None:
    image = torch.rand(1, 3, 6, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 2 - 1
    light = image.clamp_min(1e-6)[0].permute(1, 2, 0).numpy()
    found = focal_optical_density(image, released=True)[0].numpy()
    np.testing.assert_allclose(found, oracle(light), rtol=1e-9, atol=1e-12)


def test_glass_and_haematoxylin_are_no_dab_and_brown_is() -> None:
    colours = np.array([[[255, 255, 255], [150, 140, 200], [120, 72, 40], [0, 0, 0]]], dtype=np.uint8)
    density = focal_optical_density(to_tensor(colours)[None])[0, 0]
    assert density[:2].tolist() == [0, 0] and 0.2 < density[2] < density[3] <= LARGEST
    published = focal_optical_density(to_tensor(colours)[None], released=True)
    assert dab_mask(published)[0, 0].tolist() == [False, False, True, True]


def test_there_is_a_gradient_where_the_density_is_zero() -> None:
    image = torch.ones(1, 3, 8, 8, requires_grad=True)
    focal_optical_density(image).sum().backward()
    assert image.grad is not None and image.grad.isfinite().all()


def test_amounts_are_compared_at_three_levels() -> None:
    stream = torch.Generator().manual_seed(2)
    fake, real = torch.rand(2, 3, 8, 12, generator=stream, dtype=torch.float64) * math.e
    fake[0] *= 0.3  # the only image that is out of tolerance
    found = protein_losses(fake, real)
    pixels = 8 * 12
    average = histogram = blocks = 0.0
    for f, r in zip(fake.numpy(), real.numpy(), strict=True):
        counted = [np.where(x < 0.15, 0, x) for x in (f, r)]
        gap = counted[0].sum() - counted[1].sum()
        average += (gap / pixels) ** 2 / 3 if abs(gap) > 0.4 * counted[1].sum() else 0
        sums = [np.histogram(x, bins=20, range=(0, math.e), weights=x)[0] for x in (f, r)]
        histogram += (((sums[0] - sums[1]) / pixels) ** 2).sum() / 3
        parts = [x.reshape(4, 2, 4, 3).sum(axis=(1, 3)) for x in counted]
        blocks += (((parts[0] - parts[1]) / (pixels / 16)) ** 2).mean() / 3
    assert average > 0
    assert found.average.item() == pytest.approx(average, rel=1e-9)
    assert found.histogram.item() == pytest.approx(histogram, rel=1e-9)
    assert found.blocks.item() == pytest.approx(blocks, rel=1e-9)
