"""A slide's grid cut into tiles, and the region that must be read to stain each. Arithmetic only; no torch.

A tile is stained from its *padded region*: the tile and, on each side, as many real pixels as the network can see (the
halo). Only at the border of the slide does the network pad.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

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
class Lattice:
    """What a generator demands of the regions that it is given, in pixels of its grid.

    Attributes:
        stride: pixels of the image per pixel of the coarsest feature map; regions begin and end on multiples of it.
        smallest: least side of a region.
    """

    stride: int
    smallest: int

    def up(self, pixels: int) -> int:
        """The next multiple of the stride."""
        return -(-pixels // self.stride) * self.stride

    def domain(self, size: Size) -> Size:
        """A slide's grid as the network takes it: padded at the right and the bottom to multiples of the stride."""
        return Size(*(max(self.up(self.smallest), self.up(extent)) for extent in (size.width, size.height)))


@dataclass(frozen=True)
class Tiling:
    """A grid cut into square tiles, row by row; those at the right and the bottom are cropped to the grid.

    Attributes:
        size: of the grid.
        side: of a tile, pixels.
    """

    size: Size
    side: int

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

    def tile(self, row: int, column: int) -> Tile:
        """The tile at a place."""
        square = Region(column * self.side, row * self.side, self.side, self.side)
        return Tile(row, column, square.clip(self.size))

    def under(self, region: Region) -> Iterator[Tile]:
        """The tiles that a region of the grid touches."""
        for row in range(region.y // self.side, (region.bottom - 1) // self.side + 1):
            for column in range(region.x // self.side, (region.right - 1) // self.side + 1):
                yield self.tile(row, column)


def check_tile_side(side: int, lattice: Lattice) -> None:
    """RestainError where tiles of that side would not lie on the lattice."""
    if side < lattice.stride or side % lattice.stride:
        raise RestainError(f"tile is {side} pixels; expected a multiple of {lattice.stride}, the generator's stride")


def padded_region(region: Region, halo: int, size: Size, lattice: Lattice) -> Region:
    """What must be read to stain a region: it begins and ends on the lattice.

    It is clipped to the slide's *canonical domain* (``Lattice.domain``). So the network's coarse pixels lie in one
    lattice whatever the tiling, and the result does not depend on it. Where the region leaves the grid, the reader
    fills it.

    Args:
        region: of the grid; what lies ``halo`` pixels before it is on the lattice, or outside the grid.
        halo: pixels on each side.
        size: of the grid.
        lattice: of the generator.
    """
    domain = lattice.domain(size)
    left, top = max(0, region.x - halo), max(0, region.y - halo)
    right = min(domain.width, lattice.up(region.right + halo))
    bottom = min(domain.height, lattice.up(region.bottom + halo))
    return Region(left, top, right - left, bottom - top)
