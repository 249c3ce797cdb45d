"""Statistics of a whole slide for every instance norm, measured on a sample of its tissue and then frozen.

Instance normalisation takes its mean and variance from whatever image it is given, so two neighbouring tiles are
painted by two different networks. Frozen over the slide it is one fixed network, and one without norms: each is folded
into the convolution before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from restain.errors import RestainError, in_short
from restain.files import write_aside
from restain.images import RGB
from restain.networks.resnet import ResidualBlock, ResnetGenerator
from restain.slides.anatomy import Norm, find_norms, plain_copy
from restain.tensors import to_tensor


@dataclass(frozen=True)
class Statistics:
    """What a slide's norms are frozen to, in the order in which they run: float32 (C,), on the CPU."""

    means: tuple[Tensor, ...]
    variances: tuple[Tensor, ...]


@dataclass(frozen=True)
class LocalStatistics:
    """Statistics at the nodes of a grid, for every norm in the order in which they run.

    Node (i, j) lies in the middle of the square of ``spacing`` pixels in row i, column j of the slide's grid.
    """

    spacing: int  # pixels of the image
    means: tuple[Tensor, ...]  # float32 (rows, columns, C), on the CPU
    deviations: tuple[Tensor, ...]  # sqrt(variance + eps), likewise


def moments(x: Tensor) -> Tensor:
    """Mean and population variance of each image and channel of a feature map (N, C, H, W): (2, N, C), on the CPU."""
    variance, mean = torch.var_mean(x, dim=(2, 3), correction=0)
    return torch.stack([mean, variance]).double().cpu()


def measure_slide(generator: nn.Module, samples: Sequence[RGB]) -> Statistics:
    """Mean and variance in front of every norm, averaged over samples of tissue.

    The variance is the mean of the variances *within* the samples: with samples of the size of the training crops, what
    the norms met in training. Pooling all pixels would add how much samples differ, which no norm has met.

    Layer by layer: a norm is measured with all norms before it frozen already, as they will be when the slide is
    stained. The samples pass one at a time. Between the stages of the network (encoder, each residual block, decoder)
    they wait in memory: ngf x height x width bytes each, 17 MB for 512 pixels at ngf 64.

    Args:
        generator: on its device; it is left as it is.
        samples: uint8 (h, w, 3), sides multiples of 4, of 16 pixels at least.

    Raises:
        RestainError: there is no sample.
    """
    if not samples:
        raise RestainError("normalisation: no sample of tissue was given; expected at least one")
    network = plain_copy(generator)
    device = next(network.parameters()).device
    means, variances = [], []
    with torch.inference_mode():
        waiting = [to_tensor(sample)[None] for sample in samples]
        for stage in _stages(network):
            for norm in stage.norms:
                found = torch.cat([moments(stage.until(norm, x.to(device))) for x in waiting], dim=1)
                mean, variance = found.mean(dim=1).float()
                means.append(mean)
                variances.append(variance)
                _fold(norm, mean, variance)
            if not stage.is_last:
                for index, x in enumerate(waiting):  # in place, so that a sample waits in one form only
                    waiting[index] = stage.run(x.to(device)).cpu()
    return Statistics(tuple(means), tuple(variances))


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
    sigma = torch.sqrt(variance + norm.module.eps).to(weight)
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


@dataclass(frozen=True)
class _Stage:
    """A stretch of the network between places where few numbers describe a sample."""

    layers: nn.ModuleList | nn.Sequential  # the list that holds it
    start: int
    stop: int
    norms: tuple[Norm, ...]
    residual: bool = False
    is_last: bool = False

    def until(self, norm: Norm, x: Tensor) -> Tensor:
        """What a norm of this stage is given, from what the stage is given."""
        for layer in list(self.layers)[self.start : norm.index]:
            x = layer(x)
        return x

    def run(self, x: Tensor) -> Tensor:
        """The whole stage."""
        out = x
        for layer in list(self.layers)[self.start : self.stop]:
            out = layer(out)
        return x + out if self.residual else out


def _stages(network: ResnetGenerator) -> list[_Stage]:
    """Encoder, each residual block, decoder."""
    norms = find_norms(network)
    first, last = network.first_block, network.first_block + network.blocks
    outer = [norm for norm in norms if norm.layers is network.layers]
    blocks = [block.conv_block for block in network.layers if isinstance(block, ResidualBlock)]
    return [
        _Stage(network.layers, 0, first, tuple(norm for norm in outer if norm.index < first)),
        *(
            _Stage(block, 0, len(block), tuple(norm for norm in norms if norm.layers is block), residual=True)
            for block in blocks
        ),
        _Stage(network.layers, last, len(network.layers), tuple(n for n in outer if n.index > last), is_last=True),
    ]
