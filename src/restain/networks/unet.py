"""The U-Net generator of pix2pix."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from restain.networks.generator import Generator, NormSite, ReceptiveField
from restain.networks.geometry import Interval, chain_sites, chain_sources, hull, receptive_field
from restain.networks.layers import conv, norm_layer, transposed_conv
from restain.networks.specs import UnetSpec


class UnetGenerator(Generator):
    """Halvings by 4x4 convolutions to one pixel and back, with skips by concatenation (Isola et al. 2017).

    ``downs[i]`` halves for the i-th time; ``ups[i]`` doubles back to the map that ``downs[i]`` took. Channels double at
    each halving up to 8 * ngf. There is no norm behind the first halving, behind the last, or at the image. While
    training, noise comes from dropout of 0.5 in the doublings between maps of 8 * ngf channels: three in U-Net-256.
    """

    def __init__(self, spec: UnetSpec) -> None:
        super().__init__()
        self.spec: UnetSpec = spec
        widths = [spec.ngf * min(2**level, 8) for level in range(spec.downs)]
        self.downs = nn.ModuleList(_down(spec, widths, level) for level in range(spec.downs))
        self.ups = nn.ModuleList(_up(spec, widths, level) for level in range(spec.downs))
        self._field = receptive_field(self._sources, spec.stride)

    @property
    def smallest(self) -> int:
        """Least side of an image, in pixels: what reflection can pad to the stride."""
        return self._field.stride // 2 + 1

    def receptive_field(self) -> ReceptiveField:
        """See ``Generator``."""
        return self._field

    def _sources(self, pixels: Interval, level: int = 0) -> Interval:
        up, down = self.ups[level], self.downs[level]
        assert isinstance(up, nn.Sequential) and isinstance(down, nn.Sequential)
        joined = chain_sources(up, pixels)
        if level + 1 < self.spec.downs:  # what the doubling takes: the map itself, and what comes up from below
            joined = hull(joined, self._sources(joined, level + 1))
        return chain_sources(down, joined)

    def norm_sites(self) -> Sequence[NormSite]:
        """See ``Generator``."""
        sites: list[NormSite] = []
        scale = 1
        numbered = [(f"downs.{level}", down) for level, down in enumerate(self.downs)]
        numbered += [(f"ups.{level}", up) for level, up in reversed(list(enumerate(self.ups)))]
        for path, stage in numbered:
            assert isinstance(stage, nn.Sequential)
            found, scale = chain_sites(list(stage), path, scale)
            sites += found
        return sites

    def paint(self, x: Tensor) -> Tensor:
        """See ``Generator``."""
        skips: list[Tensor] = []
        for down in self.downs:
            x = down(x)
            skips.append(x)
        x = skips.pop()
        for up in reversed(self.ups):
            x = up(x)
            if skips:
                x = torch.cat([skips.pop(), x], dim=1)
        return x


def _down(spec: UnetSpec, widths: Sequence[int], level: int) -> nn.Sequential:
    first, last = level == 0, level == spec.downs - 1
    channels = 3 if first else widths[level - 1]
    layers: list[nn.Module] = [] if first else [nn.LeakyReLU(0.2)]
    layers.append(conv(channels, widths[level], 4, stride=2, padding=1, bias=spec.norm == "instance", init=spec.init))
    if not first and not last:
        layers.append(norm_layer(spec.norm, widths[level]))
    return nn.Sequential(*layers)


def _up(spec: UnetSpec, widths: Sequence[int], level: int) -> nn.Sequential:
    first, last = level == 0, level == spec.downs - 1
    channels = widths[level] if last else 2 * widths[level]  # beside what comes up, the skip
    if first:
        return nn.Sequential(nn.ReLU(), transposed_conv(channels, 3, 4, init=spec.init), nn.Tanh())
    width = widths[level - 1]
    convolution = transposed_conv(channels, width, 4, bias=spec.norm == "instance", init=spec.init)
    layers: list[nn.Module] = [nn.ReLU(), convolution, norm_layer(spec.norm, width)]
    if spec.dropout and not last and width == widths[level]:
        layers.append(nn.Dropout(0.5))
    return nn.Sequential(*layers)
