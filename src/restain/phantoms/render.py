"""From tissue to stain: how much of each dye lies where, and the light that passes through."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from restain.phantoms.cells import Cells, Kind
from restain.phantoms.field import Array, Foam
from restain.phantoms.laboratory import Style
from restain.phantoms.population import Population
from restain.phantoms.raster import REACH, Territory, territories
from restain.phantoms.section import View
from restain.phantoms.tissue import Anatomy, Plan
from restain.stains import compose

_MARGIN = REACH + 6.0  # microns beyond a window from which cells may reach into it
_DAB_OF_SCORE = np.array([0.0, 0.24, 0.55, 1.05])  # optical density of 0, 1+, 2+, 3+ staining


@dataclass(frozen=True)
class Section:
    """The tissue that a window sees: everything that staining needs and truth records.

    Arrays are (height, width); ``tumour``, ``stroma``, ``fat`` and ``nucleus`` say how much of each pixel is what,
    0..1, with nuclei lying on top of the others.
    """

    plan: Plan
    cells: Cells
    territory: Territory
    y: Array  # microns
    x: Array
    tumour: Array
    stroma: Array
    fat: Array
    nucleus: Array
    collagen: Array  # eosin of the fibres, optical density, wherever there is stroma
    chromatin: Array  # haematoxylin inside nuclei, optical density; meaningless outside them
    thickness: Array  # relative

    @staticmethod
    def cut(population: Population, view: View) -> Section:
        """Cut the section that ``view`` looks at."""
        anatomy = population.anatomy
        y, x = view.microns()
        cells = population.inside(view.box(_MARGIN))
        plan = anatomy.plan(y, x)
        territory = territories(cells, anatomy, view, y, x)
        soft = max(1.0, view.mpp)
        tissue = _ramp(plan.tissue, soft)
        tumour = _ramp(plan.depth, soft)
        fat = (plan.fat > 0) * (1.0 - tumour)
        return Section(
            plan=plan,
            cells=cells,
            territory=territory,
            y=y,
            x=x,
            tumour=tumour * (1.0 - _ramp(plan.lumen, soft)) * tissue,
            stroma=(1.0 - tumour) * (1.0 - fat) * (1.0 - _ramp(plan.vessel, soft)) * tissue,
            fat=fat * tissue,
            nucleus=_ramp(-territory.edge, max(0.8, view.mpp)) * tissue,
            collagen=_collagen(anatomy, plan, y, x),
            chromatin=_chromatin(anatomy, cells, territory, y, x),
            thickness=1.0 + 0.07 * anatomy.noise("thickness", 110.0).at(y, x),
        )

    def scores(self, owner: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Stain intensity 0..3 of the cell that owns each pixel."""
        return _spread(self.cells.intensity, owner, 0.0).astype(np.int64)


class Stainer:
    """Stains sections of one slide."""

    def __init__(self, anatomy: Anatomy, style: Style, membranous: bool) -> None:
        self.anatomy, self.style, self.membranous = anatomy, style, membranous
        self._red_cells = Foam(anatomy.seed("red-cells"), 6.0, jitter=0.8)

    def he(self, section: Section) -> Array:
        """Haematoxylin and eosin, optical density along their vectors, (height, width, 2)."""
        inside, plan = section.nucleus, section.plan
        grain = self._noise(section, "grain", 1.4)
        cloud = self._noise(section, "cloud", 9.0)
        rim = np.exp(-((section.territory.border / 0.55) ** 2))
        apical = np.exp(-np.abs(plan.lumen) / 2.0)
        cytoplasm = 0.23 + 0.035 * grain + 0.05 * cloud + 0.06 * rim + 0.06 * apical
        basophilia = self.style.basophilia * (1.0 + 0.25 * plan.grade.clip(-2, 2) + 0.2 * cloud + 0.15 * grain)
        inflamed = _ramp(plan.lymph, 0.3)
        fibres = section.collagen * (1.0 + 0.16 * grain)
        # A basement membrane runs along the nests, a wall along the vessels.
        membrane = 0.08 * np.exp(-(((plan.depth + 1.0) / 0.8) ** 2))
        wall = 0.12 * np.exp(-(((plan.vessel + 1.2) / 1.2) ** 2))
        fat_wall = np.exp(-((np.maximum(section.plan.fat_wall, 0.0) / 0.7) ** 2))

        eosin = section.tumour * cytoplasm + section.fat * 0.26 * fat_wall
        eosin += section.stroma * (fibres * (1.0 - 0.55 * inflamed) + membrane + wall) + self._blood(section)
        hematoxylin = section.tumour * basophilia + section.fat * 0.05 * fat_wall
        hematoxylin += section.stroma * (0.025 + 0.09 * inflamed + 0.18 * fibres)
        hematoxylin = hematoxylin * (1.0 - inside) + section.chromatin * inside
        eosin = eosin * (1.0 - inside) + 0.11 * inside
        return _doses(section, hematoxylin, eosin, self.style.he_strength)

    def ihc(self, section: Section) -> Array:
        """Haematoxylin and DAB, optical density along their vectors, (height, width, 2)."""
        inside = section.nucleus
        grain = 1.0 + 0.15 * self._noise(section, "dab", 1.7)
        nuclear = np.zeros(inside.shape)
        dab = self.style.background * section.tumour * (1.0 - inside)
        if self.membranous:
            dab += self._membrane(section) * grain * section.tumour * (1.0 - inside)
        else:
            nuclear = _DAB_OF_SCORE[section.scores(section.territory.nucleus)]
            dab += nuclear * grain * inside
        uptake = 0.55 - 0.33 * nuclear  # a strong precipitate hides the counterstain
        fat_wall = np.exp(-((np.maximum(section.plan.fat_wall, 0.0) / 0.7) ** 2))
        pale = 0.15 * section.stroma * section.collagen + 0.03 * section.tumour + 0.04 * section.fat * fat_wall
        hematoxylin = section.chromatin * inside * uptake + pale * (1.0 - inside)
        return _doses(section, hematoxylin, dab, self.style.ihc_strength)

    def he_light(self, section: Section) -> Array:
        """Light through the H&E, (height, width, 3) in 0..1."""
        return compose(self.he(section), self.style.he_vectors) * self.style.he_white

    def ihc_light(self, section: Section) -> Array:
        """Light through the IHC, (height, width, 3) in 0..1."""
        return compose(self.ihc(section), self.style.ihc_vectors) * self.style.ihc_white

    def _noise(self, section: Section, name: str, scale: float) -> Array:
        return self.anatomy.noise(name, scale).at(section.y, section.x)

    def _blood(self, section: Section) -> Array:
        """Eosin of the red cells that lie in vessels."""
        eosin = np.zeros(section.y.shape)
        there = (section.plan.vessel > 0.5) & (section.plan.tissue > 0)
        first = self._red_cells.at(section.y[there], section.x[there]).first
        filled = _ramp(self.anatomy.noise("blood", 9.0).at(section.y[there], section.x[there]) + 0.5, 0.5)
        eosin[there] = 0.05 + filled * 0.36 * _ramp(3.1 - first, 1.1) * (0.7 + 0.12 * first)
        return eosin

    def _membrane(self, section: Section) -> Array:
        """DAB on cell membranes: 1+ faint and broken, 2+ mostly complete, 3+ strong and complete."""
        score = section.scores(section.territory.owner)
        # The border towards the stroma is membrane too.
        border = np.minimum(np.abs(section.territory.border), np.abs(section.plan.depth))
        width = np.array([0.5, 0.55, 0.65, 0.85])[score]
        gaps = np.array([0.0, 0.1, 0.9, 3.0])[score]
        complete = np.clip(0.5 + gaps + self._noise(section, "membrane", 4.0), 0.0, 1.0)
        diffuse = np.array([0.0, 0.02, 0.08, 0.18])[score]
        return np.asarray(_DAB_OF_SCORE[score] * np.exp(-((border / width) ** 2)) * complete + diffuse)


