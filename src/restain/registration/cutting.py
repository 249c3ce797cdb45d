"""All tiles of one pair of slides: measured, chosen and written, with what a page shows of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from restain.files import write_aside
from restain.images import RGB, write_png
from restain.registration.closeup import tissue_places
from restain.registration.options import PairOptions
from restain.registration.quality import Thickness, thumbnail
from restain.registration.slide_pair import Registration
from restain.registration.slide_table import SlidePair
from restain.registration.tiles import Cutting, TileRow, measure_tile
from restain.types import mix_seed
from restain.wsi.geometry import Region
from restain.wsi.slide import Slide

THUMBNAIL = 160  # pixels
_SHOWN = 12  # tiles of one pair of slides on the page, kept and discarded each
_BINS = 4  # of positivity
_TISSUE_SEEN = 0.25  # share of a tile at low resolution from which it is looked at


@dataclass(frozen=True)
class SlideTiles:
    """A pair of slides from which tiles are cut."""

    pair: SlidePair
    split: str
    cutting: Cutting
    registration: Registration

    @staticmethod
    def of(
        pair: SlidePair, split: str, he: Slide, ihc: Slide, registration: Registration, options: PairOptions
    ) -> SlideTiles:
        """From two open slides and how they lie."""
        thickness = Thickness.of(registration.he, "he"), Thickness.of(registration.ihc, "ihc")
        return SlideTiles(pair, split, Cutting(he, ihc, registration.transform, thickness, options), registration)

    def regions(self) -> list[Region]:
        """Tiles of a regular grid over the H&E's tissue, row by row; whole tiles only."""
        options = self.cutting.options
        side = options.tile * options.mpp
        places = tissue_places(self.registration.he, side, least=_TISSUE_SEEN)
        corners = np.rint(places / options.mpp - options.tile / 2).astype(int)
        size = np.array(self.registration.he.mask.shape[::-1]) * self.registration.he.mpp
        return [
            Region(int(x), int(y), options.tile, options.tile)
            for x, y in corners
            if x >= 0 and y >= 0 and np.all((np.array((x, y)) + options.tile) * options.mpp <= size + 1e-6)
        ]

    def measure(self, region: Region) -> TileRow:
        """Cut a tile and measure it."""
        options = self.cutting.options
        he, ihc, found = self.cutting.cut(region)
        values, reason = measure_tile(he, ihc, found, self.cutting)
        name = f"{self.pair.name}_{region.y // options.tile}_{region.x // options.tile}"
        return TileRow(
            name,
            self.split,
            self.pair.patient,
            self.pair.name,
            self.pair.stain,
            x_um=region.x * options.mpp,
            y_um=region.y * options.mpp,
            kept=not reason,
            reason=reason,
            **values,
        )

    def write(self, row: TileRow, folder: Path, thumbnails: Path | None) -> None:
        """Write both images of a kept tile, and a small picture of any that the page shows."""
        options = self.cutting.options
        x, y = (round(value / options.mpp) for value in (row.x_um, row.y_um))
        he, ihc, _ = self.cutting.cut(Region(x, y, options.tile, options.tile))
        if row.kept:
            write_png(folder / f"{row.split}A" / f"{row.name}.png", he)
            write_png(folder / f"{row.split}B" / f"{row.name}.png", ihc)
        if thumbnails is not None:
            write_thumbnail(thumbnails / f"{row.name}.jpg", he, ihc)


def cut_tiles(
    tiles: SlideTiles, folder: Path, thumbnails: Path, most: int | None, workers: int, done: Callable[[int], None]
) -> list[TileRow]:
    """Measure all tiles of a pair of slides, choose, and write what is kept.

    Args:
        tiles: the slides.
        folder: of the data set.
        thumbnails: folder for small pictures.
        most: of tiles that may be kept; None for all.
        workers: threads.
        done: told the number of tiles after each step.
    """
    regions = tiles.regions()
    with ThreadPoolExecutor(workers) as pool:
        rows = []
        for row in pool.map(tiles.measure, regions):
            rows.append(row)
            done(1)
        rows = choose(rows, most, tiles.cutting.options)
        shown = _shown(rows)
        wanted = [row for row in rows if row.kept or row.name in shown]
        jobs = [pool.submit(tiles.write, row, folder, thumbnails if row.name in shown else None) for row in wanted]
        for job in jobs:
            job.result()
    return rows


def choose(rows: Sequence[TileRow], most: int | None, options: PairOptions) -> list[TileRow]:
    """The same rows, of which at most ``most`` stay; balanced over positivity where that is asked for.

    Which ones stay follows from their names and the seed. With balance "dab" the range of the kept tiles' DAB area is
    cut into quarters, and each quarter gives as many tiles as the smallest one that is not empty, or its share of
    ``most`` where that is more.
    """
    kept = sorted((row for row in rows if row.kept), key=lambda row: mix_seed(options.seed, *row.name.encode()))
    if options.balance == "dab" and kept:
        kept = _levelled(kept, most)
    elif most is not None:
        kept = kept[:most]
    names = {row.name for row in kept}
    return [
        row if not row.kept or row.name in names else replace(row, kept=False, weight=0.0, reason="not chosen")
        for row in rows
    ]


def _levelled(rows: list[TileRow], most: int | None) -> list[TileRow]:
    areas = np.array([row.dab_area for row in rows])
    low, high = float(areas.min()), float(areas.max())
    bins = np.minimum(((areas - low) / max(high - low, 1e-9) * _BINS).astype(int), _BINS - 1)
    groups = [[row for row, own in zip(rows, bins, strict=True) if own == b] for b in range(_BINS)]
    groups = [group for group in groups if group]
    level = max(1, min(len(group) for group in groups))
    if most is not None:
        level = max(level, most // len(groups))
    chosen = [row for group in groups for row in group[:level]]
    return chosen if most is None else chosen[:most]


def _shown(rows: Sequence[TileRow]) -> set[str]:
    """Names of kept tiles, evenly spread, and of discarded ones, of each reason in turn."""
    kept = [row for row in rows if row.kept]
    places = np.linspace(0, max(0, len(kept) - 1), min(_SHOWN, len(kept))).round().astype(int).tolist()
    names = {kept[place].name for place in places}
    turns: Counter[str] = Counter()
    ranked = []
    for row in rows:
        if not row.kept and row.reason != "not chosen":
            ranked.append((turns[row.reason], row.reason, row.name))
            turns[row.reason] += 1
    return names | {name for _, _, name in sorted(ranked)[:_SHOWN]}


def write_thumbnail(path: Path, he: RGB, ihc: RGB) -> None:
    """H&E and IHC side by side, small, as JPEG."""
    both = np.concatenate([thumbnail(he, THUMBNAIL), thumbnail(ihc, THUMBNAIL)], axis=1)
    with write_aside(path) as temporary:
        Image.fromarray(both).save(temporary, format="JPEG", quality=85, subsampling=0)
