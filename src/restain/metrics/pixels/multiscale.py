"""Multi-scale SSIM of one image pair: structure compared at five resolutions, the coarse ones weighing most."""

from __future__ import annotations

import numpy as np

from restain.images import RGB
from restain.metrics.measures import MeasuredPair, PairMeasure
from restain.metrics.metric import Metric
from restain.metrics.pixels.windows import WindowMoments, moments, moments_under, ssim_terms, to_planes, window_means
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
    first, second = (moments(to_planes(rgb), _SIMILARITY) for rgb in (real, fake))
    return _product_of_scales(first, second, settings or MultiscaleSettings())


def _product_of_scales(real: WindowMoments, fake: WindowMoments, settings: MultiscaleSettings) -> float:
    product, last = 1.0, len(settings.exponents) - 1
    for scale, exponent in enumerate(settings.exponents):
        if scale:
            planes = [_halved(one.planes) for one in (real, fake)]
            if scale == last and settings.coarsest_border == "mirrored":
                planes = [np.pad(one, ((0, 0), (5, 5), (5, 5)), mode="reflect") for one in planes]
            real, fake = (moments(one, _SIMILARITY) for one in planes)
        cross = window_means(real.planes * fake.planes, _SIMILARITY)
        luminance, structure = ssim_terms(real, fake, cross, _SIMILARITY)
        value = float((luminance * structure if scale == last else structure).mean())
        product *= max(value, 0.0) ** exponent
    return product


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
    first, second = (image.once(moments_under(_SIMILARITY)) for image in (pair.real, pair.fake))
    return (_product_of_scales(first, second, settings),)


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
