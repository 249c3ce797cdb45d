"""Statistics that follow the tissue: measured on a coarse grid of windows, interpolated at every pixel of every layer.

One set of statistics for a whole slide levels nothing; where a section fades to one side, each place may want its own.
Ideas of KIN (Ho et al., "Ultra-high-resolution unpaired stain transformation via kernelized instance normalization",
2022: pool over neighbouring windows by a kernel) and of Dense Normalization (Ho et al., "Every pixel has its moments",
2024: interpolate at each pixel), written from the papers.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError, safe_open
from scipy.ndimage import convolve
from torch import Tensor, nn

from restain.errors import RestainError, in_short
from restain.networks.generator import Generator, plain_copy, replace_module
from restain.networks.noise import Place
from restain.networks.norms import EPS
from restain.networks.statistics import check_channels, moments
from restain.slides.tiling import Read
from restain.tensor_files import write_tensors
from restain.tensors import to_tensor
from restain.wsi.geometry import Mask, Region, Size

_SPACING = 512  # pixels between nodes, about: a whole number of windows
_KERNEL = (1.0, 2.0, 1.0)  # weights of neighbouring nodes along each axis


@dataclass(frozen=True)
class LocalStatistics:
    """Statistics at the nodes of a grid, for every norm in the order in which they run.

    Node (i, j) lies in the middle of the square of ``spacing`` pixels in row i, column j of the slide's grid.
    """

    spacing: int  # pixels of the image
    means: tuple[Tensor, ...]  # float32 (rows, columns, C), on the CPU
    deviations: tuple[Tensor, ...]  # sqrt(variance + eps), likewise


def measure_local(
    generator: Generator, read: Read, tissue: Mask, size: Size, side: int, spacing: int = _SPACING
) -> LocalStatistics:
    """Mean and deviation in front of every norm around each node.

    The slide is cut into windows of the size of the training crops. Those of a node's square pass through the network
    together, and each norm on the way takes the average over them, weighted by their share of tissue: a norm is
    measured with the norms before it as they will be used. A node averages its square and the eight squares around it
    with binomial weights, so that background, whose variance is next to nothing, does not spoil the edge of the tissue.
    Memory: two numbers for each channel of each norm at each node, in the end 30 kB a node at ngf 64.

    Args:
        generator: on its device; it is left as it is.
        read: pixels of a region of the grid, also outside the slide.
        tissue: mask over the whole grid, at any resolution.
        size: of the grid.
        side: of a window, pixels; a multiple of the generator's stride, and not below its smallest image.
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
    norms = [_MeasuringNorm(site.joint) for site in network.norm_sites()]
    sums = [np.zeros((2, *share.shape[:2], site.channels)) for site in network.norm_sites()]
    for site, norm in zip(network.norm_sites(), norms, strict=True):
        replace_module(network, site.name, norm)
    with torch.inference_mode():
        for i, j in np.argwhere(share.any(axis=(2, 3))).tolist():
            square = to_tensor(read(Region(j, i, 1, 1).scaled(across * side)))
            weights = torch.from_numpy(share[i, j].ravel())
            windows = square.unfold(1, side, side).unfold(2, side, side).permute(1, 2, 0, 3, 4).flatten(0, 1)
            for norm in norms:
                norm.weights = weights[weights > 0]
            network(windows[weights > 0].to(device))
            for total, norm in zip(sums, norms, strict=True):
                total[:, i, j] = norm.sums.numpy()
    means, deviations = [], []
    for total in sums:
        mean, variance = _average_neighbours(total, share.sum(axis=(2, 3)))
        means.append(torch.from_numpy(mean).float())
        deviations.append(torch.from_numpy(np.sqrt(variance + EPS)).float())
    return LocalStatistics(across * side, tuple(means), tuple(deviations))


class _MeasuringNorm(nn.Module):
    """Normalises the images of a pass by the weighted average of their statistics, and remembers its sums."""

    weights: Tensor  # float64 (N,), of the images of the next pass
    sums: Tensor  # float64 (2, C), of mean and variance times weight, of the last pass

    def __init__(self, joint: bool) -> None:
        super().__init__()
        self._joint = joint

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        self.sums = torch.einsum("n,mnc->mc", self.weights, moments(x, joint=self._joint))
        mean, variance = (self.sums / self.weights.sum()).to(x)[:, None, :, None, None]
        normalised: Tensor = (x - mean).div_(torch.sqrt(variance + EPS))
        return normalised


def localise(generator: Generator, statistics: LocalStatistics, place: Place) -> Generator:
    """A copy whose norms take their statistics from the place of each pixel.

    Args:
        generator: in any state; it is left as it is.
        statistics: of ``measure_local`` with the same generator.
        place: read whenever the network runs; the caller sets its corners before each run.

    Raises:
        RestainError: the statistics are those of another network.
    """
    network = plain_copy(generator)
    sites = network.norm_sites()
    check_channels(sites, statistics.means)
    device = next(network.parameters()).device
    for site, mean, deviation in zip(sites, statistics.means, statistics.deviations, strict=True):
        norm = _LocalNorm(mean.to(device), deviation.to(device), statistics.spacing / site.scale, site.scale, place)
        replace_module(network, site.name, norm)
    return network


def save_local(path: Path, statistics: LocalStatistics) -> None:
    """Write statistics as safetensors, whole or not at all; they come back exactly."""
    tensors = {f"{index:03}.mean": mean.contiguous() for index, mean in enumerate(statistics.means)}
    tensors |= {f"{index:03}.deviation": value.contiguous() for index, value in enumerate(statistics.deviations)}
    write_tensors(path, tensors, {"spacing": str(statistics.spacing)})


def load_local(path: Path) -> LocalStatistics:
    """Read what ``save_local`` wrote; RestainError where the file is something else, or damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            spacing = int(file.metadata()["spacing"])
            tensors = {name: file.get_tensor(name) for name in sorted(file.keys())}
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise RestainError(f"{path}: holds no local statistics ({in_short(error)})") from None
    means, deviations = (_named(tensors, kind) for kind in ("mean", "deviation"))
    if len(means) != len(deviations):
        raise RestainError(f"{path}: holds no local statistics (expected a mean and a deviation for each norm)")
    return LocalStatistics(spacing, means, deviations)


def _named(tensors: dict[str, Tensor], kind: str) -> tuple[Tensor, ...]:
    return tuple(tensor for name, tensor in tensors.items() if name.endswith(f".{kind}"))


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
