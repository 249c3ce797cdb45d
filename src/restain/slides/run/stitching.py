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
from restain.slides.tiles import Tile
from restain.types import Mpp
from restain.wsi.resample import read_region
from restain.wsi.slide import Level, Region
from restain.wsi.write.pyramid import PyramidWriter

_MARGIN = 2  # pixels of the network's grid that resampling looks beyond a rectangle


class StainedSlide:
    """The finished tiles, read as a slide of one level in the network's grid; white where nothing was stained.

    Beyond the grid its last pixels go on for a little: on another grid the slide may end a fraction of a pixel later.
    """

    reader, icc = "journal", None

    def __init__(self, plan: Plan, journal: Journal, side: int) -> None:
        self.path: Path = journal.folder
        self.levels = (Level(plan.size[0] + _MARGIN, plan.size[1] + _MARGIN, 1.0),)
        self.mpp: Mpp = plan.mpp
        self.properties: Mapping[str, str] = {}
        self._journal, self._side, self._size = journal, side, plan.size
        self._white = np.array(plan.tissue.white, dtype=np.uint8)
        self._tiles = {(tile.row, tile.column): tile for tile in plan.tiles}

    def tile(self, row: int, column: int) -> Tile | None:
        """The stained tile at a place of the tiling."""
        return self._tiles.get((row, column))

    def tiles_under(self, region: Region) -> list[Tile]:
        """Stained tiles that a region of the grid touches."""
        rows = range(region.y // self._side, (region.y + region.height - 1) // self._side + 1)
        columns = range(region.x // self._side, (region.x + region.width - 1) // self._side + 1)
        keys = ((row, column) for row in rows for column in columns)
        return [self._tiles[key] for key in keys if key in self._tiles]

    def read_level(self, level: int, region: Region) -> RGB:
        """Pixels of a region that begins inside the grid, uint8 (height, width, 3)."""
        height, width = self._size
        inside = region.clip(width, height)
        pixels = np.empty((inside.height, inside.width, 3), dtype=np.uint8)
        pixels[:] = self._white
        for tile in self.tiles_under(inside):
            whole = Region(tile.x, tile.y, tile.width, tile.height)
            left, top = max(tile.x, inside.x), max(tile.y, inside.y)
            right = min(tile.x + tile.width, inside.x + inside.width)
            bottom = min(tile.y + tile.height, inside.y + inside.height)
            shared = Region(left, top, right - left, bottom - top)
            pixels[shared.within(inside)] = self._journal.load(tile)[shared.within(whole)]
        missing = region.height - inside.height, region.width - inside.width
        return np.pad(pixels, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="edge") if any(missing) else pixels

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
        side: of the network's tiles and of the output's, in pixels.
    """

    def __init__(self, plan: Plan, journal: Journal, writer: PyramidWriter, side: tuple[int, int]) -> None:
        self.seams = SeamMeter()
        self._plan, self._journal, self._writer = plan, journal, writer
        self._network_side, self._side = side
        self._slide = StainedSlide(plan, journal, self._network_side)
        self._next_tile = self._next_row = self._next_band = 0

    def advance(self) -> None:
        """Write all rows whose tiles are done."""
        plan = self._plan
        while self._next_tile < len(plan.tiles) and plan.tiles[self._next_tile] in self._journal:
            self._next_tile += 1
        everything = self._next_tile == len(plan.tiles)
        bands = -(-plan.size[0] // self._network_side)
        complete = bands if everything else plan.tiles[self._next_tile].row  # rows of tiles that are done
        self._measure_seams(complete)
        scale = plan.size[0] / plan.output_size[0]
        while self._next_row * self._side < plan.output_size[0]:
            bottom = min((self._next_row + 1) * self._side, plan.output_size[0]) * scale + _MARGIN
            if not everything and bottom > complete * self._network_side:
                return
            self._writer.write_row(list(self._row(self._next_row * self._side)))
            self._next_row += 1

    def _measure_seams(self, complete: int) -> None:
        columns = -(-self._plan.size[1] // self._network_side)
        for band in range(self._next_band, complete):
            tiles = (self._slide.tile(band, column) for column in range(columns))
            self.seams.add_band(None if tile is None else self._journal.load(tile) for tile in tiles)
        self._next_band = complete

    def _row(self, y: int) -> Iterator[RGB | None]:
        height, width = self._plan.output_size
        scale = self._plan.output_mpp / self._plan.mpp
        for x in range(0, width, self._side):
            region = Region(x, y, min(self._side, width - x), min(self._side, height - y))
            left, top = max(0, int(x * scale) - _MARGIN), max(0, int(y * scale) - _MARGIN)
            right, bottom = (
                (start + side) * scale + _MARGIN for start, side in ((x, region.width), (y, region.height))
            )
            under = Region(left, top, int(right) + 1 - left, int(bottom) + 1 - top)
            stained = bool(self._slide.tiles_under(under))
            yield read_region(self._slide, region, self._plan.output_mpp) if stained else None
