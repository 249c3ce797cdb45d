"""PNG, JPEG and WebP as slides of one level."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from threading import Lock

import numpy as np

from restain.images import RGB, open_picture, read_rgb
from restain.wsi.geometry import Region, Size
from restain.wsi.slide import Level


class PictureSource:
    """An image decoded once, whole, at the first read: three bytes per pixel.

    Its dots per inch are those of a page to be printed, so it has no pixel size.
    """

    reader = "image"
    pixel_size: tuple[float, float] | None = None

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = Lock()
        with open_picture(path) as image:
            self.levels: tuple[Level, ...] = (Level(Size(image.width, image.height), 1.0),)
            self.icc: bytes | None = image.info.get("icc_profile")
            self.properties: Mapping[str, str] = {"format": image.format or ""}

    def read(self, level: int, region: Region) -> RGB:
        """Pixels of a region inside the image."""
        with self._lock:
            pixels = self._pixels
        return np.array(pixels[region.within(Region(0, 0, 0, 0))])

    @cached_property
    def _pixels(self) -> RGB:
        return read_rgb(self._path)

    def close(self) -> None:
        """Let go of the pixels."""
        self.__dict__.pop("_pixels", None)
