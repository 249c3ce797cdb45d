"""The colour that the background of a virtual slide is filled with: that which the network paints for bare glass.

Filled with the H&E's own white instead, a slide shows a ring around the tissue wherever the network paints glass a
little darker or lighter than that.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from restain.files import write_json
from restain.images import RGB
from restain.slides.plan import Plan
from restain.slides.slide_stainer import SlideStainer
from restain.slides.tiling import Read, Tile
from restain.stains import optical_density
from restain.tensors import is_out_of_memory
from restain.wsi.geometry import Region
from restain.wsi.tissue import Colour

_SIDE = 64  # pixels of the patch of glass
_DARKER = 0.05  # mean optical density above that of the slide's glass: then the network paints something else
_TINTED = 30  # grey levels between the channels: then it is no glass
_UNEVEN = 8.0  # grey levels, standard deviation within the patch: then no single colour stands for it


def with_fill(folder: Path, plan: Plan, network: SlideStainer, read: Read) -> Plan:
    """Stain a patch of glass far from tissue, and fill with the median of what the network paints there.

    Where the network paints glass as tissue, tinted or unevenly, no colour would hide its edge, nor with statistics of
    each tile, since each tile then has a glass of its own: the background is then the slide's own white, and begins
    close to the tissue.

    Args:
        folder: of the slide's journal, where the colour is kept: a run that continues fills with the same.
        plan: of the slide.
        network: that stains it.
        read: pixels of a region of the plan's grid.

    Returns:
        the plan with its colour and border of the background; as it is where no glass fades.
    """
    if plan.background is None or not plan.tiles:
        return plan
    if plan.norm == "tile":
        return replace(plan, background=plan.background.cut())
    if plan.background.farthest is None:
        return plan
    path = folder / "background.json"
    if not path.exists():
        write_json(path, _find_colour(plan.background.farthest, plan, network, read))
    colour = json.loads(path.read_text(encoding="utf-8"))
    if colour is None:
        return replace(plan, background=plan.background.cut())
    red, green, blue = colour
    return replace(plan, fill=(red, green, blue))


def _find_colour(place: tuple[int, int], plan: Plan, network: SlideStainer, read: Read) -> Colour | None:
    try:
        return _painted(network.stain(*_patch(place, plan, read))[0], plan.tissue.background)
    except RuntimeError as error:
        if not is_out_of_memory(error):  # tiles may still fit, cut into parts
            raise
    return None


def _patch(place: tuple[int, int], plan: Plan, read: Read) -> tuple[list[RGB], list[Tile]]:
    """A square around a place, whose padded region begins on the lattice, and what is read for it."""
    left, top = (_start(middle, plan.seams.halo, plan.footprint.stride) for middle in place)
    region = Region(left, top, _SIDE, _SIDE).clip(plan.grid.size)
    return [read(plan.padded(region))], [Tile(0, 0, region)]


def _start(middle: int, halo: int, stride: int) -> int:
    padded = (middle - _SIDE // 2 - halo) // stride * stride
    return padded + halo if padded >= 0 else max(0, middle - _SIDE // 2) // stride * stride


def _painted(pixels: RGB, own: Colour) -> Colour | None:
    """The colour of a patch of glass, where it is one that a background can have."""
    red, green, blue = np.median(pixels.reshape(-1, 3), axis=0)
    painted = round(red), round(green), round(blue)
    darker = float((optical_density(np.array(painted, np.uint8)) - optical_density(np.array(own, np.uint8))).mean())
    even = float(pixels.std(axis=(0, 1)).max()) <= _UNEVEN
    grey = max(painted) - min(painted) <= _TINTED
    return painted if even and grey and darker <= _DARKER else None
