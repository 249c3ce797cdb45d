"""Images of a study, encoded once: tiles in one file, and nothing in an answer that depends on where they came from."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from math import ceil, log2
from pathlib import Path
from threading import Lock

import numpy as np

from restain.errors import RestainError
from restain.images import RGB
from restain.slides.background import Background
from restain.viewer.library import encode_jpeg
from restain.viewer.opened import TILE
from restain.wsi.geometry import Region, Size
from restain.wsi.resample import grid_size, read_region
from restain.wsi.slide import Slide
from restain.wsi.tissue import Tissue

GLASS = (243, 243, 243)  # colour of the glass of every slide in a study
OVERVIEW = -1  # level of the small picture for the navigator
_OVERVIEW_SIDE = 240  # pixels, longer side
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


def last_level(width: int, height: int) -> int:
    """Number of the finest level of an image; level 0 is one tile, and each is twice as fine as the one before."""
    return max(0, ceil(log2(max(width, height) / TILE)))


class Painter:
    """A slide on the canvas of its case: its scale, its glass, its size.

    Args:
        slide: any slide.
        canvas: the common grid; what lies beyond the slide takes the colour of glass.
        tissue: of a whole slide: its glass is brought to the common colour, and beyond 100 µm from tissue there is
            nothing but that colour. None for a field of view, which is left as it is.
    """

    def __init__(self, slide: Slide, canvas: Canvas, tissue: Tissue | None) -> None:
        self._slide, self._canvas, self._tissue = slide, canvas, tissue
        self._gain = None if tissue is None else np.array(GLASS, np.float32) / np.maximum(tissue.background, 1)
        self._background: tuple[Size, Background] | None = None  # of the level that is painted

    def paint(self, region: Region, mpp: float) -> RGB:
        """Pixels of a region of the canvas at microns per pixel, uint8 (height, width, 3)."""
        whole = grid_size(self._slide, mpp)
        inside = region.clip(whole)
        pixels = np.full((region.height, region.width, 3), GLASS, np.uint8)
        if inside.area:
            pixels[inside.within(region)] = self._read(inside, mpp, whole)
        return pixels

    def _read(self, region: Region, mpp: float, whole: Size) -> RGB:
        pixels = read_region(self._slide, region, mpp)
        if self._tissue is None or self._gain is None:
            return pixels
        balanced = np.asarray(np.rint(np.clip(pixels * self._gain, 0, 255)), np.uint8)
        if self._background is None or self._background[0] != whole:
            self._background = whole, Background(self._tissue, whole)
        return self._background[1].blend(balanced, region, GLASS)


class ImageWriter:
    """Writes ``images.sqlite``."""

    def __init__(self, path: Path) -> None:
        self._file = sqlite3.connect(path, isolation_level=None)
        self._file.execute("PRAGMA journal_mode=OFF")  # the folder appears whole or not at all
        self._file.execute("CREATE TABLE tile (picture TEXT, level INT, x INT, y INT, jpeg BLOB)")
        self._largest = 0

    def add(self, picture: str, canvas: Canvas, painter: Painter) -> float:
        """Encode an image: its pyramid, and the overview; the grey level of its lightest hundredth."""
        self._file.execute("BEGIN")
        for level, region in _tiles(canvas):
            self._keep(picture, level, region, painter.paint(region, canvas.mpp * canvas.scale_of(level)))
        factor = max(1.0, canvas.size.longer_side / _OVERVIEW_SIDE)
        small = Region(0, 0, ceil(canvas.size.width / factor), ceil(canvas.size.height / factor))
        pixels = painter.paint(small, canvas.mpp * factor)
        self._keep(picture, OVERVIEW, small, pixels)
        self._file.execute("COMMIT")
        return float(np.percentile(pixels.mean(axis=-1), 99))

    def _keep(self, picture: str, level: int, region: Region, pixels: RGB) -> None:
        jpeg = encode_jpeg(pixels)
        self._largest = max(self._largest, len(jpeg))
        place = (picture, level, region.x // TILE, region.y // TILE)
        self._file.execute("INSERT INTO tile VALUES (?, ?, ?, ?, ?)", (*place, jpeg))

    def close(self) -> int:
        """Finish the file; the size in bytes that every tile is padded to when it is served."""
        self._file.execute("CREATE UNIQUE INDEX place ON tile (picture, level, x, y)")
        self._file.close()
        return ceil((self._largest + 1) / _ROUND) * _ROUND


def _tiles(canvas: Canvas) -> Iterator[tuple[int, Region]]:
    for level in range(canvas.last_level + 1):
        size = canvas.size_of(level)
        for y in range(0, size.height, TILE):
            for x in range(0, size.width, TILE):
                yield level, Region(x, y, TILE, TILE).clip(size)


class ImageStore:
    """Reads ``images.sqlite``; may be used by several threads.

    Args:
        path: the file.
        size: bytes that every tile is padded to.

    Raises:
        RestainError: it cannot be opened, or is another file.
    """

    def __init__(self, path: Path, size: int) -> None:
        self._path, self._size, self._lock = path, size, Lock()
        if not path.is_file():
            raise RestainError(f"{path}: no such file; expected the images of a study")
        self._file = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, check_same_thread=False)
        try:
            with closing(self._file.execute("SELECT 1 FROM tile LIMIT 1")) as found:
                found.fetchone()
        except sqlite3.DatabaseError as error:
            self._file.close()
            raise RestainError(f"{path}: holds no images of a study ({error})") from None

    def tile(self, picture: str, level: int, x: int, y: int) -> bytes:
        """A JPEG, padded behind its end to the common size, so that its length says nothing of what it shows.

        Raises:
            KeyError: no such tile.
            RestainError: the file is damaged.
        """
        try:
            with (
                self._lock,
                closing(
                    self._file.execute(
                        "SELECT jpeg FROM tile WHERE picture = ? AND level = ? AND x = ? AND y = ?",
                        (picture, level, x, y),
                    )
                ) as found,
            ):
                row = found.fetchone()
        except sqlite3.DatabaseError as error:
            raise RestainError(f"{self._path}: cannot be read ({error})") from None
        if row is None:
            raise KeyError((picture, level, x, y))
        return bytes(row[0]).ljust(self._size, b"\0")

    def close(self) -> None:
        """Release the file."""
        self._file.close()
