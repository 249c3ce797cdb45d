"""TDKStain's estimator: features of the generator at several resolutions -> density of nuclei."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from restain.networks.layers import initialised
from restain.networks.specs import DensitySpec


class _Residual(nn.Module):
    """x + conv(ReLU(conv(x)))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU(), nn.Conv2d(channels, channels, 3, padding=1)
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.block(x)
        return x + out


class DensityEstimator(nn.Module):
    """1x1 convolutions to one width, summed at the finest resolution, residual blocks, and one map at the image's size.

    Args:
        spec: width and blocks.
        channels: of each feature map, finest first.
    """

    def __init__(self, spec: DensitySpec, channels: Sequence[int]) -> None:
        super().__init__()
        self.narrow = nn.ModuleList(nn.Conv2d(width, spec.width, 1) for width in channels)
        self.trunk = nn.Sequential(*(_Residual(spec.width) for _ in range(spec.blocks)), nn.ReLU())
        self.head = nn.Conv2d(spec.width, 1, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                initialised(module, gain=1.0)

    def forward(self, features: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
        """Feature maps (N, C_l, H_l, W_l) -> density (N, 1, *size), not bounded."""
        x, *coarser = (narrow(feature) for narrow, feature in zip(self.narrow, features, strict=True))
        for feature in coarser:
            x = x + F.interpolate(feature, size=x.shape[-2:], mode="bilinear", align_corners=False)
        return F.interpolate(self.head(self.trunk(x)), size=size, mode="bilinear", align_corners=False)
