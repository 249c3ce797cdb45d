"""What would spoil a training pair: glass, pen, folds, blur, tissue on one side only; and how positive it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter, zoom
from skimage.measure import blur_effect

from restain.images import RGB
from restain.metrics.stain.dab import dab_density, positive_area
from restain.registration.overview import Overview, Side
from restain.stains import DAB, EOSIN, HEMATOXYLIN, Floats, optical_density, separate

_COARSE_UM = 8.0  # what pen, folds and tissue are seen at
_FOCUS_MPP = 0.5  # blur is measured no finer than this
_TISSUE = 0.06  # mean optical density
_FOLD_FACTOR = 2.0  # a fold is two sections thick
_FOLD_LEAST = 0.35  # optical density


@dataclass(frozen=True)
class Thickness:
    """Usual and largest optical density of a slide's tissue at low resolution; above, a section lies double."""

    limit: float

    @staticmethod
    def of(overview: Overview, side: Side) -> Thickness:
        """From a whole slide: twice the median of its tissue, and more than its usual spread allows."""
        density = fold_density(overview.rgb, side)[overview.mask]
        median = float(np.median(density))
        spread = 1.4826 * float(np.median(np.abs(density - median)))
        return Thickness(max(_FOLD_LEAST, _FOLD_FACTOR * median, median + 5 * spread))


def fold_density(rgb: RGB, side: Side) -> Floats:
    """Optical density that grows where a section lies double: of all light, or of red, which DAB hardly absorbs."""
    density = optical_density(rgb)
    return np.asarray(density.mean(axis=-1) if side == "he" else density[..., 0])


@dataclass(frozen=True)
class TileQuality:
    """One side of a tile; shares of its area, 0 to 1.

    Attributes:
        tissue: tissue.
        pen: blue, green or black ink.
        fold: tissue that lies double.
        blur: Crété's blur effect at 0.5 µm per pixel or the tile's own, 0 (sharp) to 1.
    """

    tissue: float
    pen: float
    fold: float
    blur: float


def tile_quality(rgb: RGB, mpp: float, side: Side, thickness: Thickness) -> TileQuality:
    """Measure one side of a tile.

    Args:
        rgb: uint8 (height, width, 3).
        mpp: microns per pixel.
        side: which stain.
        thickness: of the whole slide.
    """
    small = _reduced(rgb, _COARSE_UM / mpp)
    density = optical_density(small)
    ink = (density[..., 0] - density[..., 1] > 0.15) | ((small.max(axis=-1) < 64) & (np.ptp(small, axis=-1) < 24))
    fold = fold_density(small, side) > thickness.limit
    # DAB inside a fold is still a fold; strong DAB alone absorbs little red.
    tissue = density.mean(axis=-1) > _TISSUE
    return TileQuality(float(tissue.mean()), float(ink.mean()), float(fold.mean()), _blur(rgb, mpp))


def _blur(rgb: RGB, mpp: float) -> float:
    """The blur effect (Crété et al., SPIE 2007) of the middle of a tile; 1 where nothing is to be seen."""
    grey = _reduced(rgb, max(1.0, _FOCUS_MPP / mpp)).mean(axis=-1)
    height, width = grey.shape
    side = 384
    top, left = max(0, (height - side) // 2), max(0, (width - side) // 2)
    middle = grey[top : top + side, left : left + side]
    return float(blur_effect(middle / 255.0)) if middle.std() > 1 else 1.0  # type: ignore[no-untyped-call]


def _reduced(rgb: RGB, factor: float) -> RGB:
    """Averaged over whole squares of about ``factor`` pixels."""
    step = max(1, round(factor))
    height, width = (side // step * step for side in rgb.shape[:2])
    if step == 1 or not height or not width:
        return rgb
    squares = rgb[:height, :width].reshape(height // step, step, width // step, step, 3)
    return np.asarray(np.rint(squares.mean(axis=(1, 3), dtype=np.float32)).astype(np.uint8))


def haematoxylin_correlation(he: RGB, ihc: RGB, mpp: float) -> float:
    """Pearson's r of haematoxylin smoothed over 4 µm, -1 to 1; 0 where one side shows none."""
    step = max(1, round(2.0 / mpp))
    smooth = [
        gaussian_filter(separate(_reduced(rgb, step), HEMATOXYLIN, second)[..., 0], 4.0 / (step * mpp)).ravel()
        for rgb, second in ((he, EOSIN), (ihc, DAB))
    ]
    if min(float(one.std()) for one in smooth) < 1e-4:
        return 0.0
    return float(np.corrcoef(*smooth)[0, 1])


def dab_area(ihc: RGB) -> float:
    """Fraction of pixels with DAB of optical density 0.2 or more."""
    return positive_area(dab_density(ihc))


def thumbnail(rgb: RGB, side: int) -> RGB:
    """At most about ``side`` pixels, by averaging."""
    reduced = _reduced(rgb, max(rgb.shape[:2]) / side)
    if max(reduced.shape[:2]) <= side:
        return reduced
    factor = side / max(reduced.shape[:2])
    small = zoom(reduced.astype(np.float32), (factor, factor, 1), order=1)
    return np.asarray(np.rint(small.clip(0, 255)), dtype=np.uint8)
