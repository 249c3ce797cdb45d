"""Tiles and strips of a TIFF, and those whose compressed stream is cut off.

libjpeg, and OpenSlide with it, decodes what there is of a stream that was cut off, fills the rest with grey and reports
nothing. JPEG and JPEG 2000 streams both end with the marker FF D9 (ITU-T T.81, B.1.1.3; T.800, A.4.4), which cannot
occur within their data, so a look at the last bytes finds what is missing. Bytes that were changed inside a stream are
found by the decoder, or by nobody.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Lock

import tifffile

from restain.wsi.geometry import Region, Size

_WITH_END = {7: "JPEG", 33003: "JPEG 2000", 33004: "JPEG 2000", 33005: "JPEG 2000", 34712: "JPEG 2000"}
_END = b"\xff\xd9"
_LAST = 64  # bytes: some writers fill up to a whole word behind the end


def segment_size(page: tifffile.TiffPage) -> Size:
    """Of the tiles or strips of a page."""
    if page.is_tiled:
        return Size(page.tilewidth, page.tilelength)
    return Size(page.imagewidth, min(page.rowsperstrip, page.imagelength))


def segments(page: tifffile.TiffPage, region: Region) -> Iterator[tuple[int, Region]]:
    """(index, extent) of the tiles or strips that a region touches."""
    width, height = segment_size(page).width, segment_size(page).height
    across = -(-page.imagewidth // width)
    for row in range(region.y // height, -(-region.bottom // height)):
        for column in range(region.x // width, -(-region.right // width)):
            yield row * across + column, Region(column * width, row * height, width, height)


def require_index(page: tifffile.TiffPage) -> None:
    """ValueError where the file does not state for each tile or strip of a page where it is."""
    part = segment_size(page)
    expected = -(-page.imagewidth // part.width) * -(-page.imagelength // part.height)
    held = min(len(page.dataoffsets), len(page.databytecounts))
    if held < expected:
        size = Size(page.imagewidth, page.imagelength)
        raise ValueError(f"it declares {size} pixels and holds {held} of {expected} tiles")


def refuse_cut_off(page: tifffile.TiffPage, last: bytes) -> None:
    """ValueError where a stream of a page, of which ``last`` are the last bytes, has no end."""
    kind = _WITH_END.get(int(page.compression))
    if kind and _END not in last[-_LAST:]:
        raise ValueError(f"the {kind} stream of a tile is cut off")


class TileStreams:
    """The tiles of a TIFF that another library decodes; each stream's end is looked at once.

    Args:
        path: a TIFF.
    """

    def __init__(self, path: Path) -> None:
        self._file = tifffile.TiffFile(path)
        tiled = [page for page in self._file.pages if isinstance(page, tifffile.TiffPage) and page.is_tiled]
        self._pages = {Size(page.imagewidth, page.imagelength): page for page in reversed(tiled)}
        self._whole: set[tuple[Size, int]] = set()
        self._lock = Lock()  # the file has one position, whoever reads

    def check(self, size: Size, region: Region) -> None:
        """Look at the tiles under a region of the level of that size; levels that are no page are not looked at.

        Raises:
            ValueError: the stream of one is cut off.
        """
        page = self._pages.get(size)
        if page is None:
            return
        require_index(page)
        with self._lock:
            for index, _ in segments(page, region.clip(size)):
                if (size, index) not in self._whole:
                    self._check(page, index)
                    self._whole.add((size, index))

    def _check(self, page: tifffile.TiffPage, index: int) -> None:
        count = page.databytecounts[index]
        if count:  # else left out, and plain background
            self._file.filehandle.seek(page.dataoffsets[index] + max(0, count - _LAST))
            refuse_cut_off(page, self._file.filehandle.read(min(count, _LAST)))

    def close(self) -> None:
        """Close the file."""
        self._file.close()
