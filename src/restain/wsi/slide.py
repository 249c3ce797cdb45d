"""What a slide is: an image at several resolutions, of known pixel size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from restain.images import RGB
from restain.types import Mpp


@dataclass(frozen=True)
class Level:
    """One resolution of a pyramid: its size in pixels, and how many pixels of level 0 one of its pixels spans."""

    height: int
    width: int
    downsample: float


@dataclass(frozen=True)
class Region:
    """A rectangle of a pixel grid; it may reach beyond the image, also to negative coordinates."""

    x: int
    y: int
    width: int
    height: int

    def clip(self, width: int, height: int) -> Region:
        """The part inside an image of that size; of width or height 0 where there is none."""
        left, top = min(max(self.x, 0), width), min(max(self.y, 0), height)
        right = min(max(self.x + self.width, left), width)
        bottom = min(max(self.y + self.height, top), height)
        return Region(left, top, right - left, bottom - top)

    def intersect(self, other: Region) -> Region:
        """The part that two regions share, which must not be empty."""
        left, top = max(self.x, other.x), max(self.y, other.y)
        right = min(self.x + self.width, other.x + other.width)
        return Region(left, top, right - left, min(self.y + self.height, other.y + other.height) - top)

    def within(self, outer: Region) -> tuple[slice, slice]:
        """Rows and columns of this region in an array that holds ``outer``."""
        left, top = self.x - outer.x, self.y - outer.y
        return slice(top, top + self.height), slice(left, left + self.width)

    def __str__(self) -> str:
        return f"x {self.x}, y {self.y}, {self.width} x {self.height} pixels"


class Slide(Protocol):
    """What staining, tissue detection and checks need of a slide; ``open_slide`` gives one for a file."""

    @property
    def path(self) -> Path:
        """The file, or the folder of a DICOM slide."""
        ...

    @property
    def reader(self) -> str:
        """Which library decodes it: openslide, tifffile, dicom or image."""
        ...

    @property
    def levels(self) -> tuple[Level, ...]:
        """Finest first."""
        ...

    @property
    def mpp(self) -> Mpp:
        """Microns per pixel of level 0."""
        ...

    @property
    def icc(self) -> bytes | None:
        """The ICC profile of its colours; pixels are handed out as stored, not converted."""
        ...

    @property
    def properties(self) -> Mapping[str, str]:
        """What the file says of itself, by the names of its format."""
        ...

    def read_level(self, level: int, region: Region) -> RGB:
        """Pixels of a level, uint8 (height, width, 3); white outside the level."""
        ...

    def close(self) -> None:
        """Release the file."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Source(Protocol):
    """A file format behind a slide: reads inside its levels and raises what its library raises.

    ``read`` may be called by several threads at once.
    """

    reader: str
    levels: tuple[Level, ...]
    pixel_size: tuple[float, float] | None  # x, y in µm as the file states it, believable or not
    icc: bytes | None
    properties: Mapping[str, str]

    def read(self, level: int, region: Region) -> RGB:
        """Pixels of a region that lies wholly inside the level."""
        ...

    def close(self) -> None:
        """Release the file."""
        ...


def pyramid_levels(sizes: list[tuple[int, int]]) -> tuple[Level, ...]:
    """Levels from their sizes (height, width), finest first.

    Scanners halve or quarter an image again and again and drop or add the odd row, so a level of 2221 pixels under
    one of 4443 is exactly half as fine, not 1 / 2.0005: a downsample that explains the size within a pixel per
    halving is taken as the whole number that it was meant to be; others are the mean ratio of the sides.
    """
    height, width = sizes[0]
    return tuple(Level(h, w, _downsample((height, width), (h, w))) for h, w in sizes)


def _downsample(base: tuple[int, int], size: tuple[int, int]) -> float:
    ratio = sum(whole / part for whole, part in zip(base, size, strict=True)) / 2
    nearest = max(1, round(ratio))
    meant = all(abs(part - whole / nearest) < 1 for whole, part in zip(base, size, strict=True))
    return float(nearest) if meant else ratio
