"""Multi-scale SSIM of one image pair: structure compared at five resolutions, the coarse ones weighing most."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

from restain.images import RGB

SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # finest first; Wang 2003, from a test with observers
SMALLEST_SIDE = 176  # pixels: after four halvings the 11-pixel window still fits


def ms_ssim(real: RGB, fake: RGB) -> float:
    """Multi-scale structural similarity: torchmetrics' implementation on 8-bit RGB.

    Window 11x11 Gaussian, sigma 1.5, K1 = 0.01, K2 = 0.03, data range 255. Contrast and structure count at all five
    scales, luminance only at the coarsest; each is averaged over pixels and channels, and a negative average is read
    as 0. Windows lie inside the image, but at the coarsest scale, where torchmetrics mirrors it at its border.

    Args:
        real: uint8 (H, W, 3).
        fake: uint8 of the same shape.

    Returns:
        [0, 1]; 1 for identical images; NaN where a side is shorter than 176 pixels and the fifth scale does not exist.

    Source: Wang, Simoncelli and Bovik, Multi-scale structural similarity, Asilomar Conference (2003), Eq. 7.
    """
    if min(real.shape[:2]) < SMALLEST_SIDE:
        return float("nan")
    with torch.inference_mode():
        value = multiscale_structural_similarity_index_measure(
            _batch(fake), _batch(real), data_range=255.0, betas=SCALE_WEIGHTS, normalize="relu"
        )
    return float(value)


def _batch(rgb: RGB) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(rgb.transpose(2, 0, 1))).float()[None]
