"""Architecture of a virtual slide: where there is tumour, lumen, stroma, fat, lymphocytes or bare glass."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from restain.phantoms.field import Array, Foam, Noise, Octaves
from restain.types import mix_seed

_FAT_FROM = 1.05  # of the fat field


class Tissue(IntEnum):
    """Classes of the label map; the values are those of its pixels."""

    GLASS = 0
    STROMA = 1
    TUMOUR = 2
    LUMEN = 3
    FAT = 4
    LYMPHOCYTES = 5


@dataclass(frozen=True)
class Growth:
    """How the tumour grows at a set of points; every array has the points' shape.

    Attributes:
        depth: microns inside a tumour nest, roughly; negative in the stroma.
        lumen: microns inside a gland's lumen, roughly; negative elsewhere.
        solid: about N(0, 1); high in solid nests, low in gland-forming tumour.
    """

    depth: Array
    lumen: Array
    solid: Array


@dataclass(frozen=True)
class Plan(Growth):
    """The architecture at a set of points; every array has the points' shape.

    Attributes:
        lymph: > 0 inside a lymphocyte aggregate.
        fat: > 0 inside adipose tissue, which is made of whole fat cells.
        fat_wall: microns from the wall between fat cells; meaningless outside them.
        vessel: microns inside a small blood vessel, roughly; negative elsewhere.
        tissue: > 0 where there is a section on the glass at all.
        grade: about N(0, 1); regional nuclear grade, which nuclei show by size and chromatin.
    """

    lymph: Array
    fat: Array
    fat_wall: Array
    vessel: Array
    tissue: Array
    grade: Array

    def classes(self) -> npt.NDArray[np.uint8]:
        """Label map of ``Tissue`` values."""
        labels = np.full(self.depth.shape, Tissue.STROMA, dtype=np.uint8)
        labels[self.lymph > 0] = Tissue.LYMPHOCYTES
        labels[self.fat > 0] = Tissue.FAT
        labels[self.depth > 0] = Tissue.TUMOUR
        labels[(self.lumen > 0) | (self.vessel > 0)] = Tissue.LUMEN
        labels[self.tissue <= 0] = Tissue.GLASS
        return labels


class Anatomy:
    """One virtual slide's tissue: an endless plane, or a piece of it when ``extent`` is given.

    Args:
        key: the slide's random key; everything follows from it.
        extent: (height, width) in microns of a whole section, whose outline is then irregular; None for fields
            cut out of the middle of a section.
    """

    def __init__(self, key: int, extent: tuple[float, float] | None = None) -> None:
        self.key = key
        self.extent = extent
        rng = np.random.default_rng(mix_seed(key, 1))
        self.grade = float(rng.normal(0.0, 0.6))  # of the whole tumour
        self.solid = float(rng.normal(0.0, 0.7))
        self.cellularity = float(rng.normal(-0.05, 0.25))  # how much of the field the tumour fills
        self.inflammation = float(rng.normal(0.0, 0.35))
        self.fibre_angle = float(rng.uniform(0.0, np.pi))
        self._nests = self._octaves("nests", (75.0, 1.0), (30.0, 0.5), (11.0, 0.12))
        self._lumens = self._octaves("lumens", (26.0, 1.0), (9.0, 0.2))
        self._lymph = self._octaves("lymph", (90.0, 1.0), (22.0, 0.35))
        self._fat = self._octaves("fat", (260.0, 1.0), (60.0, 0.3))
        self._cleft = self.noise("cleft", 34.0)
        self._crack = self._octaves("crack", (160.0, 1.0), (24.0, 0.06))
        self._torn = self.noise("torn", 210.0)
        self._solid = self.noise("solid", 170.0)
        self._grade = self.noise("grade", 140.0)
        self._outline = self._octaves("outline", (320.0, 1.0), (70.0, 0.2), (15.0, 0.03))
        self._bend = self._octaves("bend", (60.0, 1.0), (14.0, 0.16))
        self._vessel = self._octaves("vessel", (24.0, 1.0), (7.0, 0.12))
        self._adipocytes = Foam(self.seed("adipocytes"), 46.0)
        self._fat_ripple = (self.noise("fat-y", 24.0), self.noise("fat-x", 24.0))

    def seed(self, name: str) -> int:
        """A random key of this slide, by name."""
        return mix_seed(self.key, *name.encode())

    def noise(self, name: str, scale: float) -> Noise:
        """A named smooth field of this slide; ``scale`` in microns."""
        return Noise(self.seed(name), scale)

    def _octaves(self, name: str, *octaves: tuple[float, float]) -> Octaves:
        return Octaves(tuple((self.noise(f"{name}-{i}", scale), weight) for i, (scale, weight) in enumerate(octaves)))

    def growth(self, y: Array, x: Array) -> Growth:
        """How the tumour grows at points in microns, any shape."""
        nests = self._nests
        depth = (nests.at(y, x) + self.cellularity) / nests.slope
        solid = self.solid + 0.7 * self._solid.at(y, x)
        openness = 0.85 + 0.5 * np.clip(solid, -1.5, 2.5)
        lumen = np.minimum((self._lumens.at(y, x) - openness) / self._lumens.slope, depth - 13.0)
        return Growth(depth=depth, lumen=lumen, solid=solid)

    def plan(self, y: Array, x: Array) -> Plan:
        """The architecture at points in microns, any shape."""
        growth = self.growth(y, x)
        depth = growth.depth
        fat, fat_wall = self._adipose(y, x, depth)
        stroma = (depth < -4.0) & (fat < 0)
        lymph = np.where(stroma, self._lymph.at(y, x) + self.inflammation - 1.15, -1.0)
        vessel = (self._vessel.at(y, x) - 1.75) / self._vessel.slope
        vessel = np.where(fat < 0, np.minimum(vessel, -10.0 - depth), -10.0)
        return Plan(
            **vars(growth),
            lymph=lymph,
            fat=fat,
            fat_wall=fat_wall,
            vessel=vessel,
            tissue=self._tissue(y, x, depth),
            grade=self.grade + 0.8 * self._grade.at(y, x),
        )

    def _adipose(self, y: Array, x: Array, depth: Array) -> tuple[Array, Array]:
        """Whether a place is in a fat cell (+1 or -1), and microns to the cell's wall.

        A fat cell is there, whole, where its centre lies in fat, so that fat borders the stroma in scallops.
        """
        fat, wall = np.full(y.shape, -1.0), np.full(y.shape, np.inf)
        maybe = (depth < -2.0) & (self._fat.at(y, x) > _FAT_FROM - 0.7)
        y, x = y[maybe], x[maybe]
        cell = self._adipocytes.at(y + 5.0 * self._fat_ripple[0].at(y, x), x + 5.0 * self._fat_ripple[1].at(y, x))
        tumour = (self._nests.at(cell.y, cell.x) + self.cellularity) / self._nests.slope
        fat[maybe] = np.where((self._fat.at(cell.y, cell.x) > _FAT_FROM) & (tumour < -14.0), 1.0, -1.0)
        # Corners, far from the centre, are rounded off by a thicker wall.
        wall[maybe] = 0.5 * (cell.second - cell.first) - 0.000012 * cell.first**3
        return fat, wall

    def _tissue(self, y: Array, x: Array, depth: Array) -> Array:
        """Microns inside the section: away from retraction clefts around nests, tears and the outline."""
        cleft = np.abs(depth + 2.2) - 3.2 * np.maximum(self._cleft.at(y, x) - 0.75, -1.0)
        gape = 0.10 * (self._torn.at(y, x) - 1.5)
        tear = (np.abs(self._crack.at(y, x)) - gape) / self._crack.slope
        inside = np.minimum(cleft, tear)
        if self.extent is None:
            return np.asarray(inside)
        height, width = self.extent
        rim = np.minimum(np.minimum(y, height - y) / height, np.minimum(x, width - x) / width)
        side = min(height, width)
        wave = np.clip(self._outline.at(y, x), -1.8, 1.8)  # never as far as the margin, so glass is all around
        outline = (rim - 0.07) * side + min(60.0, 0.03 * side) * wave
        return np.minimum(inside, outline)

    def fibre_height(self, y: Array, x: Array, depth: Array) -> Array:
        """A height in microns whose contour lines are the collagen fibres: wavy, and bent around the nests."""
        across = y * np.cos(self.fibre_angle) - x * np.sin(self.fibre_angle)
        return np.asarray(across + 15.0 * self._bend.at(y, x) - 0.45 * np.clip(depth, -45.0, 5.0))

    def fibre_length(self, y: Array, x: Array) -> Array:
        """Microns along the mean fibre direction."""
        return np.asarray(y * np.sin(self.fibre_angle) + x * np.cos(self.fibre_angle))
