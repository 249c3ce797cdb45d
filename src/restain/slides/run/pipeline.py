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
from restain.slides.plan import Plan
from restain.slides.run.journal import Journal
from restain.slides.slide_stainer import SlideStainer
from restain.slides.tiling import Footprint, Read, Tile
from restain.tensors import is_out_of_memory
from restain.wsi.geometry import Region

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


def run_tiles(plan: Plan, journal: Journal, stages: Stages) -> Timing:
    """Stain the tiles that the journal lacks, in order.

    The pixels in memory are those of at most 4 tiles before the network, 4 behind it, and the one in it.

    Args:
        plan: of the slide; its tiles are stained in their order, in which they are written, too.
        journal: where finished tiles go.
        stages: what to do with a tile.

    Returns:
        seconds spent.
    """
    timing = Timing()
    missing = [tile for tile in plan.tiles if tile not in journal]
    readers, scribe = ThreadPoolExecutor(READERS, "read"), ThreadPoolExecutor(1, "write")
    behind: deque[Future[None]] = deque([scribe.submit(stages.written)])  # what an earlier run has finished
    try:
        for tile, reading in _read_ahead(missing, plan, stages, readers):
            with timing.measure("read"):
                padded = reading.result()
            with timing.measure("network"):
                pixels = _stain(tile, padded, plan, journal, stages.stainer)
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
    tiles: Sequence[Tile], plan: Plan, stages: Stages, readers: ThreadPoolExecutor
) -> Iterator[tuple[Tile, Future[RGB]]]:
    ahead: deque[tuple[Tile, Future[RGB]]] = deque()
    for tile in tiles:
        ahead.append(
            (
                tile,
                readers.submit(stages.read, plan.padded(tile.region)),
            )
        )
        if len(ahead) == READ_AHEAD:
            yield ahead.popleft()
    yield from ahead


def _keep(tile: Tile, pixels: RGB, journal: Journal, stages: Stages) -> None:
    journal.save(tile, stages.finish(pixels, tile.region))
    stages.written()


def _stain(tile: Tile, padded: RGB, plan: Plan, journal: Journal, stainer: SlideStainer) -> RGB:
    """One tile through the network, in smaller and smaller parts until they fit into the memory.

    Parts have the tile's own halo, so that with an exact one no pixel moves. Windows that are blended are not cut: what
    they show depends on their size.
    """
    while True:
        try:
            return _stain_in_parts(tile, padded, plan, journal.division, stainer)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            if plan.seams.kind == "feather":
                size = plan.padded(tile.region).size
                raise RestainError(f"memory: a window of {size} pixels does not fit; choose a smaller --tile") from None
            width, height = (side // journal.division for side in (tile.region.width, tile.region.height))
            if min(width, height) // 2 < max(_SMALLEST_PART, plan.footprint.stride):
                raise RestainError(
                    f"memory: a part of {width} x {height} pixels does not fit; free some, or choose a smaller stainer"
                ) from None
        journal.divide()


def _stain_in_parts(tile: Tile, padded: RGB, plan: Plan, division: int, stainer: SlideStainer) -> RGB:
    if division == 1:
        return stainer.stain([padded], [tile])[0]
    outer = plan.padded(tile.region)
    pixels = np.empty((*tile.region.size.shape, 3), dtype=np.uint8)
    for part in _parts(tile, division, plan.footprint):
        own = plan.padded(part.region)
        pixels[part.region.within(tile.region)] = stainer.stain([padded[own.within(outer)]], [part])[0]
    return pixels


def _parts(tile: Tile, division: int, footprint: Footprint) -> Iterator[Tile]:
    """A tile cut into ``division`` squared parts, whose corners stay on the lattice."""
    whole = tile.region
    width, height = (footprint.up(-(-side // division)) for side in (whole.width, whole.height))
    for y in range(whole.y, whole.bottom, height):
        for x in range(whole.x, whole.right, width):
            yield Tile(tile.row, tile.column, Region(x, y, width, height).intersect(whole))