def _doses(section: Section, first: Array, second: Array, strength: tuple[float, float]) -> Array:
    amounts = np.stack([first * strength[0], second * strength[1]], axis=-1)
    return np.asarray(np.maximum(amounts * section.thickness[..., None], 0.0))


def _collagen(anatomy: Anatomy, plan: Plan, y: Array, x: Array) -> Array:
    """Eosin of collagen: fibres along the contour lines of the fibre height, denser in places."""
    # Crimp keeps neighbouring fibres apart, which would else melt into marble.
    height = anatomy.fibre_height(y, x, plan.depth) + 0.9 * anatomy.noise("crimp", 6.0).at(y, x)
    length = anatomy.fibre_length(y, x)
    thread = anatomy.noise("fibre-thread", 1.0).at(height / 0.9, length / 9.0)
    thin = anatomy.noise("fibre-thin", 1.0).at(height / 2.1, length / 20.0)
    thick = anatomy.noise("fibre-thick", 1.0).at(height / 7.0, length / 60.0)
    density = np.exp(0.28 * anatomy.noise("density", 60.0).at(y, x) - 0.05)
    bundle = 0.5 + 0.5 * np.tanh(0.35 * thick + 0.5 * thin + 0.5 * thread + 0.3)
    return np.asarray(density * (0.06 + 0.20 * bundle))


def _chromatin(anatomy: Anatomy, cells: Cells, territory: Territory, y: Array, x: Array) -> Array:
    """Haematoxylin inside nuclei: membrane, chromatin and, in tumour, nucleoli."""
    which = territory.nucleus
    kind = _spread(cells.kind, which, float(Kind.LYMPHOCYTE))
    coarse = np.clip(_spread(cells.coarseness, which, 0.0), -2.0, 2.5)
    rim = np.exp(-(((territory.edge + 0.55) / 0.5) ** 2))
    fine, clumps = anatomy.noise("chromatin", 0.95).at(y, x), anatomy.noise("clumps", 1.9).at(y, x)
    dy = y - _spread(cells.y + cells.nucleolus_y, which, 0.0)
    dx = x - _spread(cells.x + cells.nucleolus_x, which, 0.0)
    nucleolus = np.exp(-((dy * dy + dx * dx) / (0.75 + 0.18 * coarse) ** 2))
    vesicular = 0.40 + 0.08 * fine + (0.10 + 0.05 * coarse) * clumps + (0.24 + 0.05 * coarse) * rim
    vesicular += (0.24 + 0.12 * coarse) * nucleolus
    dense = np.where(kind == Kind.LYMPHOCYTE, 0.86, 0.70) + 0.06 * fine + 0.14 * clumps + 0.10 * rim
    return _spread(cells.darkness, which, 1.0) * np.where(kind == Kind.TUMOUR, vesicular, dense)


def _spread(column: npt.NDArray[np.generic], owner: npt.NDArray[np.int64], none: float) -> Array:
    """A cell property spread over the pixels that belong to the cell; ``none`` where no cell does."""
    return np.append(column.astype(np.float64), none)[owner]


def _ramp(distance: Array, width: float) -> Array:
    """0 outside, 1 inside, linear over ``width`` around distance 0."""
    return np.asarray(np.clip(0.5 + distance / width, 0.0, 1.0))
