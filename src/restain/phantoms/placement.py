"""A consecutive section on a slide of its own: turned, perhaps face down, shifted, warped, scanned at another scale."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from restain.images import RGB
from restain.phantoms.field import Array, Noise
from restain.phantoms.options import Consecutive, PhantomOptions
from restain.phantoms.population import Population
from restain.phantoms.render import Section
from restain.phantoms.section import View
from restain.phantoms.slide import Slide
from restain.types import mix_seed

_TURNS = 12
_TILE = 256  # pixels drawn at once


@dataclass(frozen=True)
class Placement:
    """Where the tissue that an IHC slide shows lies on the H&E slide. Lengths in microns, x before y.

    Attributes:
        angle: degrees by which the IHC lies turned, clockwise on the screen.
        mirrored: left to right, before the turn.
        centre: (x, y) on the H&E that is found at ``target`` on the IHC, but for the warp.
        target: (x, y) on the IHC.
        warp: largest smooth displacement along each axis; at most a tenth of ``scale``, or the section would fold.
        scale: microns between independent values of the warp.
        key: random key of the warp.
        mpp: microns per pixel of the views that it is used for.
    """

    angle: float
    mirrored: bool
    centre: tuple[float, float]
    target: tuple[float, float]
    warp: float
    scale: float
    key: int
    mpp: float

    def to_he(self, points: Array) -> Array:
        """H&E places (n, 2) that the IHC shows at places (n, 2)."""
        straight = (points - self.target) @ self._matrix + self.centre  # the inverse of an orthogonal matrix
        waves = [Noise(mix_seed(self.key, 7 + axis), self.scale).at(straight[:, 1], straight[:, 0]) for axis in (0, 1)]
        return np.asarray(straight + self.warp * np.tanh(0.7 * np.stack(waves, axis=1)))

    def to_ihc(self, points: Array) -> Array:
        """IHC places (n, 2) that show H&E places (n, 2)."""
        found = (points - self.centre) @ self._matrix.T + self.target
        for _ in range(_TURNS):
            found = found + (points - self.to_he(found)) @ self._matrix.T
        return np.asarray(found)

    @property
    def _matrix(self) -> Array:
        turn = np.radians(self.angle)
        matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        return np.asarray(matrix @ np.diag([-1.0, 1.0])) if self.mirrored else matrix

    def at(self, y: Array, x: Array) -> tuple[Array, Array]:
        """(dy, dx) in pixels, as ``View`` asks for it; pixel centres are at whole numbers."""
        there = self.to_he(np.stack([x.ravel(), y.ravel()], axis=1) * self.mpp) / self.mpp
        return there[:, 1].reshape(y.shape) - y, there[:, 0].reshape(x.shape) - x

    def source_of(self, y: Array, x: Array) -> tuple[Array, Array]:
        """The inverse, in pixels."""
        here = self.to_ihc(np.stack([x.ravel(), y.ravel()], axis=1) * self.mpp) / self.mpp
        return here[:, 1].reshape(y.shape), here[:, 0].reshape(x.shape)


def draw_slides(
    marker: str, key: int, extent: tuple[float, float], he_mpp: float, placement: Placement, turnover: float
) -> tuple[RGB, RGB]:
    """Draw an H&E slide and the IHC slide of the next section, whole, each at its own scale.

    Args:
        marker: "her2", "er", "pr" or "ki67".
        key: of the tissue.
        extent: width and height of the H&E slide in microns.
        he_mpp: microns per pixel of the H&E; that of the IHC is the placement's.
        placement: of the IHC; its slide is twice as far as ``target`` in each direction.
        turnover: share of the cells that are others.

    Returns:
        both pictures, uint8 (height, width, 3). They are held in memory: meant for some ten million pixels.
    """
    width, height = extent
    section = Consecutive(warp=0, shift=0, rotation=0, turnover=turnover)
    options = PhantomOptions(mpp=he_mpp, slide=True, consecutive=section)
    slide = Slide(marker, key, options, (height, width))
    he = _draw(slide, slide.population, View(0, 0, round(height / he_mpp), round(width / he_mpp), he_mpp), stain="he")
    rows, columns = (round(2 * length / placement.mpp) for length in placement.target[::-1])
    view = View(0, 0, rows, columns, placement.mpp, placement)
    return he, _draw(slide, slide.next_population, view, stain="ihc")


def _draw(slide: Slide, population: Population, whole: View, stain: str) -> RGB:
    pixels = np.empty((whole.height, whole.width, 3), np.uint8)
    light_of = slide.stainer.he_light if stain == "he" else slide.stainer.ihc_light
    for top in range(0, whole.height, _TILE):
        for left in range(0, whole.width, _TILE):
            height, width = min(_TILE, whole.height - top), min(_TILE, whole.width - left)
            view = View(top, left, height, width, whole.mpp, whole.displacement)
            section = Section.cut(population, view.grown(slide.scanner.halo))
            seed = mix_seed(slide.key, 20 if stain == "he" else 21)
            pixels[top : top + height, left : left + width] = slide.scanner.scan(light_of(section), view, seed)
    return pixels
