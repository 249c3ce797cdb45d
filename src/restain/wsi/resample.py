"""A slide as one image at any microns per pixel.

The grid at ``mpp`` starts at the slide's upper left corner; its pixel (x, y) covers the square from (x, y) * mpp to
(x + 1, y + 1) * mpp microns, exactly. What it holds depends on that square alone: however an image is cut into
regions, the pieces agree bit for bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from restain.errors import RestainError
from restain.images import RGB
from restain.wsi.geometry import Region, Size
from restain.wsi.slide import Level, Slide

Floats: TypeAlias = npt.NDArray[np.float32]
Ints: TypeAlias = npt.NDArray[np.int64]

_PIXELS_AT_ONCE = 4 * 2**20  # of a level, in one read
_BAND = 128  # rows of the level averaged at once, so that their numbers stay in the processor's cache


def grid_size(slide: Slide, mpp: float) -> Size:
    """Size of the whole slide at ``mpp``, rounded to whole pixels, at least 1 x 1."""
    scale = _scale(slide, mpp)
    finest = slide.levels[0]
    return Size(max(1, round(finest.width / scale)), max(1, round(finest.height / scale)))


def read_region(slide: Slide, region: Region, mpp: float) -> RGB:
    """Read a rectangle of the slide at ``mpp``.

    The nearest level that is at least as fine is averaged over the area of each pixel, with fractional weights at
    its borders; only a grid finer than level 0 is interpolated (bilinearly). A level whose grid differs from the
    asked one by less than half a pixel over the whole slide is handed out as it is.

    Args:
        slide: any slide.
        region: in pixels of the grid at ``mpp``; may reach beyond the slide.
        mpp: microns per pixel of the result.

    Returns:
        uint8 array (height, width, 3); white outside ``grid_size``. Memory besides the result is bounded,
        whatever the region and the level that is read: 25 MiB, and what its reader keeps.

    Raises:
        RestainError: mpp is not a positive number, or the file cannot be decoded there.
    """
    scale = _scale(slide, mpp)
    pixels = np.full((region.height, region.width, 3), 255, np.uint8)
    number, level = _finer_level(slide, scale)
    step = scale / level.downsample  # pixels of the level per pixel of the grid
    inside = region.clip(grid_size(slide, mpp))
    for part in _parts(inside, step):
        pixels[part.within(region)] = _read_part(slide, number, part, step)
    return pixels


def _scale(slide: Slide, mpp: float) -> float:
    """Pixels of level 0 per pixel of the grid at ``mpp``; a level's own downsample where that is meant."""
    if not 0 < mpp < float("inf"):
        raise RestainError(f"{slide.path}: asked for {mpp} µm per pixel; expected a positive number")
    scale = mpp / slide.mpp
    longest = slide.levels[0].size.longer_side
    for level in slide.levels:
        drift = abs(scale / level.downsample - 1) * longest / level.downsample
        if drift < 0.5:
            return level.downsample
    return scale


def _finer_level(slide: Slide, scale: float) -> tuple[int, Level]:
    number = max((index for index, level in enumerate(slide.levels) if level.downsample <= scale), default=0)
    return number, slide.levels[number]


def _parts(region: Region, step: float) -> list[Region]:
    """Cut a region so that each part reads a bounded number of pixels."""
    side = max(1, int(_PIXELS_AT_ONCE**0.5 / max(step, 1.0)))
    return [
        Region(x, y, min(side, region.right - x), min(side, region.bottom - y))
        for y in range(region.y, region.bottom, side)
        for x in range(region.x, region.right, side)
    ]


def _read_part(slide: Slide, number: int, part: Region, step: float) -> RGB:
    level = slide.levels[number]
    if step == 1.0 and part.clip(level.size) == part:
        return slide.read_level(number, part)
    columns = axis_weights(part.x, part.width, step, level.width)
    rows = axis_weights(part.y, part.height, step, level.height)
    source = Region(columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start)
    read = slide.read_level(number, source)
    pixels = np.empty((part.height, part.width, 3), np.uint8)
    band_height = max(1, round(_BAND / max(step, 1.0)))
    for top in range(0, part.height, band_height):
        band = axis_weights(part.y + top, min(band_height, part.height - top), step, level.height)
        taken = read[band.start - rows.start : band.stop - rows.start].astype(np.float32)
        averaged = _average(_average(taken, band).swapaxes(0, 1), columns).swapaxes(0, 1)
        pixels[top : top + band_height] = np.rint(averaged)
    return pixels


@dataclass(frozen=True)
class AxisWeights:
    """Which pixels of a level make each pixel of a grid along one axis, and with which weights."""

    start: int  # first pixel of the level that is needed
    stop: int  # one past the last
    indices: Ints  # (pixels, taps), from ``start``
    weights: Floats  # (pixels, taps); every row sums to 1


def axis_weights(first: int, count: int, step: float, length: int) -> AxisWeights:
    """Weights of pixels ``first`` to ``first + count - 1`` of a grid over a level of ``length`` pixels.

    Each pixel's weights come from its own coordinate in float64 and from nothing else. What would lie beyond the
    level, half a grid pixel at the most, is left out of the average.

    Args:
        first: first pixel of the grid, >= 0.
        count: how many.
        step: pixels of the level per pixel of the grid; from 1 on areas are averaged, below it is interpolated.
        length: of the level, in pixels.
    """
    pixel = np.arange(first, first + count, dtype=np.float64)[:, None]
    if step >= 1:
        left, right = pixel * step, (pixel + 1) * step
        tap = np.floor(left) + np.arange(int(np.ceil(step)) + 1)
        weight = np.clip(np.minimum(right, tap + 1) - np.maximum(left, tap), 0, None)
    else:
        centre = (pixel + 0.5) * step - 0.5
        tap = np.floor(centre) + np.arange(2)
        weight = 1 - np.abs(tap - centre)
    index = np.clip(tap, 0, length - 1).astype(np.int64)
    if step >= 1:
        weight = np.where(tap < length, weight, 0)
        weight[:, 0] = np.where(weight.sum(axis=1) > 0, weight[:, 0], 1)  # a grid pixel just past the level: its last
    weight = weight / weight.sum(axis=1, keepdims=True)
    start, stop = int(index.min()), int(index.max()) + 1
    return AxisWeights(start, stop, index - start, weight.astype(np.float32))


def _average(pixels: Floats, axis: AxisWeights) -> Floats:
    """Weighted sums along the first axis, in the same order of taps for every pixel."""
    count, taps = axis.indices.shape
    ends = np.arange(0, count * taps + 1, taps)
    rows = csr_array((axis.weights.ravel(), axis.indices.ravel(), ends), shape=(count, axis.stop - axis.start))
    flat = np.ascontiguousarray(pixels).reshape(len(pixels), -1)
    return np.asarray(rows @ flat).reshape(count, *pixels.shape[1:])
