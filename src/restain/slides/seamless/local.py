"""Statistics that follow the tissue: measured on a coarse grid of windows, interpolated at every pixel of every layer.

One set of statistics for a whole slide levels nothing; where a section fades to one side, each place may want its own.
Ideas of KIN (Ho et al., "Ultra-high-resolution unpaired stain transformation via kernelized instance normalization",
2022: pool over neighbouring windows by a kernel) and of Dense Normalization (Ho et al., "Every pixel has its moments",
2024: interpolate at each pixel), written from the papers.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from scipy.ndimage import convolve
from torch import Tensor, nn

from restain.errors import RestainError
from restain.slides.seamless.anatomy import find_norms, plain_copy
from restain.slides.seamless.frozen import LocalStatistics, check_channels, moments
from restain.slides.tiling import Read
from restain.tensors import to_tensor
from restain.wsi.geometry import Mask, Region, Size

_SPACING = 512  # pixels between nodes, about: a whole number of windows
_KERNEL = (1.0, 2.0, 1.0)  # weights of neighbouring nodes along each axis


@dataclass
class Place:
    """Where the images of the batch in the network lie: their upper left corners (x, y), in pixels of the slide."""

    corners: list[tuple[int, int]] = field(default_factory=list)

    def __deepcopy__(self, memo: object) -> Place:
        """Itself: whoever sets the corners sets them for the copies of the network, too."""
        return self


def measure_local(
    generator: nn.Module,
    read: Read,
    tissue: Mask,
    size: Size,
    side: int,
    spacing: int = _SPACING,
) -> LocalStatistics:
    """Mean and deviation in front of every norm around each node.

    The slide is cut into windows of the size of the training crops; each passes through the network once, normalised by
    itself. A node averages its square of windows and the eight squares around it, with binomial weights times the
    windows' share of tissue, so that background, whose variance is next to nothing, does not spoil the edge of
    the tissue. Memory: two numbers for each channel of each norm at each node, in the end 30 kB a node at ngf 64.

    Args:
        generator: on its device; it is left as it is.
        read: pixels of a region of the grid, also outside the slide.
        tissue: mask over the whole grid, at any resolution.
        size: of the grid.
        side: of a window, pixels; a multiple of 4, 16 at least.
        spacing: of the nodes, pixels; rounded down to a multiple of ``side``, which it is at least.

    Raises:
        RestainError: there is no tissue.
    """
    if not tissue.any():
        raise RestainError("normalisation: the slide has no tissue to measure; expected some in its tissue mask")
    across = max(1, spacing // side)  # windows of a node's square
    share = _tissue_share(tissue, size, side, across)
    network = plain_copy(generator)
    device = next(network.parameters()).device
    norms = find_norms(network)
    sums = [np.zeros((2, *share.shape[:2], norm.convolution.out_channels)) for norm in norms]
    seen: list[Tensor] = []
    for norm in norms:
        norm.module.register_forward_pre_hook(lambda _, inputs: seen.append(moments(inputs[0])))
    with torch.inference_mode():
        for i, j in np.argwhere(share.any(axis=(2, 3))).tolist():
            square = to_tensor(read(Region(j, i, 1, 1).scaled(across * side)))
            weights = torch.from_numpy(share[i, j].ravel())
            windows = square.unfold(1, side, side).unfold(2, side, side).permute(1, 2, 0, 3, 4).flatten(0, 1)
            network(windows[weights > 0].to(device))
            for total, found in zip(sums, seen, strict=True):
                total[:, i, j] = torch.einsum("n,mnc->mc", weights[weights > 0], found).numpy()
            seen.clear()
    means, deviations = [], []
    for norm, total in zip(norms, sums, strict=True):
        mean, variance = _average_neighbours(total, share.sum(axis=(2, 3)))
        means.append(torch.from_numpy(mean).float())
        deviations.append(torch.from_numpy(np.sqrt(variance + norm.module.eps)).float())
    return LocalStatistics(across * side, tuple(means), tuple(deviations))


def localise(generator: nn.Module, statistics: LocalStatistics, place: Place) -> nn.Module:
    """A copy whose norms take their statistics from the place of each pixel.

    Args:
        generator: in any state; it is left as it is.
        statistics: of ``measure_local`` with the same generator.
        place: read whenever the network runs; the caller sets its corners before each run.
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
        """(x - mean) / deviation, (N, C, H, W), in float32 whatever the precision of ``x``."""
        height, width = x.shape[-2:]
        out = torch.empty_like(x)
        for image, normed, (left, top) in zip(x, out, self._place.corners, strict=True):
            rows = self._weights(top, height, self._nodes.shape[2]).to(self._nodes)
            columns = self._weights(left, width, self._nodes.shape[3]).to(self._nodes)
            mean, deviation = rows @ (self._nodes @ columns.T)
            normed.copy_((image.float() - mean).div_(deviation))
        return out

    def _weights(self, start: int, count: int, nodes: int) -> Tensor:
        """Bilinear weights (count, nodes) of pixels from ``start`` (of the image) on; constant beyond the last node."""
        pixels = start / self._scale + torch.arange(count, dtype=torch.float64) + 0.5
        position = (pixels / self._spacing - 0.5).clamp(0, nodes - 1)
        distance = (position[:, None] - torch.arange(nodes, dtype=torch.float64)).abs()
        return (1 - distance).clamp(min=0)


def _tissue_share(tissue: Mask, size: Size, side: int, across: int) -> npt.NDArray[np.float64]:
    """The share of tissue in each window, (rows, columns, across, across): node, then window of its square."""
    rows, columns = (-(-extent // (across * side)) for extent in size.shape)
    # A window may be smaller than a pixel of the mask, so the mask is looked at 8 x 8 times in each window.
    y, x = (
        ((np.arange(count * across * 8) + 0.5) * (side / 8) * (cells / extent)).astype(int)
        for count, cells, extent in zip((rows, columns), tissue.shape, size.shape, strict=True)
    )
    inside = np.pad(tissue, ((0, 1), (0, 1)))
    looked = inside[np.minimum(y, tissue.shape[0])][:, np.minimum(x, tissue.shape[1])]
    return np.asarray(looked.reshape(rows, across, 8, columns, across, 8).mean(axis=(2, 5)).swapaxes(1, 2))


def _average_neighbours(sums: npt.NDArray[np.float64], weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Weighted means (2, rows, columns, C) around each node; of the whole slide where no tissue is near.

    Args:
        sums: of mean and variance times weight at each node, (2, rows, columns, C).
        weights: (rows, columns).
    """
    kernel = np.outer(_KERNEL, _KERNEL)
    near = convolve(weights, kernel, mode="constant")
    total = convolve(sums, kernel[None, :, :, None], mode="constant")
    everywhere = sums.sum(axis=(1, 2), keepdims=True) / weights.sum()
    return np.asarray(np.where(near[..., None] > 0, total / np.maximum(near, 1e-9)[..., None], everywhere))
