"""Inception v3 up to its 2048 pooled features, in the two forms that FID and KID of the literature look through.

Both load the official files by their own key names. They share every convolution and differ in four poolings: the
port of the TensorFlow graph leaves padding out of its means, and its last block takes a maximum.

Source: Szegedy et al., CVPR 2016; the graph of Heusel et al., NeurIPS 2017.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
import torch.nn.functional as F
from torch import nn

INPUT_SIZE = 299
FEATURES = 2048

Pooling: TypeAlias = Literal["mean", "mean inside", "max", "halve"]


@dataclass(frozen=True)
class Conv:
    """One convolution of a block. Stride 1 keeps the size; stride 2 pads nothing."""

    name: str
    channels: int
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1


Branch: TypeAlias = Sequence[Conv | tuple[Conv, Conv]]  # one after the other; a pair forks, and is joined again


class Convolution(nn.Module):
    """Convolution without bias, batch normalisation with epsilon 0.001, rectifier."""

    def __init__(self, inputs: int, conv: Conv, padding: tuple[int, int]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, conv.channels, conv.kernel, conv.stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(conv.channels, eps=0.001)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, inputs, H, W) -> (N, channels, H', W')."""
        return F.relu(self.bn(self.conv(x)), inplace=True)


class Mixed(nn.Module):
    """Branches side by side, joined by channel; the last is a pooling, with a 1x1 convolution unless it halves."""

    def __init__(self, inputs: int, branches: Sequence[Branch], pooling: Pooling, pooled: int = 0) -> None:
        super().__init__()
        self.pooling = pooling
        self.steps: list[list[list[str]]] = []  # branch, step, convolutions that fork
        self.channels = pooled or inputs
        for branch in branches:
            width, steps = inputs, []
            for step in branch:
                fork = step if isinstance(step, tuple) else (step,)
                for conv in fork:
                    padding = (conv.kernel[0] // 2, conv.kernel[1] // 2) if conv.stride == 1 else (0, 0)
                    self.add_module(conv.name, Convolution(width, conv, padding))
                steps.append([conv.name for conv in fork])
                width = sum(conv.channels for conv in fork)
            self.steps.append(steps)
            self.channels += width
        if pooled:
            self.branch_pool = Convolution(inputs, Conv("branch_pool", pooled), (0, 0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, inputs, H, W) -> (N, channels, H, W), or half the size."""
        outputs = []
        for steps in self.steps:
            y = x
            for fork in steps:
                y = torch.cat([self.get_submodule(name)(y) for name in fork], dim=1)
            outputs.append(y)
        pooled = _pool(x, self.pooling)
        outputs.append(pooled if self.pooling == "halve" else self.branch_pool(pooled))
        return torch.cat(outputs, dim=1)


def _pool(x: torch.Tensor, pooling: Pooling) -> torch.Tensor:
    if pooling == "halve":
        return F.max_pool2d(x, 3, stride=2)
    if pooling == "max":
        return F.max_pool2d(x, 3, stride=1, padding=1)
    return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=pooling == "mean")


class Inception(nn.Module):
    """Inception v3 without its classifiers.

    Args:
        tensorflow_port: the poolings of the FID Inception; else those of torchvision's ImageNet Inception.
    """

    unused = ("fc.", "AuxLogits.")  # keys of the official files that features do not pass through

    def __init__(self, tensorflow_port: bool) -> None:
        super().__init__()
        mean: Pooling = "mean inside" if tensorflow_port else "mean"
        last: Pooling = "max" if tensorflow_port else "mean"
        self.Conv2d_1a_3x3 = Convolution(3, Conv("", 32, (3, 3), 2), (0, 0))
        self.Conv2d_2a_3x3 = Convolution(32, Conv("", 32, (3, 3)), (0, 0))
        self.Conv2d_2b_3x3 = Convolution(32, Conv("", 64, (3, 3)), (1, 1))
        self.maxpool1 = nn.MaxPool2d(3, stride=2)
        self.Conv2d_3b_1x1 = Convolution(64, Conv("", 80), (0, 0))
        self.Conv2d_4a_3x3 = Convolution(80, Conv("", 192, (3, 3)), (0, 0))
        self.maxpool2 = nn.MaxPool2d(3, stride=2)
        self.Mixed_5b = _block_a(192, 32, mean)
        self.Mixed_5c = _block_a(256, 64, mean)
        self.Mixed_5d = _block_a(288, 64, mean)
        self.Mixed_6a = _block_b(288)
        self.Mixed_6b = _block_c(128, mean)
        self.Mixed_6c = _block_c(160, mean)
        self.Mixed_6d = _block_c(160, mean)
        self.Mixed_6e = _block_c(192, mean)
        self.Mixed_7a = _block_d()
        self.Mixed_7b = _block_e(1280, mean)
        self.Mixed_7c = _block_e(2048, last)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Image tensor (N, 3, 299, 299) in [-1, 1] -> (N, 2048)."""
        for layer in self.children():
            x = layer(x)
        return x.mean(dim=(2, 3))


def _double_3x3(*channels: int, stride: int = 1) -> Branch:
    first, second, third = channels
    return (
        Conv("branch3x3dbl_1", first),
        Conv("branch3x3dbl_2", second, (3, 3)),
        Conv("branch3x3dbl_3", third, (3, 3), stride),
    )


def _block_a(inputs: int, pooled: int, pooling: Pooling) -> Mixed:
    branches: Sequence[Branch] = (
        (Conv("branch1x1", 64),),
        (Conv("branch5x5_1", 48), Conv("branch5x5_2", 64, (5, 5))),
        _double_3x3(64, 96, 96),
    )
    return Mixed(inputs, branches, pooling, pooled)


def _block_b(inputs: int) -> Mixed:
    return Mixed(inputs, ((Conv("branch3x3", 384, (3, 3), 2),), _double_3x3(64, 96, 96, stride=2)), "halve")


def _block_c(middle: int, pooling: Pooling) -> Mixed:
    row, column = (1, 7), (7, 1)
    branches: Sequence[Branch] = (
        (Conv("branch1x1", 192),),
        (Conv("branch7x7_1", middle), Conv("branch7x7_2", middle, row), Conv("branch7x7_3", 192, column)),
        (
            Conv("branch7x7dbl_1", middle),
            Conv("branch7x7dbl_2", middle, column),
            Conv("branch7x7dbl_3", middle, row),
            Conv("branch7x7dbl_4", middle, column),
            Conv("branch7x7dbl_5", 192, row),
        ),
    )
    return Mixed(768, branches, pooling, pooled=192)


def _block_d() -> Mixed:
    branches: Sequence[Branch] = (
        (Conv("branch3x3_1", 192), Conv("branch3x3_2", 320, (3, 3), 2)),
        (
            Conv("branch7x7x3_1", 192),
            Conv("branch7x7x3_2", 192, (1, 7)),
            Conv("branch7x7x3_3", 192, (7, 1)),
            Conv("branch7x7x3_4", 192, (3, 3), 2),
        ),
    )
    return Mixed(768, branches, "halve")


def _block_e(inputs: int, pooling: Pooling) -> Mixed:
    row, column = (1, 3), (3, 1)
    branches: Sequence[Branch] = (
        (Conv("branch1x1", 320),),
        (Conv("branch3x3_1", 384), (Conv("branch3x3_2a", 384, row), Conv("branch3x3_2b", 384, column))),
        (
            Conv("branch3x3dbl_1", 448),
            Conv("branch3x3dbl_2", 384, (3, 3)),
            (Conv("branch3x3dbl_3a", 384, row), Conv("branch3x3dbl_3b", 384, column)),
        ),
    )
    return Mixed(inputs, branches, pooling, pooled=192)
