"""The convolutions of VGG16 and AlexNet, tapped at the five depths that LPIPS compares, and their shift-tolerant forms.

Source: Simonyan and Zisserman, ICLR 2015; Krizhevsky, arXiv:1404.5997 (the one-tower AlexNet); taps of Zhang et al.,
CVPR 2018; shift-tolerant: Ghildyal and Liu, ECCV 2022.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import torch
import torch.nn.functional as F
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


class BlurredHalving(nn.Module):
    """Reflect-pad 2, outer([1, 2, 1]) / 16 in each channel, stride 2: every second pixel of a blurred map."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) -> (N, C, (H + 3) // 2, (W + 3) // 2); H and W at least 3."""
        line = x.new_tensor([0.25, 0.5, 0.25]).expand(x.shape[1], 1, -1)
        x = F.pad(x, (2, 2, 2, 2), mode="reflect")
        x = F.conv2d(x, line[..., None], stride=(2, 1), groups=x.shape[1])
        return F.conv2d(x, line[..., None, :], stride=(1, 2), groups=x.shape[1])


def tolerant_alexnet_stack() -> TappedStack:
    """AlexNet of ST-LPIPS: the first convolution moves by single pixels, and every halving is blurred."""
    features = nn.Sequential(
        nn.Conv2d(3, 64, 11, padding=2),
        BlurredHalving(),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, stride=1),
        BlurredHalving(),
        nn.Conv2d(64, 192, 5, padding=2),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, stride=1),
        BlurredHalving(),
        nn.Conv2d(192, 384, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(384, 256, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(256, 256, 3, padding=1),
        nn.ReLU(inplace=True),
    )
    return TappedStack(features, (2, 6, 10, 12, 14), smallest=21)


def tolerant_vgg16_stack() -> TappedStack:
    """VGG16 of ST-LPIPS: maxima of neighbours, every second of which is taken after a blur."""
    taps: list[int] = []
    features, inputs = nn.Sequential(), 3
    for stage in _VGG16:
        if taps:
            features.extend((nn.MaxPool2d(2, stride=1), BlurredHalving()))
        for width in stage:
            features.extend((nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU(inplace=True)))
            inputs = width
        taps.append(len(features) - 1)
    return TappedStack(features, tuple(taps), smallest=18)


def numbered(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The convolutions of a file of ST-LPIPS by the numbers of their layers: net.slice2.5.bias -> features.5.bias."""
    kept = {re.sub(r"^net\.slice\d+\.", "features.", key): value for key, value in state.items()}
    return {key: value for key, value in kept.items() if key.startswith("features.") and not key.endswith(".filt")}
