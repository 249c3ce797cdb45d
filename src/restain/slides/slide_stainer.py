"""A network with its normalisation decided: padded regions in, stained tiles out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
from torch import Tensor, nn

from restain.images import RGB
from restain.networks.layers import BlurPool, BlurUpsample
from restain.slides.options import Norm
from restain.slides.seamless.anatomy import flat_layers
from restain.slides.seamless.frozen import LocalStatistics, Statistics, freeze
from restain.slides.seamless.local import Place, localise
from restain.slides.tiling import Lattice, Tile
from restain.tensors import to_rgb, to_tensor

LATTICE = Lattice(stride=4, smallest=16)

Run: TypeAlias = Callable[[Tensor], Tensor]


def receptive_radius(generator: nn.Module) -> int:
    """How far from an output pixel an input pixel can lie and still change it, in pixels: a multiple of 4, rounded up.

    Followed backwards from an output pixel at each of the four phases of the coarse lattice, layer by layer. It holds
    for the layers alone: instance normalisation, which sees the whole image, is what ``slide`` and ``local`` replace.
    """
    layers = flat_layers(generator)
    radius = 0
    for phase in range(LATTICE.stride):
        first = last = phase
        for layer in reversed(layers):
            first, last = _sources(layer, first, last)
        radius = max(radius, phase - first, last - phase)
    return LATTICE.up(radius)


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
        self.halo, self.lattice = receptive_radius(generator), LATTICE
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
                region = tiles[index].region
                top, left = region.y - y, region.x - x
                stained[index] = to_rgb(image[:, top : top + region.height, left : left + region.width])
        return [stained[index] for index in range(len(inputs))]

    def _corner(self, tile: Tile) -> tuple[int, int]:
        """Where a tile's padded region begins, (x, y)."""
        return max(0, tile.region.x - self.halo), max(0, tile.region.y - self.halo)
