"""Means over local windows that lie inside the image, and SSIM made of them; what an image gives is computed once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.ndimage import correlate1d, uniform_filter1d

from restain.images import RGB
from restain.metrics.measures import MeasuredImage, MeasuredPair
from restain.metrics.protocols import SsimSettings
from restain.stains import Floats


@dataclass(frozen=True)
class WindowMoments:
    """Means over every window of one image, and of its squares: float64 (3, H - size + 1, W - size + 1)."""

    planes: Floats  # (3, H, W), the image itself
    mean: Floats
    square: Floats


def to_planes(rgb: RGB) -> Floats:
    """uint8 (H, W, 3) -> float64 (3, H, W)."""
    return np.ascontiguousarray(np.moveaxis(rgb, 2, 0), dtype=np.float64)


def window_means(planes: Floats, settings: SsimSettings) -> Floats:
    """Mean over every window inside the image: float64 (..., H, W) -> (..., H - size + 1, W - size + 1)."""
    half = settings.size // 2
    for axis, inside in ((-1, np.s_[..., half:-half]), (-2, np.s_[..., half:-half, :])):
        if settings.window == "uniform":
            planes = uniform_filter1d(planes, settings.size, axis=axis)[inside]
        else:
            planes = correlate1d(planes, _gaussian(settings.size, settings.sigma), axis=axis)[inside]
    return planes


@lru_cache
def _gaussian(size: int, sigma: float) -> Floats:
    offsets = np.arange(size) - size // 2
    weights = np.exp(-(offsets**2) / (2 * sigma**2))
    return np.asarray(weights / weights.sum())


def moments(planes: Floats, settings: SsimSettings) -> WindowMoments:
    """The moments of planes (3, H, W)."""
    return WindowMoments(planes, window_means(planes, settings), window_means(planes * planes, settings))


@lru_cache
def moments_under(settings: SsimSettings) -> Callable[[MeasuredImage], WindowMoments]:
    """``moments`` of an image, for ``MeasuredImage.once``; one function for one setting."""
    return lambda image: moments(to_planes(image.rgb), settings)


@lru_cache
def terms_under(settings: SsimSettings) -> Callable[[MeasuredPair], tuple[Floats, Floats]]:
    """``ssim_terms`` of a pair at full size, for ``MeasuredPair.once``; one function for one setting."""

    def terms(pair: MeasuredPair) -> tuple[Floats, Floats]:
        real, fake = (image.once(moments_under(settings)) for image in (pair.real, pair.fake))
        return ssim_terms(real, fake, window_means(real.planes * fake.planes, settings), settings)

    return terms


def ssim_terms(
    real: WindowMoments, fake: WindowMoments, product: Floats, settings: SsimSettings
) -> tuple[Floats, Floats]:
    """Luminance, and contrast with structure, of every window.

    Args:
        real: its moments.
        fake: its moments, of the same shape.
        product: ``window_means`` of the product of both.
        settings: constants and covariance.

    Returns:
        Two float64 arrays of the shape of ``product``; SSIM is their product.

    Source: Wang, Bovik, Sheikh and Simoncelli, IEEE Trans. Image Process. 13 (2004), Eq. 6, 9 and 13.
    """
    c1, c2 = (settings.k1 * settings.data_range) ** 2, (settings.k2 * settings.data_range) ** 2
    count = settings.size**2
    unbiased = count / (count - 1) if settings.sample_covariance else 1.0
    means, squares = real.mean * fake.mean, real.mean**2 + fake.mean**2
    covariance = unbiased * (product - means)
    variances = unbiased * (real.square + fake.square - squares)
    return (2 * means + c1) / (squares + c1), (2 * covariance + c2) / (variances + c2)


def shifted(image: WindowMoments, top: int, left: int, height: int, width: int, size: int) -> WindowMoments:
    """The moments of a part (height, width) of the image that begins at (top, left); nothing is computed."""
    windows = np.s_[..., top : top + height - size + 1, left : left + width - size + 1]
    part = image.planes[..., top : top + height, left : left + width]
    return WindowMoments(part, image.mean[windows], image.square[windows])
