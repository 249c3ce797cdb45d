"""Statistics that follow the tissue: measured on a coarse grid of windows, interpolated at every pixel of every layer.

One set of statistics for a whole slide levels nothing, but where a slide holds two tissues, or fades to one side, each
place may want its own. Ideas of KIN (Ho et al., "Ultra-high-resolution unpaired stain transformation via kernelized
instance normalization", 2022: pool over neighbouring windows by a kernel) and of Dense Normalization (Ho et al., "Every
pixel has its moments", 2024: interpolate at each pixel), written from the papers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from scipy.ndimage import convolve
from torch import Tensor, nn

from restain.errors import RestainError
from restain.images import RGB
from restain.slides.anatomy import find_norms, plain_copy
from restain.slides.normalisation import LocalStatistics, Moments, check_channels, moments
from restain.tensors import to_tensor

SPACING = 512  # pixels between nodes; a window is as wide
_KERNEL = (1.0, 2.0, 1.0)  # weights of neighbouring nodes along each axis


@dataclass
class Place:
    """Where the images of the batch in the network lie: their upper left corners (x, y), in pixels of the slide."""

    corners: list[tuple[int, int]] = field(default_factory=list)


def measure_local(
    generator: nn.Module,
    read: Callable[[tuple[int, int, int, int]], RGB],
    tissue: npt.NDArray[np.bool_],
    size: tuple[int, int],
    spacing: int = SPACING,
) -> LocalStatistics:
    """Mean and deviation in front of every norm around each node.

    The window of each node passes through the network once, normalised by itself. Then each node pools its neighbours,
    3 x 3 with binomial weights times their share of tissue, so that windows of glass, whose variance is next to
    nothing, do not spoil those at its edge. Memory: two numbers for each channel of each norm at each node, in the end
    30 kB a node at ngf 64.

    Args:
        generator: on its device; it is left as it is.
        read: (x, y, width, height) in the grid -> uint8 (height, width, 3), also outside the slide.
        tissue: mask over the whole grid, at any resolution.
        size: (height, width) of the grid, pixels.
        spacing: of the nodes, pixels; a multiple of 4.

    Raises:
        RestainError: no window has any tissue.
    """
    share = _tissue_share(tissue, size, spacing)
    if not share.any():
        raise RestainError("normalisation: the slide has no tissue to measure; expected some in its tissue mask")
    network = plain_copy(generator)
    device = next(network.parameters()).device
    norms = find_norms(network)
    raw = [np.zeros((2, *share.shape, norm.convolution.out_channels)) for norm in norms]  # mean, variance
    seen: list[Moments] = []
    for norm in norms:
        norm.module.register_forward_pre_hook(lambda _, inputs: seen.append(moments(inputs[0])))
    with torch.inference_mode():
        for i, j in np.argwhere(share > 0).tolist():
            window = to_tensor(read((j * spacing, i * spacing, spacing, spacing)))[None].to(device)
            network(window)
            for values, found in zip(raw, seen, strict=True):
                values[:, i, j] = found.mean.numpy(), found.variance.numpy()
            seen.clear()
    means, deviations = [], []
    for norm, values in zip(norms, raw, strict=True):
        mean, variance = _pool_neighbours(values, share)
        means.append(torch.from_numpy(mean).float())
        deviations.append(torch.from_numpy(np.sqrt(variance + norm.module.eps)).float())
    return LocalStatistics(spacing, tuple(means), tuple(deviations))


def localise(generator: nn.Module, statistics: LocalStatistics, place: Place) -> nn.Module:
    """A copy whose norms take their statistics from the place of each pixel.

    Args:
        generator: in any state; it is left as it is.
        statistics: of ``measure_local`` with the same generator.
        place: read whenever the network runs; whoever runs it says there where the images lie.
    """
    network = plain_copy(generator)
    norms = find_norms(network)
    check_channels(norms, statistics.means)
    device = next(network.parameters()).device
    for norm, mean, deviation in zip(norms, statistics.means, statistics.deviations, strict=True):
        norm.replace(
            _LocalNorm(mean.to(device), deviation.to(device), statistics.spacing / norm.scale, norm.scale, place)
        )
    return network


class _LocalNorm(nn.Module):
    def __init__(self, means: Tensor, deviations: Tensor, spacing: float, scale: int, place: Place) -> None:
        super().__init__()
        self._nodes = torch.stack([means, deviations]).permute(0, 3, 1, 2)  # (2, C, rows, columns)
        self._spacing, self._scale, self._place = spacing, scale, place

    def forward(self, x: Tensor) -> Tensor:
        """(x - mean) / deviation, (N, C, H, W)."""
        height, width = x.shape[-2:]
        out = torch.empty_like(x)
        for image, normed, (left, top) in zip(x, out, self._place.corners, strict=True):
            rows = self._weights(top, height, self._nodes.shape[2]).to(x)
            columns = self._weights(left, width, self._nodes.shape[3]).to(x)
            mean, deviation = rows @ (self._nodes.to(x) @ columns.T)
            torch.sub(image, mean, out=normed).div_(deviation)
        return out

    def _weights(self, start: int, count: int, nodes: int) -> Tensor:
        """Bilinear weights (count, nodes) of pixels from ``start`` (of the image) on; constant beyond the last node."""
        pixels = start / self._scale + torch.arange(count, dtype=torch.float64) + 0.5
        position = (pixels / self._spacing - 0.5).clamp(0, nodes - 1)
        distance = (position[:, None] - torch.arange(nodes, dtype=torch.float64)).abs()
        return (1 - distance).clamp(min=0)


def _tissue_share(tissue: npt.NDArray[np.bool_], size: tuple[int, int], spacing: int) -> npt.NDArray[np.float64]:
    """The share of tissue in the window of each node, (rows, columns)."""
    rows, columns = (-(-extent // spacing) for extent in size)
    total, count = np.zeros((rows, columns)), np.zeros((rows, columns))
    y, x = (
        ((np.arange(cells) + 0.5) * (extent / cells) // spacing).astype(int)
        for cells, extent in zip(tissue.shape, size, strict=True)
    )
    np.add.at(total, (y[:, None], x[None, :]), tissue)
    np.add.at(count, (y[:, None], x[None, :]), 1)
    return np.divide(total, count, out=np.zeros_like(total), where=count > 0)


def _pool_neighbours(
    values: npt.NDArray[np.float64], share: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Mean and variance (rows, columns, C) around each node; of the whole slide where no tissue is near."""
    mean, variance = values
    weight = share[..., None]
    terms = [weight * np.ones_like(mean), weight * mean, weight * (variance + mean**2)]
    total, first, second = (_blur(term) for term in terms)
    nowhere = total[..., 0] == 0
    for blurred, term in zip((total, first, second), terms, strict=True):
        blurred[nowhere] = term.sum(axis=(0, 1))
    pooled = first / total
    return pooled, np.maximum(second / total - pooled**2, 0)


def _blur(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(convolve(x, np.outer(_KERNEL, _KERNEL)[..., None], mode="constant"))
