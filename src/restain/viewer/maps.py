"""Maps that a slide carries: a grey image over the whole slide, and what its grey levels mean.

Beside ``NAME.ome.tif`` lie ``NAME.map.KEY.png`` (8-bit grey) and ``NAME.map.KEY.json`` with ``title``, ``unit``,
``low`` and ``high``: grey 0 is low, 255 is high.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydantic import ValidationError, model_validator

from restain.errors import RestainError, in_short
from restain.sections import Section
from restain.stains import Floats
from restain.viewer.overlays import ColourMap, map_colours
from restain.viewer.pictures import beside_slide
from restain.wsi.geometry import Region, Size

_MOST_PIXELS = 64 * 2**20  # of a map, one byte each


class MapLegend(Section):
    """What the grey levels of a map mean: ``NAME.map.KEY.json``."""

    title: str
    unit: str
    low: float
    high: float

    @model_validator(mode="after")
    def _ordered(self) -> MapLegend:
        if not self.low < self.high:
            raise ValueError(f"low is {self.low:g} and high is {self.high:g}; expected low below high")
        return self


@dataclass(frozen=True)
class SlideMap:
    """A quantity over a whole slide."""

    path: Path
    colours: ColourMap

    @cached_property
    def _grey(self) -> npt.NDArray[np.uint8]:
        try:
            with Image.open(self.path) as image:
                if image.mode != "L" or image.width * image.height > _MOST_PIXELS:
                    raise RestainError(
                        f"{self.path}: is {image.width} x {image.height} pixels of mode {image.mode}; expected 8-bit "
                        f"grey and at most {_MOST_PIXELS // 2**20} megapixels"
                    )
                return np.array(image)
        except RestainError:
            raise
        except Exception as error:  # Pillow has many for a damaged file
            raise RestainError(f"{self.path}: cannot be read as an image ({in_short(error)})") from error

    def values(self, region: Region, grid: Size) -> Floats:
        """The quantity in a rectangle of a grid over the whole slide, from the nearest pixel of the map.

        Args:
            region: in pixels of the grid.
            grid: size of the whole slide in that grid.

        Returns:
            float32 (height, width).
        """
        height, width = self._grey.shape
        x = np.clip(((np.arange(region.x, region.right) + 0.5) * width / grid.width).astype(np.int64), 0, width - 1)
        y = np.clip(((np.arange(region.y, region.bottom) + 0.5) * height / grid.height).astype(np.int64), 0, height - 1)
        span = self.colours.high - self.colours.low
        grey = self._grey[y[:, None], x[None, :]].astype(np.float32)
        return np.asarray(self.colours.low + grey * np.float32(span / 255))


def find_maps(slide: Path) -> tuple[SlideMap, ...]:
    """Maps beside a slide, by name.

    Raises:
        RestainError: a map's JSON file is damaged.
    """
    stem = beside_slide(slide, "").name
    found = []
    for path in sorted(slide.parent.iterdir()) if slide.parent.is_dir() else []:
        match = re.fullmatch(re.escape(stem) + r"\.map\.([a-z0-9-]+)\.png", path.name)
        if match:
            legend = _read_legend(path.with_suffix(".json"))
            colours = map_colours(f"map-{match[1]}", legend.title, legend.unit, legend.low, legend.high)
            found.append(SlideMap(path, colours))
    return tuple(found)


def _read_legend(path: Path) -> MapLegend:
    try:
        return MapLegend.model_validate_json(path.read_bytes())
    except OSError as error:
        raise RestainError(f"{path}: cannot be read ({error.strerror or in_short(error)})") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise RestainError(f"{path}: is not the legend of a map ({where}: {first['msg']})") from None
