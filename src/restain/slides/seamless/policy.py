"""How tiles are joined: exactly, by a halo as wide as the network sees, or by blending overlapping windows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from restain.slides.options import Seams
from restain.slides.tiling import Footprint

_WIDEST_HALO = 0.5  # of a tile's side: with it the network computes 4 pixels for one that is kept


@dataclass(frozen=True)
class SeamPolicy:
    """How the tiles of a slide are joined.

    Attributes:
        kind: "exact", no pixel depends on how the slide is cut; "feather", neighbouring windows are blended.
        halo: pixels that are read on each side of a tile and then dropped.
        feather: width in pixels of the band around each border in which two tiles are blended; 0 with "exact".
    """

    kind: Literal["exact", "feather"]
    halo: int
    feather: int


def choose_policy(seams: Seams, side: int, footprint: Footprint) -> SeamPolicy:
    """The exact halo while it is at most half a tile wide, windows that are blended beyond (``auto``).

    A window reaches a quarter of a tile beyond its cell, rounded up to the stride: half of that is the outer half of
    the band in which windows are blended, and the rest, where the window's own border shows most, is dropped.

    Args:
        seams: "auto", or what is asked for.
        side: of a tile, pixels; a multiple of the stride.
        footprint: of the generator.
    """
    if seams == "exact" or (seams == "auto" and footprint.radius <= _WIDEST_HALO * side):
        return SeamPolicy("exact", footprint.radius, 0)
    margin = footprint.up(side // 4)
    feather = margin // 2 * 2
    return SeamPolicy("feather", margin - feather // 2, feather)
