"""The ResNet generator: anti-aliased, as in CUT, ASP and ASP-DGRank, or strided, as in CycleGAN and pix2pix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from restain.networks.generator import Generator, NormSite, ReceptiveField
from restain.networks.geometry import Interval, chain_sites, chain_sources, hull, layer_sources, receptive_field
from restain.networks.layers import BlurPool, BlurUpsample, conv, norm_layer, transposed_conv
from restain.networks.specs import ResnetSpec


class ResidualBlock(nn.Module):
    """x + norm(conv(ReLU(norm(conv(x))))), 3x3 convolutions with reflection padding."""

    def __init__(self, channels: int, spec: ResnetSpec) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(
            nn.ReflectionPad2d(1),
            conv(channels, channels, 3, bias=_bias(spec), init=spec.init, spectral=spec.spectral_norm),
            norm_layer(spec.norm, channels),
            nn.ReLU(inplace=True),
            *([nn.Dropout(0.5)] if spec.dropout else []),
            nn.ReflectionPad2d(1),
            conv(channels, channels, 3, bias=_bias(spec), init=spec.init, spectral=spec.spectral_norm),
            norm_layer(spec.norm, channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        out: Tensor = self.conv_block(x)
        return x + out


class ResnetGenerator(Generator):
    """Halvings, residual blocks, as many doublings (Johnson et al. 2016; Zhu et al. 2017).

    ``layers`` is the published sequential with its numbering, run in order, so that a contrastive layer is an index
    into it. Anti-aliased: 0 pad, 1 conv 7x7, 4 conv, 7 down, 8 conv, 11 down, 12... residual blocks, then the decoder.
    Parameters map one to one onto published CUT and ASP weights (``model.N`` there is ``layers.N`` here). Strided: 0
    pad, 1 conv 7x7, 4 conv, 7 conv, 10... residual blocks. That is with two halvings; a third adds as many layers.
    """

    def __init__(self, spec: ResnetSpec) -> None:
        super().__init__()
        self.spec: ResnetSpec = spec
        ngf = spec.ngf
        first = conv(3, ngf, 7, bias=_bias(spec), init=spec.init, spectral=spec.spectral_norm)
        final = conv(ngf, 3, 7, init=spec.init, spectral=spec.spectral_norm)
        layers: list[nn.Module] = [nn.ReflectionPad2d(3), *_normed(first, spec, ngf)]
        for level in range(spec.downs):
            layers += _down(ngf * 2**level, spec)
        layers += [ResidualBlock(ngf * spec.stride, spec) for _ in range(spec.blocks)]
        for level in reversed(range(spec.downs)):
            layers += _up(ngf * 2 ** (level + 1), spec)
        layers += [nn.ReflectionPad2d(3), final, nn.Tanh()]
        self.layers = nn.ModuleList(layers)
        self._field = receptive_field(self._sources, spec.stride)

    @property
    def smallest(self) -> int:
        """Least side of an image, in pixels: the residual blocks see at least 4 x 4."""
        return 4 * self.spec.stride

    def receptive_field(self) -> ReceptiveField:
        """See ``Generator``."""
        return self._field

    def _sources(self, pixels: Interval) -> Interval:
        for layer in reversed(self.layers):
            if isinstance(layer, ResidualBlock):
                pixels = hull(pixels, chain_sources(layer.conv_block, pixels))
            else:
                pixels = layer_sources(layer, pixels)
        return pixels

    def norm_sites(self) -> Sequence[NormSite]:
        """See ``Generator``."""
        start, end = self.spec.first_block, self.spec.first_block + self.spec.blocks
        layers = list(self.layers)
        sites, scale = chain_sites(layers[:start], "layers", 1)
        for index in range(start, end):
            block = layers[index]
            assert isinstance(block, ResidualBlock)
            sites += chain_sites(list(block.conv_block), f"layers.{index}.conv_block", scale)[0]
        return sites + chain_sites(layers, "layers", scale, start=end)[0]

    def compile(self, *args: Any, **options: Any) -> None:
        """Compile the pass that ``forward``, ``translate`` and ``encode`` share (see ``torch.compile``)."""
        self._run = torch.compile(self._run, *args, **options)  # type: ignore[method-assign]

    def paint(self, x: Tensor) -> Tensor:
        """See ``Generator``."""
        return self._run(x, (), len(self.layers))[0]

    def translate(self, x: Tensor, taps: Sequence[int]) -> tuple[Tensor, list[Tensor]]:
        """One pass that gives both G(x) and the features f_l(x) at the layers ``taps``.

        Returns:
            the image, of x's size, and a feature map (N, C_l, H_l, W_l) for each tap, in the order of ``taps``.
        """
        height, width = x.shape[-2:]
        image, features = self._run(self.padded(x), taps, len(self.layers))
        return image[..., :height, :width].to(x.dtype), features

    def encode(self, x: Tensor, taps: Sequence[int]) -> list[Tensor]:
        """Features f_l(x) at the layers ``taps``, computing no further than the last of them.

        The same as ``translate``'s where the stride divides the sides of ``x``; nothing is padded here.
        """
        return self._run(x, taps, max(taps) + 1)[1]

    def _run(self, x: Tensor, taps: Sequence[int], stop: int) -> tuple[Tensor, list[Tensor]]:
        found: dict[int, Tensor] = {}
        for index in range(stop):
            x = self.layers[index](x)
            if index in taps:
                found[index] = x
        return x, [found[tap] for tap in taps]


def _bias(spec: ResnetSpec) -> bool:
    return spec.norm == "instance"  # a batch norm has a bias of its own


def _normed(convolution: nn.Module, spec: ResnetSpec, channels: int) -> list[nn.Module]:
    # ReLU is not in place: a contrastive layer may tap the convolution or the norm before it.
    return [convolution, norm_layer(spec.norm, channels), nn.ReLU()]


def _down(channels: int, spec: ResnetSpec) -> list[nn.Module]:
    convolution = conv(
        channels,
        2 * channels,
        3,
        stride=1 if spec.antialias else 2,
        padding=1,
        bias=_bias(spec),
        init=spec.init,
        spectral=spec.spectral_norm,
    )
    blur = [BlurPool(2 * channels)] if spec.antialias else []
    return [*_normed(convolution, spec, 2 * channels), *blur]


def _up(channels: int, spec: ResnetSpec) -> list[nn.Module]:
    half, bias, init, spectral = channels // 2, _bias(spec), spec.init, spec.spectral_norm
    if spec.antialias:
        convolution = conv(channels, half, 3, padding=1, bias=bias, init=init, spectral=spectral)
        return [BlurUpsample(), *_normed(convolution, spec, half)]
    convolution = transposed_conv(channels, half, 3, output_padding=1, bias=bias, init=init, spectral=spectral)
    return _normed(convolution, spec, half)
