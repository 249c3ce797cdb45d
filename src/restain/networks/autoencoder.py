"""The generator of UNIT: the encoder of one stain and the decoder of the other, which meet in a latent space."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from torch import Tensor, nn

from restain.networks.generator import Generator, NormSite, ReceptiveField
from restain.networks.geometry import Interval, chain_sites, chain_sources, hull, layer_sources, receptive_field
from restain.networks.norms import ChannelScale, ImageNorm, JointNorm
from restain.networks.specs import AutoencoderSpec


class _Residual(nn.Module):
    """x + IN(conv(ReLU(IN(conv(x)))))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            *_convolution(channels, channels, 3),
            ImageNorm(),
            nn.ReLU(),
            *_convolution(channels, channels, 3),
            ImageNorm(),
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.block(x)
        return x + out


class AutoencoderGenerator(Generator):
    """Halvings with instance norm, residual blocks | residual blocks, doublings with layer norm (Liu et al. 2017).

    Halvings are 4x4 convolutions of stride 2; doublings are nearest-neighbour ones with a 5x5 convolution behind. All
    borders are reflected. The layer norm takes its statistics over all channels of an image at once.
    """

    def __init__(self, spec: AutoencoderSpec) -> None:
        super().__init__()
        self.spec: AutoencoderSpec = spec
        width = spec.ngf
        encoder: list[nn.Module] = [*_convolution(3, width, 7), ImageNorm(), nn.ReLU()]
        for _ in range(spec.downs):
            encoder += [*_convolution(width, 2 * width, 4, stride=2), ImageNorm(), nn.ReLU()]
            width *= 2
        encoder += [_Residual(width) for _ in range(spec.blocks)]
        decoder: list[nn.Module] = [_Residual(width) for _ in range(spec.blocks)]
        for _ in range(spec.downs):
            decoder += [nn.Upsample(scale_factor=2), *_convolution(width, width // 2, 5)]
            width //= 2
            decoder += [JointNorm(), ChannelScale(width), nn.ReLU()]
        decoder += [*_convolution(width, 3, 7), nn.Tanh()]
        self.encoder, self.decoder = nn.Sequential(*encoder), nn.Sequential(*decoder)
        self._field = receptive_field(self._sources, spec.stride)

    def share_blocks(self, other: AutoencoderGenerator, count: int) -> None:
        """Take the other's last residual blocks of the encoder and first of the decoder in place of its own.

        Shared weights next to the latent space bind what it means to both stains. Source: Liu et al. (2017), Sec. 3.
        """
        for index in range(count):
            self.encoder[-1 - index] = other.encoder[-1 - index]
            self.decoder[index] = other.decoder[index]

    @property
    def smallest(self) -> int:
        """See ``Generator``; the residual blocks must see at least 2 x 2 pixels."""
        return max(16, 2 * self.spec.stride)

    def encode(self, x: Tensor) -> Tensor:
        """Image (N, 3, H, W), sides multiples of the stride -> latent means (N, C, H / stride, W / stride)."""
        latent: Tensor = self.encoder(x)
        return latent

    def decode(self, latent: Tensor) -> Tensor:
        """The way back: (N, C, h, w) -> image tensor."""
        image: Tensor = self.decoder(latent)
        return image

    def paint(self, x: Tensor) -> Tensor:
        """See ``Generator``; without noise in the latent space."""
        return self.decode(self.encode(x))

    def receptive_field(self) -> ReceptiveField:
        """See ``Generator``."""
        return self._field

    def _sources(self, pixels: Interval) -> Interval:
        for layer in reversed([*self.encoder, *self.decoder]):
            if isinstance(layer, _Residual):
                pixels = hull(pixels, chain_sources(layer.block, pixels))
            else:
                pixels = layer_sources(layer, pixels)
        return pixels

    def norm_sites(self) -> Sequence[NormSite]:
        """See ``Generator``."""
        sites: list[NormSite] = []
        scale = 1
        for path, half in (("encoder", self.encoder), ("decoder", self.decoder)):
            layers = list(half)
            for index, layer in enumerate(layers):
                if isinstance(layer, _Residual):
                    sites += chain_sites(list(layer.block), f"{path}.{index}.block", scale)[0]
                else:
                    found, scale = chain_sites(layers[: index + 1], path, scale, start=index)
                    sites += found
        return sites


def _convolution(before: int, after: int, kernel: int, *, stride: int = 1) -> Iterable[nn.Module]:
    layer = nn.Conv2d(before, after, kernel, stride)
    nn.init.kaiming_normal_(layer.weight)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return nn.ReflectionPad2d((kernel - 1) // 2), layer
