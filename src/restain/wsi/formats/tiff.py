"""OME-TIFF and generic TIFF through tifffile: tiles and strips are read and decoded one by one, as they are needed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock

import numpy as np
import numpy.typing as npt
import tifffile

from restain.errors import RestainError
from restain.images import MAX_PIXELS, OTHER_COLOURS, RGB
from restain.wsi.formats.alpha import compose_on
from restain.wsi.formats.pixelsize import pixel_size_of_tiff
from restain.wsi.formats.streams import refuse_cut_off, require_index, segment_size, segments
from restain.wsi.geometry import Region, Size
from restain.wsi.slide import Level, pyramid_levels

_CACHE_BYTES = 64 * 2**20  # of decoded tiles: a row of tiles of a wide slide, or some strips
_WHITE = (255, 255, 255)


class TiffSource:
    """Pyramids of SubIFDs (OME-TIFF) or of chained pages; a plain TIFF is a pyramid of one level.

    Memory: the file's index of tiles and 64 MiB of decoded ones (or a single one, where that is larger).
    """

    reader = "tifffile"

    def __init__(self, path: Path) -> None:
        self._file = tifffile.TiffFile(path)
        try:
            self._pages = _pyramid(self._file, path)
            _check_index(self._pages, path)
        except BaseException:
            self._file.close()
            raise
        first = self._pages[0]
        self.levels: tuple[Level, ...] = pyramid_levels([_size(page) for page in self._pages])
        self.pixel_size: tuple[float, float] | None = pixel_size_of_tiff(self._file, first)
        profile = first.tags.valueof("InterColorProfile")
        self.icc: bytes | None = bytes(profile) if profile is not None else None
        names = ("Make", "Model", "Software", "ImageDescription")
        self.properties: Mapping[str, str] = {
            f"tiff.{name}": str(first.tags.valueof(name)) for name in names if name in first.tags
        }
        self._lock = Lock()  # the file has one position, whoever reads; decoding needs no lock
        self._cache: OrderedDict[tuple[int, int], RGB] = OrderedDict()
        self._cached_bytes = 0

    def read(self, level: int, region: Region) -> RGB:
        """Pixels of a region inside the level, from the tiles or strips that it touches."""
        pixels = np.empty((region.height, region.width, 3), np.uint8)
        for index, segment in segments(self._pages[level], region):
            part = segment.intersect(region)
            pixels[part.within(region)] = self._segment(level, index)[part.within(segment)]
        return pixels

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _segment(self, level: int, index: int) -> RGB:
        key = (level, index)
        with self._lock:
            if key in self._cache:
                self._cache.move_to_end(key)
                return self._cache[key]
        decoded = self._decode(self._pages[level], index)
        with self._lock:
            if key not in self._cache:
                self._cache[key] = decoded
                self._cached_bytes += decoded.nbytes
            while self._cached_bytes > _CACHE_BYTES and len(self._cache) > 1:
                self._cached_bytes -= self._cache.popitem(last=False)[1].nbytes
        return decoded

    def _decode(self, page: tifffile.TiffPage, index: int) -> RGB:
        planes = page.samplesperpixel if page.planarconfig == tifffile.PLANARCONFIG.SEPARATE else 1
        stride = len(page.dataoffsets) // planes
        samples = np.concatenate([self._plane(page, index + plane * stride) for plane in range(planes)], axis=-1)
        if samples.shape[-1] == 3:
            return np.ascontiguousarray(samples)
        premultiplied = tifffile.EXTRASAMPLE.ASSOCALPHA in page.extrasamples
        return compose_on(_WHITE, samples[..., :3], samples[..., 3], premultiplied)

    def _plane(self, page: tifffile.TiffPage, index: int) -> npt.NDArray[np.uint8]:
        """One tile or strip of one plane, uint8 (height, width, samples); white where the file leaves it out."""
        offset, count = page.dataoffsets[index], page.databytecounts[index]
        data = None
        if count:
            with self._lock:
                page.parent.filehandle.seek(offset)
                data = page.parent.filehandle.read(count)
            refuse_cut_off(page, data)
        decoded, _, shape = page.decode(data, index, jpegtables=page.jpegtables)
        if decoded is None:
            return np.full(shape[1:], 255, np.uint8)
        return np.asarray(decoded[0])


def _size(page: tifffile.TiffPage) -> Size:
    return Size(page.imagewidth, page.imagelength)


def _pyramid(file: tifffile.TiffFile, path: Path) -> list[tifffile.TiffPage]:
    """The pages that show the largest image of the file at its resolutions, finest first."""
    pages = [level.keyframe for series in file.series for level in series.levels]
    pages = [page for page in pages if isinstance(page, tifffile.TiffPage)]
    if not pages:
        raise ValueError("it holds no image")
    finest = max(pages, key=lambda page: page.imagewidth * page.imagelength)
    _check_colours(finest, path)
    pyramid = [finest]
    for page in sorted(pages, key=lambda page: -page.imagewidth):
        if page.imagewidth < pyramid[-1].imagewidth and _shows_the_same(page, finest):
            pyramid.append(page)
    return pyramid


def _check_colours(page: tifffile.TiffPage, path: Path) -> None:
    colours, compression = (getattr(tag, "name", str(tag)) for tag in (page.photometric, page.compression))
    if colours in OTHER_COLOURS and not (colours == "YCBCR" and compression == "JPEG"):  # which decodes to RGB
        raise RestainError(f"{path}: has {colours} colours; expected RGB")
    if page.samplesperpixel not in (3, 4) or page.dtype != np.uint8 or page.imagedepth != 1:
        kind = f"{page.samplesperpixel} samples of type {page.dtype} per pixel"
        raise RestainError(f"{path}: has {kind}; expected three of type uint8, RGB")


def _shows_the_same(page: tifffile.TiffPage, finest: tifffile.TiffPage) -> bool:
    """Labels, macro images and thumbnails have other proportions, or other samples, than the levels."""
    ratio = finest.imagewidth / page.imagewidth
    return abs(finest.imagelength / ratio - page.imagelength) <= 1.5 and all(
        getattr(page, name) == getattr(finest, name) for name in ("samplesperpixel", "dtype", "photometric")
    )


def _check_index(pages: Sequence[tifffile.TiffPage], path: Path) -> None:
    """Refuse what the header declares and the file cannot hold, before memory is taken for it."""
    length = path.stat().st_size
    for page in pages:
        part = segment_size(page)
        if not part.area:
            raise ValueError(f"it declares tiles of {part} pixels")
        if part.area > MAX_PIXELS:
            millions = MAX_PIXELS / 1e6
            raise RestainError(
                f"{path}: declares a tile or strip of {part} pixels; expected at most {millions:.0f} million pixels"
            )
        require_index(page)
        end = max(map(sum, zip(page.dataoffsets, page.databytecounts, strict=False)))
        if end > length:
            raise ValueError(f"its pixels end at byte {end}, the file at byte {length}")
