"""SSIM and PSNR of one image pair. The protocols that name their settings stand in ``protocols``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from restain.images import RGB

GAUSSIAN_SIGMA = 1.5  # pixels; Wang 2004


@dataclass(frozen=True)
class SsimWindow:
    """The local window of SSIM: where its means, variances and covariances are taken."""

    shape: Literal["uniform", "gaussian"]
    size: int  # pixels on a side, odd
    sample_covariance: bool  # divide by N - 1 instead of N


UNIFORM_7 = SsimWindow("uniform", size=7, sample_covariance=True)
GAUSSIAN_11 = SsimWindow("gaussian", size=11, sample_covariance=False)


def ssim(real: RGB, fake: RGB, window: SsimWindow = GAUSSIAN_11, data_range: float = 255.0) -> float:
    """Structural similarity, computed per colour channel and averaged.

    K1 = 0.01, K2 = 0.03; the border of half a window is left out of the mean.

    Args:
        real: uint8 (H, W, 3), sides at least ``window.size``.
        fake: uint8 of the same shape.
        window: see ``SsimWindow``.
        data_range: L of the paper, in grey levels of 8 bits. Anything but 255 is an error of the literature that a
            protocol repeats: the constants (K L)² grow, and with them every value.

    Returns:
        A number in [-1, 1]; 1 for identical images.

    Source: Wang, Bovik, Sheikh and Simoncelli, IEEE Trans. Image Process. 13 (2004), Eq. 13; scikit-image's code.
    """
    # scikit-image truncates its Gaussian at 3.5 sigma: 11 pixels for sigma 1.5, the window of the paper.
    weights = {"gaussian_weights": True, "sigma": GAUSSIAN_SIGMA} if window.shape == "gaussian" else {}
    value = structural_similarity(  # type: ignore[no-untyped-call]
        real,
        fake,
        win_size=window.size,
        data_range=data_range,
        channel_axis=2,
        use_sample_covariance=window.sample_covariance,
        K1=0.01,
        K2=0.03,
        **weights,
    )
    return float(value)


def psnr(real: RGB, fake: RGB) -> float:
    """Peak signal-to-noise ratio 10 log10(255² / MSE) over all pixels and channels, in dB.

    Args:
        real: uint8 (H, W, 3).
        fake: uint8 of the same shape.

    Returns:
        Decibels, positive infinity for identical images.
    """
    with np.errstate(divide="ignore"):
        value = peak_signal_noise_ratio(real, fake, data_range=255)  # type: ignore[no-untyped-call]
    return float(value)
