"""Glass around the tissue: skipped by the network, filled with the slide's own white, without an edge."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import distance_transform_edt

from restain.images import RGB
from restain.slides.tiles import Tile
from restain.stains import Floats
from restain.wsi.tissue import Tissue

KEPT = 50.0  # µm around tissue that stay as the network paints them
FADED = 100.0  # µm around tissue beyond which there is plain white


class Glass:
    """Where a slide's virtual stain fades into white.

    The border follows the tissue, not the tiles, so that it cannot show a seam: the share of the network's image is 1
    up to 50 µm from tissue and falls linearly to 0 at 100 µm.

    Args:
        tissue: mask at low resolution over the whole slide.
        size: (height, width) of the grid that tiles are given in, over the whole slide too.
    """

    def __init__(self, tissue: Tissue, size: tuple[int, int]) -> None:
        self.white = tissue.white
        distance = distance_transform_edt(~tissue.mask) * float(tissue.mpp)
        if not tissue.mask.any():  # the distance to nothing
            distance = np.full(tissue.mask.shape, np.inf)
        self._share = np.clip((FADED - distance) / (FADED - KEPT), 0, 1).astype(np.float32)
        self._scale = tuple(coarse / fine for coarse, fine in zip(tissue.mask.shape, size, strict=True))

    def hides(self, tile: Tile) -> bool:
        """Whether the whole tile is glass."""
        (top, bottom), (left, right) = (self._span(axis, tile) for axis in (0, 1))
        return not self._share[top:bottom, left:right].any()

    def cover(self, pixels: RGB, tile: Tile) -> RGB:
        """Fade a stained tile, uint8 (height, width, 3), into white where there is no tissue."""
        (top, bottom), (left, right) = (self._span(axis, tile) for axis in (0, 1))
        if self._share[top:bottom, left:right].min() == 1:
            return pixels
        share = self._interpolate(tile)[..., None]
        mixed = share * pixels + (1 - share) * np.array(self.white, dtype=np.float32)
        return np.asarray(np.rint(mixed), dtype=np.uint8)

    def _positions(self, axis: int, tile: Tile) -> Floats:
        start, count = ((tile.y, tile.height), (tile.x, tile.width))[axis]
        centres = (np.arange(start, start + count) + 0.5) * self._scale[axis] - 0.5
        return np.asarray(np.clip(centres, 0, self._share.shape[axis] - 1))

    def _span(self, axis: int, tile: Tile) -> tuple[int, int]:
        """First and last + 1 of the mask's pixels that interpolation in the tile looks at."""
        positions = self._positions(axis, tile)
        return int(positions[0]), min(int(positions[-1]) + 2, self._share.shape[axis])

    def _interpolate(self, tile: Tile) -> Floats:
        values = self._share
        for axis in (0, 1):
            positions = self._positions(axis, tile)
            low = positions.astype(int)
            high = np.minimum(low + 1, self._share.shape[axis] - 1)
            part = (positions - low).astype(np.float32)
            part = part[:, None] if axis == 0 else part[None, :]
            values = (1 - part) * values.take(low, axis) + part * values.take(high, axis)
        return np.asarray(values)
