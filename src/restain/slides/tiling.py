"""A slide's grid cut into tiles, and the region that must be read to stain each. Arithmetic only; no torch.

A tile is stained from its *padded region*: the tile and, on each side, as many real pixels as the network can see (the
halo). Only at the border of the slide does the network pad. Where a network sees too far for that, tiles overlap and
are blended: each tile is then a window of its own, and a pixel is a mean of the windows over it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from restain.errors import RestainError
from restain.images import RGB
from restain.wsi.geometry import Region, Size

Read: TypeAlias = Callable[[Region], RGB]
"""Pixels of a region of the network's grid, uint8 (height, width, 3); white outside the slide."""


@dataclass(frozen=True)
class Tile:
    """A piece of the network's grid, and its place in the tiling."""

    row: int
    column: int
    region: Region


@dataclass(frozen=True)
class Footprint:
    """What a generator sees and demands, in pixels of its grid.

    Attributes:
        radius: how far from an output pixel an input pixel can lie and still change it; a multiple of the stride.
        stride: pixels of the image per pixel of the coarsest feature map; regions begin and end on multiples of it.
        smallest: least side of a region.
    """

    radius: int
    stride: int
    smallest: int

    def up(self, pixels: int) -> int:
        """The next multiple of the stride."""
        return -(-pixels // self.stride) * self.stride

    def domain(self, size: Size) -> Size:
        """A slide's grid as the network takes it: padded at the right and the bottom to multiples of the stride."""
        return Size(*(max(self.up(self.smallest), self.up(extent)) for extent in (size.width, size.height)))

    def check_side(self, side: int) -> None:
        """RestainError where tiles of that side would not lie on the lattice of the stride."""
        if side < self.stride or side % self.stride:
            raise RestainError(f"tile is {side} pixels; expected a multiple of {self.stride}, the generator's stride")


@dataclass(frozen=True)
class Tiling:
    """A grid cut into square cells, row by row; those at the right and the bottom are cropped to the grid.

    A tile is its cell and, where tiles are blended, half the feather beyond each inner border of it.

    Attributes:
        size: of the grid.
        side: of a cell, pixels.
        feather: width in pixels of the band around each border in which neighbouring tiles are blended; even, at most
            ``side``. 0: tiles are the cells, and nothing is blended.
    """

    size: Size
    side: int
    feather: int = 0

    @property
    def rows(self) -> int:
        """Rows of tiles."""
        return -(-self.size.height // self.side)

    @property
    def columns(self) -> int:
        """Columns of tiles."""
        return -(-self.size.width // self.side)

    def __iter__(self) -> Iterator[Tile]:
        """All tiles, row by row."""
        return (self.tile(row, column) for row in range(self.rows) for column in range(self.columns))

    def __len__(self) -> int:
        return self.rows * self.columns

    def cell(self, row: int, column: int) -> Region:
        """The cell at a place; cells cover each pixel once."""
        return Region(column * self.side, row * self.side, self.side, self.side).clip(self.size)

    def tile(self, row: int, column: int) -> Tile:
        """The tile at a place."""
        reach = self.feather // 2
        left, top, side = column * self.side - reach, row * self.side - reach, self.side + 2 * reach
        return Tile(row, column, Region(left, top, side, side).clip(self.size))

    def under(self, region: Region) -> Iterator[Tile]:
        """The tiles that a region of the grid touches."""
        reach = self.feather // 2
        first, last = (region.y - reach) // self.side, (region.bottom - 1 + reach) // self.side
        left, right = (region.x - reach) // self.side, (region.right - 1 + reach) // self.side
        for row in range(max(0, first), min(self.rows, last + 1)):
            for column in range(max(0, left), min(self.columns, right + 1)):
                yield self.tile(row, column)

    @property
    def whole_share(self) -> int:
        """What the shares of all tiles over a pixel sum to."""
        return max(1, 2 * self.feather) ** 2

    def shares(self, tile: Tile, part: Region) -> npt.NDArray[np.uint32]:
        """The share of a tile in each pixel of a part of it, (height, width); see ``whole_share``.

        Whole numbers, so that shares sum to the whole exactly: a pixel in which all tiles agree keeps its value. They
        rise linearly across the band around a border, from one tile to the other.
        """
        rows = self._ramp(tile.row, self.rows, part.y, part.bottom)
        columns = self._ramp(tile.column, self.columns, part.x, part.right)
        return np.asarray(rows[:, None] * columns)

    def _ramp(self, index: int, count: int, start: int, stop: int) -> npt.NDArray[np.uint32]:
        """Shares of the tile with that index along one axis, in units of 1 / (2 feather)."""
        whole = max(1, 2 * self.feather)
        middles = 2 * np.arange(start, stop) + 1  # twice the coordinate of each pixel's middle
        # Negative before the band around a border, ``whole`` behind it.
        across = [middles - 2 * border * self.side + self.feather for border in (index, index + 1)]
        rising = np.clip(across[0], 0, whole) if index > 0 else whole
        falling = whole - np.clip(across[1], 0, whole) if index + 1 < count else whole
        return np.broadcast_to(np.minimum(rising, falling), middles.shape).astype(np.uint32)


def padded_region(region: Region, halo: int, size: Size, footprint: Footprint) -> Region:
    """What must be read to stain a region: it begins and ends on the lattice of the stride.

    It is clipped to the slide's *canonical domain* (``Footprint.domain``). So the network's coarse pixels lie in one
    lattice whatever the tiling, and the result does not depend on it. Where the region leaves the grid, the reader
    fills it.

    Args:
        region: of the grid; what lies ``halo`` pixels before it is on the lattice, or outside the grid.
        halo: pixels on each side.
        size: of the grid.
        footprint: of the generator.
    """
    domain = footprint.domain(size)
    left, top = max(0, region.x - halo), max(0, region.y - halo)
    right = min(domain.width, footprint.up(region.right + halo))
    bottom = min(domain.height, footprint.up(region.bottom + halo))
    return Region(left, top, right - left, bottom - top)
