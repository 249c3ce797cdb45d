"""Reading, network and writing of one slide, each in its own threads, in bounded memory."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from restain.errors import RestainError
from restain.images import RGB
from restain.slides.run.journal import Journal
from restain.slides.slide_stainer import SlideStainer
from restain.slides.tiling import Lattice, Read, Tile, padded_region
from restain.tensors import is_out_of_memory
from restain.wsi.geometry import Region, Size

READERS = 2
READ_AHEAD = 4  # tiles that are read, or being read, before the network asks for them
WRITE_BEHIND = 4  # tiles that wait to be written
_SMALLEST_PART = 64  # pixels: below it a tile is not cut any further


@dataclass
class Timing:
    """Where the seconds of a slide went, seen from the thread that runs the network."""

    read: float = 0.0  # waiting for pixels
    network: float = 0.0
    write: float = 0.0  # waiting for the disk and the encoder

    @contextmanager
    def measure(self, what: str) -> Iterator[None]:
        """Add the seconds of a block to ``read``, ``network`` or ``write``."""
        start = time.perf_counter()
        yield
        setattr(self, what, getattr(self, what) + time.perf_counter() - start)


@dataclass(frozen=True)
class Stages:
    """What a tile passes through."""

    read: Read
    stainer: SlideStainer
    finish: Callable[[RGB, Region], RGB]  # the network's pixels of a region -> those that are kept
    written: Callable[[], None]  # called in the writing thread whenever a tile has reached the journal
    report: Callable[[Tile], None]  # called after each tile, for the progress bar


def run_tiles(tiles: Sequence[Tile], size: Size, journal: Journal, stages: Stages) -> Timing:
    """Stain the tiles that the journal lacks, in order.

    The pixels in memory are those of at most 4 tiles before the network, 4 behind it, and the one in it.

    Args:
        tiles: all tiles with tissue, in the order in which they are written.
        size: of their grid.
        journal: where finished tiles go.
        stages: what to do with a tile.

    Returns:
        seconds spent.
    """
    timing = Timing()
    missing = [tile for tile in tiles if tile not in journal]
    readers, scribe = ThreadPoolExecutor(READERS, "read"), ThreadPoolExecutor(1, "write")
    behind: deque[Future[None]] = deque([scribe.submit(stages.written)])  # what an earlier run has finished
    try:
        for tile, reading in _read_ahead(missing, size, stages, readers):
            with timing.measure("read"):
                padded = reading.result()
            with timing.measure("network"):
                pixels = _stain(tile, padded, size, journal, stages.stainer)
            behind.append(scribe.submit(_keep, tile, pixels, journal, stages))
            stages.report(tile)
            with timing.measure("write"):
                while len(behind) > WRITE_BEHIND or (behind and behind[0].done()):
                    behind.popleft().result()
        with timing.measure("write"):
            for future in behind:
                future.result()
    finally:
        readers.shutdown(cancel_futures=True)
        scribe.shutdown(cancel_futures=True)
    return timing


def _read_ahead(
    tiles: Sequence[Tile], size: Size, stages: Stages, readers: ThreadPoolExecutor
) -> Iterator[tuple[Tile, Future[RGB]]]:
    ahead: deque[tuple[Tile, Future[RGB]]] = deque()
    for tile in tiles:
        ahead.append(
            (
                tile,
                readers.submit(
                    stages.read, padded_region(tile.region, stages.stainer.halo, size, stages.stainer.lattice)
                ),
            )
        )
        if len(ahead) == READ_AHEAD:
            yield ahead.popleft()
    yield from ahead


def _keep(tile: Tile, pixels: RGB, journal: Journal, stages: Stages) -> None:
    journal.save(tile, stages.finish(pixels, tile.region))
    stages.written()


def _stain(tile: Tile, padded: RGB, size: Size, journal: Journal, stainer: SlideStainer) -> RGB:
    """One tile through the network, in smaller and smaller parts until they fit into the memory."""
    while True:
        try:
            return _stain_in_parts(tile, padded, size, journal.division, stainer)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            width, height = (side // journal.division for side in (tile.region.width, tile.region.height))
            if min(width, height) // 2 < max(_SMALLEST_PART, stainer.lattice.stride):
                raise RestainError(
                    f"memory: a part of {width} x {height} pixels does not fit; free some, or choose a smaller stainer"
                ) from None
        journal.divide()


def _stain_in_parts(tile: Tile, padded: RGB, size: Size, division: int, stainer: SlideStainer) -> RGB:
    if division == 1:
        return stainer.stain([padded], [tile])[0]
    outer = padded_region(tile.region, stainer.halo, size, stainer.lattice)
    pixels = np.empty((*tile.region.size.shape, 3), dtype=np.uint8)
    for part in _parts(tile, division, stainer.lattice):
        own = padded_region(part.region, stainer.halo, size, stainer.lattice)
        pixels[part.region.within(tile.region)] = stainer.stain([padded[own.within(outer)]], [part])[0]
    return pixels


def _parts(tile: Tile, division: int, lattice: Lattice) -> Iterator[Tile]:
    """A tile cut into ``division`` squared parts, whose corners stay on the lattice."""
    whole = tile.region
    width, height = (lattice.up(-(-side // division)) for side in (whole.width, whole.height))
    for y in range(whole.y, whole.bottom, height):
        for x in range(whole.x, whole.right, width):
            yield Tile(tile.row, tile.column, Region(x, y, width, height).intersect(whole))
