"""The convolutions of VGG16 and AlexNet, tapped at the five depths that LPIPS compares.

Source: Simonyan and Zisserman, ICLR 2015; Krizhevsky, arXiv:1404.5997 (the one-tower AlexNet); taps of Zhang et al.,
CVPR 2018.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

_VGG16 = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


class TappedStack(nn.Module):
    """Layers one after the other, some of whose outputs are wanted.

    Args:
        features: the layers, numbered as in torchvision's file.
        taps: numbers of the layers whose outputs are returned, the last one the last layer.
        smallest: shortest side of an image that still has a pixel at the last tap.
    """

    unused = ("classifier.",)

    def __init__(self, features: nn.Sequential, taps: tuple[int, ...], smallest: int) -> None:
        super().__init__()
        self.features, self.taps, self.smallest = features, taps, smallest

    def forward(self, x: torch.Tensor) -> Iterator[torch.Tensor]:
        """Normalised RGB (N, 3, H, W) -> one tap after the other, the rectified responses (N, C, h, w).

        A tap is computed when it is asked for: at full size one map of VGG16 takes 0.25 GB.
        """
        for number, layer in enumerate(self.features):
            x = layer(x)
            if number in self.taps:
                yield x


def vgg16_stack() -> TappedStack:
    """VGG16 up to relu5_3; taps relu1_2, relu2_2, relu3_3, relu4_3, relu5_3."""
    taps: list[int] = []
    features, inputs = nn.Sequential(), 3
    for stage in _VGG16:
        if taps:
            features.append(nn.MaxPool2d(2))
        for width in stage:
            features.extend((nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU(inplace=True)))
            inputs = width
        taps.append(len(features) - 1)
    return TappedStack(features, tuple(taps), smallest=16)


def alexnet_stack() -> TappedStack:
    """AlexNet up to relu5; every rectifier is a tap."""
    features = nn.Sequential(
        nn.Conv2d(3, 64, 11, stride=4, padding=2),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, stride=2),
        nn.Conv2d(64, 192, 5, padding=2),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, stride=2),
        nn.Conv2d(192, 384, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(384, 256, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(256, 256, 3, padding=1),
        nn.ReLU(inplace=True),
    )
    return TappedStack(features, (1, 4, 7, 9, 11), smallest=31)
