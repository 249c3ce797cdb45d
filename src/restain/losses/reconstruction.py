"""Comparison of pixels."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from restain.losses.averages import mean_of_images
from restain.tensors import full_precision


def l1_loss(fake: Tensor, real: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean absolute difference of two image tensors (N, 3, H, W), in float32 at least; see ``mean_of_images``."""
    return mean_of_images((full_precision(fake) - full_precision(real)).abs(), weights)


def low_resolution_l1(fake: Tensor, real: Tensor, factor: int, weights: Tensor | None = None) -> Tensor:
    """Mean absolute difference of two images after averaging blocks of ``factor`` x ``factor`` pixels.

    Consecutive sections agree at the scale of their misalignment and not below it.

    Args:
        fake, real: image tensors (N, 3, H, W); H and W are multiples of ``factor``.
        factor: side of a block, pixels.
        weights: see ``mean_of_images``.
    """
    with torch.autocast(fake.device.type, enabled=False):
        difference = full_precision(fake) - full_precision(real)
        return mean_of_images(F.avg_pool2d(difference, factor).abs(), weights)
