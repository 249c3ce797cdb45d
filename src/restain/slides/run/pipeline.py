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
from restain.slides.tiles import SlideStainer, Tile, padded_region
from restain.tensors import is_out_of_memory

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

    read: Callable[[tuple[int, int, int, int]], RGB]  # (x, y, width, height) of the grid -> pixels
    stainer: SlideStainer
    finish: Callable[[RGB, Tile], RGB]  # the network's tile -> the tile as it is kept
    written: Callable[[], None]  # called in the writing thread whenever a tile has reached the journal
    report: Callable[[Tile], None]  # called after each tile, for the progress bar


def run_tiles(tiles: Sequence[Tile], size: tuple[int, int], journal: Journal, stages: Stages) -> Timing:
    """Stain the tiles that the journal lacks, in order.

    The pixels in memory are those of at most 4 tiles before the network, 4 behind it, and the one in it.

    Args:
        tiles: all tiles with tissue, in the order in which they are written.
        size: (height, width) of their grid.
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
    tiles: Sequence[Tile], size: tuple[int, int], stages: Stages, readers: ThreadPoolExecutor
) -> Iterator[tuple[Tile, Future[RGB]]]:
    ahead: deque[tuple[Tile, Future[RGB]]] = deque()
    for tile in tiles:
        ahead.append((tile, readers.submit(stages.read, padded_region(tile, stages.stainer.halo, *size))))
        if len(ahead) == READ_AHEAD:
            yield ahead.popleft()
    yield from ahead


def _keep(tile: Tile, pixels: RGB, journal: Journal, stages: Stages) -> None:
    journal.save(tile, stages.finish(pixels, tile))
    stages.written()


def _stain(tile: Tile, padded: RGB, size: tuple[int, int], journal: Journal, stainer: SlideStainer) -> RGB:
    """One tile through the network, in smaller and smaller parts until the memory suffices."""
    while True:
        try:
            return _stain_in_parts(tile, padded, size, journal.division, stainer)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            if min(tile.width, tile.height) // (2 * journal.division) < _SMALLEST_PART:
                raise RestainError(
                    f"memory: a part of {tile.width // journal.division} x {tile.height // journal.division} pixels "
                    "does not fit; free some, or choose a smaller stainer"
                ) from None
        journal.divide()


def _stain_in_parts(tile: Tile, padded: RGB, size: tuple[int, int], division: int, stainer: SlideStainer) -> RGB:
    if division == 1:
        return stainer.stain([padded], [tile])[0]
    left, top, _, _ = padded_region(tile, stainer.halo, *size)
    pixels = np.empty((tile.height, tile.width, 3), dtype=np.uint8)
    for part in _parts(tile, division):
        x, y, width, height = padded_region(part, stainer.halo, *size)
        own = padded[y - top : y - top + height, x - left : x - left + width]
        inner = pixels[part.y - tile.y :, part.x - tile.x :][: part.height, : part.width]
        inner[:] = stainer.stain([own], [part])[0]
    return pixels


def _parts(tile: Tile, division: int) -> Iterator[Tile]:
    height, width = (-(-side // division // 4) * 4 for side in (tile.height, tile.width))  # origins stay multiples of 4
    for y in range(0, tile.height, height):
        for x in range(0, tile.width, width):
            yield Tile(
                tile.row, tile.column, tile.x + x, tile.y + y, min(width, tile.width - x), min(height, tile.height - y)
            )
