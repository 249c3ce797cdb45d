"""How well slides of consecutive sections are registered, where the transform is known.

    python benchmarks/registration_accuracy.py orientation --draws 40   the search alone, on stylised sections
    python benchmarks/registration_accuracy.py dots --draws 6           the whole registration, on the same
    python benchmarks/registration_accuracy.py phantom --draws 6        the same on rendered virtual tissue
    python benchmarks/registration_accuracy.py shuffled --draws 6       confidence of tiles, right and wrong partners
    python benchmarks/registration_accuracy.py strangers --draws 6      the H&E of each draw with the IHC of the next

Every draw has its own angle (every second one a quarter turn), mirror, shift, scales, warp and 30 % of other cells;
every second one of the stylised sections has a piece of control tissue on the IHC slide. Errors are in microns, at
places spread over the tissue.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile

from restain.alignment.local import align_locally
from restain.errors import RestainError
from restain.images import RGB
from restain.phantoms.dots import draw_sections
from restain.phantoms.placement import Placement, draw_slides
from restain.registration.cutting import SlideTiles
from restain.registration.options import PairOptions
from restain.registration.overview import overview_mpp, read_overview
from restain.registration.search import search_orientations
from restain.registration.slide_pair import register_slides
from restain.registration.slide_table import SlidePair
from restain.registration.tiles import measure_tile
from restain.wsi.reader import FileSlide, open_slide


@dataclass(frozen=True)
class Draw:
    """Two open slides with the truth about them."""

    he: FileSlide
    ihc: FileSlide
    to_ihc: Callable[[np.ndarray], np.ndarray]
    tissue: np.ndarray
    mirrored: bool


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("orientation", "dots", "phantom", "shuffled", "strangers"))
    parser.add_argument("--draws", type=int, default=6)
    parser.add_argument("--first", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        numbers = range(options.first, options.first + options.draws)
        draw = draw_phantom if options.what in ("phantom", "strangers") else draw_dots
        draws = (draw(number, Path(folder)) for number in numbers)
        {"orientation": orientation, "shuffled": shuffled, "strangers": strangers}.get(options.what, accuracy)(draws)


def draw_dots(number: int, folder: Path) -> Draw:
    rng = np.random.default_rng((number, 1))
    mirrored = bool(rng.integers(2))
    made = draw_sections(
        number,
        he_mpp=float(rng.uniform(1.0, 2.0)),
        ihc_mpp=float(rng.uniform(1.0, 2.0)),
        angle=_angle(rng, number),
        mirror=mirrored,
        shift=tuple(rng.uniform(-60, 60, 2)),
        warp=15.0,
        control=bool(number % 2),
    )
    he = _open(folder / f"{number}_he.tif", made.he, made.he_mpp)
    ihc = _open(folder / f"{number}_ihc.tif", made.ihc, made.ihc_mpp)
    return Draw(he, ihc, made.to_ihc, made.tissue, mirrored)


def draw_phantom(number: int, folder: Path) -> Draw:
    rng = np.random.default_rng((number, 2))
    extent = (2000.0, 1600.0)
    half = float(np.hypot(*extent)) / 2 + 50
    mirrored = bool(rng.integers(2))
    shift = rng.uniform(-40, 40, 2)
    placement = Placement(
        angle=_angle(rng, number),
        mirrored=mirrored,
        centre=(extent[0] / 2, extent[1] / 2),
        target=(half + float(shift[0]), half + float(shift[1])),
        warp=30.0,
        scale=500.0,
        key=number,
        mpp=float(rng.uniform(1.4, 2.0)),
    )
    marker = ("er", "her2", "ki67")[number % 3]
    he, ihc = draw_slides(marker, number, extent, 1.5, placement, turnover=0.3)
    slide = _open(folder / f"{number}_he.tif", he, 1.5)
    overview = read_overview(slide, "he", overview_mpp(slide, slide))
    y, x = np.nonzero(overview.mask)
    return Draw(
        slide,
        _open(folder / f"{number}_ihc.tif", ihc, placement.mpp),
        placement_of_pixels(placement, 1.5),
        (np.stack([x, y], axis=1) + 0.5)[::5] * overview.mpp,
        mirrored,
    )


def placement_of_pixels(placement: Placement, he_mpp: float) -> Callable[[np.ndarray], np.ndarray]:
    """The phantom counts from the middle of the first pixel, slides from its corner."""
    return lambda points: placement.to_ihc(points - he_mpp / 2) + placement.mpp / 2


def _angle(rng: np.random.Generator, number: int) -> float:
    return float(rng.uniform(0, 360)) if number % 2 else float(90 * rng.integers(4) + rng.uniform(-4, 4))


def _open(path: Path, image: RGB, mpp: float) -> FileSlide:
    scale = 1e4 / mpp
    tifffile.imwrite(
        path,
        image,
        tile=(256, 256),
        photometric="rgb",
        resolution=(scale, scale),
        resolutionunit="CENTIMETER",
        metadata=None,
    )
    return open_slide(path)


def orientation(draws: Iterable[Draw]) -> None:
    """The search alone: wrong where it is off by more than 100 um, or face up for face down."""
    wrong, errors, ratios = 0, [], []
    for draw in draws:
        mpp = overview_mpp(draw.he, draw.ihc)
        found = search_orientations(read_overview(draw.he, "he", mpp), read_overview(draw.ihc, "ihc", mpp))
        error = np.median(np.hypot(*(found[0].motion.at(draw.tissue) - draw.to_ihc(draw.tissue)).T))
        rivals = [one.score for one in found if one.mirrored != found[0].mirrored]
        wrong += bool(error > 100 or found[0].mirrored != draw.mirrored)
        errors.append(error)
        ratios.append(max(rivals, default=0) / found[0].score)
        print(
            f"{len(errors)}: error {error:.1f} um, score {found[0].score:.2f}, next {ratios[-1]:.2f} of it", flush=True
        )
    print(f"{wrong} of {len(errors)} wrong; error of the rigid motion, median {np.median(errors):.1f} um", end="")
    print(f", largest {max(errors):.1f} um; largest score of the other mirror {max(ratios):.2f} of the best")


def accuracy(draws: Iterable[Draw]) -> None:
    """The whole registration."""
    everything = []
    for number, draw in enumerate(draws):
        start = time.process_time()
        found = register_slides(draw.he, draw.ihc)
        error = np.hypot(*(found.transform.at(draw.tissue) - draw.to_ihc(draw.tissue)).T)
        everything.append(error)
        mirror = "right" if found.transform.mirrored == draw.mirrored else "WRONG"
        print(
            f"{number}: error median {np.median(error):.2f}, 90 % {np.percentile(error, 90):.2f} um; "
            f"stated residual {np.median(found.residuals):.2f} um, inliers {found.inliers:.2f}, "
            f"peak {found.peak:.1f}, support {found.support:.2f}, next {found.runner_up:.2f}, mirror {mirror}, "
            f"{time.process_time() - start:.0f} s of processor",
            flush=True,
        )
    together = np.concatenate(everything)
    print(f"all places: median {np.median(together):.2f} um, 90 % {np.percentile(together, 90):.2f} um")


def shuffled(draws: Iterable[Draw]) -> None:
    """Confidence of tiles with their own partner, and with that of another tile of the same slide."""
    right, wrong = [], []
    for draw in draws:
        found = register_slides(draw.he, draw.ihc)
        tiles = SlideTiles.of(
            SlidePair("a", "a", draw.he.path, draw.ihc.path, "ER"), "train", draw.he, draw.ihc, found,
            PairOptions(tile=192, mpp=max(draw.he.mpp, draw.ihc.mpp)),
        )  # fmt: skip
        cut = [tiles.cutting.cut(region) for region in tiles.regions()]
        for place, (he, ihc, own) in enumerate(cut):
            other = align_locally(he, cut[(place + len(cut) // 2) % len(cut)][1], search=False, warp=False)
            row, reason = measure_tile(he, ihc, own, tiles.cutting)
            if reason not in ("glass", "one side only"):
                right.append(row["confidence"])
                wrong.append(0.0 if other is None else other.confidence)
        print(f"{len(right)} tiles so far, AUC {auc(right, wrong):.4f}", flush=True)
    own, others = (np.percentile(values, (5, 50, 95)).round(2) for values in (right, wrong))
    print(f"confidence of {len(right)} tiles, 5/50/95 %: {own}; of wrong partners {others}")


def strangers(draws: Iterable[Draw]) -> None:
    """Slides of different tissue, which are to be refused."""
    opened = list(draws)
    refused = 0
    for draw, other in zip(opened, opened[1:] + opened[:1], strict=True):
        try:
            print(f"accepted, peak {register_slides(draw.he, other.ihc).peak:.1f}", flush=True)
        except RestainError as error:
            refused += 1
            print(f"refused: {error}", flush=True)
    print(f"{refused} of {len(opened)} refused")


def auc(right: list[float], wrong: list[float]) -> float:
    a, b = np.array(right)[:, None], np.array(wrong)[None]
    return float(((a > b) + 0.5 * (a == b)).mean())


if __name__ == "__main__":
    main()
