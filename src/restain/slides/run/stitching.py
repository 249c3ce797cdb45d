"""From finished tiles to the rows of the output file, as soon as the tiles under a row are there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType

import numpy as np

from restain.images import RGB
from restain.slides.plan import Plan
from restain.slides.run.journal import Journal
from restain.slides.seamless.seam_score import SeamMeter
from restain.slides.tiling import Tile
from restain.types import Mpp
from restain.wsi.geometry import Region, Size
from restain.wsi.resample import read_region
from restain.wsi.slide import Level
from restain.wsi.write.pyramid import PyramidWriter

_MARGIN = 2  # pixels of the network's grid that resampling looks beyond a rectangle


class StainedSlide:
    """The finished tiles, read as a slide of one level in the network's grid; white where nothing was stained.

    Its last pixels are repeated just beyond the grid: on another grid the slide may end a fraction of a pixel later.
    """

    reader, icc = "journal", None

    def __init__(self, plan: Plan, journal: Journal) -> None:
        size = plan.grid.size
        self.path: Path = journal.folder
        self.levels = (Level(Size(size.width + _MARGIN, size.height + _MARGIN), 1.0),)
        self.mpp: Mpp = plan.grid.mpp
        self.properties: Mapping[str, str] = {}
        self._journal, self._tiling = journal, plan.tiling
        self._background = np.array(plan.fill, dtype=np.uint8)
        self._stained = frozenset(plan.tiles)

    def stained_under(self, region: Region) -> list[Tile]:
        """Stained tiles that a region of the grid touches."""
        return [tile for tile in self._tiling.under(region) if tile in self._stained]

    def read_level(self, level: int, region: Region) -> RGB:
        """Pixels of a region that begins inside the grid, uint8 (height, width, 3)."""
        inside = region.clip(self._tiling.size)
        pixels = self._blended(inside) if self._tiling.feather else self._joined(inside)
        missing = region.height - inside.height, region.width - inside.width
        return np.pad(pixels, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="edge") if any(missing) else pixels

    def _joined(self, region: Region) -> RGB:
        pixels = np.empty((*region.size.shape, 3), dtype=np.uint8)
        pixels[:] = self._background
        for tile in self.stained_under(region):
            shared = tile.region.intersect(region)
            pixels[shared.within(region)] = self._journal.load(tile)[shared.within(tile.region)]
        return pixels

    def _blended(self, region: Region) -> RGB:
        """Each pixel the mean of the tiles over it, in whole numbers; a tile that was not stained is background."""
        sums = np.zeros((*region.size.shape, 3), dtype=np.uint32)
        for tile in self._tiling.under(region):
            shared = tile.region.intersect(region)
            stained = tile in self._stained
            pixels = self._journal.load(tile)[shared.within(tile.region)] if stained else self._background
            sums[shared.within(region)] += self._tiling.shares(tile, shared)[..., None] * pixels
        whole = self._tiling.whole_share
        return np.asarray((sums + whole // 2) // whole, dtype=np.uint8)

    def close(self) -> None:
        """Nothing is held open."""

    def __enter__(self) -> StainedSlide:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


class Assembly:
    """Writes the output row by row, and measures seams on the way.

    Args:
        plan: of the slide.
        journal: where the tiles are.
        writer: of the output file.
    """

    def __init__(self, plan: Plan, journal: Journal, writer: PyramidWriter) -> None:
        self.seams = SeamMeter()
        self._plan, self._journal, self._writer = plan, journal, writer
        self._output_side = writer.encoding.tile
        self._slide = StainedSlide(plan, journal)
        self._next_tile = self._next_row = self._next_band = 0

    def advance(self) -> None:
        """Write all rows whose tiles are done."""
        plan, side = self._plan, self._output_side
        while self._next_tile < len(plan.tiles) and plan.tiles[self._next_tile] in self._journal:
            self._next_tile += 1
        everything = self._next_tile == len(plan.tiles)
        complete = plan.tiling.rows if everything else plan.tiles[self._next_tile].row  # rows of tiles that are done
        self._measure_seams(complete, everything)
        scale = plan.grid.size.height / plan.output.size.height  # pixels of the network per pixel of the output
        while self._next_row * side < plan.output.size.height:
            bottom = min((self._next_row + 1) * side, plan.output.size.height) * scale + _MARGIN
            if not everything and bottom > complete * plan.tiling.side - plan.tiling.feather // 2:
                return
            self._writer.write_row(list(self._row(self._next_row * side)))
            self._next_row += 1

    def _measure_seams(self, complete: int, everything: bool) -> None:
        tiling, stained = self._plan.tiling, frozenset(self._plan.tiles)
        if tiling.feather and not everything:
            complete -= 1  # the next row is blended into the last one
        for row in range(self._next_band, complete):
            tiles = (tiling.tile(row, column) for column in range(tiling.columns))
            self.seams.add_band(
                self._slide.read_level(0, tiling.cell(tile.row, tile.column)) if tile in stained else None
                for tile in tiles
            )
        self._next_band = max(self._next_band, complete)

    def _row(self, y: int) -> Iterator[RGB | None]:
        """The output's tiles of one row: None where nothing was stained."""
        output, scale = self._plan.output, self._plan.output.mpp / self._plan.grid.mpp
        for x in range(0, output.size.width, self._output_side):
            region = Region(x, y, self._output_side, self._output_side).clip(output.size)
            left, top = (max(0, int(start * scale) - _MARGIN) for start in (region.x, region.y))
            right, bottom = (int(end * scale + _MARGIN) + 1 for end in (region.right, region.bottom))
            under = Region(left, top, right - left, bottom - top).clip(self._plan.grid.size)
            stained = under.area and self._slide.stained_under(under)
            yield read_region(self._slide, region, output.mpp) if stained else None
