"""The amount of DAB: the density of the metrics, and three distances of it by numpy and scipy."""

import numpy as np
import pytest
import torch
from scipy.stats import wasserstein_distance

from restain.losses.dab_amount import amount_losses, dab_optical_density
from restain.metrics.stain.dab import dab_density
from restain.tensors import to_tensor


def test_the_density_is_that_of_the_metrics() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (12, 10, 3), dtype=np.uint8)
    rgb[0, 0], rgb[0, 1] = 0, 255
    found = dab_optical_density(to_tensor(rgb)[None])[0].numpy()
    np.testing.assert_allclose(found, dab_density(rgb), atol=2e-6)


def test_the_three_parts_are_means_of_the_image_of_its_sorted_pixels_and_of_its_blocks() -> None:
    fake, real = np.random.default_rng(1).gamma(1.0, 0.2, (2, 3, 12, 8))
    found = amount_losses(torch.from_numpy(fake), torch.from_numpy(real))
    mean = np.mean([abs(f.mean() - r.mean()) for f, r in zip(fake, real, strict=True)])
    transport = np.mean([wasserstein_distance(f.ravel(), r.ravel()) for f, r in zip(fake, real, strict=True)])
    blocks = np.abs((fake - real).reshape(3, 4, 3, 4, 2).mean(axis=(2, 4))).mean()
    np.testing.assert_allclose([found.mean, found.distribution, found.blocks], [mean, transport, blocks], rtol=1e-10)


def test_stain_in_another_place_costs_nothing_but_in_the_blocks() -> None:
    real = torch.zeros(1, 16, 16, dtype=torch.float64)
    real[:, :4, :4] = 0.8
    moved = real.roll((8, 8), dims=(1, 2))
    found = amount_losses(moved, real)
    assert found.mean.item() == 0 and found.distribution.item() == 0
    assert found.blocks.item() == pytest.approx(0.8 * 2 / 16)


def test_an_image_counts_by_its_weight() -> None:
    fake, real = torch.rand(2, 2, 8, 8, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    weighted = amount_losses(fake, real, torch.tensor([0.5, 0.0], dtype=torch.float64))
    first = amount_losses(fake[:1], real[:1])
    for part in ("mean", "distribution", "blocks"):
        torch.testing.assert_close(getattr(weighted, part), getattr(first, part) / 4)


def test_the_gradient_moves_light_towards_the_real_amount() -> None:
    image = torch.zeros(1, 3, 8, 8, requires_grad=True)
    density = dab_optical_density(image)
    amount_losses(density, density.detach() + 0.1).mean.backward()
    assert image.grad is not None and image.grad[:, 2].gt(0).all()  # less DAB than wanted: blue light is to fall
