import numpy as np
import pytest
import torch
from scipy.ndimage import convolve1d
from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

from restain.metrics.pixels.multiscale import SMALLEST_SIDE, ms_ssim
from restain.metrics.protocols import MultiscaleSettings

SCALE_WEIGHTS = MultiscaleSettings().exponents


def make_pair(seed, side=SMALLEST_SIDE, noise=40.0):
    generator = np.random.default_rng(seed)
    coarse = np.kron(generator.integers(0, 256, (side // 8, side // 8, 3)), np.ones((8, 8, 1)))
    fake = np.clip(np.roll(coarse, 2, axis=0) + generator.normal(0, noise, coarse.shape), 0, 255)
    return coarse.astype(np.uint8), fake.astype(np.uint8)


def by_the_paper(real, fake, mirrored=False):
    """Eq. 7 of Wang 2003 in float64: the window where it fits, or mirrored borders at the last of the five scales."""
    weights = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    weights /= weights.sum()
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2

    x, y, product = real.astype(float), fake.astype(float), 1.0
    for scale, exponent in enumerate(SCALE_WEIGHTS):
        inside = np.s_[:, :] if mirrored and scale == len(SCALE_WEIGHTS) - 1 else np.s_[5:-5, 5:-5]

        def blur(values, inside=inside):
            return convolve1d(convolve1d(values, weights, axis=0, mode="mirror"), weights, axis=1, mode="mirror")[
                inside
            ]

        mean_x, mean_y = blur(x), blur(y)
        cov = blur(x * y) - mean_x * mean_y
        term = (2 * cov + c2) / (blur(x * x) - mean_x**2 + blur(y * y) - mean_y**2 + c2)
        if scale == len(SCALE_WEIGHTS) - 1:
            term = term * (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
        product *= max(term.mean(), 0.0) ** exponent
        x, y = ((v[:-1:2, :-1:2] + v[1::2, :-1:2] + v[:-1:2, 1::2] + v[1::2, 1::2]) / 4 for v in (x, y))
    return product


@pytest.mark.parametrize("seed", range(3))
def test_ms_ssim_is_the_product_of_the_paper(seed):
    real, fake = make_pair(seed)
    assert 0.2 < ms_ssim(real, fake) < 0.99
    assert ms_ssim(real, fake) == pytest.approx(by_the_paper(real, fake), abs=1e-10)


@pytest.mark.parametrize("side", [176, 256])
def test_the_mirrored_border_is_that_of_torchmetrics_and_moves_the_value(side):
    real, fake = make_pair(5, side)
    mirrored = ms_ssim(real, fake, MultiscaleSettings(coarsest_border="mirrored"))
    tensors = (torch.from_numpy(rgb.transpose(2, 0, 1).copy()).double()[None] for rgb in (fake, real))
    theirs = multiscale_structural_similarity_index_measure(*tensors, data_range=255.0, normalize="relu")
    assert mirrored == pytest.approx(float(theirs), abs=1e-8)  # its window is float32
    assert mirrored == pytest.approx(by_the_paper(real, fake, mirrored=True), abs=1e-10)
    assert abs(mirrored - ms_ssim(real, fake)) > 5e-5


def test_identical_images_and_an_inverted_one():
    real, _ = make_pair(3)
    assert ms_ssim(real, real) == pytest.approx(1.0, abs=1e-6)
    assert ms_ssim(real, 255 - real) == 0.0


def test_the_smallest_size_and_one_below():
    real, fake = make_pair(4)
    assert np.isfinite(ms_ssim(real, fake))
    assert np.isnan(ms_ssim(real[1:], fake[1:]))
    assert np.isnan(ms_ssim(real[:, 1:], fake[:, 1:]))
