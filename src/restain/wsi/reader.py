"""Opening slide files, whatever their format."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import openslide
import tifffile

from restain.errors import RestainError, in_short
from restain.files import require_file
from restain.images import RGB, is_picture, is_tiff
from restain.types import Mpp
from restain.wsi.formats.dicom import DicomSource
from restain.wsi.formats.picture import PictureSource
from restain.wsi.formats.tiff import TiffSource
from restain.wsi.formats.vendor import VendorSource
from restain.wsi.geometry import Region, Size
from restain.wsi.slide import Level, Source

_LONGEST = 1e6  # µm: four times the side of the largest glass
MPP_RANGE = (0.05, 20.0)  # µm: an oil immersion lens, and an overview of a whole slide


def open_slide(path: str | Path, mpp: float | None = None, mpp_given_by: str = "--mpp") -> FileSlide:
    """Open a slide by its content: OpenSlide for scanner formats, tifffile for OME-TIFF and generic TIFF, wsidicom
    for DICOM, Pillow for PNG, JPEG and WebP.

    Args:
        path: a file, or the folder that holds a DICOM series.
        mpp: microns per pixel of its finest level, instead of what the file states.
        mpp_given_by: what the user may give it with, for the sentence about a file that does not state it.

    Returns:
        an open slide; use it as a context manager. It may be read by several threads and goes to other processes
        (pickled or forked), which open the file again.

    Raises:
        RestainError: no such file, not a slide or damaged, not 8-bit RGB, or its pixel size is missing, outside
            0.05 to 20 µm or differs between x and y by more than 5 %, or makes it larger than 1 m.
    """
    path = Path(path)
    source = _open_source(path)
    try:
        resolution = _resolution(path, source.pixel_size, mpp, mpp_given_by)
        _refuse_absurd_extent(path, source.levels[0].size, resolution)
    except RestainError:
        source.close()
        raise
    return FileSlide(path, source, resolution)


class FileSlide:
    """A slide on disk.

    Each process opens the file for itself, at its first read; a read after ``close`` opens it again.
    """

    def __init__(self, path: Path, source: Source, mpp: Mpp) -> None:
        self.path = path
        self.mpp = mpp
        self.reader: str = source.reader
        self.levels: tuple[Level, ...] = source.levels
        self.icc: bytes | None = source.icc
        self.properties: Mapping[str, str] = source.properties
        self._opened: tuple[int, Source] | None = os.getpid(), source  # the process that opened it

    def read_level(self, level: int, region: Region) -> RGB:
        """Pixels of a level as stored, uint8 (height, width, 3); white outside the level.

        Raises:
            RestainError: the file is damaged there, or gone.
        """
        inside = region.clip(self.levels[level].size)
        if not inside.area:
            return np.full((region.height, region.width, 3), 255, np.uint8)
        source = self._source()
        try:
            read = source.read(level, inside)
        except RestainError:  # names the file already
            raise
        except Exception as error:  # every codec has exceptions of its own for a damaged file
            place = f"level {level}, {inside}"
            raise RestainError(f"{self.path}: cannot be decoded at {place} ({in_short(error)})") from error
        if inside == region:
            return read
        pixels = np.full((region.height, region.width, 3), 255, np.uint8)
        pixels[inside.within(region)] = read
        return pixels

    def _source(self) -> Source:
        if self._opened is None or self._opened[0] != os.getpid():  # a handle shared after a fork reads nonsense
            self._opened = os.getpid(), _open_source(self.path)
        return self._opened[1]

    def close(self) -> None:
        """Release the file."""
        if self._opened is not None:
            self._opened[1].close()
            self._opened = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": None}

    def __enter__(self) -> FileSlide:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _open_source(path: Path) -> Source:
    if not path.is_dir():
        require_file(path)
    try:
        return _source_class(path)(path)
    except RestainError:
        raise
    except Exception as error:  # every library has exceptions of its own for a damaged file
        reason = in_short(error).removesuffix(".")
        raise RestainError(f"{path}: cannot be opened as a slide ({reason}); is it damaged or truncated?") from error


def _source_class(path: Path) -> Callable[[Path], Source]:
    if path.is_dir() or is_dicom(path):
        return DicomSource
    tiff_file = is_tiff(path)
    if tiff_file:
        with tifffile.TiffFile(path) as tiff:
            if tiff.is_ome:  # OpenSlide would see the finest level alone
                return TiffSource
    vendor = openslide.OpenSlide.detect_format(path)
    if vendor not in (None, "generic-tiff"):
        return VendorSource
    if not tiff_file and not is_picture(path):
        raise RestainError(f"{path}: cannot be opened as a slide; its first bytes are those of no known format")
    return TiffSource if tiff_file else PictureSource


def _refuse_absurd_extent(path: Path, size: Size, mpp: Mpp) -> None:
    """A damaged header, or a wrong resolution, may make a slide that nobody could read to its end."""
    side = size.longer_side * mpp
    if side > _LONGEST:
        raise RestainError(
            f"{path}: has {size} pixels of {mpp:.4g} µm, {side / 1e6:.3g} m on a side; expected less than 1 m"
        )


def is_dicom(path: Path) -> bool:
    """Whether a file begins as DICOM does, or a folder holds such a file."""
    if path.is_dir():
        return any(is_dicom(file) for file in path.iterdir() if file.is_file())
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def _resolution(path: Path, stated: tuple[float, float] | None, given: float | None, given_by: str) -> Mpp:
    """Microns per pixel: the given one, or the stated one if it can be believed."""
    low, high = MPP_RANGE
    if given is not None:
        if not low <= given <= high:
            raise RestainError(f"{path}: mpp is {given:g} µm per pixel; expected {low} to {high:g}")
        return Mpp(given)
    todo = f"give microns per pixel with {given_by} (about 0.25 at 40x, 0.5 at 20x)"
    if stated is None:
        raise RestainError(f"{path}: states no pixel size; {todo}")
    x, y = stated
    if not (low <= x <= high and low <= y <= high):
        raise RestainError(f"{path}: states {x:.4g} x {y:.4g} µm per pixel; expected {low} to {high:g}; {todo}")
    if max(x, y) > 1.05 * min(x, y):
        raise RestainError(f"{path}: states pixels of {x:.4g} x {y:.4g} µm; expected square ones within 5 %; {todo}")
    return Mpp((x * y) ** 0.5)
