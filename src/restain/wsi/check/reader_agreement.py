"""Do several readers show the same pixels, and is each level of a pyramid the average of the one below it?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np

from restain.images import RGB
from restain.wsi.geometry import Region, Size
from restain.wsi.slide import Level, Source

_SIDE = 256  # pixels of a sample
_CANDIDATES = 6  # places in each direction that are looked at
_SPOTS = 3  # of them, those with the most in them, are compared
_DECODING = 3.0  # grey levels by which decoders may differ on average

Spot: TypeAlias = tuple[float, float]  # x, y of its middle as fractions of the slide's width and height


@dataclass(frozen=True)
class Samples:
    """What one reader shows of one level at the spots."""

    level: Level
    regions: tuple[Region, ...]
    pixels: tuple[RGB, ...]

    @property
    def tolerance(self) -> float:
        """How far another reader may be away, in grey levels on average.

        OpenSlide takes a place in pixels of level 0, rounded, and a downsample that is the ratio of two sizes, so
        where a size is odd it shows a coarser level displaced by up to half a pixel of level 0. That changes a
        picture by its differences from pixel to pixel at most.
        """
        if self.level.downsample == 1:
            return _DECODING
        return _DECODING + 0.5 / self.level.downsample * max(map(_slope, self.pixels))


@dataclass(frozen=True)
class Difference:
    """How far two readers are apart on samples of one level, in grey levels of the three channels."""

    size: Size  # of the level
    readers: tuple[str, str]
    mean: float
    largest: int
    tolerance: float  # of the mean


def whole_levels(source: Source) -> list[int]:
    """Indices of the levels that are a whole number of times coarser than the finest; thumbnails seldom are."""
    return [index for index, level in enumerate(source.levels) if level.downsample.is_integer()]


def find_spots(source: Source) -> list[Spot]:
    """Where to compare: the three places of a 6 x 6 grid with the strongest texture, and the far corner.

    Glass looks the same in every reader, and a shift does not show in it.
    """
    coarsest = whole_levels(source)[-1]
    level = source.levels[coarsest]
    steps = [(step + 0.5) / _CANDIDATES for step in range(_CANDIDATES)]
    texture = {
        (x, y): float(source.read(coarsest, _region(level.size, (x, y), _SIDE // 4)).std(axis=(0, 1)).sum())
        for y in steps
        for x in steps
    }
    strongest = sorted(texture, key=lambda spot: -texture[spot])[:_SPOTS]
    return [*strongest, (1.0, 1.0)]


def take_samples(source: Source, spots: Sequence[Spot]) -> list[Samples]:
    """The spots on every level."""
    taken = []
    for index in whole_levels(source):
        level = source.levels[index]
        regions = tuple(_region(level.size, spot, _SIDE) for spot in spots)
        taken.append(Samples(level, regions, tuple(source.read(index, region) for region in regions)))
    return taken


def compare_reader(reader: str, taken: Sequence[Samples], other: Source) -> Iterator[Difference]:
    """What another reader shows in place of the samples, on every level that both see."""
    sizes = {level.size: index for index, level in enumerate(other.levels)}
    for samples in taken:
        level = samples.level
        index = sizes.get(level.size)
        if index is None:
            continue
        apart = [
            np.abs(pixels.astype(np.int16) - other.read(index, region))
            for region, pixels in zip(samples.regions, samples.pixels, strict=True)
        ]
        mean = float(np.mean([difference.mean() for difference in apart]))
        largest = int(max(difference.max() for difference in apart))
        yield Difference(level.size, (reader, other.reader), mean, largest, samples.tolerance)


def measure_steps(source: Source, spots: Sequence[Spot]) -> Iterator[tuple[Size, float]]:
    """How far each level is from the area average of the next finer one.

    Yields:
        (size of the level, mean absolute difference in grey levels).
    """
    levels = whole_levels(source)
    for finer, coarser in pairwise(levels):
        level, below = source.levels[coarser], source.levels[finer]
        ratio = round(level.downsample / below.downsample)
        inner = Size(below.width // ratio, below.height // ratio)  # what whole blocks cover
        apart = []
        for spot in spots:
            region = _region(inner, spot, _SIDE // ratio)
            blocks = source.read(finer, region.scaled(ratio))
            apart.append(np.abs(_block_mean(blocks, ratio) - source.read(coarser, region)).mean())
        yield level.size, float(np.mean(apart))


def _slope(pixels: RGB) -> float:
    """Mean difference between neighbours, across and down."""
    values = pixels.astype(np.int16)
    slopes = [np.abs(np.diff(values, axis=axis)) for axis in (0, 1)]
    return sum(float(slope.mean()) for slope in slopes if slope.size)


def _block_mean(pixels: RGB, ratio: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    height, width = (side // ratio for side in pixels.shape[:2])
    return np.asarray(pixels.reshape(height, ratio, width, ratio, 3).mean(axis=(1, 3)))


def _region(size: Size, spot: Spot, side: int) -> Region:
    """A square around a spot, moved and cropped into the level."""
    width, height = min(side, size.width), min(side, size.height)
    x = min(max(0, round(spot[0] * size.width - width / 2)), size.width - width)
    y = min(max(0, round(spot[1] * size.height - height / 2)), size.height - height)
    return Region(x, y, width, height)
