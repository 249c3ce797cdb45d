"""Windows on a slide's tissue for measuring: spread over all of it, the same places for the same seed."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.ndimage import minimum_filter

from restain.errors import RestainError
from restain.slides.tiling import Footprint
from restain.wsi.geometry import Mask, Region, Size

_SAMPLED = 2**22  # pixels
_FEWEST = 8  # windows


def sample_positions(mask: Mask, count: int, seed: int) -> npt.NDArray[np.int64]:
    """Draw pixels of a mask, one from each of ``count`` strata of equal area.

    The tissue is put in the order of a Morton (Z) curve, which keeps neighbours together, and cut into equal lengths.

    Args:
        mask: bool (H, W).
        count: how many; all pixels where the mask has no more.
        seed: of the draw within each stratum.

    Returns:
        (row, column) of each, int64 (n, 2), in the order of the curve; none twice.
    """
    rows, columns = np.nonzero(mask)
    along = np.argsort(_morton(rows, columns), kind="stable")
    strata = np.array_split(along, min(count, len(along))) if len(along) else []
    rng = np.random.default_rng(seed)
    chosen = np.array([stratum[rng.integers(len(stratum))] for stratum in strata], dtype=np.int64)
    return np.stack([rows[chosen], columns[chosen]], axis=1)


def window_count(mask: Mask, size: Size, side: int) -> int:
    """How many windows a slide is sampled by: 4 megapixels in at least 8, but no more than cover its tissue.

    Args:
        mask: tissue over the whole grid, at any resolution.
        size: of the grid.
        side: of a window, pixels.
    """
    tissue = float(mask.mean()) * size.area
    return min(max(_FEWEST, _SAMPLED // side**2), math.ceil(tissue / side**2))


def sample_windows(mask: Mask, size: Size, footprint: Footprint, *, count: int, side: int, seed: int) -> list[Region]:
    """Square windows on tissue in which statistics are measured, in the network's grid.

    Args:
        mask: tissue over the whole grid, at any resolution.
        size: of the grid.
        footprint: of the generator.
        count: how many at most.
        side: pixels, a multiple of the generator's stride; less where the grid is smaller.
        seed: of the draw.

    Raises:
        RestainError: the mask is empty.
    """
    if not mask.any():
        raise RestainError("normalisation: the slide has no tissue to measure; expected some in its tissue mask")
    positions = sample_positions(mask, count, seed)
    centres = (positions + 0.5) * (np.array(size.shape) / np.array(mask.shape))
    domain = footprint.domain(size)
    width, height = min(side, domain.width), min(side, domain.height)
    limits = np.maximum(0, np.array(size.shape) - (height, width))
    corners = np.clip(centres - (height / 2, width / 2), 0, limits).astype(int)
    return [Region(x, y, width, height) for y, x in corners.tolist()]


def inner_tissue(mask: Mask, size: Size, side: int) -> Mask:
    """Centres of windows that hold nothing but tissue; all tissue where no such window fits.

    Args:
        mask: tissue over the whole grid, at any resolution.
        size: of the grid.
        side: of a window, pixels.
    """
    sides = [side * cells / pixels for cells, pixels in zip(mask.shape, size.shape, strict=True)]
    around = [2 * math.ceil((cells - 1) / 2) + 1 for cells in sides]  # the window's own cell, and those that it touches
    inner: Mask = minimum_filter(mask, size=around, mode="constant", cval=False)
    return inner if inner.any() else mask


def _morton(rows: npt.NDArray[np.int64], columns: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
    """Interleave the bits of two coordinates below 2^32."""
    code = np.zeros(len(rows), dtype=np.uint64)
    for shift, axis in ((1, rows), (0, columns)):
        bits = axis.astype(np.uint64)
        for step, pattern in (
            (16, 0x0000FFFF0000FFFF),
            (8, 0x00FF00FF00FF00FF),
            (4, 0x0F0F0F0F0F0F0F0F),
            (2, 0x3333333333333333),
            (1, 0x5555555555555555),
        ):
            bits = (bits | (bits << np.uint64(step))) & np.uint64(pattern)
        code |= bits << np.uint64(shift)
    return code
