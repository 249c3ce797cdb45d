"""From tissue to light: how much of each stain lies where, and what a scanner makes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from restain.data.phantom.cells import Cells, Kind, Population
from restain.data.phantom.field import Array, hash_normal
from restain.data.phantom.raster import REACH, Territory, territories
from restain.data.phantom.section import View
from restain.data.phantom.tissue import Anatomy, Plan
from restain.images import RGB
from restain.stains import DAB, HEMATOXYLIN, compose
from restain.types import mix_seed

_EOSIN = (0.13, 0.84, 0.44)  # between Fiji's eosin and the pinks of scanned slides
_HE_HEMATOXYLIN = (0.60, 0.72, 0.34)
_MARGIN = REACH + 6.0  # microns beyond a window from which cells may reach into it
_DAB_OF_SCORE = np.array([0.0, 0.24, 0.55, 1.05])  # optical density of 0, 1+, 2+, 3+ staining


@dataclass(frozen=True)
class Style:
    """How one laboratory stained and scanned one slide.

    Attributes:
        he_vectors: (2, 3) unit optical-density vectors of haematoxylin and eosin in the H&E.
        ihc_vectors: (2, 3) of haematoxylin and DAB in the IHC.
        he_strength: (haematoxylin, eosin) relative to the standard recipe.
        ihc_strength: (haematoxylin, DAB).
        basophilia: haematoxylin in tumour cytoplasm, optical density.
        background: unspecific DAB in tumour cytoplasm, optical density.
        he_white: transmitted fraction of bare glass per channel, H&E.
        ihc_white: the same, IHC.
    """

    he_vectors: npt.NDArray[np.float64]
    ihc_vectors: npt.NDArray[np.float64]
    he_strength: tuple[float, float]
    ihc_strength: tuple[float, float]
    basophilia: float
    background: float
    he_white: npt.NDArray[np.float64]
    ihc_white: npt.NDArray[np.float64]

    def values(self) -> dict[str, Any]:
        """The same as plain numbers and lists, for JSON."""
        return {name: np.asarray(value).round(6).tolist() for name, value in vars(self).items()}

    @staticmethod
    def draw(key: int) -> Style:
        """The random style of a slide."""
        rng = np.random.default_rng(mix_seed(key, 5))

        def vectors(*stains: tuple[float, float, float]) -> npt.NDArray[np.float64]:
            rows = np.array(stains) + rng.normal(0.0, 0.018, size=(len(stains), 3))
            rows = np.maximum(rows, 0.0)
            return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))

        def strengths(spread: float) -> tuple[float, float]:
            first, second = np.exp(rng.normal(0.0, spread, size=2))
            return float(first), float(second)

        return Style(
            he_vectors=vectors(_HE_HEMATOXYLIN, _EOSIN),
            ihc_vectors=vectors(HEMATOXYLIN, DAB),
            he_strength=strengths(0.12),
            ihc_strength=strengths(0.10),
            basophilia=float(rng.uniform(0.06, 0.17)),
            background=float(rng.uniform(0.0, 0.035)),
            he_white=0.965 + rng.uniform(-0.02, 0.02) + rng.uniform(-0.006, 0.006, size=3),
            ihc_white=0.97 + rng.uniform(-0.015, 0.015) + rng.uniform(-0.006, 0.006, size=3),
        )


@dataclass(frozen=True)
class Scanner:
    """The instrument.

    Attributes:
        blur: standard deviation of the point spread, pixels.
        noise: standard deviation of the noise on white, grey levels of 255; darker pixels have less, as photons do.
    """

    blur: float
    noise: float

    @property
    def halo(self) -> int:
        """Pixels around a window that its blur needs."""
        return int(np.ceil(3.0 * self.blur)) + 1

    def scan(self, light: Array, view: View, key: int) -> RGB:
        """Image of a window, from transmitted light (h + 2 halo, w + 2 halo, 3) in 0..1 with its halo."""
        if self.blur > 0:
            light = ndimage.gaussian_filter(light, (self.blur, self.blur, 0), truncate=3.0)
        core = light[self.halo : self.halo + view.height, self.halo : self.halo + view.width]
        levels = 255.0 * core
        if self.noise > 0:
            rows = np.arange(view.top, view.top + view.height)[:, None]
            columns = np.arange(view.left, view.left + view.width)[None, :]
            grain = [hash_normal(mix_seed(key, channel), rows, columns) for channel in range(3)]
            levels = levels + self.noise * np.sqrt(core) * np.stack(grain, axis=-1)
        return np.clip(np.rint(levels), 0, 255).astype(np.uint8)


@dataclass(frozen=True)
class Section:
    """The tissue that a window sees: everything that staining needs and truth records."""

    view: View
    plan: Plan
    cells: Cells
    territory: Territory
    y: Array  # microns, (height, width)
    x: Array

    @staticmethod
    def cut(population: Population, view: View) -> Section:
        """Cut the section that ``view`` looks at."""
        y, x = view.microns()
        cells = population.inside(view.box(_MARGIN))
        plan = population.anatomy.plan(y, x)
        return Section(view, plan, cells, territories(cells, population.anatomy, view, y, x), y, x)

    def per_pixel(self, column: npt.NDArray[np.generic], owner: npt.NDArray[np.int64], none: float) -> Array:
        """A cell property spread over the pixels that belong to the cell."""
        return np.append(column.astype(np.float64), none)[owner]


class Stainer:
    """Stains sections of one slide."""

    def __init__(self, anatomy: Anatomy, style: Style, membranous: bool) -> None:
        self.anatomy, self.style, self.membranous = anatomy, style, membranous

    def he(self, section: Section) -> Array:
        """Haematoxylin and eosin, optical density along their vectors, (height, width, 2)."""
        masks = self._masks(section)
        hematoxylin, eosin = self._matrix(section, masks)
        nuclear = self._nuclear(section)
        inside = masks.nucleus
        hematoxylin = hematoxylin * (1.0 - inside) + nuclear * inside
        eosin = eosin * (1.0 - inside) + 0.12 * inside
        amounts = np.stack([hematoxylin, eosin], axis=-1) * np.asarray(self.style.he_strength)
        return np.asarray(np.maximum(amounts * self._thickness(section)[..., None], 0.0))

    def ihc(self, section: Section) -> Array:
        """Haematoxylin and DAB, optical density along their vectors, (height, width, 2)."""
        masks = self._masks(section)
        inside = masks.nucleus
        score = section.per_pixel(section.cells.intensity, section.territory.owner, 0.0).astype(np.int64)
        nucleus_score = section.per_pixel(section.cells.intensity, section.territory.nucleus, 0.0)
        background = self.style.background * masks.tumour * (1.0 - inside)
        if self.membranous:
            dab = self._membrane(section, score) * masks.tumour * (1.0 - inside) + background
            uptake = np.full(inside.shape, 0.55)
        else:
            texture = 0.85 + 0.13 * self._noise(section, "dab", 1.6)
            dab = _DAB_OF_SCORE[nucleus_score.astype(np.int64)] * texture * inside + background
            uptake = 0.55 - 0.12 * nucleus_score  # a strong precipitate hides the counterstain
        hematoxylin = self._nuclear(section) * inside * uptake
        hematoxylin += (0.14 * masks.stroma * self._fibres(section) + 0.03 * masks.tumour) * (1.0 - inside)
        amounts = np.stack([hematoxylin, dab], axis=-1) * np.asarray(self.style.ihc_strength)
        return np.asarray(np.maximum(amounts * self._thickness(section)[..., None], 0.0))

    def he_light(self, section: Section) -> Array:
        """Light through the H&E, (height, width, 3) in 0..1."""
        return compose(self.he(section), self.style.he_vectors) * self.style.he_white

    def ihc_light(self, section: Section) -> Array:
        """Light through the IHC, (height, width, 3) in 0..1."""
        return compose(self.ihc(section), self.style.ihc_vectors) * self.style.ihc_white

    def _noise(self, section: Section, name: str, scale: float) -> Array:
        return self.anatomy.noise(name, scale).at(section.y, section.x)

    def _thickness(self, section: Section) -> Array:
        return 1.0 + 0.07 * self._noise(section, "thickness", 110.0)

    def _masks(self, section: Section) -> _Masks:
        plan, soft = section.plan, max(1.0, section.view.mpp)
        tissue = _ramp(plan.tissue, soft)
        lumen = _ramp(plan.lumen, soft)
        tumour = _ramp(plan.depth, soft) * (1.0 - lumen) * tissue
        fat = (plan.fat > 0) * (1.0 - _ramp(plan.depth, soft)) * tissue
        stroma = (1.0 - _ramp(plan.depth, soft)) * (1.0 - fat) * tissue
        nucleus = _ramp(-section.territory.edge, max(0.8, section.view.mpp)) * tissue
        return _Masks(tumour, stroma, fat, nucleus)

    def _matrix(self, section: Section, masks: _Masks) -> tuple[Array, Array]:
        """Haematoxylin and eosin of everything but the nuclei."""
        plan = section.plan
        grain = self._noise(section, "grain", 1.5)
        cloud = self._noise(section, "cloud", 9.0)
        fibre = self._fibres(section)
        rim = np.exp(-((section.territory.border / 0.55) ** 2))
        apical = np.exp(-np.abs(plan.lumen) / 2.0)
        cytoplasm = 0.26 + 0.035 * grain + 0.05 * cloud + 0.07 * rim + 0.06 * apical
        basophilia = self.style.basophilia * (1.0 + 0.25 * plan.grade.clip(-2, 2) + 0.2 * cloud + 0.15 * grain)
        inflamed = _ramp(plan.lymph, 0.3)
        collagen = fibre * (1.0 - 0.55 * inflamed)
        basement = 0.10 * np.exp(-(((plan.depth + 1.0) / 0.8) ** 2))
        eosin = masks.tumour * cytoplasm + masks.stroma * (collagen + basement)
        hematoxylin = masks.tumour * basophilia + masks.stroma * (0.03 + 0.07 * inflamed + 0.06 * fibre)
        if np.any(masks.fat > 0):
            wall = np.zeros(masks.fat.shape)
            there = masks.fat > 0
            y = section.y + 5.0 * self._noise(section, "fat-y", 24.0)
            x = section.x + 5.0 * self._noise(section, "fat-x", 24.0)
            first, second = self.anatomy.adipocytes.at(y[there], x[there])
            wall[there] = np.exp(-(((second - first) / (1.1 + 0.00006 * first**3)) ** 2))
            eosin = eosin + masks.fat * 0.32 * wall
            hematoxylin = hematoxylin + masks.fat * 0.06 * wall
        return hematoxylin, eosin

    def _fibres(self, section: Section) -> Array:
        """Eosin of collagen: fibres along the contour lines of the fibre height, dense in places."""
        height = self.anatomy.fibre_height(section.y, section.x, section.plan.depth)
        length = self.anatomy.fibre_length(section.y, section.x)
        # Waves within a bundle keep neighbouring fibres apart instead of melting them into marble.
        height = height + 0.8 * self._noise(section, "crimp", 6.0)
        thread = self.anatomy.noise("fibre-thread", 1.0).at(height / 0.9, length / 9.0)
        thin = self.anatomy.noise("fibre-thin", 1.0).at(height / 2.1, length / 24.0)
        thick = self.anatomy.noise("fibre-thick", 1.0).at(height / 7.0, length / 70.0)
        density = np.exp(0.30 * self._noise(section, "density", 60.0) - 0.05)
        bundle = 0.5 + 0.5 * np.tanh(0.55 * thick + 0.6 * thin + 0.5 * thread + 0.25)
        return np.asarray(density * (0.055 + 0.24 * bundle))

    def _nuclear(self, section: Section) -> Array:
        """Haematoxylin inside nuclei: membrane, chromatin and nucleoli; meaningless outside them."""
        cells, territory = section.cells, section.territory
        which = territory.nucleus
        kind = section.per_pixel(cells.kind, which, float(Kind.LYMPHOCYTE))
        coarse = np.clip(section.per_pixel(cells.coarseness, which, 0.0), -2.0, 2.5)
        darkness = section.per_pixel(cells.darkness, which, 1.0)
        tumour = kind == Kind.TUMOUR
        rim = np.exp(-(((territory.edge + 0.55) / 0.5) ** 2))
        fine, clumps = self._noise(section, "chromatin", 0.95), self._noise(section, "clumps", 2.1)
        vesicular = 0.47 + 0.05 * fine + (0.09 + 0.06 * coarse) * clumps + (0.20 + 0.05 * coarse) * rim
        dense = np.where(kind == Kind.LYMPHOCYTE, 0.98, 0.72) + 0.06 * fine + 0.12 * clumps + 0.08 * rim
        dy = section.y - section.per_pixel(cells.y + cells.nucleolus_y, which, 0.0)
        dx = section.x - section.per_pixel(cells.x + cells.nucleolus_x, which, 0.0)
        size = 0.75 + 0.18 * coarse
        nucleolus = np.exp(-((dy * dy + dx * dx) / (size * size)))
        vesicular = vesicular + (0.22 + 0.12 * coarse) * nucleolus
        return np.asarray(darkness * np.where(tumour, vesicular, dense))

    def _membrane(self, section: Section, score: npt.NDArray[np.int64]) -> Array:
        """DAB on cell membranes: 1+ faint and broken, 2+ mostly complete, 3+ strong and complete."""
        territory, plan = section.territory, section.plan
        free = np.minimum(np.abs(plan.depth), 1e3)  # the border towards the stroma is membrane too
        border = np.minimum(np.abs(territory.border), free)
        width = np.array([0.5, 0.55, 0.65, 0.85])[score]
        ring = np.exp(-((border / width) ** 2))
        gaps = np.array([0.0, 0.1, 0.9, 3.0])[score]
        complete = np.clip(0.5 + gaps + self._noise(section, "membrane", 4.0), 0.0, 1.0)
        diffuse = np.array([0.0, 0.02, 0.08, 0.20])[score]
        grain = 1.0 + 0.12 * self._noise(section, "dab", 1.6)
        return np.asarray(grain * (_DAB_OF_SCORE[score] * ring * complete + diffuse))


@dataclass(frozen=True)
class _Masks:
    """How much of each pixel is what, 0..1; nuclei lie on top of the others."""

    tumour: Array
    stroma: Array
    fat: Array
    nucleus: Array


def _ramp(distance: Array, width: float) -> Array:
    """0 outside, 1 inside, linear over ``width`` around distance 0."""
    return np.asarray(np.clip(0.5 + distance / width, 0.0, 1.0))
