"""What a virtual cell is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from restain.phantoms.field import Array, Integers


class Kind(IntEnum):
    """Cell kinds, as in the truth tables."""

    TUMOUR = 0
    FIBROBLAST = 1
    LYMPHOCYTE = 2


@dataclass(frozen=True)
class Cells:
    """Cells in drawing order, as columns; lengths in microns, angles in radians.

    ``long`` and ``short`` are the semi-axes of the nucleus, ``angle`` the direction of the long one from the x axis
    towards y, ``bend`` and ``taper`` its departure from an ellipse, ``coarseness`` the chromatin (about N(0, 1)),
    ``darkness`` the relative haematoxylin uptake, ``morphology`` the score m (tumour only, else NaN) and
    ``intensity`` the stain 0..3.
    """

    y: Array
    x: Array
    kind: Integers
    long: Array
    short: Array
    angle: Array
    bend: Array
    taper: Array
    coarseness: Array
    darkness: Array
    nucleolus_y: Array
    nucleolus_x: Array
    morphology: Array
    intensity: Integers
    replaced: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.y)

    @property
    def radius(self) -> Array:
        """Nuclear radius, microns: that of the circle of equal area."""
        return np.sqrt(self.long * self.short)

    def take(self, index: npt.NDArray[np.generic]) -> Cells:
        """Some of the cells, by mask or index."""
        return Cells(**{name: column[index] for name, column in vars(self).items()})

    def moved(self, down: float, right: float) -> Cells:
        """The same cells elsewhere."""
        return replace(self, y=self.y + down, x=self.x + right)

    def within(self, height: float, width: float) -> Cells:
        """The cells whose centres lie on the pixels of an image of this size."""
        keep = (self.y >= -0.5) & (self.y < height - 0.5) & (self.x >= -0.5) & (self.x < width - 0.5)
        return self.take(keep)


@dataclass(frozen=True)
class Box:
    """A rectangle in microns."""

    top: float
    left: float
    bottom: float
    right: float
