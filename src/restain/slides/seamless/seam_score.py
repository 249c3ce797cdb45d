"""Do the borders of the tiles show? Grey levels across them, against grey levels beside them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np

from restain.images import RGB
from restain.stains import Floats

# Steps are compared 4 and 8 pixels away, so that they have the border's own phase in the network's coarse lattice: the
# pattern of 4 pixels that an upsampling network may leave then cancels.
_BESIDE = (-8, -4, 4, 8)
_REACH = 9  # lines of a tile that are looked at


@dataclass(frozen=True)
class SeamScore:
    """What the borders of a slide's tiles look like. Grey levels, averaged over R, G and B.

    Attributes:
        borders: how many were measured: those between two stained tiles, both at least 9 pixels deep.
        step: mean absolute difference of the two pixels on either side of a border.
        step_beside: the same between neighbouring pixels 4 and 8 pixels from a border.
        jump: mean over borders of the absolute *mean* difference along one border, beyond the slope around it. Texture
            averages out along a border, so this is the edge that the eye sees.
        jump_beside: the same 4 pixels beside the borders: what is left of the texture.
        worst_jump: the largest single jump.
    """

    borders: int
    step: float
    step_beside: float
    jump: float
    jump_beside: float
    worst_jump: float

    @property
    def score(self) -> float | None:
        """``step / step_beside``: 1 where borders look like the rest; None where there is no texture."""
        return self.step / self.step_beside if self.step_beside else None

    @property
    def excess(self) -> float:
        """``step - step_beside``: grey levels that the tiling adds."""
        return self.step - self.step_beside


class SeamMeter:
    """Measures a slide band by band; keeps the lowest 9 lines of one band, and sums."""

    def __init__(self) -> None:
        self._above: list[RGB | None] = []
        self._pixels = 0
        self._steps = np.zeros(2)  # sums over pixels along borders: at them, beside them
        self._jumps: list[tuple[float, float]] = []

    def add_band(self, tiles: Iterable[RGB | None]) -> None:
        """Measure one row of tiles, left to right, uint8 (height, width, 3); None is background that was not stained.

        Of an iterator, no more than two tiles are held at a time.
        """
        lowest: list[RGB | None] = []
        left: RGB | None = None
        for tile, upper in zip_longest(tiles, self._above):
            if left is not None and tile is not None:
                self._measure(left.swapaxes(0, 1), tile.swapaxes(0, 1))
            if upper is not None and tile is not None:
                self._measure(upper, tile)
            lowest.append(None if tile is None else tile[-_REACH:].copy())
            left = tile
        self._above = lowest

    def score(self) -> SeamScore | None:
        """Of all bands so far; None where no border has been measured."""
        if not self._jumps:
            return None
        step, beside = (self._steps / self._pixels).tolist()
        jumps, jumps_beside = np.array(self._jumps).T
        return SeamScore(
            borders=len(self._jumps),
            step=step,
            step_beside=beside,
            jump=float(jumps.mean()),
            jump_beside=float(jumps_beside.mean()),
            worst_jump=float(jumps.max()),
        )

    def _measure(self, upper: RGB, lower: RGB) -> None:
        """The border between the last line of ``upper`` and the first of ``lower``, (lines, pixels along it, 3)."""
        if min(len(upper), len(lower)) < _REACH:
            return
        strip = np.concatenate([upper[-_REACH:], lower[:_REACH]]).astype(np.float32)
        steps = np.diff(strip, axis=0)
        at = steps[_REACH - 1]
        beside = steps[[_REACH - 1 + distance for distance in _BESIDE]]
        self._steps += at.shape[0] * np.array([np.abs(at).mean(), np.abs(beside).mean()])
        self._pixels += at.shape[0]
        self._jumps.append((_jump(at, beside), _jump(beside[2], np.stack([beside[1], beside[3], at]))))


def _jump(step: Floats, around: Floats) -> float:
    """How far the mean step along a line, (pixels, 3), is from those of the lines around it, (lines, pixels, 3)."""
    return float(np.abs(step.mean(axis=0) - around.mean(axis=(0, 1))).mean())
