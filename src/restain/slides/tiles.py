"""A slide in tiles, stained so that nobody can tell where one tile ends: the receptive field sets the halo.

All of it is arithmetic on a pixel grid; nothing here knows a file. A tile is stained from its *padded region*: the tile
and, on each side, as many real pixels as the network can see. Only at the border of the slide does the network pad.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

from restain.errors import RestainError
from restain.images import RGB
from restain.networks.layers import BlurPool, BlurUpsample
from restain.networks.norms import Statistics
from restain.slides.seamless.anatomy import flat_layers
from restain.slides.seamless.frozen import LocalStatistics, freeze
from restain.slides.seamless.local import Place, localise
from restain.tensors import to_rgb, to_tensor

STRIDE = 4  # pixels of the image per pixel of the network's coarsest feature map
_SMALLEST = 16  # pixels; the generator takes nothing smaller

Norm: TypeAlias = Literal["tile", "slide", "local"]
Run: TypeAlias = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Tile:
    """One rectangle of the output, in pixels of the slide's grid."""

    row: int
    column: int
    x: int
    y: int
    width: int
    height: int


def tile_grid(height: int, width: int, tile: int) -> list[list[Tile]]:
    """Cut a grid of ``height`` x ``width`` pixels into rows of square tiles; those at the right and bottom are cropped.

    Args:
        height: of the grid, pixels.
        width: of the grid, pixels.
        tile: side in pixels, a multiple of 4.
    """
    if tile < STRIDE or tile % STRIDE:
        raise RestainError(f"tile is {tile} pixels; expected a positive multiple of {STRIDE}")
    return [
        [
            Tile(row, column, x, y, min(tile, width - x), min(tile, height - y))
            for column, x in enumerate(range(0, width, tile))
        ]
        for row, y in enumerate(range(0, height, tile))
    ]


def padded_region(tile: Tile, halo: int, height: int, width: int) -> tuple[int, int, int, int]:
    """What must be read to stain a tile: (x, y, width, height), all multiples of 4.

    The region is clipped to the slide's *canonical domain*: its grid, padded at the right and the bottom to a multiple
    of 4 (and to the 16 pixels that the generator needs). So the network's coarse pixels lie in one lattice whatever the
    tiling, and the result does not depend on it. Where the region leaves the grid, the reader says what is there.
    """
    x, right = _padded(tile.x, tile.width, halo, width)
    y, bottom = _padded(tile.y, tile.height, halo, height)
    return x, y, right - x, bottom - y


def _padded(start: int, length: int, halo: int, extent: int) -> tuple[int, int]:
    last = max(_SMALLEST, _round_up(extent))
    return max(0, start - halo), min(last, _round_up(start + length + halo))


def _round_up(pixels: int) -> int:
    return -(-pixels // STRIDE) * STRIDE


def receptive_radius(generator: nn.Module) -> int:
    """How far from an output pixel an input pixel can lie and still change it, in pixels: a multiple of 4, rounded up.

    Followed backwards from an output pixel at each of the four phases of the coarse lattice, layer by layer. It holds
    for the layers alone: instance normalisation, which sees the whole image, is what ``slide`` and ``local`` replace.
    """
    layers = flat_layers(generator)
    radius = 0
    for phase in range(STRIDE):
        first = last = phase
        for layer in reversed(layers):
            first, last = _sources(layer, first, last)
        radius = max(radius, phase - first, last - phase)
    return _round_up(radius)


def _sources(layer: nn.Module, first: int, last: int) -> tuple[int, int]:
    """The input pixels on which output pixels ``first`` to ``last`` of a layer depend, along one axis."""
    if isinstance(layer, nn.ReflectionPad2d):
        return first - layer.padding[0], last - layer.padding[0]
    if isinstance(layer, nn.Conv2d):
        padding, reach = int(layer.padding[0]), layer.kernel_size[0] - 1
        return first - padding, last - padding + reach
    if isinstance(layer, BlurPool):
        return 2 * first - 1, 2 * last + 1
    if isinstance(layer, BlurUpsample):  # bilinear: an output pixel lies a quarter beside one pixel, toward another
        return (first - 1) // 2, (last + 1) // 2
    return first, last  # activations and norms


class SlideStainer:
    """A network with its normalisation decided: padded regions in, stained tiles out.

    It works on one call at a time; use one per thread or process.

    Args:
        generator: in eval mode, on its device; it is left as it is.
        statistics: ``Statistics`` freezes every norm over the slide, ``LocalStatistics`` lets them follow the tissue;
            None normalises each padded region by itself, as peers do, which leaves seams.
        prepare: turns the network that results into what is run (a precision, a compiler); as it is by default.
    """

    def __init__(
        self,
        generator: nn.Module,
        statistics: Statistics | LocalStatistics | None = None,
        prepare: Callable[[nn.Module], Run] = lambda network: network,
    ) -> None:
        self.halo = receptive_radius(generator)
        self._device = next(generator.parameters()).device
        self._place = Place()
        self.norm: Norm
        if isinstance(statistics, Statistics):
            self.norm, network = "slide", freeze(generator, statistics)
        elif isinstance(statistics, LocalStatistics):
            self.norm, network = "local", localise(generator, statistics, self._place)
        else:
            self.norm, network = "tile", generator
        self._run = prepare(network)

    def stain(self, inputs: Sequence[RGB], tiles: Sequence[Tile]) -> list[RGB]:
        """Stain tiles; those whose padded regions are equal in size share a pass.

        Args:
            inputs: the padded regions' pixels, uint8 (h, w, 3), with this stainer's ``halo``.
            tiles: the tile that belongs to each.

        Returns:
            the tiles' own rectangles, uint8 (height, width, 3). In float32 they depend on how a slide is cut, and on
            what else is in the call, by rounding only: at most 1 grey level; but not so with ``norm`` "tile".
        """
        groups: dict[tuple[int, ...], list[int]] = {}
        for index, rgb in enumerate(inputs):
            groups.setdefault(rgb.shape, []).append(index)
        stained: dict[int, RGB] = {}
        for members in groups.values():
            batch = torch.stack([to_tensor(inputs[index]) for index in members]).to(self._device)
            corners = [self._corner(tiles[index]) for index in members]
            self._place.corners = corners
            with torch.inference_mode():
                images = self._run(batch)
            for index, (x, y), image in zip(members, corners, images, strict=True):
                tile = tiles[index]
                top, left = tile.y - y, tile.x - x
                stained[index] = to_rgb(image[:, top : top + tile.height, left : left + tile.width])
        return [stained[index] for index in range(len(inputs))]

    def _corner(self, tile: Tile) -> tuple[int, int]:
        """Where a tile's padded region begins, (x, y)."""
        return max(0, tile.x - self.halo), max(0, tile.y - self.halo)
