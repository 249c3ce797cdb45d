"""Rectangles and pixel grids of a slide. One order of coordinates everywhere: x before y, width before height.

The only exceptions are numpy shapes, which are (height, width) by nature: ``Size.of`` and ``Size.shape`` convert.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from restain.types import Mpp

Mask: TypeAlias = npt.NDArray[np.bool_]  # (height, width)


class _Shaped(Protocol):
    @property
    def shape(self) -> tuple[int, ...]: ...


@dataclass(frozen=True)
class Size:
    """Extent of an image in pixels."""

    width: int
    height: int

    @classmethod
    def of(cls, pixels: _Shaped) -> Size:
        """The size of an array (height, width, ...)."""
        height, width = pixels.shape[:2]
        return cls(width, height)

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width), as numpy and torch want it."""
        return self.height, self.width

    @property
    def area(self) -> int:
        """Pixels."""
        return self.width * self.height

    @property
    def longer_side(self) -> int:
        """The larger of width and height."""
        return max(self.width, self.height)

    @property
    def region(self) -> Region:
        """The whole image."""
        return Region(0, 0, self.width, self.height)

    def __str__(self) -> str:
        return f"{self.width} x {self.height}"


@dataclass(frozen=True)
class Region:
    """A rectangle of a pixel grid; it may reach beyond the image, also to negative coordinates."""

    x: int
    y: int
    width: int
    height: int

    @property
    def right(self) -> int:
        """One past the last column."""
        return self.x + self.width

    @property
    def bottom(self) -> int:
        """One past the last row."""
        return self.y + self.height

    @property
    def size(self) -> Size:
        """Width and height."""
        return Size(self.width, self.height)

    @property
    def area(self) -> int:
        """Pixels."""
        return self.width * self.height

    def clip(self, size: Size) -> Region:
        """The part inside an image of that size; of width or height 0 where there is none."""
        left, top = min(max(self.x, 0), size.width), min(max(self.y, 0), size.height)
        right = min(max(self.right, left), size.width)
        bottom = min(max(self.bottom, top), size.height)
        return Region(left, top, right - left, bottom - top)

    def intersect(self, other: Region) -> Region:
        """The part that two regions share, which must not be empty."""
        left, top = max(self.x, other.x), max(self.y, other.y)
        right, bottom = min(self.right, other.right), min(self.bottom, other.bottom)
        return Region(left, top, right - left, bottom - top)

    def scaled(self, factor: int) -> Region:
        """The same rectangle in a grid ``factor`` times finer."""
        return Region(self.x * factor, self.y * factor, self.width * factor, self.height * factor)

    def within(self, outer: Region) -> tuple[slice, slice]:
        """Rows and columns of this region in an array that holds ``outer``."""
        left, top = self.x - outer.x, self.y - outer.y
        return slice(top, top + self.height), slice(left, left + self.width)

    def __str__(self) -> str:
        return f"x {self.x}, y {self.y}, {self.width} x {self.height} pixels"


@dataclass(frozen=True)
class Grid:
    """A pixel grid over a whole slide, from its upper left corner.

    A slide has several at the same time: level 0, the grid that the network works on, that of the output, and that of
    the tissue mask. A length in pixels belongs to one of them.
    """

    mpp: Mpp  # microns per pixel
    size: Size
