"""The Gaussian pyramid reconstruction term L_GP, in the form of ASP and in that of BCI / PyramidPix2Pix."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from restain.losses.averages import mean_of_images
from restain.tensors import full_precision

PyramidForm: TypeAlias = Literal["asp", "bci"]

ASP_WEIGHTS = (1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)
BCI_WEIGHT = 25.0
SMALLEST_IMAGE: dict[PyramidForm, int] = {
    "asp": 33,
    "bci": 5,
}  # a blurred map must exceed its reflected border


def pyramid_loss(fake: Tensor, real: Tensor, form: PyramidForm, weights: Tensor | None = None) -> Tensor:
    """Weighted mean L1 between the Gaussian pyramids of two images.

    ``asp``: maps 0..4 are the image blurred (5x5 binomial) at 1/2^i and map 5 is the subsampled 1/32 map; mean
    over the six of ASP_WEIGHTS times mean |difference|. ``bci``: maps at 1 (the raw image), 1/2, 1/4 and 1/8
    (3x3 Gaussian, sigma 1, four times per octave); sum of 25 times mean |difference|.

    Args:
        fake, real: image tensors (N, 3, H, W).
        form: see above.
        weights: see ``mean_of_images``.
    """
    # Blurring and subsampling are linear, so the pyramid of the difference is the difference of the pyramids.
    with torch.autocast(fake.device.type, enabled=False):  # which would blur in half precision
        maps = gaussian_pyramid(full_precision(fake) - full_precision(real), form)
    distances = [mean_of_images(level.abs(), weights) for level in maps]
    if form == "asp":
        shares = [share * d for share, d in zip(ASP_WEIGHTS, distances, strict=True)]
        return torch.stack(shares).mean()
    return BCI_WEIGHT * torch.stack(distances).sum()


def gaussian_pyramid(image: Tensor, form: PyramidForm) -> list[Tensor]:
    """The maps that ``pyramid_loss`` compares, finest first; image (N, C, H, W)."""
    if form == "asp":
        line = image.new_tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
        maps = []
        for _ in range(5):
            maps.append(_blur(image, line))
            image = maps[-1][..., ::2, ::2]
        return [*maps, image]
    tail = math.exp(-0.5)
    line = image.new_tensor([tail, 1.0, tail]) / (1 + 2 * tail)
    maps = [image]
    for _ in range(3):
        for _ in range(4):
            image = _blur(image, line)
        image = image[..., ::2, ::2]
        maps.append(image)
    return maps


def _blur(image: Tensor, line: Tensor) -> Tensor:
    # A separable filter: two one-dimensional passes over a reflected border.
    channels, reach = image.shape[1], len(line) // 2
    kernel = line.expand(channels, 1, -1)
    image = F.pad(image, (reach,) * 4, mode="reflect")
    image = F.conv2d(image, kernel[..., None], groups=channels)
    return F.conv2d(image, kernel[..., None, :], groups=channels)
