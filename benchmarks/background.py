"""Does a ring show around the tissue of a virtual slide?

    python benchmarks/background.py --stainer RUN [--input SLIDE] [--mpp 0.5] [--marker er] [--size 1024] [--glass 500]
                                    [--norm stainer] [--preview PNG]

Stains a slide, and compares the network's own image of the glass close to the tissue (24 to 48 µm from it, where the
H&E shows bare glass) with what the background is filled with: the step in grey levels, as it is, and as it would be
with the H&E's white. Without a slide it draws one of virtual tissue and lays ``--glass`` pixels of its glass around it.
``--preview PNG`` keeps a picture, with ten times the contrast near white.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import tifffile
from scipy.ndimage import distance_transform_edt

import restain
from restain.images import RGB, write_png
from restain.wsi.reader import open_slide
from restain.wsi.resample import grid_size, read_region
from restain.wsi.tissue import find_tissue

BAND = 24.0, 48.0  # µm from the tissue: there the network's image is whole
GLASS = 12  # grey levels from the H&E's white at most


def draw(folder: Path, marker: str, size: int, glass: int) -> Path:
    """Virtual tissue in a wide field of its own glass, 0.5 µm per pixel."""
    restain.phantom(marker, folder, size=size, options=restain.PhantomOptions(slide=True))  # type: ignore[arg-type]
    with open_slide(folder / "he.tif") as slide:
        he, colour = read_region(slide, slide.levels[0].size.region, slide.mpp), find_tissue(slide).background
    wide = np.full((size + 2 * glass, size + 2 * glass, 3), colour, dtype=np.uint8)
    wide[glass:-glass, glass:-glass] = he
    scale = {"resolution": (2e4, 2e4), "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(folder / "wide.tif", wide, tile=(256, 256), photometric="rgb", compression="deflate", **scale)
    return folder / "wide.tif"


def main() -> None:
    """Stain, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stainer", type=Path, required=True)
    parser.add_argument("--input", type=Path)
    parser.add_argument("--mpp", type=float)
    parser.add_argument("--marker", default="er")
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--glass", type=int, default=500)
    parser.add_argument("--norm", default=None)
    parser.add_argument("--preview", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = arguments.input or draw(folder / "drawn", arguments.marker, arguments.size, arguments.glass)
        options = restain.SlideOptions(mpp=arguments.mpp, norm=arguments.norm, tile=512, lossless=True)
        (record,) = restain.slide(arguments.stainer, path, folder / "out", options=options).records
        if record.status != "stained":
            raise SystemExit(record.error)
        with open_slide(path, arguments.mpp) as slide, open_slide(record.output) as virtual:
            tissue = find_tissue(slide)
            size = grid_size(virtual, tissue.mpp).region
            he, stained = (read_region(shown, size, tissue.mpp) for shown in (slide, virtual))
            if arguments.preview:
                write_png(arguments.preview, contrast(stained))
    distance = distance_transform_edt(~tissue.mask) * tissue.mpp
    height, width = (min(a, b) for a, b in zip(distance.shape, stained.shape[:2], strict=True))
    distance, he, stained = distance[:height, :width], he[:height, :width], stained[:height, :width]
    bare = np.abs(he.astype(int) - tissue.background).max(axis=2) <= GLASS
    band = bare & (distance >= BAND[0]) & (distance <= BAND[1])
    beside = np.median(stained[band], axis=0)
    print(f"{Path(record.slide).name}, norm {record.norm}: {int(band.sum())} pixels of glass beside tissue")
    print(f"  it is {colour(beside)} in the virtual slide; the H&E's white is {colour(tissue.background)}")
    for what, fill in (("H&E's white", tissue.background), ("as it is filled", record.background)):
        step = np.abs(beside - np.array(fill)).max()
        print(f"  background {what}, {colour(fill)}: a step of {step:.0f} grey levels")


def contrast(pixels: RGB) -> RGB:
    """The brightest 25 grey levels over the whole range."""
    return np.asarray(255 - np.clip((255 - pixels.astype(int)) * 10, 0, 255), dtype=np.uint8)


def colour(values: object) -> str:
    """Three grey levels."""
    return " ".join(f"{value:.0f}" for value in np.asarray(values, dtype=float))


if __name__ == "__main__":
    main()
