"""How far layers see: which input pixels an interval of output pixels depends on, by one rule for each type of layer.

All is said along one axis, since every layer here is square. Rules compose: of a chain they are applied from its end,
of branches that meet the hull is taken. Padding by reflection at a border folds back to pixels that are nearer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from torch import nn

from restain.networks.generator import NormSite, ReceptiveField
from restain.networks.layers import BlurPool, BlurUpsample, PixelNorm
from restain.networks.norms import ChannelScale, ImageNorm, JointNorm

Interval: TypeAlias = tuple[int, int]  # first and last pixel
Sources: TypeAlias = Callable[[Interval], Interval]  # output pixels -> the input pixels on which they depend

_POINTWISE = (
    nn.Identity,
    nn.ReLU,
    nn.LeakyReLU,
    nn.Tanh,
    nn.Dropout,
    nn.BatchNorm2d,
    ImageNorm,
    JointNorm,
    ChannelScale,
    PixelNorm,
)


def layer_sources(layer: nn.Module, pixels: Interval) -> Interval:
    """The input pixels on which output pixels of a layer depend; norms are taken as the maps that they freeze to.

    Raises:
        TypeError: there is no rule for the layer.
    """
    first, last = pixels
    if isinstance(layer, _POINTWISE):
        return pixels
    if isinstance(layer, nn.ReflectionPad2d):
        return first - layer.padding[0], last - layer.padding[0]
    if isinstance(layer, nn.Conv2d):  # output o sees o * stride - padding + k * dilation
        stride, reach = layer.stride[0], layer.dilation[0] * (layer.kernel_size[0] - 1)
        padding = int(layer.padding[0])
        return first * stride - padding, last * stride - padding + reach
    if isinstance(layer, nn.ConvTranspose2d):  # input i reaches i * stride - padding + k * dilation
        stride, reach = layer.stride[0], layer.dilation[0] * (layer.kernel_size[0] - 1)
        padding = int(layer.padding[0])
        return -(-(first + padding - reach) // stride), (last + padding) // stride
    if isinstance(layer, BlurPool):
        return 2 * first - 1, 2 * last + 1
    if isinstance(layer, BlurUpsample):  # bilinear: an output pixel lies a quarter beside one pixel, toward another
        return (first - 1) // 2, (last + 1) // 2
    if isinstance(layer, nn.Upsample) and layer.mode == "nearest":
        assert isinstance(layer.scale_factor, float)
        return first // int(layer.scale_factor), last // int(layer.scale_factor)
    raise TypeError(f"the receptive field of a {type(layer).__name__} is not known")


def chain_sources(layers: Iterable[nn.Module], pixels: Interval) -> Interval:
    """The same for layers that run one after the other."""
    for layer in reversed(list(layers)):
        pixels = layer_sources(layer, pixels)
    return pixels


def hull(*intervals: Interval) -> Interval:
    """What branches that meet see together."""
    return min(first for first, _ in intervals), max(last for _, last in intervals)


def receptive_field(sources: Sources, stride: int) -> ReceptiveField:
    """Of a network with that many image pixels per coarsest pixel, followed back from each phase of its lattice."""
    seen = [(phase, sources((phase, phase))) for phase in range(stride)]
    radius = max(max(phase - first, last - phase) for phase, (first, last) in seen)
    return ReceptiveField(-(-radius // stride) * stride, stride)


def scale_after(layer: nn.Module, scale: int) -> int:
    """Pixels of the image per pixel of the feature map behind a layer, from that number before it."""
    if isinstance(layer, nn.Conv2d):
        return scale * layer.stride[0]
    if isinstance(layer, nn.ConvTranspose2d):
        return scale // layer.stride[0]
    if isinstance(layer, BlurPool):
        return scale * 2
    return scale // 2 if isinstance(layer, BlurUpsample | nn.Upsample) else scale


def chain_sites(layers: Sequence[nn.Module], path: str, scale: int, start: int = 0) -> tuple[list[NormSite], int]:
    """The image norms of layers that run one after the other, and the scale behind them.

    Args:
        layers: a norm in them follows right behind its convolution.
        path: dotted path of the list in the generator.
        scale: pixels of the image per pixel of what comes in.
        start: index of the first layer that is looked at.
    """
    sites: list[NormSite] = []
    for index, layer in enumerate(layers[start:], start):
        if isinstance(layer, ImageNorm | JointNorm):
            convolution = layers[index - 1]
            assert isinstance(convolution, nn.Conv2d | nn.ConvTranspose2d)
            names, joint = (f"{path}.{index}", f"{path}.{index - 1}"), isinstance(layer, JointNorm)
            sites.append(NormSite(*names, convolution.out_channels, scale, joint))
        scale = scale_after(layer, scale)
    return sites, scale
