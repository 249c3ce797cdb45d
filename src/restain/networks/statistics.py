"""Statistics of a generator's norms over many crops, to which ``freeze`` fixes them.

Instance normalisation takes its mean and variance from whatever image it is given. With statistics measured once, it is
one fixed affine map, which folds into the convolution before it. Batch norms are fixed from the training on; their
averages can be replaced by those of other H&E.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from restain.errors import RestainError, in_short
from restain.networks.batch_norms import averages_over, batch_norms, hold_averages
from restain.networks.generator import Generator, NormSite, plain_copy, remove_norm, replace_module
from restain.networks.norms import EPS
from restain.tensor_files import write_tensors

_PASS = 2**21  # pixels that are measured at a time; at ngf 64 they take about 3 GB


@dataclass(frozen=True)
class Statistics:
    """What a generator's norms are fixed to, in the order of its sites or modules: float32 (C,), on the CPU."""

    means: tuple[Tensor, ...]
    variances: tuple[Tensor, ...]


def measure(generator: Generator, crops: Iterable[Tensor], batch: int = 1) -> Statistics:
    """What the norms of a generator are to be fixed to for H&E like these crops; empty where it has none.

    Args:
        generator: on its device; it is left as it is.
        crops: image tensors (1, 3, h, w), drawn as they are used; about two megapixels, or a batch, are held at a time.
        batch: crops that a batch norm normalises together, as in training; image norms do not need it.

    Raises:
        RestainError: there is no crop.
    """
    if generator.norm_sites():
        return _measure_image_norms(generator, crops)
    return Statistics(*averages_over(generator, crops, batch)) if batch_norms(generator) else Statistics((), ())


def _measure_image_norms(generator: Generator, crops: Iterable[Tensor]) -> Statistics:
    """Mean and within-crop variance in front of every norm, averaged over crops.

    The variance is the mean of the variances *within* the crops: with crops of the size of the training's, what the
    norms met in training. Pooling all pixels would add how much crops differ, which no norm has met.

    A norm is to be measured with the norms before it fixed already, as they will be when it is used. Crops therefore
    pass through the network together, as many as make two megapixels, and each norm on the way takes the average over
    them all. Normalised one by one instead, crops lose their differences from layer to layer, and the stain that
    results is worse: error of DAB .061 against .050 (the exact value, all 300 crops at once; 8 together give .0505).
    """
    network = plain_copy(generator).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    norms = [_AveragingNorm(site) for site in network.norm_sites()]
    for site, norm in zip(network.norm_sites(), norms, strict=True):
        replace_module(network, site.name, norm)
    device, count = next(network.parameters()).device, 0
    with torch.inference_mode():
        for together in _passes(crops):
            network(together.to(device).contiguous(memory_format=torch.channels_last))
            count += len(together)
    if not count:
        raise RestainError("normalisation: no crop of tissue was given; expected at least one")
    found = [(norm.total / count).float() for norm in norms]
    return Statistics(tuple(mean for mean, _ in found), tuple(variance for _, variance in found))


class _AveragingNorm(nn.Module):
    """Normalises the images of a pass by the average of their statistics, and sums these up over all passes."""

    def __init__(self, site: NormSite) -> None:
        super().__init__()
        self.total, self._joint = torch.zeros(2, site.channels, dtype=torch.float64), site.joint

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        found = moments(x, joint=self._joint)
        self.total += found.sum(dim=1)
        mean, variance = found.mean(dim=1).to(x)[:, None, :, None, None]
        normalised: Tensor = (x - mean).div_(torch.sqrt(variance + EPS))
        return normalised


def _passes(crops: Iterable[Tensor]) -> Iterator[Tensor]:
    """Crops of one size, stacked, up to the pixels of a pass."""
    waiting: dict[torch.Size, list[Tensor]] = {}
    for crop in crops:
        group = waiting.setdefault(crop.shape, [])
        if group and (len(group) + 1) * crop[0, 0].numel() > _PASS:
            yield torch.cat(group)
            group.clear()
        group.append(crop)
    yield from map(torch.cat, waiting.values())


