"""Scanner formats through OpenSlide: SVS, NDPI, MRXS, SCN, BIF, VMS and others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock

import numpy as np
import openslide
from PIL.ImageCms import PyCMSError

from restain.errors import RestainError
from restain.images import RGB, is_tiff
from restain.wsi.formats.alpha import compose_on
from restain.wsi.formats.streams import TileStreams
from restain.wsi.formats.tiff import TiffSource
from restain.wsi.geometry import Region, Size
from restain.wsi.slide import Level, pyramid_levels

_BLOCK = 512  # pixels


class VendorSource:
    """Levels as the scanner made them, cropped to what it scanned, where the file states it (as in QuPath)."""

    reader = "openslide"

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = Lock()
        self._slide = slide = openslide.OpenSlide(path)
        text = dict(slide.properties)
        bounds = [text.get(f"openslide.bounds-{name}") for name in ("x", "y", "width", "height")]
        full_width, full_height = slide.dimensions
        left, top, width, height = (
            (int(value) for value in bounds if value) if all(bounds) else (0, 0, full_width, full_height)
        )
        self._origin = left, top
        self._downsamples = slide.level_downsamples
        full = pyramid_levels([Size(*dimensions) for dimensions in slide.level_dimensions])
        cropped = (height, width) != (full_height, full_width)
        sizes = [Size(round(width / level.downsample), round(height / level.downsample)) for level in full]
        self.levels: tuple[Level, ...] = pyramid_levels([size for size in sizes if size.area]) if cropped else full
        self.pixel_size: tuple[float, float] | None = _pixel_size(text)
        self.icc: bytes | None = _profile(slide) if "openslide.icc-size" in text else None
        self.properties: Mapping[str, str] = text
        colour = text.get("openslide.background-color", "FFFFFF")
        odd = [level for number, level in enumerate(self.levels) if not self._is_whole(number)]
        self._exact = _stored_levels(path, odd) if odd and text["openslide.vendor"] == "aperio" else None
        self._background = int(colour[:2], 16), int(colour[2:4], 16), int(colour[4:6], 16)
        self._streams = TileStreams(path) if is_tiff(path) and not cropped else None

    def read(self, level: int, region: Region) -> RGB:
        """Pixels of a region inside the level.

        OpenSlide takes places in pixels of level 0. Where a level is not a whole number of times coarser, most of
        its pixels lie between those, and OpenSlide interpolates, by up to half a pixel of level 0. Aperio's levels,
        which often drop the odd row, are therefore read as they are stored; other formats in blocks of a fixed
        grid, so that a pixel is the same whatever region it is read with.
        """
        if self._is_whole(level):
            return self._read(level, region)
        if self._exact is not None:
            return self._exact.read(self._exact.levels.index(self.levels[level]), region)
        pixels = np.empty((region.height, region.width, 3), np.uint8)
        for y in range(region.y // _BLOCK * _BLOCK, region.bottom, _BLOCK):
            for x in range(region.x // _BLOCK * _BLOCK, region.right, _BLOCK):
                block = Region(x, y, _BLOCK, _BLOCK)
                part = block.intersect(region)
                pixels[part.within(region)] = self._read(level, block)[part.within(block)]
        return pixels

    def _is_whole(self, level: int) -> bool:
        return self._downsamples[level] == round(self._downsamples[level])

    def _read(self, level: int, region: Region) -> RGB:
        downsample = self._downsamples[level]
        left, top = self._origin
        place = left + round(region.x * downsample), top + round(region.y * downsample)
        if self._streams is not None:
            self._streams.check(self.levels[level].size, region)
        handle = self._slide
        try:
            image = np.asarray(handle.read_region(place, level, (region.width, region.height)))
        except openslide.OpenSlideError:
            self._reopen(handle)
            raise
        return compose_on(self._background, image[..., :3], image[..., 3])

    def _reopen(self, broken: openslide.OpenSlide) -> None:
        """OpenSlide refuses everything after its first error; one bad tile must not lose the rest of the slide."""
        with self._lock:
            if self._slide is broken:
                self._slide = openslide.OpenSlide(self._path)

    def close(self) -> None:
        """Close the file."""
        self._slide.close()
        for other in (self._exact, self._streams):
            if other is not None:
                other.close()


def _pixel_size(text: dict[str, str]) -> tuple[float, float] | None:
    x, y = text.get("openslide.mpp-x"), text.get("openslide.mpp-y")
    return (float(x), float(y)) if x and y else None


def _profile(slide: openslide.OpenSlide) -> bytes | None:
    try:
        profile = slide.color_profile
    except PyCMSError:  # damaged; the pixels are as good without it
        return None
    return profile.tobytes() if profile is not None else None


def _stored_levels(path: Path, levels: Sequence[Level]) -> TiffSource | None:
    """The same file through tifffile, if it can decode all of the levels (not those in JPEG 2000 as YCbCr)."""
    try:
        source = TiffSource(path)
    except (RestainError, ValueError):
        return None
    return source if all(level in source.levels for level in levels) else None
