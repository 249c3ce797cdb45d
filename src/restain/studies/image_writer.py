"""Images of a study, encoded once: ``images.sqlite``."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from types import TracebackType

import numpy as np

from restain.images import RGB
from restain.slides.background import Background
from restain.stains import Floats
from restain.studies.image_store import OVERVIEW, last_level
from restain.viewer.library import encode_jpeg
from restain.viewer.opened import TILE
from restain.wsi.geometry import Region, Size
from restain.wsi.resample import grid_size, read_region
from restain.wsi.slide import Slide
from restain.wsi.tissue import Tissue

GLASS = (243, 243, 243)  # colour of the glass of every slide in a study
_OVERVIEW_SIDE = 240  # pixels, longer side
_BATCH = 256  # tiles that are painted before they are written
_ROUND = 1024  # bytes that the common size of answers is a multiple of


@dataclass(frozen=True)
class Canvas:
    """The grid that all images of a case are brought to.

    Attributes:
        size: in pixels.
        mpp: microns per pixel.
    """

    size: Size
    mpp: float

    @property
    def last_level(self) -> int:
        """Number of the finest level; level 0 is one tile."""
        return last_level(self.size.width, self.size.height)

    def scale_of(self, level: int) -> int:
        """Pixels of the canvas along a pixel of a level."""
        return int(2 ** (self.last_level - level))

    def size_of(self, level: int) -> Size:
        """Pixels of a level."""
        return Size(ceil(self.size.width / self.scale_of(level)), ceil(self.size.height / self.scale_of(level)))


class Painter:
    """A slide on the canvas of its case: its scale, its glass, its size.

    Args:
        slide: any slide.
        tissue: of a whole slide: its glass is brought to the common colour, and beyond 100 µm from tissue there is
            nothing but that colour. None for a field of view, which is left as it is.
    """

    def __init__(self, slide: Slide, tissue: Tissue | None) -> None:
        self._slide, self._tissue = slide, tissue

    def at(self, mpp: float) -> LevelPainter:
        """The same at microns per pixel."""
        whole = grid_size(self._slide, mpp)
        if self._tissue is None:
            return LevelPainter(self._slide, mpp, whole, None, None)
        gain = np.array(GLASS, np.float32) / np.maximum(self._tissue.background, 1)
        return LevelPainter(self._slide, mpp, whole, Background(self._tissue, whole), gain)


@dataclass(frozen=True)
class LevelPainter:
    """One level of a ``Painter``; may be used by several threads."""

    slide: Slide
    mpp: float
    whole: Size  # of the slide at this scale
    background: Background | None  # of a whole slide
    gain: Floats | None  # that brings its glass to the common colour, red, green and blue

    def paint(self, region: Region) -> RGB:
        """Pixels of a region of the canvas, uint8 (height, width, 3); glass beyond the slide."""
        pixels = np.full((region.height, region.width, 3), GLASS, np.uint8)
        if self.background is None or self.gain is None:
            self._paint_field(pixels, region)
            return pixels
        inside = region.clip(self.whole)
        if inside.area and not self.background.hides(inside):
            read = read_region(self.slide, inside, self.mpp)
            balanced = np.asarray(np.rint(np.clip(read * self.gain, 0, 255)), np.uint8)
            pixels[inside.within(region)] = self.background.blend(balanced, inside, GLASS)
        return pixels

    def _paint_field(self, pixels: RGB, region: Region) -> None:
        """A field as it is; where half a pixel of it ends a level, the pixel before is repeated.

        A larger image of the same case has that pixel, so an edge of glass would tell the two apart.
        """
        last_x, last_y = self.whole.width - 1, self.whole.height - 1
        columns = np.minimum(np.arange(region.x, min(region.right, last_x + 2)), last_x)
        rows = np.minimum(np.arange(region.y, min(region.bottom, last_y + 2)), last_y)
        if len(columns) and len(rows):
            x, y = int(columns[0]), int(rows[0])
            inside = Region(x, y, int(columns[-1]) - x + 1, int(rows[-1]) - y + 1)
            read = read_region(self.slide, inside, self.mpp)
            pixels[: len(rows), : len(columns)] = read[rows[:, None] - y, columns - x]


class ImageWriter:
    """Writes ``images.sqlite``; tiles are painted and encoded by several threads."""

    def __init__(self, path: Path) -> None:
        self._file = sqlite3.connect(path, isolation_level=None)
        self._file.execute("PRAGMA journal_mode=OFF")  # the folder appears whole or not at all
        self._file.execute("CREATE TABLE tile (picture TEXT, level INT, x INT, y INT, jpeg BLOB)")
        self._largest = 0
        self._threads = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="encoding")

    def add(self, picture: str, canvas: Canvas, painter: Painter) -> float:
        """Encode an image: its pyramid, and the overview; the grey level of its lightest hundredth.

        Raises:
            RestainError: the slide cannot be decoded.
        """
        self._file.execute("BEGIN")
        for level in range(canvas.last_level + 1):
            painted = painter.at(canvas.mpp * canvas.scale_of(level))
            regions = list(_tiles(canvas.size_of(level)))
            for start in range(0, len(regions), _BATCH):
                batch = regions[start : start + _BATCH]
                tiles = self._threads.map(lambda region, painted=painted: encode_jpeg(painted.paint(region)), batch)
                for region, jpeg in zip(batch, tiles, strict=True):
                    self._keep(picture, level, region, jpeg)
        factor = max(1.0, canvas.size.longer_side / _OVERVIEW_SIDE)
        small = Region(0, 0, ceil(canvas.size.width / factor), ceil(canvas.size.height / factor))
        pixels = painter.at(canvas.mpp * factor).paint(small)
        self._keep(picture, OVERVIEW, small, encode_jpeg(pixels))
        self._file.execute("COMMIT")
        return float(np.percentile(pixels.mean(axis=-1), 99))

    def _keep(self, picture: str, level: int, region: Region, jpeg: bytes) -> None:
        self._largest = max(self._largest, len(jpeg))
        place = (picture, level, region.x // TILE, region.y // TILE)
        self._file.execute("INSERT INTO tile VALUES (?, ?, ?, ?, ?)", (*place, jpeg))

    def finish(self) -> int:
        """Finish the file; the size in bytes that every tile is padded to when it is served."""
        self._file.execute("CREATE UNIQUE INDEX place ON tile (picture, level, x, y)")
        return ceil((self._largest + 1) / _ROUND) * _ROUND

    def __enter__(self) -> ImageWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._threads.shutdown(cancel_futures=True)
        self._file.close()


def _tiles(size: Size) -> Iterator[Region]:
    for y in range(0, size.height, TILE):
        for x in range(0, size.width, TILE):
            yield Region(x, y, TILE, TILE).clip(size)
