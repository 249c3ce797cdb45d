"""Multi-scale structural similarity as a loss: differentiable, and on as many scales as an image has."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from restain.tensors import full_precision

WINDOW = 11  # pixels
_SIGMA = 1.5
_C1, _C2 = 0.01**2, 0.03**2
_EXPONENTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_LEAST = 1e-4  # a smaller or negative factor has no gradient


def smallest_image(scales: int) -> int:
    """Least side in pixels at which the window fits into the coarsest scale."""
    return int(WINDOW * 2 ** (scales - 1))


def ms_ssim(fake: Tensor, real: Tensor, scales: int = 5) -> Tensor:
    """MS-SSIM of images (N, 3, H, W) in [-1, 1], taken as light in [0, 1]: (N,), at most 1.

    A Gaussian window of 11 pixels (sigma 1.5) inside the image; contrast and structure count at each scale, luminance
    at the coarsest; each is averaged over pixels and channels. With fewer scales than five, their exponents are
    scaled to the same sum, 1.

    Source: Wang, Simoncelli and Bovik, Asilomar Conference (2003), Eq. 7.
    """
    weights = torch.tensor(_EXPONENTS[:scales], dtype=torch.float64) / sum(_EXPONENTS[:scales])
    with torch.autocast(fake.device.type, enabled=False):
        x, y = ((full_precision(image) + 1) / 2 for image in (fake, real))
        product = x.new_ones(len(x))
        for scale, weight in enumerate(weights.tolist()):
            luminance, structure = _ssim_factors(x, y)
            last = scale == scales - 1
            factor = (luminance * structure if last else structure).mean(dim=(1, 2, 3))
            product = product * factor.clamp_min(_LEAST).pow(weight)
            x, y = F.avg_pool2d(x, 2), F.avg_pool2d(y, 2)
        return product


def _ssim_factors(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Luminance, and contrast with structure, at each place of the window: (N, 3, h, w)."""
    mean_x, mean_y = _average(x), _average(y)
    spread = _average(x * x) - mean_x * mean_x + _average(y * y) - mean_y * mean_y
    together = _average(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + _C1) / (mean_x * mean_x + mean_y * mean_y + _C1)
    return luminance, (2 * together + _C2) / (spread + _C2)


def _average(x: Tensor) -> Tensor:
    places = torch.arange(WINDOW, device=x.device, dtype=x.dtype) - WINDOW // 2
    line = torch.exp(-places.square() / (2 * _SIGMA**2))
    kernel = (line / line.sum()).expand(x.shape[1], 1, -1)
    x = F.conv2d(x, kernel[..., None], groups=x.shape[1])
    return F.conv2d(x, kernel[..., None, :], groups=x.shape[1])
