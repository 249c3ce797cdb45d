"""Both Gaussian pyramids against a direct convolution: every pixel a sum over its window, in float64."""

import math

import numpy as np
import pytest
import torch

from restain.losses.pyramid import SMALLEST_IMAGE, PyramidForm, gaussian_pyramid, pyramid_loss

BINOMIAL = np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]) / 256


def _gaussian() -> np.ndarray:
    kernel = np.array([[math.exp(-(y * y + x * x) / 2) for x in (-1, 0, 1)] for y in (-1, 0, 1)])
    return kernel / kernel.sum()


def _mirror(i: int, size: int) -> int:
    """Reflection without repeating the edge: -1 -> 1, size -> size - 2."""
    return -i if i < 0 else 2 * (size - 1) - i if i >= size else i


def _blur(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    height, width = image.shape
    reach = len(kernel) // 2
    out = np.zeros_like(image)
    for y in range(height):
        for x in range(width):
            for dy in range(-reach, reach + 1):
                for dx in range(-reach, reach + 1):
                    weight = kernel[dy + reach, dx + reach]
                    out[y, x] += weight * image[_mirror(y + dy, height), _mirror(x + dx, width)]
    return out


def _asp_maps(image: np.ndarray) -> list[np.ndarray]:
    maps = []
    for _ in range(5):
        maps.append(_blur(image, BINOMIAL))
        image = maps[-1][::2, ::2]
    return [*maps, image]


def _bci_maps(image: np.ndarray) -> list[np.ndarray]:
    maps = [image]
    for _ in range(3):
        for _ in range(4):
            image = _blur(image, _gaussian())
        image = image[::2, ::2]
        maps.append(image)
    return maps


MAPS = {"asp": _asp_maps, "bci": _bci_maps}
SIZE = (37, 34)  # odd and even, not square


@pytest.fixture(scope="module")
def pair() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.uniform(-1, 1, (1, 3, *SIZE)), rng.uniform(-1, 1, (1, 3, *SIZE))


@pytest.mark.parametrize("form", ["asp", "bci"])
def test_maps_are_direct_convolutions(form: PyramidForm, pair: tuple[np.ndarray, np.ndarray]) -> None:
    image = pair[0]
    expected = [MAPS[form](channel) for channel in image[0]]
    found = gaussian_pyramid(torch.from_numpy(image), form)
    assert len(found) == len(expected[0])
    for level, map_ in enumerate(found):
        want = np.stack([channel[level] for channel in expected])
        np.testing.assert_allclose(map_[0].numpy(), want, rtol=1e-12, atol=1e-13)


def test_sizes_of_the_maps() -> None:
    image = torch.zeros(1, 3, 64, 96)
    sizes = [tuple(level.shape[2:]) for level in gaussian_pyramid(image, "asp")]
    assert sizes == [(64, 96), (32, 48), (16, 24), (8, 12), (4, 6), (2, 3)]
    sizes = [tuple(level.shape[2:]) for level in gaussian_pyramid(image, "bci")]
    assert sizes == [(64, 96), (32, 48), (16, 24), (8, 12)]


def test_asp_loss_is_the_weighted_mean_of_mean_l1(pair: tuple[np.ndarray, np.ndarray]) -> None:
    fake, real = pair
    levels = []
    for a, b in zip(fake[0], real[0], strict=True):
        levels.append([np.abs(x - y).mean() for x, y in zip(_asp_maps(a), _asp_maps(b), strict=True)])
    weights = [1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1]
    expected = sum(w * d for w, d in zip(weights, np.mean(levels, axis=0), strict=True)) / 6
    found = pyramid_loss(torch.from_numpy(fake), torch.from_numpy(real), "asp")
    np.testing.assert_allclose(found.item(), expected, rtol=1e-12)


def test_bci_loss_is_25_times_the_sum_of_mean_l1(pair: tuple[np.ndarray, np.ndarray]) -> None:
    fake, real = pair
    levels = []
    for a, b in zip(fake[0], real[0], strict=True):
        levels.append([np.abs(x - y).mean() for x, y in zip(_bci_maps(a), _bci_maps(b), strict=True)])
    found = pyramid_loss(torch.from_numpy(fake), torch.from_numpy(real), "bci")
    np.testing.assert_allclose(found.item(), 25 * np.mean(levels, axis=0).sum(), rtol=1e-12)


@pytest.mark.parametrize(
    ("form", "expected"), [("asp", 0.3 * (1 + 1 / 4 + 1 / 8 + 1 / 16 + 1 / 32 + 1 / 64) / 6), ("bci", 30.0)]
)
def test_a_constant_offset_costs_its_size_at_every_level(form: PyramidForm, expected: float) -> None:
    real = torch.from_numpy(np.random.default_rng(1).uniform(-0.5, 0.5, (2, 3, 40, 40)))
    assert pyramid_loss(real + 0.3, real, form).item() == pytest.approx(expected, rel=1e-12)
    assert pyramid_loss(real, real, form).item() == 0.0


@pytest.mark.parametrize("form", ["asp", "bci"])
def test_smallest_image_is_exact(form: PyramidForm) -> None:
    side = SMALLEST_IMAGE[form]
    assert pyramid_loss(torch.ones(1, 3, side, side), torch.zeros(1, 3, side, side), form).isfinite()
    with pytest.raises(RuntimeError):
        gaussian_pyramid(torch.zeros(1, 3, side - 1, side - 1), form)


@pytest.mark.parametrize("form", ["asp", "bci"])
def test_autocast_does_not_reach_the_blur(form: PyramidForm) -> None:
    generator = torch.Generator().manual_seed(0)
    fake, real = (torch.rand(1, 3, 40, 40, generator=generator) for _ in range(2))
    with torch.autocast("cpu", torch.bfloat16):
        inside = pyramid_loss(fake, real, form)
    assert inside.item() == pyramid_loss(fake, real, form).item()
