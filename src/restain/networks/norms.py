"""Normalisation by the statistics of each image, and what takes its place once those statistics are fixed.

Instance normalisation takes its mean and variance from whatever image it is given, so every image leaves it with the
same mean in every channel, and a generator gives every image about the same amount of stain. With statistics measured
once, over many crops, it is one fixed affine map, which folds into the convolution before it.

Batch norms are fixed from the training on; their averages can be replaced by those of other H&E.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from restain.errors import RestainError, in_short
from restain.files import write_aside
from restain.networks.generator import Generator, NormSite, plain_copy, remove_norm, replace_module

EPS = 1e-5
_PASS = 2**21  # pixels that are measured at a time; at ngf 64 they take about 3 GB


class ImageNorm(nn.Module):
    """Each channel of each image at mean 0 and variance 1: instance norm without weights of its own.

    It computes what ``nn.InstanceNorm2d`` does, and keeps channels last where they are last. PyTorch's own makes every
    map contiguous, and on a CPU its gradient is wrong for a single image where the gradient that arrives has channels
    last: the backward pass of ``batch_norm`` reads both tensors in the layout of one.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W), of the same type and layout; H * W must be more than 1."""
        if torch.compiler.is_compiling():
            return self._by_formula(x)
        last = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
        layout = torch.channels_last if last else torch.contiguous_format
        x = x.contiguous(memory_format=layout)
        if last:
            images = [self._batch_norm(image) for image in torch.split(x, 1)]
            out = images[0] if len(images) == 1 else torch.cat(images)
        else:
            out = self._batch_norm(x.view(1, -1, *x.shape[2:])).view_as(x)
        if out.requires_grad:
            out.register_hook(lambda gradient: gradient.contiguous(memory_format=layout))  # type: ignore[no-untyped-call]
        return out

    def _batch_norm(self, x: Tensor) -> Tensor:
        wide = torch.promote_types(x.dtype, torch.float32)
        # On a CPU, half precisions without a weight of type float32 beside them get statistics in half precision too.
        weight = None if x.dtype == wide else x.new_ones(x.shape[1], dtype=wide)
        bias = None if weight is None else torch.zeros_like(weight)
        return F.batch_norm(x, None, None, weight, bias, training=True, eps=EPS)

    def _by_formula(self, x: Tensor) -> Tensor:
        """The same in elementary steps, which a compiler fuses in any layout."""
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        variance, mean = torch.var_mean(wide, dim=(2, 3), correction=0, keepdim=True)
        return ((wide - mean) * torch.rsqrt(variance + EPS)).to(x.dtype)


class JointNorm(nn.Module):
    """Each image at mean 0 and variance 1 over all its channels together: layer norm without weights of its own."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W), of the same type."""
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        variance, mean = torch.var_mean(wide, dim=(1, 2, 3), correction=0, keepdim=True)
        return ((wide - mean) * torch.rsqrt(variance + EPS)).to(x.dtype)


class ChannelScale(nn.Module):
    """A weight and a bias for each channel: what stands behind a joint norm, and stays when that is fixed."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        weight, bias = (values.to(x.dtype)[:, None, None] for values in (self.weight, self.bias))
        return x * weight + bias


@dataclass(frozen=True)
class Statistics:
    """What a generator's norms are fixed to, in the order of its sites or modules: float32 (C,), on the CPU."""

    means: tuple[Tensor, ...]
    variances: tuple[Tensor, ...]


def measure(generator: Generator, crops: Iterable[Tensor]) -> Statistics:
    """Mean and within-crop variance in front of every norm, averaged over crops.

    The variance is the mean of the variances *within* the crops: with crops of the size of the training's, what the
    norms met in training. Pooling all pixels would add how much crops differ, which no norm has met.

    A norm is to be measured with the norms before it fixed already, as they will be when it is used. Crops therefore
    pass through the network together, as many as make two megapixels, and each norm on the way takes the average over
    them all. Normalised one by one instead, crops lose their differences from layer to layer, and the stain that
    results is worse: error of DAB .061 against .050 (the exact value, all 300 crops at once; 8 together give .0505).

    Args:
        generator: on its device; it is left as it is.
        crops: image tensors (1, 3, h, w), drawn as they are used; about two megapixels are held at a time.

    Raises:
        RestainError: there is no crop.
    """
    network = plain_copy(generator).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    norms = [_AveragingNorm(site) for site in network.norm_sites()]
    for site, norm in zip(network.norm_sites(), norms, strict=True):
        replace_module(network, site.name, norm)
    count = 0
    with torch.inference_mode():
        for together in _passes(crops):
            network(together.to(_device(network)).contiguous(memory_format=torch.channels_last))
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


