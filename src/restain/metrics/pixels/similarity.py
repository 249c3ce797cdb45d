"""SSIM and PSNR of one image pair. The protocols that name their settings stand in ``protocols``."""

from __future__ import annotations

import numpy as np
from skimage.metrics import peak_signal_noise_ratio

from restain.images import RGB
from restain.metrics.measures import MeasuredPair, PairMeasure
from restain.metrics.metric import Metric
from restain.metrics.pixels.windows import moments, ssim_terms, terms_under, to_planes, window_means
from restain.metrics.protocols import GAUSSIAN_11, SsimSettings

WANG = "Wang et al., IEEE Trans. Image Process. 13 (2004)"


def ssim(real: RGB, fake: RGB, settings: SsimSettings = GAUSSIAN_11) -> float:
    """Structural similarity, computed per colour channel and averaged.

    The border of half a window is left out of the mean.

    Args:
        real: uint8 (H, W, 3), sides at least ``settings.size``.
        fake: uint8 of the same shape.
        settings: window, covariance and constants. A data range other than 255 is an error of the literature that a
            protocol repeats: the constants (K L)² grow, and with them every value.

    Returns:
        A number in [-1, 1]; 1 for identical images.

    Source: Wang, Bovik, Sheikh and Simoncelli, IEEE Trans. Image Process. 13 (2004), Eq. 13; equals scikit-image.
    """
    first, second = (moments(to_planes(rgb), settings) for rgb in (real, fake))
    cross = window_means(first.planes * second.planes, settings)
    luminance, structure = ssim_terms(first, second, cross, settings)
    return float((luminance * structure).mean())


def _measure(pair: MeasuredPair) -> tuple[float]:
    luminance, structure = pair.once(terms_under(pair.protocol.ssim))
    return (float((luminance * structure).mean()),)


def psnr(real: RGB, fake: RGB, data_range: float = 255.0) -> float:
    """Peak signal-to-noise ratio 10 log10(L² / MSE) over all pixels and channels, in dB.

    Args:
        real: uint8 (H, W, 3).
        fake: uint8 of the same shape.
        data_range: L, in grey levels of 8 bits.

    Returns:
        Decibels, positive infinity for identical images.
    """
    with np.errstate(divide="ignore"):
        value = peak_signal_noise_ratio(real, fake, data_range=data_range)  # type: ignore[no-untyped-call]
    return float(value)


SSIM = Metric(
    name="ssim",
    direction="higher",
    definition="structural similarity to the real stain",
    source=WANG,
    measures=(PairMeasure(names=("ssim",), function=_measure),),
    columns=("ssim",),
    family="pixels",
    range="[-1, 1]",
    weakness="rewards what is blank or blurred and punishes a shift of a few pixels: a blank image can win",
)
PSNR = Metric(
    name="psnr",
    unit="dB",
    direction="higher",
    definition="peak signal-to-noise ratio",
    source="10 log10(255² / MSE)",
    measures=(
        PairMeasure(
            names=("psnr",), function=lambda pair: (psnr(pair.real.rgb, pair.fake.rgb, pair.protocol.psnr_data_range),)
        ),
    ),
    columns=("psnr",),
    family="pixels",
    range="[0, inf], inf for identical images",
    weakness="as SSIM; dominated by the colour of large areas",
)
