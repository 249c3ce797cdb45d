"""Comparison of pixels."""

from __future__ import annotations

from torch import Tensor

from restain.tensors import full_precision


def l1_loss(fake: Tensor, real: Tensor) -> Tensor:
    """Mean absolute difference of two image tensors (N, 3, H, W), in float32 at least."""
    return (full_precision(fake) - full_precision(real)).abs().mean()
