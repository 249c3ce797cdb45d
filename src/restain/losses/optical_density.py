"""How much DAB there is: the focal optical density of PSPStain (Chen et al. 2024), and losses on it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from restain.losses.averages import mean_of_images
from restain.tensors import full_precision

# Ruifrok's vectors of haematoxylin, eosin and DAB, as scikit-image rounds them.
_HED = torch.tensor([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]], dtype=torch.float64)
_OF_DAB = torch.linalg.inv(_HED)[:, 2]  # densities of R, G, B -> amount of DAB
_GREY = torch.tensor([0.2125, 0.7154, 0.0721], dtype=torch.float64)
_DARKEST = 1e-6  # light that is taken for none
_FOCUS = 1.8
_OFFSET = 10 ** -(math.e ** (1 / _FOCUS))  # so that black has density e

LARGEST = math.e
MASK_THRESHOLD = 0.68  # above it a pixel is taken to be stained
_COUNTED = 0.15  # a density below it does not count in sums
_TOLERANCE = 0.4  # of the sum of an image
_BINS = 20
_GRID = 4


def focal_optical_density(image: Tensor, *, released: bool = False) -> Tensor:
    """FOD = log10(1 / (grey + c))^1.8 of the light that DAB alone would leave; 0 where that exceeds 1 - c.

    Args:
        image: image tensor (N, 3, H, W).
        released: take [-1, 1] for the light, cut off at 1e-6, as PSPStain's released code does: every value below
            the middle grey then counts as black. Otherwise the light is (x + 1) / 2.

    Returns:
        (N, H, W) in [0, e], in float32 at least.
    """
    with torch.autocast(image.device.type, enabled=False):
        image = full_precision(image)
        of_dab, vector, grey = (values.to(image) for values in (_OF_DAB, _HED[2], _GREY))
        light = (image if released else (image + 1) / 2).clamp_min(_DARKEST)
        dab = torch.einsum("nchw,c->nhw", -light.log(), of_dab).clamp_min(0)
        left = torch.exp(-dab[:, None] * vector[:, None, None])
        focal = -torch.log10(torch.einsum("nchw,c->nhw", left, grey) + _OFFSET)
        return focal.clamp_min(0).pow(_FOCUS)


def dab_mask(density: Tensor) -> Tensor:
    """Where a focal optical density is that of a stained pixel: (N, H, W) -> bool."""
    return density.detach() > MASK_THRESHOLD


@dataclass(frozen=True)
class ProteinLosses:
    """Differences of the amount of protein at three levels (PSPStain's MLPA); scalars, means over images."""

    average: Tensor  # of the sums, where they differ by more than two fifths of the real one
    histogram: Tensor  # of the sums in 20 bins of density
    blocks: Tensor  # of the sums in 4 x 4 blocks


def protein_losses(fake: Tensor, real: Tensor, weights: Tensor | None = None) -> ProteinLosses:
    """Compare focal optical densities (N, H, W); sums are over pixels, divided by the number of pixels.

    The densities of a bin are summed, not counted, so there is a gradient. ``weights``: see ``mean_of_images``.
    """
    counted_fake, counted_real = (torch.where(fod < _COUNTED, 0.0, fod) for fod in (fake, real))
    sums_fake, sums_real = counted_fake.mean(dim=(1, 2)), counted_real.mean(dim=(1, 2))
    gap = sums_fake - sums_real
    outside = gap.detach().abs() > _TOLERANCE * sums_real
    kernel = (fake.shape[1] // _GRID, fake.shape[2] // _GRID)
    blocks_fake, blocks_real = (F.avg_pool2d(fod[:, None], kernel) for fod in (counted_fake, counted_real))
    return ProteinLosses(
        average=mean_of_images(torch.where(outside, gap.square(), 0.0), weights),
        histogram=mean_of_images((_bin_sums(fake) - _bin_sums(real)).square().sum(dim=1), weights),
        blocks=mean_of_images((blocks_fake - blocks_real).square(), weights),
    )


def _bin_sums(density: Tensor) -> Tensor:
    """Sum of the densities in each bin of [0, e], over the number of pixels: (N, bins)."""
    places = (density.detach() / (LARGEST / _BINS)).long().clamp(max=_BINS - 1)
    return torch.stack([torch.where(places == index, density, 0.0).mean(dim=(1, 2)) for index in range(_BINS)], dim=1)
