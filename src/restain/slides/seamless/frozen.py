"""Statistics of a whole slide for every instance norm, measured on a sample of its tissue and then frozen.

Instance normalisation takes its mean and variance from whatever image it is given, so two neighbouring tiles are
painted by two different networks. Frozen over the slide it is one fixed network, and one without norms: each is folded
into the convolution before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from restain.errors import RestainError, in_short
from restain.files import write_aside
from restain.images import RGB
from restain.networks.norms import EPS, Statistics, moments
from restain.networks.resnet import ResidualBlock, ResnetGenerator
from restain.slides.seamless.anatomy import Norm, find_norms, plain_copy
from restain.tensors import to_tensor


@dataclass(frozen=True)
class LocalStatistics:
    """Statistics at the nodes of a grid, for every norm in the order in which they run.

    Node (i, j) lies in the middle of the square of ``spacing`` pixels in row i, column j of the slide's grid.
    """

    spacing: int  # pixels of the image
    means: tuple[Tensor, ...]  # float32 (rows, columns, C), on the CPU
    deviations: tuple[Tensor, ...]  # sqrt(variance + eps), likewise


def measure_slide(generator: nn.Module, samples: Sequence[RGB]) -> Statistics:
    """Mean and variance in front of every norm, averaged over samples of tissue.

    The variance is the mean of the variances *within* the samples: with samples of the size of the training crops, what
    the norms met in training. Pooling all pixels would add how much samples differ, which no norm has met.

    Layer by layer: a norm is measured with all norms before it frozen already, as they will be when the slide is
    stained. The samples pass one at a time. Between the stages of the network (encoder, each residual block, decoder)
    they wait in memory: ngf x height x width bytes each, 17 MB for 512 pixels at ngf 64, and twice that in a block.

    Args:
        generator: on its device; it is left as it is.
        samples: uint8 (h, w, 3), sides multiples of 4, of 16 pixels at least.

    Raises:
        RestainError: there is no sample.
    """
    if not samples:
        raise RestainError("normalisation: no sample of tissue was given; expected at least one")
    network = plain_copy(generator).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    norms = find_norms(network)
    first, last = network.spec.first_block, network.spec.first_block + network.spec.blocks
    outer = [norm for norm in norms if norm.layers is network.layers]
    found: list[Tensor] = []
    with torch.inference_mode():
        waiting = [to_tensor(sample)[None] for sample in samples]
        found += _measure_stretch(network, 0, [norm for norm in outer if norm.index < first], waiting)
        _advance(list(network.layers)[:first], waiting, _device(network))
        for block in (layer.conv_block for layer in network.layers if isinstance(layer, ResidualBlock)):
            found += _measure_block([norm for norm in norms if norm.layers is block], waiting, _device(network))
        found += _measure_stretch(network, last, [norm for norm in outer if norm.index > last], waiting)
    return Statistics(tuple(mean for mean, _ in found), tuple(variance for _, variance in found))


def _measure_stretch(
    network: ResnetGenerator, start: int, norms: Sequence[Norm], waiting: list[Tensor]
) -> list[Tensor]:
    """Measure and fold the norms of the encoder or the decoder: (2, C) each.

    Its feature maps are too large to wait, so each norm is reached from the beginning of the stretch.
    """
    found = []
    for norm in norms:
        before = list(network.layers)[start : norm.index]
        found.append(_average(moments(_run(before, x.to(_device(network)))) for x in waiting))
        _fold(norm, *found[-1])
    return found


def _measure_block(norms: Sequence[Norm], waiting: list[Tensor], device: torch.device) -> list[Tensor]:
    """Measure the norms of a residual block, (2, C) each, and take what waits through it.

    Behind each convolution a sample is as small as before the block: nothing is computed twice.
    """
    inner, start, found = list(waiting), 0, []
    for norm in norms:
        _advance(list(norm.layers)[start : norm.index], inner, device)
        found.append(_average(moments(x) for x in inner))
        mean, variance = (values[:, None, None] for values in found[-1])
        for x in inner:
            x.sub_(mean).div_(torch.sqrt(variance + EPS))
        start = norm.index + 1
    for index, x in enumerate(inner):
        waiting[index] = waiting[index] + x
    return found


def _advance(layers: Sequence[nn.Module], waiting: list[Tensor], device: torch.device) -> None:
    for index, x in enumerate(waiting):  # in place, so that a sample waits in one form only
        waiting[index] = _run(layers, x.to(device)).cpu()


def _run(layers: Sequence[nn.Module], x: Tensor) -> Tensor:
    for layer in layers:
        x = layer(x)
    return x


def _average(parts: Iterable[Tensor]) -> Tensor:
    """Mean over all samples of their (2, N, C) moments: (2, C), float32."""
    return torch.cat(list(parts), dim=1).mean(dim=1).float()


def _device(network: nn.Module) -> torch.device:
    return next(network.parameters()).device


def freeze(generator: nn.Module, statistics: Statistics) -> nn.Module:
    """A copy whose norms are fixed, and gone: W / sigma and (b - mu) / sigma in the convolution before each.

    Args:
        generator: in any state; it is left as it is.
        statistics: of ``measure_slide`` with the same generator.
    """
    network = plain_copy(generator)
    norms = find_norms(network)
    check_channels(norms, statistics.means)
    for norm, mean, variance in zip(norms, statistics.means, statistics.variances, strict=True):
        _fold(norm, mean, variance)
    return network


def check_channels(norms: Sequence[Norm], values: Sequence[Tensor]) -> None:
    """RestainError where statistics, (..., C) for each norm, are those of another network."""
    expected = [norm.convolution.out_channels for norm in norms]
    found = [value.shape[-1] for value in values]
    if found != expected:
        raise RestainError(f"normalisation statistics: have channels {found}; this generator's norms have {expected}")


def _fold(norm: Norm, mean: Tensor, variance: Tensor) -> None:
    weight, bias = norm.convolution.weight, norm.convolution.bias
    assert bias is not None  # the generator's convolutions all have one
    sigma = torch.sqrt(variance + EPS).to(weight)
    weight.data = weight / sigma[:, None, None, None]
    bias.data = (bias - mean.to(bias)) / sigma
    norm.replace(nn.Identity())


def save_statistics(path: Path, statistics: Statistics | LocalStatistics) -> None:
    """Write statistics as safetensors, whole or not at all; they come back exactly."""
    local = isinstance(statistics, LocalStatistics)
    spreads = statistics.deviations if isinstance(statistics, LocalStatistics) else statistics.variances
    tensors = {f"{index:03}.mean": mean for index, mean in enumerate(statistics.means)}
    tensors |= {f"{index:03}.{'deviation' if local else 'variance'}": spread for index, spread in enumerate(spreads)}
    spacing = str(statistics.spacing) if isinstance(statistics, LocalStatistics) else ""
    with write_aside(path) as temporary:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, temporary, {"spacing": spacing})


def load_statistics(path: Path) -> Statistics | LocalStatistics:
    """Read what ``save_statistics`` wrote; RestainError where the file is something else, or damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            spacing = file.metadata()["spacing"]
            tensors = {name: file.get_tensor(name) for name in sorted(file.keys())}
    except (OSError, SafetensorError, KeyError, TypeError) as error:
        raise RestainError(f"{path}: holds no normalisation statistics ({in_short(error)})") from None
    means = tuple(tensor for name, tensor in tensors.items() if name.endswith(".mean"))
    spreads = tuple(tensor for name, tensor in tensors.items() if not name.endswith(".mean"))
    return LocalStatistics(int(spacing), means, spreads) if spacing else Statistics(means, spreads)
