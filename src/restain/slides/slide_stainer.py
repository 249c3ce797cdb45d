"""A network with its normalisation decided: padded regions in, stained tiles out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from restain.images import RGB
from restain.networks.generator import Generator, plain_copy
from restain.networks.noise import Place
from restain.networks.statistics import Statistics, freeze
from restain.slides.seamless.local import LocalStatistics, localise
from restain.slides.tiling import Tile
from restain.tensors import to_rgb, to_tensor

Run: TypeAlias = Callable[[Tensor], Tensor]


class SlideStainer:
    """A network with its normalisation decided: padded regions in, stained tiles out.

    It works on one call at a time; use one per thread or process.

    Args:
        generator: in eval mode, on its device; it is left as it is.
        statistics: ``Statistics`` fix every norm for the whole slide, ``LocalStatistics`` let them follow the tissue;
            None normalises each padded region by itself, as others do, which leaves seams. Where the generator has no
            norms that look at the image, None is exact, too: batch norms then keep their own averages.
        halo: pixels that an input has on each side of its tile; as far as the network sees by default.
        prepare: turns the network that results into what is run (a precision, a compiler); as it is by default.
    """

    def __init__(
        self,
        generator: Generator,
        statistics: Statistics | LocalStatistics | None = None,
        *,
        halo: int | None = None,
        prepare: Callable[[Generator], Run] = lambda network: network,
    ) -> None:
        self.halo = generator.receptive_field().radius if halo is None else halo
        self._device = next(generator.parameters()).device
        self._place = Place()
        if isinstance(statistics, Statistics):
            network = freeze(generator, statistics)
        elif isinstance(statistics, LocalStatistics):
            network = localise(generator, statistics, self._place)
        else:
            network = plain_copy(generator) if generator.stochastic else generator
        if network.stochastic:
            network.place = self._place
        self._run = prepare(network)

    def stain(self, inputs: Sequence[RGB], tiles: Sequence[Tile]) -> list[RGB]:
        """Stain tiles; those whose padded regions are equal in size share a pass.

        Args:
            inputs: the padded regions' pixels, uint8 (h, w, 3), with this stainer's ``halo``.
            tiles: the tile that belongs to each.

        Returns:
            the tiles' own rectangles, uint8 (height, width, 3). With a halo as far as the network sees and statistics
            that are not each input's own, they depend in float32 on how a slide is cut, and on what else is in the
            call, by rounding only: at most 1 grey level.
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
