"""Contours of a mask as polygons along the edges of its pixels: they enclose exactly the pixels that are set."""

from __future__ import annotations

from collections import defaultdict
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.ndimage import label

from restain.wsi.geometry import Mask

Ring: TypeAlias = list[tuple[int, int]]  # corners (x, y), the first repeated at the end
Polygon: TypeAlias = list[Ring]  # the contour, then its holes


def trace_contours(mask: Mask) -> list[Polygon]:
    """One polygon with holes for each piece of a mask.

    Pixels that share an edge are one piece; those that meet at a corner alone are two. No ring crosses or touches
    itself, contours run counterclockwise and holes clockwise in (x, y) as GeoJSON asks (RFC 7946, Sec. 3.1.6), so
    that the signed areas of all rings sum to the number of pixels.

    Args:
        mask: bool (height, width).

    Returns:
        polygons in the order of their first pixel, corners in pixels from the mask's upper left corner.
    """
    pieces, count = label(mask)
    contours: list[Ring] = [[] for _ in range(count)]
    holes: list[list[Ring]] = [[] for _ in range(count)]
    for piece, path in _paths(np.pad(pieces, 1)):
        for ring in _simple_rings(path):
            if signed_area(ring) > 0:
                contours[piece - 1] = ring
            else:
                holes[piece - 1].append(ring)
    return [[contour, *inner] for contour, inner in zip(contours, holes, strict=True)]


def signed_area(ring: Ring) -> float:
    """Area of a ring by the shoelace formula, positive where it runs counterclockwise in (x, y)."""
    x, y = np.asarray(ring, dtype=np.float64).T
    return float(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1]) / 2)


def _paths(pieces: npt.NDArray[np.integer]) -> list[tuple[int, Ring]]:
    """Closed walks along the borders of the pieces, with the piece, which is always on the same hand."""
    # Sides of a pixel (row, column) of the padded array, as (neighbour's offset, start, end) with the corners of
    # pixel (1, 1) at (0, 0) to (1, 1): top from left to right, right downwards, and so round.
    sides = (((-1, 0), (0, 0), (1, 0)), ((0, 1), (1, 0), (1, 1)), ((1, 0), (1, 1), (0, 1)), ((0, -1), (0, 1), (0, 0)))
    onward: dict[tuple[int, int], list[tuple[int, int, int]]] = defaultdict(list)  # corner -> (x, y, piece)
    inner = pieces[1:-1, 1:-1]
    for (down, right), start, end in sides:
        rows, columns = pieces.shape[0] - 1 + down, pieces.shape[1] - 1 + right
        border = (inner > 0) & (pieces[1 + down : rows, 1 + right : columns] != inner)
        ys, xs = np.nonzero(border)
        for y, x, piece in zip(ys.tolist(), xs.tolist(), inner[ys, xs].tolist(), strict=True):
            onward[x + start[0], y + start[1]].append((x + end[0], y + end[1], piece))
    paths = []
    for first in list(onward):
        while onward[first]:
            x, y, piece = onward[first].pop()
            path = [first, (x, y)]
            while path[-1] != first:
                choices = onward[path[-1]]
                chosen = next(choice for choice in choices if choice[2] == piece)
                choices.remove(chosen)
                path.append(chosen[:2])
            paths.append((piece, path))
    return paths


def _simple_rings(path: Ring) -> list[Ring]:
    """Cut a walk wherever it comes back to a corner, and leave out corners on straight lines."""
    rings, stack, place = [], [path[0]], {path[0]: 0}
    for corner in path[1:]:
        if corner in place:
            start = place[corner]
            rings.append([*stack[start:], corner])
            for left in stack[start + 1 :]:
                del place[left]
            del stack[start + 1 :]
        else:
            place[corner] = len(stack)
            stack.append(corner)
    return [_without_straights(ring) for ring in rings]


def _without_straights(ring: Ring) -> Ring:
    corners = ring[:-1]
    turns = [
        here
        for before, here, after in zip(corners[-1:] + corners[:-1], corners, corners[1:] + corners[:1], strict=True)
        if (here[0] - before[0]) * (after[1] - here[1]) != (here[1] - before[1]) * (after[0] - here[0])
    ]
    return [*turns, turns[0]]
