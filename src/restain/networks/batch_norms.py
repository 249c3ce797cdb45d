"""The batch norms of a network, and the averages that they hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from restain.errors import RestainError
from restain.networks.generator import Generator, plain_copy


def batch_norms(network: nn.Module) -> list[nn.BatchNorm2d]:
    """All of them, in the order of the modules; a generator with norms that look at the image has none."""
    return [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]


@contextmanager
def averages_kept(network: nn.Module) -> Iterator[None]:
    """Passes that leave the running averages of batch norms alone, such as those of images other than H&E."""
    norms = batch_norms(network)
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum


def averages_over(
    generator: Generator, crops: Iterable[Tensor], batch: int
) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Means and variances, float32 (C,) on the CPU, that batch norms meet in crops, normalised as in training.

    A running average is that of the last few batches, under weights that still moved. Here each norm takes the mean
    over all batches. Variances are unbiased, as PyTorch's own running ones.

    Args:
        generator: in any state; it is left as it is.
        crops: image tensors (1, 3, h, w), as they are drawn in training; those of one size are taken together.
        batch: crops that are normalised together, as in training.

    Raises:
        RestainError: there is no crop.

    Source: Wu and Johnson, "Rethinking Batch in BatchNorm" (2021), precise statistics.
    """
    network = plain_copy(generator)
    norms = batch_norms(network)
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean
        norm.train()
    device, count = next(network.parameters()).device, 0
    with torch.no_grad():
        for together in _batches(crops, batch):
            network(together.to(device))
            count += 1
    if not count:
        raise RestainError("normalisation: no crop of tissue was given; expected at least one")
    held = [[norm.running_mean for norm in norms], [norm.running_var for norm in norms]]
    means, variances = (tuple(value.float().cpu() for value in values if value is not None) for values in held)
    return means, variances


def hold_averages(norms: Sequence[nn.BatchNorm2d], means: Sequence[Tensor], variances: Sequence[Tensor]) -> None:
    """Put averages, (C,) for each norm, in place of those that the norms hold."""
    for norm, mean, variance in zip(norms, means, variances, strict=True):
        assert norm.running_mean is not None and norm.running_var is not None
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)


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
