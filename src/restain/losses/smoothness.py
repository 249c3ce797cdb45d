"""How smooth a field of displacements is."""

from __future__ import annotations

from torch import Tensor

from restain.tensors import full_precision


def smoothness_loss(displacement: Tensor) -> Tensor:
    """Mean squared difference of neighbouring displacements, down plus across (RegGAN).

    Args:
        displacement: (N, 2, H, W) in pixels, H and W at least 2.
    """
    full = full_precision(displacement)
    return full.diff(dim=2).square().mean() + full.diff(dim=3).square().mean()
