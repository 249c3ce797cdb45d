"""A slide at low resolution, reduced to what both stains show: where tissue is, and where nuclei lie close."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from scipy.ndimage import gaussian_filter, zoom

from restain.errors import RestainError
from restain.images import RGB
from restain.stains import DAB, EOSIN, HEMATOXYLIN, Floats, optical_density, separate
from restain.types import Mpp
from restain.wsi.geometry import Mask, Size
from restain.wsi.resample import grid_size, read_region
from restain.wsi.slide import Slide
from restain.wsi.tissue import segment_tissue

Side: TypeAlias = Literal["he", "ihc"]
SECOND = {"he": EOSIN, "ihc": DAB}  # beside haematoxylin

LOOKED_AT = 8.0  # µm per pixel, unless the slide is small or very large
_MOST_PIXELS = 4 * 2**20
_FEWEST = 384  # pixels of the longer side, where the slide has them
_LEAST_TISSUE = 0.02  # mm²
_PALE = 0.15  # optical density at which tissue counts as three quarters there, whatever its stain
_MOST_HEMATOXYLIN = 1.0  # optical density; a speck of dirt counts no more than a dark nucleus


@dataclass(frozen=True)
class Overview:
    """A whole slide at ``mpp``.

    Attributes:
        rgb: uint8 (height, width, 3).
        mask: bool (height, width), True on tissue, without pen and black borders.
        content: float32 (2, height, width): haematoxylin, optical density 0 to 1, and presence of tissue, 0 to 1;
            0 outside the mask.
        mpp: microns per pixel.
    """

    rgb: RGB
    mask: Mask
    content: Floats
    mpp: Mpp

    @property
    def area_mm2(self) -> float:
        """Tissue."""
        return float(self.mask.sum()) * (self.mpp / 1000) ** 2


def overview_mpp(he: Slide, ihc: Slide) -> Mpp:
    """The resolution at which both slides are looked at: 8 µm per pixel; finer for small, coarser for large ones."""
    extents = [(level.width * slide.mpp, level.height * slide.mpp) for slide in (he, ihc) for level in slide.levels[:1]]
    longest = max(max(extent) for extent in extents)
    largest = max(width * height for width, height in extents)
    wanted = max(min(LOOKED_AT, longest / _FEWEST), (largest / _MOST_PIXELS) ** 0.5)
    return Mpp(max(wanted, he.mpp, ihc.mpp))


def read_overview(slide: Slide, side: Side, mpp: Mpp) -> Overview:
    """Read a slide at low resolution.

    Raises:
        RestainError: it shows less than 0.02 mm² of tissue, or cannot be decoded.
    """
    rgb = read_region(slide, grid_size(slide, mpp).region, mpp)
    mask = segment_tissue(rgb, mpp)
    overview = Overview(rgb, mask, content(rgb, side) * mask, mpp)
    if overview.area_mm2 < _LEAST_TISSUE:
        raise RestainError(
            f"{slide.path}: shows {overview.area_mm2:.3g} mm² of tissue; expected at least {_LEAST_TISSUE:g} mm²"
        )
    return overview


def content(rgb: RGB, side: Side) -> Floats:
    """What both stains show: haematoxylin (optical density, 0 to 1) and presence of tissue (0 to 1).

    Args:
        rgb: uint8 (height, width, 3).
        side: which stain stands beside haematoxylin.

    Returns:
        float32 (2, height, width).
    """
    haematoxylin = np.clip(separate(rgb, HEMATOXYLIN, SECOND[side])[..., 0], 0, _MOST_HEMATOXYLIN)
    density = optical_density(rgb).mean(axis=-1)
    return np.stack([haematoxylin, np.tanh(density / _PALE)]).astype(np.float32)


def band_passed(channels: Floats, fine: float, coarse: float) -> Floats:
    """Difference of Gaussians of each of (channels, height, width), of unit variance; deviations in pixels."""
    passed = np.stack([gaussian_filter(one, fine) - gaussian_filter(one, coarse) for one in channels])
    spread = passed.std(axis=(1, 2), keepdims=True)
    return np.asarray(passed / np.maximum(spread, 1e-3))


def shrunk(channels: Floats, factor: float) -> Floats:
    """(channels, height, width) at ``factor`` times the microns per pixel, at least 1; smoothed before."""
    if factor <= 1:
        return channels
    height, width = (max(1, round(side / factor)) for side in channels.shape[1:])
    smooth = np.stack([gaussian_filter(one, 0.4 * factor) for one in channels])
    scale = (height / channels.shape[1], width / channels.shape[2])
    return np.stack([zoom(one, scale, order=1, grid_mode=True, mode="nearest") for one in smooth])


def size_um(slide: Slide) -> tuple[float, float]:
    """Width and height of a slide in microns."""
    size: Size = slide.levels[0].size
    return size.width * slide.mpp, size.height * slide.mpp
