"""The pyramid term against a direct convolution, pixel by pixel."""

import math

import numpy as np
import pytest
import torch

from restain.losses.pyramid import SMALLEST_IMAGE, gaussian_pyramid, pyramid_loss


def loop_blur(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    reach = kernel.shape[0] // 2
    padded = np.pad(image, reach, mode="reflect")
    out = np.zeros_like(image)
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            out[y, x] = (padded[y : y + kernel.shape[0], x : x + kernel.shape[1]] * kernel).sum()
    return out


def loop_pyramid(image: np.ndarray, form: str) -> list[np.ndarray]:
    if form == "asp":
        line = np.array([1, 4, 6, 4, 1]) / 16
        kernel, maps = np.outer(line, line), []
        for _ in range(5):
            maps.append(loop_blur(image, kernel))
            image = maps[-1][::2, ::2]
        return [*maps, image]
    line = np.array([math.exp(-0.5), 1.0, math.exp(-0.5)])
    kernel = np.outer(line, line) / line.sum() ** 2
    maps = [image]
    for _ in range(3):
        for _ in range(4):
            image = loop_blur(image, kernel)
        image = image[::2, ::2]
        maps.append(image)
    return maps


@pytest.mark.parametrize("form", ["asp", "bci"])
def test_pyramid_loss_is_the_weighted_l1_of_both_pyramids(form: str) -> None:
    rng = np.random.default_rng(0)
    fake, real = rng.uniform(-1, 1, (2, 3, 40, 36)), rng.uniform(-1, 1, (2, 3, 40, 36))
    distances = []
    levels = zip(*(loop_pyramid(fake[n, c], form) for n in range(2) for c in range(3)), strict=True)
    real_levels = zip(*(loop_pyramid(real[n, c], form) for n in range(2) for c in range(3)), strict=True)
    for ours, theirs in zip(levels, real_levels, strict=True):
        distances.append(np.mean(np.abs(np.stack(ours) - np.stack(theirs))))
    if form == "asp":
        expected = np.dot([1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1], distances) / 6
    else:
        expected = 25 * sum(distances)
    found = pyramid_loss(torch.tensor(fake), torch.tensor(real), form)
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_six_maps_for_a_512_crop() -> None:
    sizes = [level.shape[-1] for level in gaussian_pyramid(torch.zeros(1, 3, 512, 512), "asp")]
    assert sizes == [512, 256, 128, 64, 32, 16]


@pytest.mark.parametrize("form", ["asp", "bci"])
def test_a_constant_stays_constant_and_equal_images_cost_nothing(form: str) -> None:
    for level in gaussian_pyramid(torch.full((1, 3, 64, 64), 0.4), form):
        torch.testing.assert_close(level, torch.full_like(level, 0.4))
    image = torch.rand(1, 3, 64, 64)
    assert pyramid_loss(image, image, form) == 0


def test_a_shift_costs_less_at_coarse_levels() -> None:
    image = torch.rand(1, 1, 96, 96, generator=torch.Generator().manual_seed(0))
    moved = image.roll(1, dims=-1)
    levels = zip(gaussian_pyramid(image, "asp"), gaussian_pyramid(moved, "asp"), strict=True)
    costs = [(a - b)[..., 1:-1, 1:-1].abs().mean().item() for a, b in list(levels)[:5]]
    assert costs == sorted(costs, reverse=True)


@pytest.mark.parametrize("form", ["asp", "bci"])
def test_the_smallest_image_is_exact(form: str) -> None:
    side = SMALLEST_IMAGE[form]
    pyramid_loss(torch.rand(1, 3, side, side), torch.rand(1, 3, side, side), form)
    with pytest.raises(RuntimeError):
        pyramid_loss(torch.rand(1, 3, side - 1, side - 1), torch.rand(1, 3, side - 1, side - 1), form)
