"""MS-SSIM as a loss against a computation with scipy."""

import numpy as np
import pytest
import torch
from scipy.ndimage import correlate1d

from restain.losses.structure import ms_ssim, smallest_image


def oracle(x: np.ndarray, y: np.ndarray, exponents: list[float]) -> float:
    places = np.arange(-5, 6)
    line = np.exp(-(places**2) / (2 * 1.5**2))
    line /= line.sum()

    def blur(image: np.ndarray) -> np.ndarray:
        return correlate1d(correlate1d(image, line, axis=1), line, axis=2)[:, 5:-5, 5:-5]

    product = 1.0
    for scale, exponent in enumerate(exponents):
        mx, my = blur(x), blur(y)
        vx, vy, vxy = blur(x * x) - mx**2, blur(y * y) - my**2, blur(x * y) - mx * my
        factor = (2 * vxy + 9e-4) / (vx + vy + 9e-4)
        if scale == len(exponents) - 1:
            factor = factor * (2 * mx * my + 1e-4) / (mx**2 + my**2 + 1e-4)
        product *= factor.mean() ** exponent
        x, y = (a.reshape(3, a.shape[1] // 2, 2, a.shape[2] // 2, 2).mean(axis=(2, 4)) for a in (x, y))
    return float(product)


@pytest.mark.parametrize("scales", [1, 3, 5])
def test_it_is_the_published_product(scales: int) -> None:
    stream = torch.Generator().manual_seed(scales)
    side = 192
    real = torch.rand(1, 3, side // 16, side // 16, generator=stream, dtype=torch.float64)
    real = torch.nn.functional.interpolate(real, size=(side, side), mode="bilinear")
    fake = (real + 0.05 * torch.randn(real.shape, generator=stream, dtype=torch.float64)).clamp(0, 1)
    published = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333][:scales]
    exponents = [value / sum(published) for value in published]
    expected = oracle(fake[0].numpy(), real[0].numpy(), exponents)
    assert 0.1 < expected < 0.99
    found = ms_ssim(fake * 2 - 1, real * 2 - 1, scales)
    assert found.item() == pytest.approx(expected, rel=1e-7)


def test_equal_images_score_one_and_opposite_ones_have_a_finite_gradient() -> None:
    image = torch.rand(2, 3, 48, 48, generator=torch.Generator().manual_seed(0)) * 2 - 1
    torch.testing.assert_close(ms_ssim(image, image, 3), torch.ones(2))
    opposite = (-image).requires_grad_()
    ms_ssim(opposite, image, 3).sum().backward()
    assert opposite.grad is not None and opposite.grad.isfinite().all()


def test_the_smallest_image_holds_the_window_at_the_coarsest_scale() -> None:
    side = smallest_image(3)
    assert ms_ssim(*torch.zeros(2, 1, 3, side, side), 3).isfinite().all()
    with pytest.raises(RuntimeError):
        ms_ssim(*torch.zeros(2, 1, 3, side - 4, side - 4), 3)
