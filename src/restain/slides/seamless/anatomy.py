"""A generator taken apart: its layers in order, and its instance norms, each with the convolution that it follows."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from restain.networks import generator as networks
from restain.networks.layers import BlurPool, BlurUpsample
from restain.networks.norms import ImageNorm
from restain.networks.resnet import ResidualBlock, ResnetGenerator


@dataclass(frozen=True)
class Norm:
    """An instance norm behind a convolution, at its place in a generator."""

    layers: nn.ModuleList | nn.Sequential  # the list that holds both
    index: int  # of the norm in it
    scale: int  # pixels of the image per pixel of the feature map

    @property
    def module(self) -> ImageNorm:
        """The norm, which has no parameters of its own."""
        module = self.layers[self.index]
        assert isinstance(module, ImageNorm)
        return module

    @property
    def convolution(self) -> nn.Conv2d:
        """What it normalises."""
        convolution = self.layers[self.index - 1]
        assert isinstance(convolution, nn.Conv2d)
        return convolution

    def replace(self, module: nn.Module) -> None:
        """Put another module in the norm's place."""
        self.layers[self.index] = module


def as_resnet(generator: nn.Module) -> ResnetGenerator:
    """The generator itself; TypeError where its layers are not known here."""
    if not isinstance(generator, ResnetGenerator):
        raise TypeError(f"slides are stained by a ResnetGenerator, not by a {type(generator).__name__}")
    return generator


def plain_copy(generator: nn.Module) -> ResnetGenerator:
    """See ``restain.networks.generator.plain_copy``."""
    return as_resnet(networks.plain_copy(as_resnet(generator)))


def flat_layers(generator: nn.Module) -> list[nn.Module]:
    """All layers in the order in which they run; of a residual block, the longer of its two ways."""
    flat: list[nn.Module] = []
    for layer in as_resnet(generator).layers:
        flat += list(layer.conv_block) if isinstance(layer, ResidualBlock) else [layer]
    return flat


def find_norms(generator: nn.Module) -> list[Norm]:
    """Every instance norm, in the order in which they run."""
    layers = as_resnet(generator).layers
    norms: list[Norm] = []
    scale = 1
    for index, layer in enumerate(layers):
        if isinstance(layer, BlurPool):
            scale *= 2
        elif isinstance(layer, BlurUpsample):
            scale //= 2
        elif isinstance(layer, ImageNorm):
            norms.append(Norm(layers, index, scale))
        elif isinstance(layer, ResidualBlock):
            inside = enumerate(layer.conv_block)
            norms += [Norm(layer.conv_block, i, scale) for i, part in inside if isinstance(part, ImageNorm)]
    return norms
