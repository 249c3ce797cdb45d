"""The anti-aliased ResNet generator of CUT, which ASP and ASP-DGRank share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restain.networks.layers import BlurPool, BlurUpsample, conv


class ResidualBlock(nn.Module):
    """x + IN(conv(ReLU(IN(conv(x))))), 3x3 convolutions with reflection padding."""

    def __init__(self, channels: int, spectral: bool) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(
            nn.ReflectionPad2d(1),
            conv(channels, channels, 3, spectral=spectral),
            nn.InstanceNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.ReflectionPad2d(1),
            conv(channels, channels, 3, spectral=spectral),
            nn.InstanceNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        out: Tensor = self.conv_block(x)
        return x + out


class ResnetGenerator(nn.Module):
    """H&E -> IHC, image tensor to image tensor, any height and width from 16 pixels.

    ``layers`` is CUT's sequential with CUT's numbering, run in order, so that a contrastive layer is an index into
    it: 0 pad, 1 conv 7x7, 4 conv, 7 down, 8 conv, 11 down, 12... residual blocks, then the decoder. Parameters map
    one to one onto published CUT and ASP weights (``model.N`` there is ``layers.N`` here).

    Args:
        ngf: channels after the first convolution; 4 * ngf in the residual blocks.
        blocks: number of residual blocks, 6 in ASP-DGRank (Sec. 6), 9 in CUT.
        spectral: spectral normalisation on every convolution.
    """

    first_block = 12

    def __init__(self, ngf: int = 64, blocks: int = 6, spectral: bool = False) -> None:
        super().__init__()
        self.ngf, self.blocks = ngf, blocks
        layers: list[nn.Module] = [nn.ReflectionPad2d(3), *_normed(conv(3, ngf, 7, spectral=spectral), ngf)]
        for channels in (ngf, 2 * ngf):
            layers += [*_normed(conv(channels, 2 * channels, 3, 1, spectral), 2 * channels)]
            layers += [BlurPool(2 * channels)]
        layers += [ResidualBlock(4 * ngf, spectral) for _ in range(blocks)]
        for channels in (4 * ngf, 2 * ngf):
            layers += [BlurUpsample()]
            layers += [*_normed(conv(channels, channels // 2, 3, 1, spectral), channels // 2)]
        layers += [nn.ReflectionPad2d(3), conv(ngf, 3, 7, spectral=spectral), nn.Tanh()]
        self.layers = nn.ModuleList(layers)

    def compile(self, *args: Any, **options: Any) -> None:
        """Compile the pass that ``forward``, ``translate`` and ``encode`` share (see ``torch.compile``)."""
        self._run = torch.compile(self._run, *args, **options)  # type: ignore[method-assign]

    def forward(self, x: Tensor) -> Tensor:
        """Translate ``x``, (N, 3, H, W) in [-1, 1]; sizes that 4 does not divide are reflected, then cropped."""
        return self.translate(x, ())[0]

    def translate(self, x: Tensor, taps: Sequence[int]) -> tuple[Tensor, list[Tensor]]:
        """One pass that gives both G(x) and the features f_l(x) at the layers ``taps``.

        Returns:
            the image, of x's size, and a feature map (N, C_l, H_l, W_l) for each tap, in the order of ``taps``.
        """
        height, width = x.shape[-2:]
        if min(height, width) < 16:
            raise ValueError(f"image is {height}x{width} pixels; the generator needs at least 16x16")
        padded = x
        if height % 4 or width % 4:
            padded = F.pad(x, (0, -width % 4, 0, -height % 4), mode="reflect")
        image, features = self._run(padded, taps, len(self.layers))
        return image[..., :height, :width].to(x.dtype), features

    def encode(self, x: Tensor, taps: Sequence[int]) -> list[Tensor]:
        """Features f_l(x) at the layers ``taps``, computing no further than the last of them.

        The same as ``translate``'s where 4 divides the sides of ``x``; nothing is padded here.
        """
        return self._run(x, taps, max(taps) + 1)[1]

    def _run(self, x: Tensor, taps: Sequence[int], stop: int) -> tuple[Tensor, list[Tensor]]:
        found: dict[int, Tensor] = {}
        for index in range(stop):
            x = self.layers[index](x)
            if index in taps:
                found[index] = x
        return x, [found[tap] for tap in taps]

    def channels(self, tap: int) -> int:
        """Channels of the feature map at layer ``tap`` of the encoder."""
        last_block = self.first_block + self.blocks - 1
        if not 0 <= tap <= last_block:
            raise ValueError(f"contrastive layer {tap} is not in the encoder, which has layers 0 to {last_block}")
        widths = {0: 3, 1: self.ngf, 4: 2 * self.ngf, 8: 4 * self.ngf}
        return widths[max(start for start in widths if start <= tap)]


def _normed(convolution: nn.Module, channels: int) -> tuple[nn.Module, ...]:
    # ReLU is not in place: a contrastive layer may tap the convolution or the norm before it.
    return convolution, nn.InstanceNorm2d(channels), nn.ReLU()
