"""Where a slide has tissue, at low resolution; bare glass, pen marks and black borders are left out."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.ndimage import distance_transform_edt, label

from restain.images import RGB
from restain.stains import optical_density, tissue_mask
from restain.types import Mpp
from restain.wsi.contours import trace_contours
from restain.wsi.geojson import read_mask
from restain.wsi.geometry import Grid, Mask, Size
from restain.wsi.resample import grid_size, read_region
from restain.wsi.slide import Slide

Colour: TypeAlias = tuple[int, int, int]

_OVER_BACKGROUND = 0.05  # mean optical density above that of the bare glass: 11 % of its light absorbed
_GAP = 24.0  # µm: cracks and lumens narrower than twice this are closed
_SPECK = 8.0  # µm: threads and dust narrower than twice this are dropped
_PIECE = 5e3  # µm²: smaller pieces are dropped, smaller holes filled (70 µm squared)
_INK_MARGIN = 24.0  # µm around ink and black
_MOST_PIXELS = 2**25  # of a mask; a glass of 25 x 75 mm has 29 million at 8 µm
_DARK_ENOUGH = 5e4  # µm² over the glass's density: of less, the share that is left out means nothing
_WHITE: Colour = (255, 255, 255)


@dataclass(frozen=True)
class Tissue:
    """Where a slide has tissue, and the colour of its glass.

    Attributes:
        mask: bool (height, width) over the whole slide, True on tissue.
        mpp: microns per pixel of the mask.
        background: colour of the slide's bare glass; 255 each where no glass is seen.
        slide_mpp: microns per pixel of the slide's level 0.
        left_out: share of what is darker than the glass, ink aside, that the mask leaves out: specks, threads, single
            cells; 0 where contours were given.
    """

    mask: Mask
    mpp: Mpp
    background: Colour
    slide_mpp: Mpp
    left_out: float = 0.0

    @property
    def grid(self) -> Grid:
        """The grid of the mask."""
        return Grid(self.mpp, Size.of(self.mask))

    @property
    def area_mm2(self) -> float:
        """Area of the tissue in mm²."""
        return int(self.mask.sum()) * (self.mpp / 1000) ** 2

    def to_geojson(self, mpp: float) -> dict[str, Any]:
        """One QuPath annotation "Tissue" for each piece, along the mask's pixels.

        Written with ``files.write_json`` it opens in QuPath (File, Import objects from file) over a slide whose level 0
        has the same microns per pixel.

        Args:
            mpp: microns per pixel of the coordinates; the collection states them under the key ``mpp``.
        """
        scale = self.mpp / mpp
        return {
            "type": "FeatureCollection",
            "mpp": float(mpp),
            "features": [
                {
                    "type": "Feature",
                    "geometry": {
                        "type": "Polygon",
                        "coordinates": [
                            [[round(x * scale, 2), round(y * scale, 2)] for x, y in ring] for ring in polygon
                        ],
                    },
                    "properties": {
                        "objectType": "annotation",
                        "classification": {"name": "Tissue", "color": [0, 160, 80]},
                        "isLocked": True,
                    },
                }
                for polygon in trace_contours(self.mask)
            ],
        }


def find_tissue(slide: Slide, mpp: float = 8.0, contours: Path | None = None) -> Tissue:
    """Find the tissue of an H&E or IHC slide by optical density over that of its own bare glass.

    Blue, green and black ink and black borders are left out, gaps closed, threads, dust and pieces below 0.005 mm²
    dropped, holes below 0.005 mm² filled. Red ink looks like eosin and stays.

    Args:
        slide: any slide. One without coarse levels is read whole, once.
        mpp: microns per pixel to look at, or the slide's own where that is coarser; still coarser where the slide is
            larger than 33 million of such pixels (21 cm² at 8 µm), so that memory stays bounded.
        contours: GeoJSON file that says where the tissue is, such as QuPath exports for this slide; see ``read_mask``.

    Raises:
        RestainError: the slide cannot be decoded, or the file holds no contours.
    """
    least = slide.mpp * (slide.levels[0].size.area / _MOST_PIXELS) ** 0.5
    mpp = Mpp(max(mpp, slide.mpp, least))
    rgb = read_region(slide, grid_size(slide, mpp).region, mpp)
    left_out = 0.0
    if contours is None:
        dark, ink = _dark(rgb, mpp)
        mask = _pieces(dark, ink, mpp)
        if dark.sum() * mpp**2 >= _DARK_ENOUGH:
            left_out = 1 - float((dark & mask).sum() / dark.sum())
    else:
        mask = read_mask(contours, Grid(mpp, Size.of(rgb)), slide.mpp)
    return Tissue(mask, mpp, _background(rgb[~mask]) or _WHITE, slide.mpp, left_out)


def segment_tissue(rgb: RGB, mpp: float) -> Mask:
    """Tissue in an image of a slide.

    Args:
        rgb: uint8 (height, width, 3) at low resolution, 2 to 20 µm per pixel.
        mpp: its microns per pixel.

    Returns:
        bool (height, width).
    """
    return _pieces(*_dark(rgb, mpp), mpp)


def _dark(rgb: RGB, mpp: float) -> tuple[Mask, Mask]:
    """What is darker than the glass and no ink, and the ink."""
    background = optical_density(np.array(_background(rgb.reshape(-1, 3)) or _WHITE, np.uint8)).mean()
    ink = _ink(rgb, mpp)
    return tissue_mask(rgb, _OVER_BACKGROUND + float(background)) & ~ink, ink


def _pieces(dark: Mask, ink: Mask, mpp: float) -> Mask:
    """Pieces of tissue among what is dark: gaps closed, specks dropped, holes filled."""
    mask = _close(dark, _GAP / mpp)
    mask = _grow(_shrink(mask, _SPECK / mpp), _SPECK / mpp)
    least = _PIECE / mpp**2
    return _without_small(~_without_small(~mask, least) & ~ink, least)


def _background(pixels: npt.NDArray[np.uint8]) -> Colour | None:
    """Colour of the bare glass among pixels (n, 3): the median of the brighter half of what is bright and nearly grey.

    Pure white is what scanners put where they saw nothing; it counts only where nothing else is bright.
    """
    darkest, brightest = pixels.min(axis=-1), pixels.max(axis=-1)
    bright = pixels[(darkest >= 180) & (brightest - darkest <= 30)]
    seen = bright[bright.min(axis=-1) < 254]
    bright = seen if len(seen) > 0.001 * len(pixels) else bright
    if len(bright) <= 0.001 * len(pixels):
        return None
    brightness = bright.sum(axis=-1, dtype=np.int64)
    red, green, blue = np.median(bright[brightness >= np.median(brightness)], axis=0)
    return round(red), round(green), round(blue)


def _ink(rgb: RGB, mpp: float) -> Mask:
    """Blue and green ink absorb red most, which no stain in use does by this much; black absorbs all alike."""
    density = optical_density(rgb)
    coloured = density[..., 0] - density[..., 1] > 0.15
    darkest, brightest = rgb.min(axis=-1), rgb.max(axis=-1)
    black = (brightest < 64) & (brightest - darkest < 24)
    return _grow(_shrink(coloured | black, _SPECK / mpp), (_SPECK + _INK_MARGIN) / mpp)


def _grow(mask: Mask, radius: float) -> Mask:
    """Pixels within ``radius`` pixels of the mask; what lies beyond the image is not known and changes nothing."""
    return np.asarray(distance_transform_edt(~mask) <= radius) if mask.any() else mask


def _close(mask: Mask, radius: float) -> Mask:
    """Fill gaps narrower than twice the radius, but not the glass between tissue and the edge of the image."""
    margin = ceil(radius) + 1
    closed = _shrink(_grow(np.pad(mask, margin), radius), radius)
    return closed[margin:-margin, margin:-margin]


def _shrink(mask: Mask, radius: float) -> Mask:
    return ~_grow(~mask, radius)


def _without_small(mask: Mask, least: float) -> Mask:
    """Without pieces of fewer than ``least`` pixels."""
    pieces, _ = label(mask)
    large = np.bincount(pieces.ravel()) >= least
    large[0] = False
    return np.asarray(large[pieces])
