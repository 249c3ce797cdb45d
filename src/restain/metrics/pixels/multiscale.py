"""Multi-scale SSIM of one image pair: structure compared at five resolutions, the coarse ones weighing most."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np

from restain.images import RGB
from restain.metrics.measures import MeasuredImage, MeasuredPair, PairMeasure
from restain.metrics.metric import Metric
from restain.metrics.pixels.windows import (
    WindowMoments,
    moments,
    moments_under,
    ssim_terms,
    terms_under,
    to_planes,
    window_means,
)
from restain.metrics.protocols import GAUSSIAN_11, MultiscaleSettings
from restain.stains import Floats

SMALLEST_SIDE = 176  # pixels: after four halvings the 11-pixel window still fits
_SIMILARITY = GAUSSIAN_11  # window 11x11 Gaussian, K1 = 0.01, K2 = 0.03, data range 255, at every scale


def ms_ssim(real: RGB, fake: RGB, settings: MultiscaleSettings | None = None) -> float:
    """Multi-scale structural similarity of 8-bit RGB images, in float64.

    Contrast and structure count at all five scales, luminance only at the coarsest; each is averaged over windows and
    channels, and a negative average is read as 0. Windows lie inside the image at every scale, unless the settings
    repeat torchmetrics, which mirrors the image at its border at the coarsest scale.

    Args:
        real: uint8 (H, W, 3).
        fake: uint8 of the same shape.
        settings: exponents and border; the defaults of ``MultiscaleSettings`` for None.

    Returns:
        [0, 1]; 1 for identical images; NaN where a side is shorter than 176 pixels and the fifth scale does not exist.

    Source: Wang, Simoncelli and Bovik, Multi-scale structural similarity, Asilomar Conference (2003), Eq. 7.
    """
    if min(real.shape[:2]) < SMALLEST_SIDE:
        return float("nan")
    settings = settings or MultiscaleSettings()
    first, second = (_pyramid(moments(to_planes(rgb), _SIMILARITY), settings) for rgb in (real, fake))
    return _product_of_scales(first, second, _terms(first[0], second[0]), settings)


def _pyramid(image: WindowMoments, settings: MultiscaleSettings) -> list[WindowMoments]:
    """Moments at all scales, finest first."""
    scales, last = [image], len(settings.exponents) - 1
    planes = image.planes
    for scale in range(1, last + 1):
        planes = _halved(planes)
        mirrored = scale == last and settings.coarsest_border == "mirrored"
        padded = np.pad(planes, ((0, 0), (5, 5), (5, 5)), mode="reflect") if mirrored else planes
        scales.append(moments(padded, _SIMILARITY))
    return scales


@lru_cache
def _pyramid_under(settings: MultiscaleSettings) -> Callable[[MeasuredImage], list[WindowMoments]]:
    return lambda image: _pyramid(image.once(moments_under(_SIMILARITY)), settings)


def _terms(real: WindowMoments, fake: WindowMoments) -> tuple[Floats, Floats]:
    return ssim_terms(real, fake, window_means(real.planes * fake.planes, _SIMILARITY), _SIMILARITY)


def _product_of_scales(
    real: Sequence[WindowMoments],
    fake: Sequence[WindowMoments],
    finest: tuple[Floats, Floats],
    settings: MultiscaleSettings,
) -> float:
    terms = [finest, *(_terms(one, other) for one, other in zip(real[1:], fake[1:], strict=True))]
    means = [float(structure.mean()) for _, structure in terms[:-1]]
    luminance, structure = terms[-1]
    means.append(float((luminance * structure).mean()))
    return float(np.prod([max(mean, 0.0) ** power for mean, power in zip(means, settings.exponents, strict=True)]))


def _halved(planes: Floats) -> Floats:
    """Means of blocks of 2x2; a last odd row or column is left out."""
    height, width = (side // 2 * 2 for side in planes.shape[-2:])
    even = planes[..., :height, :width]
    rows = even[..., ::2, :] + even[..., 1::2, :]
    return np.asarray((rows[..., ::2] + rows[..., 1::2]) / 4)


def _measure(pair: MeasuredPair) -> tuple[float]:
    settings = pair.protocol.ms_ssim
    if settings is None or min(pair.real.rgb.shape[:2]) < SMALLEST_SIDE:
        return (float("nan"),)
    first, second = (image.once(_pyramid_under(settings)) for image in (pair.real, pair.fake))
    return (_product_of_scales(first, second, pair.once(terms_under(_SIMILARITY)), settings),)


MS_SSIM = Metric(
    name="ms_ssim",
    direction="higher",
    definition="multi-scale structural similarity over five scales",
    source="Wang, Simoncelli and Bovik, Asilomar Conference (2003), Eq. 7",
    measures=(PairMeasure(names=("ms_ssim",), function=_measure),),
    columns=("ms_ssim",),
    family="pixels",
    range="[0, 1]",
    weakness="as SSIM, but a few pixels of shift matter less",
    undefined="it needs images of at least 176 pixels on a side, and a protocol that defines it",
)
