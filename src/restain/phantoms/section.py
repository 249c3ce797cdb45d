"""A window on a section: which tissue each pixel shows, and the warp between consecutive sections."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from restain.phantoms.cells import Box
from restain.phantoms.field import Array, Noise
from restain.phantoms.options import Consecutive
from restain.types import mix_seed

_WARP_SCALE = 140.0  # pixels between independent values of the smooth warp
_TURNS = 12  # fixed-point steps; the warp's slope is far below 1, so each gains about a decimal


@dataclass(frozen=True)
class Displacement:
    """IHC pixel (y, x) shows the tissue at H&E pixel (y + dy, x + dx).

    Attributes:
        warp: largest smooth displacement, pixels per axis; its pattern follows ``key``.
        shift: (dy, dx) in pixels.
        rotation: degrees, positive from the x axis towards y (clockwise on screen).
        centre: (y, x) of the rotation, pixels.
        key: random key of the smooth part.
    """

    warp: float
    shift: tuple[float, float]
    rotation: float
    centre: tuple[float, float]
    key: int

    @staticmethod
    def draw(spec: Consecutive, key: int, centre: tuple[float, float]) -> Displacement:
        """One random displacement within the bounds of ``spec``."""
        rng = np.random.default_rng(mix_seed(key, 2))
        shift_y, shift_x = rng.uniform(-spec.shift, spec.shift, size=2)
        rotation = float(rng.uniform(-spec.rotation, spec.rotation))
        return Displacement(spec.warp, (float(shift_y), float(shift_x)), rotation, centre, key)

    def at(self, y: Array, x: Array) -> tuple[Array, Array]:
        """(dy, dx) in pixels at IHC pixel positions, any shape."""
        angle = np.deg2rad(self.rotation)
        v, u = y - self.centre[0], x - self.centre[1]
        dy = np.sin(angle) * u + (np.cos(angle) - 1.0) * v + self.shift[0]
        dx = (np.cos(angle) - 1.0) * u - np.sin(angle) * v + self.shift[1]
        wave_y = Noise(mix_seed(self.key, 3), _WARP_SCALE).at(y, x)
        wave_x = Noise(mix_seed(self.key, 4), _WARP_SCALE).at(y, x)
        return dy + self.warp * np.tanh(0.7 * wave_y), dx + self.warp * np.tanh(0.7 * wave_x)

    def source_of(self, y: Array, x: Array) -> tuple[Array, Array]:
        """IHC pixel positions that show the given H&E pixel positions: the inverse of ``at``."""
        v, u = y.copy(), x.copy()
        for _ in range(_TURNS):
            dy, dx = self.at(v, u)
            v, u = y - dy, x - dx
        return v, u


class Motion(Protocol):
    """How a consecutive section lies on its slide; ``Displacement`` and ``Placement`` are two."""

    def at(self, y: Array, x: Array) -> tuple[Array, Array]:
        """(dy, dx) in pixels: IHC pixel (y, x) shows the tissue at H&E pixel (y + dy, x + dx)."""
        ...

    def source_of(self, y: Array, x: Array) -> tuple[Array, Array]:
        """IHC pixel positions that show the given H&E pixel positions."""
        ...


@dataclass(frozen=True)
class View:
    """A window of ``height`` x ``width`` pixels whose first pixel is (top, left) of the slide's plane.

    Attributes:
        mpp: microns per pixel.
        displacement: of a consecutive section, else None.
    """

    top: int
    left: int
    height: int
    width: int
    mpp: float
    displacement: Motion | None = None

    def grown(self, pixels: int) -> View:
        """The same window with a margin on every side."""
        return View(
            self.top - pixels,
            self.left - pixels,
            self.height + 2 * pixels,
            self.width + 2 * pixels,
            self.mpp,
            self.displacement,
        )

    def microns(self) -> tuple[Array, Array]:
        """The place in the tissue, (y, x) in microns, that each pixel shows; two arrays (height, width)."""
        rows = np.arange(self.top, self.top + self.height, dtype=np.float64)
        columns = np.arange(self.left, self.left + self.width, dtype=np.float64)
        y, x = (grid.copy() for grid in np.meshgrid(rows, columns, indexing="ij"))
        if self.displacement is not None:
            dy, dx = self.displacement.at(y, x)
            y, x = y + dy, x + dx
        return y * self.mpp, x * self.mpp

    def pixels(self, y: Array, x: Array) -> tuple[Array, Array]:
        """Row and column of this window, as floats, that show tissue places in microns."""
        v, u = y / self.mpp, x / self.mpp
        if self.displacement is not None:
            v, u = self.displacement.source_of(v, u)
        return v - self.top, u - self.left

    def box(self, margin: float) -> Box:
        """A rectangle in microns that holds all the tissue seen, and ``margin`` microns around it."""
        y, x = self.microns()
        return Box(y.min() - margin, x.min() - margin, y.max() + margin, x.max() + margin)
