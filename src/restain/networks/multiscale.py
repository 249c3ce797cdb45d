"""Discriminators that look at an image at several scales (Wang et al. 2018, pix2pixHD), and UNIT's among them."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

from restain.networks.layers import conv
from restain.networks.specs import PlainDiscriminatorSpec


class Multiscale(nn.Module):
    """One discriminator for each scale, finest first, each with weights of its own.

    Args:
        build: makes a discriminator, image -> map of scores.
        scales: how many; from one to the next, the image is halved by a 3x3 mean.
    """

    def __init__(self, build: Callable[[], nn.Module], scales: int) -> None:
        super().__init__()
        self.scales = nn.ModuleList(build() for _ in range(scales))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Image (N, C, H, W) -> maps of scores (N, 1, h, w), one for each scale."""
        scores = []
        for index, discriminator in enumerate(self.scales):
            if index:
                x = F.avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=False)
            scores.append(discriminator(x))
        return scores


def plain_discriminator(spec: PlainDiscriminatorSpec, channels: int) -> nn.Module:
    """UNIT's at one scale: 4x4 convolutions of stride 2 with leaky ReLU and no norm, and a 1x1 convolution."""
    layers: list[nn.Module] = []
    for stage in range(spec.layers):
        width = spec.ndf * 2**stage
        layers += [
            nn.ReflectionPad2d(1),
            conv(channels, width, 4, stride=2, init="normal"),
            nn.LeakyReLU(0.2),
        ]
        channels = width
    return nn.Sequential(*layers, conv(channels, 1, 1, init="normal"))
