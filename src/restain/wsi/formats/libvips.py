"""Any file that libvips opens; used to check files, not to read slides."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from restain.images import RGB
from restain.wsi.formats.alpha import compose_on
from restain.wsi.geometry import Region, Size
from restain.wsi.slide import Level, pyramid_levels

_UNKNOWN = 1.0  # pixels per mm: what libvips reports where a file states nothing
_WHITE = (255, 255, 255)


class VipsSource:
    """Levels as libvips names them: SubIFDs, pages, or the levels of its own OpenSlide loader."""

    reader = "libvips"

    def __init__(self, path: Path) -> None:
        self._vips: Any = import_module("pyvips").Image
        first = self._vips.new_from_file(str(path), revalidate=True)  # libvips would remember what lay there before
        fields = set(first.get_fields())
        others = [
            self._vips.new_from_file(str(path), revalidate=True, **options) for options in _coarser(first, fields)
        ]
        self._images = [first]
        for image in sorted(others, key=lambda image: -int(image.width)):
            if image.width < self._images[-1].width and _shows_the_same(image, first):
                self._images.append(image)
        self.levels: tuple[Level, ...] = pyramid_levels([_size(image) for image in self._images])
        known = (first.xres, first.yres) != (_UNKNOWN, _UNKNOWN)
        self.pixel_size = (1e3 / first.xres, 1e3 / first.yres) if known else None
        self.icc = bytes(first.get("icc-profile-data")) if "icc-profile-data" in fields else None
        self.properties: Mapping[str, str] = {"vips-loader": str(first.get("vips-loader"))}

    def read(self, level: int, region: Region) -> RGB:
        """Pixels of a region inside the level."""
        image = self._images[level].crop(region.x, region.y, region.width, region.height)
        pixels = np.frombuffer(image.write_to_memory(), np.uint8).reshape(image.height, image.width, image.bands)
        if image.bands == 4:
            return compose_on(_WHITE, pixels[..., :3], pixels[..., 3])
        return pixels[..., :3]

    def close(self) -> None:
        """Let go of the images; libvips closes the file with the last of them."""
        self._images = []


def _coarser(first: Any, fields: set[str]) -> list[dict[str, int]]:
    """The options that open what comes after the first image."""
    if first.get("vips-loader").startswith("openslide"):
        return [{"level": level} for level in range(1, int(first.get("openslide.level-count")))]
    if "n-subifds" in fields:
        return [{"subifd": index} for index in range(first.get("n-subifds"))]
    pages = first.get("n-pages") if "n-pages" in fields else 1
    return [{"page": page} for page in range(1, pages)]


def _shows_the_same(image: Any, first: Any) -> bool:
    """Labels and macro images have other proportions; thumbnails are seldom a whole number of times smaller."""
    level = pyramid_levels([_size(first), _size(image)])[1]
    return image.bands == first.bands and level.downsample.is_integer()


def _size(image: Any) -> Size:
    return Size(int(image.width), int(image.height))
