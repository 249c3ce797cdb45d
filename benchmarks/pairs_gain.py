"""Training sets of virtual slides: the same tiles as they lie, and as `restain pairs` cuts them.

    python benchmarks/pairs_gain.py --out DIR [--patients 12] [--held-out 5] [--marker er]

Each patient has an H&E slide and the IHC slide of the next section: turned by up to 2 degrees, shifted by up to 15 um,
warped by up to 30 um over 500 um, with 30 % other cells. `DIR/raw` and `DIR/pairs` hold the tiles that `restain pairs`
kept, with the IHC of the same coordinates and with the registered one. Both are validated on other patients, whose IHC
shows the same section as the H&E, in place. Train, stain and evaluate on each; docs/pairs.md has the commands.
"""

from __future__ import annotations

import argparse
import csv
import shutil
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

import restain
from restain.images import RGB
from restain.phantoms.placement import Placement, draw_slides

MPP = 1.0
EXTENT = (1280.0, 1280.0)  # microns
TILE = 256


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--patients", type=int, default=12)
    parser.add_argument("--held-out", type=int, default=5)
    parser.add_argument("--marker", default="er")
    options = parser.parse_args()
    out: Path = options.out
    slides = out / "slides"
    slides.mkdir(parents=True)
    drawn: dict[str, tuple[RGB, RGB]] = {}
    with (slides / "slides.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["patient", "he", "ihc", "stain", "split"])
        for number in range(options.patients):
            name = f"P{number:02d}"
            drawn[name] = draw_slides(options.marker, number, EXTENT, MPP, displaced(number), turnover=0.3)
            for side, image in zip(("he", "ihc"), drawn[name], strict=True):
                write_slide(slides / f"{name}_{side}.tif", image)
            rows.writerow([name, f"{name}_he.tif", f"{name}_ihc.tif", options.marker.upper(), "train"])
            print(f"drawn: {name}", flush=True)
    run = restain.pairs(slides / "slides.csv", out=out / "pairs", options=restain.PairOptions(tile=TILE, mpp=MPP))
    kept = [row for row in run.rows if row.kept]
    print(f"{len(kept)} of {len(run.rows)} tiles kept")
    raw = out / "raw"
    shutil.copytree(out / "pairs" / "trainA", raw / "trainA")
    (raw / "trainB").mkdir()
    for row in kept:
        ihc = drawn[row.patient][1]
        x, y = round(row.x_um / MPP), round(row.y_um / MPP)
        tile = np.full((TILE, TILE, 3), 255, np.uint8)
        seen = ihc[y : y + TILE, x : x + TILE]
        tile[: seen.shape[0], : seen.shape[1]] = seen
        Image.fromarray(tile).save(raw / "trainB" / f"{row.name}.png")
    for number in range(options.patients, options.patients + options.held_out):
        he, ihc = draw_slides(options.marker, number, EXTENT, MPP, in_place(), turnover=0.0)
        for y in range(0, he.shape[0] - TILE + 1, TILE):
            for x in range(0, he.shape[1] - TILE + 1, TILE):
                if (he[y : y + TILE, x : x + TILE].min(axis=-1) < 220).mean() > 0.5:
                    for folder in (raw, out / "pairs"):
                        for side, image in (("valA", he), ("valB", ihc)):
                            (folder / side).mkdir(exist_ok=True)
                            tile = image[y : y + TILE, x : x + TILE]
                            Image.fromarray(tile).save(folder / side / f"P{number:02d}_{x}_{y}.png")


def displaced(number: int) -> Placement:
    rng = np.random.default_rng((number, 3))
    middle = (EXTENT[0] / 2, EXTENT[1] / 2)
    shift = rng.uniform(-15, 15, 2)
    return Placement(
        angle=float(rng.uniform(-2, 2)),
        mirrored=False,
        centre=(middle[0] - float(shift[0]), middle[1] - float(shift[1])),
        target=middle,
        warp=30.0,
        scale=500.0,
        key=number,
        mpp=MPP,
    )


def in_place() -> Placement:
    middle = (EXTENT[0] / 2, EXTENT[1] / 2)
    return Placement(angle=0.0, mirrored=False, centre=middle, target=middle, warp=0.0, scale=500.0, key=0, mpp=MPP)


def write_slide(path: Path, image: RGB) -> None:
    tifffile.imwrite(
        path, image, tile=(256, 256), photometric="rgb", resolution=(1e4 / MPP, 1e4 / MPP),
        resolutionunit="CENTIMETER", metadata=None,
    )  # fmt: skip


if __name__ == "__main__":
    main()