def batch_normalised(generator: Generator) -> bool:
    """Whether its norms are batch norms."""
    return not generator.norm_sites() and bool(_batch_norms(generator))


def _batch_norms(network: nn.Module) -> list[tuple[str, nn.BatchNorm2d]]:
    return [(name, module) for name, module in network.named_modules() if isinstance(module, nn.BatchNorm2d)]


def _passes(crops: Iterable[Tensor]) -> Iterator[Tensor]:
    """Crops of one size that follow each other, stacked, up to the pixels of a pass."""
    waiting: list[Tensor] = []
    for crop in crops:
        full = waiting and (len(waiting) + 1) * crop[0, 0].numel() > _PASS
        if full or (waiting and crop.shape != waiting[0].shape):
            yield torch.cat(waiting)
            waiting = []
        waiting.append(crop)
    if waiting:
        yield torch.cat(waiting)


def with_settled_batch_norms(generator: Generator, crops: Iterable[Tensor], batch: int) -> Generator:
    """A plain copy whose batch norms hold averages over crops in place of running ones; itself where it has none.

    A running average is that of the last few batches, under weights that still moved. Here each norm takes the mean
    over all batches of what it met in them, normalised as in training.

    Args:
        generator: in eval mode; it is left as it is.
        crops: image tensors (1, 3, h, w), as they are drawn in training; those of one size are taken together.
        batch: crops that are normalised together, as in training.

    Raises:
        RestainError: there is no crop.

    Source: Wu and Johnson, "Rethinking Batch in BatchNorm" (2021), precise statistics.
    """
    if not _batch_norms(generator):
        return generator
    network = plain_copy(generator)
    norms = [norm for _, norm in _batch_norms(network)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean
        norm.train()
    count = 0
    with torch.no_grad():
        for together in _batches(crops, batch):
            network(together.to(_device(network)))
            count += 1
    if not count:
        raise RestainError("normalisation: no crop of tissue was given; expected at least one")
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    return network.eval()


def measure_batch_norms(generator: Generator, crops: Iterable[Tensor], batch: int) -> Statistics:
    """What the batch norms of ``with_settled_batch_norms`` hold, for ``freeze``."""
    norms = [norm for _, norm in _batch_norms(with_settled_batch_norms(generator, crops, batch))]
    held = [[norm.running_mean for norm in norms], [norm.running_var for norm in norms]]
    means, variances = (tuple(value.float().cpu() for value in values if value is not None) for values in held)
    return Statistics(means, variances)


def _batches(crops: Iterable[Tensor], batch: int) -> Iterator[Tensor]:
    """Full batches of crops of one size; where there is none, the largest that can be made."""
    waiting: dict[torch.Size, list[Tensor]] = {}
    full = False
    for crop in crops:
        group = waiting.setdefault(crop.shape, [])
        group.append(crop)
        if len(group) == batch:
            yield torch.cat(waiting.pop(crop.shape))
            full = True
    if waiting and not full:
        yield torch.cat(max(waiting.values(), key=len))


@contextmanager
def averages_kept(network: nn.Module) -> Iterator[None]:
    """Passes that leave the running averages of batch norms alone, such as those of images other than H&E."""
    norms = [norm for _, norm in _batch_norms(network)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum


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
        statistics: of ``measure`` or ``measure_batch_norms`` with this generator; none leave batch norms as they are.

    Raises:
        RestainError: the statistics are those of another network.
    """
    network = plain_copy(generator)
    sites = network.norm_sites()
    if statistics.means and batch_normalised(network):
        return _with_averages(network, statistics)
    check_channels(sites, statistics.means)
    for site, mean, variance in zip(sites, statistics.means, statistics.variances, strict=True):
        remove_norm(network, site)
        _fold(network.get_submodule(site.convolution), mean, torch.sqrt(variance + EPS))
    return network.requires_grad_(False)


def _with_averages(network: Generator, statistics: Statistics) -> Generator:
    norms = [norm for _, norm in _batch_norms(network)]
    _refuse_other([norm.num_features for norm in norms], statistics.means)
    for norm, mean, variance in zip(norms, statistics.means, statistics.variances, strict=True):
        assert norm.running_mean is not None and norm.running_var is not None
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
    return network


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
    with write_aside(path) as temporary:
        save_file(tensors, temporary, {"format": "pt"})


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


def _device(network: nn.Module) -> torch.device:
    return next(network.parameters()).device
