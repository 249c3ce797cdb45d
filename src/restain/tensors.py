"""Pixels to image tensors and back."""

from __future__ import annotations

import numpy as np
import torch

from restain.images import RGB


def full_precision(x: torch.Tensor) -> torch.Tensor:
    """Half precisions -> float32; float32 and float64 stay as they are."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def to_tensor(rgb: RGB) -> torch.Tensor:
    """uint8 (H, W, 3) -> float32 (3, H, W) in [-1, 1]: x / 127.5 - 1."""
    return torch.from_numpy(rgb).permute(2, 0, 1).contiguous().float().div_(127.5).sub_(1)


def to_rgb(image: torch.Tensor) -> RGB:
    """Float (3, H, W) in [-1, 1] -> uint8 (H, W, 3), rounded and clipped; exact inverse of ``to_tensor``."""
    scaled = image.detach().float().add(1).mul(127.5).round().clamp(0, 255)
    return np.ascontiguousarray(scaled.to(torch.uint8).permute(1, 2, 0).cpu().numpy())
