"""One virtual slide: its tissue, its stains and its scanner, looked at through any window."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from restain.images import RGB
from restain.phantoms.cells import Cells
from restain.phantoms.laboratory import Scanner, Style
from restain.phantoms.markers import RULES
from restain.phantoms.options import PhantomOptions
from restain.phantoms.population import Population
from restain.phantoms.render import Section, Stainer
from restain.phantoms.section import Displacement, View
from restain.phantoms.tissue import Anatomy, Tissue
from restain.types import mix_seed

_GAP = 64  # pixels between the fields of a slide
_TRIES = 24  # windows looked at per field before any is taken
_TUMOUR = (0.2, 0.85)  # share of the field
_MAX_EMPTY = 0.35  # glass, lumen and fat together


@dataclass(frozen=True)
class Field:
    """A rendered window with its truth.

    Attributes:
        he: the H&E.
        ihc: the IHC; of the consecutive section in that mode.
        aligned: in consecutive mode, the IHC of the H&E's own section; else None.
        tissue: label map of ``Tissue`` values, (height, width), of the H&E.
        cells: of the H&E's section, with y and x in pixels of the window.
        ihc_cells: of the consecutive section, in pixels of the IHC; else None.
    """

    he: RGB
    ihc: RGB
    aligned: RGB | None
    tissue: npt.NDArray[np.uint8]
    cells: Cells
    ihc_cells: Cells | None


class Slide:
    """A virtual slide.

    Args:
        marker: "her2", "er", "pr" or "ki67".
        key: the slide's random key.
        options: scanner, scale and consecutive mode.
        extent: (height, width) of a whole section in microns; None for an endless one to cut fields from.
    """

    def __init__(
        self, marker: str, key: int, options: PhantomOptions, extent: tuple[float, float] | None = None
    ) -> None:
        self.key = key
        self.options = options
        self.style = Style.draw(key, options.laboratory)
        self.anatomy = Anatomy(key, extent)
        self.scanner = Scanner(options.blur, options.noise)
        self.population = Population(self.anatomy, marker)
        turnover = 0.0 if options.consecutive is None else options.consecutive.turnover
        self.next_population = Population(self.anatomy, marker, turnover)
        self.stainer = Stainer(self.anatomy, self.style, RULES[marker].membranous)

    def displacement(self, view: View) -> Displacement | None:
        """How the consecutive section lies against the H&E when ``view`` is a field; None outside that mode."""
        if self.options.consecutive is None:
            return None
        centre = (view.top + 0.5 * (view.height - 1), view.left + 0.5 * (view.width - 1))
        return Displacement.draw(self.options.consecutive, mix_seed(self.key, view.top, view.left), centre)

    def render(self, view: View, displacement: Displacement | None = None) -> Field:
        """Both images of a window and its truth.

        Args:
            view: a window of the H&E section.
            displacement: of the consecutive section, which the IHC then shows.
        """
        section = Section.cut(self.population, view.grown(self.scanner.halo))
        halo = self.scanner.halo
        core = np.s_[halo : halo + view.height, halo : halo + view.width]
        he = self.scanner.scan(self.stainer.he_light(section), view, mix_seed(self.key, 10))
        ihc = self.scanner.scan(self.stainer.ihc_light(section), view, mix_seed(self.key, 11))
        labels, cells = section.plan.classes()[core], _in_window(section.cells, view)
        if displacement is None:
            return Field(he, ihc, None, labels, cells, None)
        warped = View(view.top, view.left, view.height, view.width, view.mpp, displacement)
        following = Section.cut(self.next_population, warped.grown(halo))
        light = self.stainer.ihc_light(following)
        next_ihc = self.scanner.scan(light, warped, mix_seed(self.key, 12))
        return Field(he, next_ihc, ihc, labels, cells, _in_window(following.cells, warped))

    def window(self, field: int, size: int) -> View:
        """A window for the ``field``-th field of the slide: one with enough tumour and not too much emptiness.

        Each field searches a stretch of the plane of its own, so it does not depend on the others.
        """
        views = [View(0, (field * _TRIES + i) * (size + _GAP), size, size, self.options.mpp) for i in range(_TRIES)]
        return next((view for view in views if self._worth_imaging(view)), views[0])

    def _worth_imaging(self, view: View) -> bool:
        step = np.arange(0.5, 20.0) / 20.0
        y, x = np.meshgrid(view.top + view.height * step, view.left + view.width * step, indexing="ij")
        counts = np.bincount(self.anatomy.plan(y * view.mpp, x * view.mpp).classes().ravel(), minlength=6)
        empty = counts[Tissue.GLASS] + counts[Tissue.LUMEN] + counts[Tissue.FAT]
        tumour = counts[Tissue.TUMOUR] / y.size
        return bool(_TUMOUR[0] <= tumour <= _TUMOUR[1] and empty <= _MAX_EMPTY * y.size)


def _in_window(cells: Cells, view: View) -> Cells:
    """The cells whose centres the window shows, with y and x turned from microns to its pixels."""
    row, column = view.pixels(cells.y, cells.x)
    return replace(cells, y=row, x=column).within(view.height, view.width)