def moments(x: Tensor, *, joint: bool = False) -> Tensor:
    """Mean and population variance of each image and channel of a feature map (N, C, H, W): (2, N, C), on the CPU.

    ``joint``: those over all channels together, the same for each channel (see ``NormSite``).
    """
    variance, mean = torch.var_mean(x, dim=(1, 2, 3) if joint else (2, 3), correction=0, keepdim=True)
    return torch.stack([mean, variance]).flatten(2).expand(2, *x.shape[:2]).double().cpu()


def freeze(generator: Generator, statistics: Statistics) -> Generator:
    """A plain copy whose norms are fixed.

    Norms that look at the image are gone: W / sigma and (b - mean) / sigma stand in the convolution before each. Batch
    norms hold the statistics in place of their own averages.

    Args:
        generator: in any state; it is left as it is.
        statistics: of ``measure`` with this generator; none leave batch norms as they are.

    Raises:
        RestainError: the statistics are those of another network.
    """
    network = plain_copy(generator)
    sites, averaged = network.norm_sites(), batch_norms(network)
    if statistics.means and averaged and not sites:
        _refuse_other([norm.num_features for norm in averaged], statistics.means)
        hold_averages(averaged, statistics.means, statistics.variances)
        return network
    check_channels(sites, statistics.means)
    for site, mean, variance in zip(sites, statistics.means, statistics.variances, strict=True):
        remove_norm(network, site)
        _fold(network.get_submodule(site.convolution), mean, torch.sqrt(variance + EPS))
    return network.requires_grad_(False)


def _fold(convolution: nn.Module, mean: Tensor, sigma: Tensor) -> None:
    """Let a convolution give (output - mean) / sigma."""
    assert isinstance(convolution, nn.Conv2d | nn.ConvTranspose2d) and convolution.bias is not None
    shape = (1, -1, 1, 1) if isinstance(convolution, nn.ConvTranspose2d) else (-1, 1, 1, 1)  # where the outputs lie
    mean, sigma = mean.to(convolution.weight), sigma.to(convolution.weight)
    convolution.weight.data = convolution.weight / sigma.view(shape)
    convolution.bias.data = (convolution.bias - mean) / sigma


def check_channels(sites: Sequence[NormSite], values: Sequence[Tensor]) -> None:
    """RestainError where statistics, (..., C) for each norm, are those of another network."""
    _refuse_other([site.channels for site in sites], values)


def _refuse_other(expected: Sequence[int], values: Sequence[Tensor]) -> None:
    found = [value.shape[-1] for value in values]
    if found != expected:
        raise RestainError(f"normalisation statistics: have channels {found}; this generator's norms have {expected}")


def save_statistics(path: Path, statistics: Statistics) -> None:
    """Write statistics as safetensors, whole or not at all; they come back exactly."""
    tensors = {f"{index:03}.mean": mean.contiguous() for index, mean in enumerate(statistics.means)}
    tensors |= {f"{index:03}.variance": value.contiguous() for index, value in enumerate(statistics.variances)}
    write_tensors(path, tensors, {"format": "pt"})


def load_statistics(path: Path) -> Statistics:
    """Read what ``save_statistics`` wrote; RestainError where the file is something else, or damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in sorted(file.keys())}
    except (OSError, SafetensorError) as error:
        raise RestainError(f"{path}: holds no normalisation statistics ({in_short(error)})") from None
    means = tuple(tensor for name, tensor in tensors.items() if name.endswith(".mean"))
    variances = tuple(tensor for name, tensor in tensors.items() if name.endswith(".variance"))
    pairs = len(means) == len(variances) and len(means) + len(variances) == len(tensors)
    if not pairs or not all(_usable(*pair) for pair in zip(means, variances, strict=True)):
        raise RestainError(f"{path}: holds no normalisation statistics (expected a mean and a variance for each norm)")
    return Statistics(means, variances)


def _usable(mean: Tensor, variance: Tensor) -> bool:
    shaped = mean.ndim == 1 and mean.shape == variance.shape and mean.dtype == variance.dtype == torch.float32
    return shaped and bool(mean.isfinite().all() and variance.isfinite().all() and (variance >= 0).all())
