"""From cells to pixels: distance to the nearest nucleus and to the nearest border between tumour cells."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from restain.phantoms.cells import Cells, Kind
from restain.phantoms.field import Array
from restain.phantoms.section import View
from restain.phantoms.tissue import Anatomy

REACH = 17.0  # microns from a tumour cell's centre within which it may own the tissue
_FAR = 1e3  # microns: further than any distance painted
_SLACK = 2.5  # microns that the ripple below may move an outline
_RIPPLE = 0.75  # microns


@dataclass(frozen=True)
class Territory:
    """Which cell each pixel belongs to; arrays (height, width), distances in microns.

    Attributes:
        edge: signed distance to the outline of the nearest nucleus, negative inside it.
        nucleus: index of that nucleus in the cells, -1 where none is near.
        own: distance to the outline of the nucleus of the nearest tumour cell.
        owner: index of that tumour cell, -1 where none is near.
        border: distance to the border with the next tumour cell.
    """

    edge: Array
    nucleus: npt.NDArray[np.int64]
    own: Array
    owner: npt.NDArray[np.int64]
    border: Array


def territories(cells: Cells, anatomy: Anatomy, view: View, y: Array, x: Array) -> Territory:
    """Paint the cells into a window.

    The distance to a nucleus is (q - 1) r, with q = 1 on its outline and r its mean radius; the border between two
    cells is where those distances are equal, so that cells follow the shapes of their nuclei.

    Args:
        cells: all cells that may reach into the window, in drawing order.
        anatomy: the slide.
        view: the window.
        y: tissue place of each pixel, microns, (height, width).
        x: the same, across.
    """
    shape = (view.height, view.width)
    y = y + _RIPPLE * anatomy.noise("ripple-y", 5.5).at(y, x)
    x = x + _RIPPLE * anatomy.noise("ripple-x", 5.5).at(y, x)
    edge, nucleus = np.full(shape, _FAR), np.full(shape, -1, dtype=np.int64)
    own, owner, second = np.full(shape, _FAR), np.full(shape, -1, dtype=np.int64), np.full(shape, _FAR)
    row, column = view.pixels(cells.y, cells.x)
    tumour = cells.kind == Kind.TUMOUR
    reach = (np.where(tumour, REACH, 1.35 * cells.long + 1.0) + _SLACK) / view.mpp
    tops = np.clip(np.floor(row - reach), 0, view.height).astype(int)
    bottoms = np.clip(np.ceil(row + reach) + 1, 0, view.height).astype(int)
    lefts = np.clip(np.floor(column - reach), 0, view.width).astype(int)
    rights = np.clip(np.ceil(column + reach) + 1, 0, view.width).astype(int)
    for i in np.flatnonzero((bottoms > tops) & (rights > lefts)).tolist():
        window = np.s_[tops[i] : bottoms[i], lefts[i] : rights[i]]
        distance = _distance(cells, i, y[window], x[window])
        if tumour[i]:
            # Second nearest first: it needs the nearest as it was.
            second[window] = np.minimum(second[window], np.maximum(own[window], distance))
            owner[window] = np.where(distance < own[window], i, owner[window])
            own[window] = np.minimum(own[window], distance)
        nucleus[window] = np.where(distance < edge[window], i, nucleus[window])
        edge[window] = np.minimum(edge[window], distance)
    return Territory(edge, nucleus, own, owner, 0.5 * (second - own))


def _distance(cells: Cells, i: int, y: Array, x: Array) -> Array:
    """Signed distance in microns to the outline of one nucleus, a bent and tapered ellipse."""
    long, short = cells.long[i], cells.short[i]
    cos, sin = np.cos(cells.angle[i]), np.sin(cells.angle[i])
    v, u = y - cells.y[i], x - cells.x[i]
    along = (cos * u + sin * v) / long
    across = (cos * v - sin * u) / short
    # Beyond the nucleus the deformation is held, else far pixels would be thrown about.
    held = np.clip(along, -1.2, 1.2)
    across = across * (1.0 + cells.taper[i] * held) + 2.0 * cells.bend[i] * (held * held - 0.4)
    radius = np.sqrt(long * short)
    return np.asarray((np.sqrt(along * along + across * across) - 1.0) * radius)
