"""How much DAB there is, in the whole image, over its pixels and by place: losses that hold no parameters.

The density is that of ``restain.metrics``: Ruifrok's separation with Fiji's vectors of haematoxylin and DAB.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from restain.losses.averages import mean_of_images
from restain.stains import DAB, HEMATOXYLIN, stain_matrix
from restain.tensors import full_precision

_OF_DAB = torch.linalg.inv(torch.from_numpy(stain_matrix(HEMATOXYLIN, DAB)))[:, 1]  # densities of R, G, B -> DAB
_DARKEST = 1 / 255  # light of a grey level of 1, the least that has a finite density
GRID = 4  # blocks of an image, down and across


def dab_optical_density(image: Tensor) -> Tensor:
    """Optical density along the DAB vector, 0 for colours outside the cone of haematoxylin and DAB.

    Args:
        image: image tensor (N, 3, H, W).

    Returns:
        (N, H, W), >= 0, in float32 at least.
    """
    with torch.autocast(image.device.type, enabled=False):
        light = ((full_precision(image) + 1) / 2).clamp_min(_DARKEST)
        return torch.einsum("nchw,c->nhw", -light.log10(), _OF_DAB.to(light)).clamp_min(0)


@dataclass(frozen=True)
class AmountLosses:
    """Differences of the amount of DAB, in optical density; scalars, means over images."""

    mean: Tensor  # |mean of the fake - mean of the real|
    distribution: Tensor  # 1-D Wasserstein distance of the pixels' densities, wherever they lie
    blocks: Tensor  # |difference of the means| in each of 4 x 4 blocks


def amount_losses(fake: Tensor, real: Tensor, weights: Tensor | None = None) -> AmountLosses:
    """Compare densities (N, H, W) of ``dab_optical_density``; ``weights``: see ``mean_of_images``."""
    gap = fake - real
    kernel = (fake.shape[1] // GRID, fake.shape[2] // GRID)
    transport = fake.flatten(1).sort(dim=1).values - real.flatten(1).sort(dim=1).values
    return AmountLosses(
        mean=mean_of_images(gap.mean(dim=(1, 2)).abs(), weights),
        distribution=mean_of_images(transport.abs(), weights),
        blocks=mean_of_images(F.avg_pool2d(gap[:, None], kernel).abs(), weights),
    )
