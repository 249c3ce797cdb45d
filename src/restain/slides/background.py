"""The bare glass around the tissue: skipped by the network, filled with one colour, without an edge."""

from __future__ import annotations

from copy import copy

import numpy as np
from scipy.ndimage import distance_transform_edt

from restain.images import RGB
from restain.stains import Floats
from restain.wsi.geometry import Mask, Region, Size
from restain.wsi.tissue import Colour, Tissue

KEPT = 50.0  # µm around tissue that stay as the network paints them
FADED = 100.0  # µm around tissue beyond which there is plain background
_CUT = 0.0, 16.0  # µm, the same where the network's glass and the background are of different colours


class Background:
    """Where a slide's virtual stain fades into its background colour.

    The border follows the tissue, not the tiles, so that it cannot show a seam: the share of the network's image is 1
    up to 50 µm from tissue and falls linearly to 0 at 100 µm, or within 16 µm where it is ``cut``.

    Args:
        tissue: mask at low resolution over the whole slide.
        size: of the grid that regions are given in, over the whole slide too.
        roi: mask of the same grid as the tissue's; outside it everything is background.
        glass: stain the bare glass too, wherever the region of interest holds it.
    """

    def __init__(self, tissue: Tissue, size: Size, *, roi: Mask | None = None, glass: bool = False) -> None:
        distance = distance_transform_edt(~tissue.mask) * float(tissue.mpp)
        if not tissue.mask.any():  # the distance to nothing
            distance = np.full(tissue.mask.shape, np.inf)
        self._distance, self._roi, self._glass = distance, roi, glass
        self._share = self._shares(KEPT, FADED)
        self._scale = tuple(coarse / fine for coarse, fine in zip(tissue.mask.shape, size.shape, strict=True))
        row, column = np.unravel_index(int(distance.argmax()), distance.shape)
        self.farthest: tuple[int, int] | None = None  # (x, y) of the glass farthest from tissue, where it fades
        if distance[row, column] >= KEPT:
            self.farthest = int((column + 0.5) / self._scale[1]), int((row + 0.5) / self._scale[0])

    def _shares(self, kept: float, faded: float) -> Floats:
        share = np.clip((faded - self._distance) / (faded - kept), 0, 1)
        if self._glass:
            share = np.ones_like(share)
        return np.asarray(share if self._roi is None else share * self._roi, dtype=np.float32)

    def cut(self) -> Background:
        """The same, close to the tissue: what the network paints for glass would show as a ring."""
        nearer = copy(self)
        nearer._share = self._shares(*_CUT)
        return nearer

    def hides(self, region: Region) -> bool:
        """Whether the whole region is background."""
        (top, bottom), (left, right) = (self._span(axis, region) for axis in (0, 1))
        return not self._share[top:bottom, left:right].any()

    def blend(self, pixels: RGB, region: Region, colour: Colour) -> RGB:
        """Fade the stained pixels of a region, uint8 (height, width, 3), into a colour around the tissue."""
        (top, bottom), (left, right) = (self._span(axis, region) for axis in (0, 1))
        if self._share[top:bottom, left:right].min() == 1:
            return pixels
        share = self._interpolate(region)[..., None]
        mixed = share * pixels + (1 - share) * np.array(colour, dtype=np.float32)
        return np.asarray(np.rint(mixed), dtype=np.uint8)

    def _positions(self, axis: int, region: Region) -> Floats:
        """Where the region's pixels lie in the mask, in pixels of the mask."""
        start, count = ((region.y, region.height), (region.x, region.width))[axis]
        centres = (np.arange(start, start + count) + 0.5) * self._scale[axis] - 0.5
        return np.asarray(np.clip(centres, 0, self._share.shape[axis] - 1))

    def _span(self, axis: int, region: Region) -> tuple[int, int]:
        """First and last + 1 of the mask's pixels that interpolation in the region looks at."""
        positions = self._positions(axis, region)
        return int(positions[0]), min(int(positions[-1]) + 2, self._share.shape[axis])

    def _interpolate(self, region: Region) -> Floats:
        values = self._share
        for axis in (0, 1):
            positions = self._positions(axis, region)
            low = positions.astype(int)
            high = np.minimum(low + 1, self._share.shape[axis] - 1)
            part = (positions - low).astype(np.float32)
            part = part[:, None] if axis == 0 else part[None, :]
            values = (1 - part) * values.take(low, axis) + part * values.take(high, axis)
        return np.asarray(values)
