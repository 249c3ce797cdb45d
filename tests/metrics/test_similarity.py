import math

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from restain.errors import RestainError
from restain.metrics import PROTOCOLS, find_protocol
from restain.metrics.pixels.similarity import psnr, ssim
from restain.metrics.protocols import GAUSSIAN_11, UNIFORM_7


def make_pair(seed, shape=(40, 52)):
    generator = np.random.default_rng(seed)
    coarse = generator.integers(0, 256, (shape[0] // 4 + 1, shape[1] // 4 + 1, 3))
    real = np.kron(coarse, np.ones((4, 4, 1)))[: shape[0], : shape[1]]
    fake = np.clip(real + generator.normal(0, 5 + 3 * seed, real.shape), 0, 255)
    return real.astype(np.uint8), fake.astype(np.uint8)


@pytest.mark.parametrize("seed", range(20))
def test_asp2023_is_what_scikit_image_gives_by_default_on_8_bit_rgb(seed):
    real, fake = make_pair(seed)
    window = find_protocol("asp2023").ssim
    assert ssim(real, fake, window) == pytest.approx(structural_similarity(real, fake, channel_axis=2), abs=1e-6)
    assert psnr(real, fake) == pytest.approx(peak_signal_noise_ratio(real, fake), abs=1e-6)


def ssim_by_loops(real, fake, weights, unbiased):
    """SSIM straight from Eq. 13 of Wang 2004: every window that lies inside the image, one at a time."""
    size = len(weights)
    window = np.outer(weights, weights)
    values = []
    for channel in range(3):
        x, y = real[..., channel].astype(float), fake[..., channel].astype(float)
        for top in range(x.shape[0] - size + 1):
            for left in range(x.shape[1] - size + 1):
                a, b = x[top : top + size, left : left + size], y[top : top + size, left : left + size]
                mean_a, mean_b = (window * a).sum(), (window * b).sum()
                correction = size**2 / (size**2 - 1) if unbiased else 1.0
                var_a = correction * (window * (a - mean_a) ** 2).sum()
                var_b = correction * (window * (b - mean_b) ** 2).sum()
                cov = correction * (window * (a - mean_a) * (b - mean_b)).sum()
                c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
                values.append(
                    (2 * mean_a * mean_b + c1) * (2 * cov + c2) / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))
                )
    return np.mean(values)


@pytest.mark.parametrize("window", [UNIFORM_7, GAUSSIAN_11], ids=["uniform", "gaussian"])
def test_ssim_agrees_with_a_plain_loop(window):
    real, fake = make_pair(seed=3, shape=(18, 15))
    if window is UNIFORM_7:
        weights = np.full(7, 1 / 7)
    else:
        weights = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
        weights /= weights.sum()
    expected = ssim_by_loops(real, fake, weights, unbiased=window is UNIFORM_7)
    assert ssim(real, fake, window) == pytest.approx(expected, abs=1e-10)


def ssim_of_floats(real, fake, data_range):
    """SSIM with the 7x7 uniform window and sample covariance on floats in [0, 1], in numpy alone."""
    x, y = (np.lib.stride_tricks.sliding_window_view(image / 255, (7, 7), axis=(0, 1)) for image in (real, fake))
    mean_x, mean_y = x.mean(axis=(-2, -1)), y.mean(axis=(-2, -1))
    dx, dy = x - mean_x[..., None, None], y - mean_y[..., None, None]
    var_x, var_y, cov = ((a * b).sum(axis=(-2, -1)) / 48 for a, b in ((dx, dx), (dy, dy), (dx, dy)))
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    values = (2 * mean_x * mean_y + c1) * (2 * cov + c2) / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))
    return values.mean()


@pytest.mark.parametrize("seed", [0, 7, 19])
def test_skimage018_is_the_formula_on_floats_with_data_range_2(seed):
    real, fake = make_pair(seed)
    protocol = find_protocol("skimage018")
    value = ssim(real, fake, protocol.ssim)
    assert value == pytest.approx(ssim_of_floats(real, fake, data_range=2), abs=1e-10)
    assert value > ssim(real, fake, UNIFORM_7) == pytest.approx(ssim_of_floats(real, fake, data_range=1))
    floats = structural_similarity(real / 255, fake / 255, channel_axis=2, data_range=2)
    assert value == pytest.approx(floats, abs=1e-10)


def test_bci2022_is_asp2023_whatever_the_order_of_channels():
    real, fake = make_pair(5)
    bci, asp = find_protocol("bci2022"), find_protocol("asp2023")
    assert bci.ssim == asp.ssim
    assert ssim(real[..., ::-1], fake[..., ::-1], bci.ssim) == pytest.approx(ssim(real, fake, asp.ssim))


def test_psnr_by_hand():
    real = np.zeros((8, 8, 3), np.uint8)
    fake = real.copy()
    fake[0, 0] = (3, 4, 0)  # squared error 25 over 192 values
    assert psnr(real, fake) == pytest.approx(10 * math.log10(255**2 / (25 / 192)))


def test_identical_images():
    real, _ = make_pair(0)
    assert ssim(real, real, UNIFORM_7) == pytest.approx(1.0)
    assert ssim(real, real, GAUSSIAN_11) == pytest.approx(1.0)
    assert psnr(real, real) == math.inf


def test_ssim_and_psnr_are_symmetric_in_their_images():
    real, fake = make_pair(4)
    assert ssim(real, fake) == pytest.approx(ssim(fake, real), abs=1e-12)
    assert psnr(real, fake) == psnr(fake, real)


def test_an_unknown_protocol_is_refused_with_the_known_ones():
    with pytest.raises(RestainError, match=r"protocol: 'asp' is not known; expected one of clean, asp2023"):
        find_protocol("asp")
    assert all(name == protocol.name for name, protocol in PROTOCOLS.items())
