"""A U-Net that tells stained pixels from others, whose features and class shares PSPStain compares."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restain.networks.specs import SegmenterSpec


class SegmentationNetwork(nn.Module):
    """Four halvings and doublings; each stage is two 3x3 convolutions with batch norm and leaky ReLU.

    Doublings are bilinear behind a 1x1 convolution, and take the map of the same size from the way down.
    """

    def __init__(self, spec: SegmenterSpec) -> None:
        super().__init__()
        widths = spec.widths
        self.down = nn.ModuleList(_stage(before, after) for before, after in pairwise((3, *widths)))
        self.narrow = nn.ModuleList(nn.Conv2d(before, after, 1) for before, after in pairwise(reversed(widths)))
        self.up = nn.ModuleList(_stage(2 * width, width) for width in reversed(widths[:-1]))
        self.head = nn.Conv2d(widths[0], spec.classes, 3, padding=1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Image (N, 3, H, W) of at least 16 pixels -> features (N, width, H, W) and scores (N, classes, H, W)."""
        skips: list[Tensor] = []
        for level, stage in enumerate(self.down):
            x = stage(x if level == 0 else F.max_pool2d(x, 2))
            skips.append(x)
        x = skips.pop()
        for narrow, stage in zip(self.narrow, self.up, strict=True):
            skip = skips.pop()
            x = F.interpolate(narrow(x), size=skip.shape[-2:], mode="bilinear", align_corners=True)
            x = stage(torch.cat([skip, x], dim=1))
        return x, self.head(x)


def _stage(before: int, after: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (before, after):
        layers += [nn.Conv2d(channels, after, 3, padding=1), nn.BatchNorm2d(after), nn.LeakyReLU(0.01)]
    return nn.Sequential(*layers)
