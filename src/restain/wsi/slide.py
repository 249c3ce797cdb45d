"""What a slide is: an image at several resolutions, of known pixel size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from restain.images import RGB
from restain.types import Mpp
from restain.wsi.geometry import Region, Size


@dataclass(frozen=True)
class Level:
    """One resolution of a pyramid: its size in pixels, and how many pixels of level 0 one of its pixels spans."""

    size: Size
    downsample: float

    @property
    def width(self) -> int:
        """Pixels."""
        return self.size.width

    @property
    def height(self) -> int:
        """Pixels."""
        return self.size.height


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
        """The file's own metadata, by the names of its format."""
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


def pyramid_levels(sizes: Sequence[Size]) -> tuple[Level, ...]:
    """Levels from their sizes, finest first.

    Scanners halve or quarter an image again and again and drop or add the odd row, so a level of 2221 pixels under
    one of 4443 is exactly half as fine, not 1 / 2.0005: a downsample that explains the size within a pixel per
    halving is taken as the whole number that it was meant to be; others are the mean ratio of the sides.
    """
    return tuple(Level(size, _downsample(sizes[0], size)) for size in sizes)


def _downsample(finest: Size, size: Size) -> float:
    ratio = (finest.width / size.width + finest.height / size.height) / 2
    nearest = max(1, round(ratio))
    sides = zip(finest.shape, size.shape, strict=True)
    return float(nearest) if all(abs(side - whole / nearest) < 1 for whole, side in sides) else ratio
