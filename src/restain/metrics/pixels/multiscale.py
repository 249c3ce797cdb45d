"""Multi-scale SSIM of one image pair: structure compared at five resolutions, the coarse ones weighing most."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from restain.images import RGB
from restain.metrics.measures import MeasuredPair, PairMeasure
from restain.metrics.metric import Metric
from restain.metrics.protocols import MultiscaleSettings

if TYPE_CHECKING:
    from torch import Tensor

SMALLEST_SIDE = 176  # pixels: after four halvings the 11-pixel window still fits


def ms_ssim(real: RGB, fake: RGB, settings: MultiscaleSettings = MultiscaleSettings()) -> float:  # noqa: B008
    """Multi-scale structural similarity: torchmetrics' implementation on 8-bit RGB.

    Window 11x11 Gaussian, sigma 1.5, K1 = 0.01, K2 = 0.03, data range 255. Contrast and structure count at all five
    scales, luminance only at the coarsest; each is averaged over pixels and channels, and a negative average is read
    as 0. Windows lie inside the image, but at the coarsest scale, where torchmetrics mirrors it at its border.

    Args:
        real: uint8 (H, W, 3).
        fake: uint8 of the same shape.
        settings: the exponents.

    Returns:
        [0, 1]; 1 for identical images; NaN where a side is shorter than 176 pixels and the fifth scale does not exist.

    Source: Wang, Simoncelli and Bovik, Multi-scale structural similarity, Asilomar Conference (2003), Eq. 7.
    """
    if min(real.shape[:2]) < SMALLEST_SIDE:
        return float("nan")
    import torch  # here, so that metrics can be listed without it
    from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

    with torch.inference_mode():
        value = multiscale_structural_similarity_index_measure(
            _batch(fake), _batch(real), data_range=255.0, betas=settings.exponents, normalize="relu"
        )
    return float(value)


def _batch(rgb: RGB) -> Tensor:
    import torch

    return torch.from_numpy(np.ascontiguousarray(rgb.transpose(2, 0, 1))).float()[None]


def _measure(pair: MeasuredPair) -> tuple[float]:
    settings = pair.protocol.ms_ssim
    return (ms_ssim(pair.real.rgb, pair.fake.rgb, settings) if settings else float("nan"),)


MS_SSIM = Metric(
    name="ms_ssim",
    direction="higher",
    definition="multi-scale structural similarity over five scales",
    source="Wang, Simoncelli and Bovik, Asilomar Conference (2003), Eq. 7; torchmetrics",
    measures=(PairMeasure(names=("ms_ssim",), function=_measure),),
    columns=("ms_ssim",),
    family="pixels",
    range="[0, 1]",
    weakness="as SSIM, but a few pixels of shift matter less; the same under every protocol",
    undefined="it needs images of at least 176 pixels on a side",
)
