"""How fast slides are read: tiles of 512 pixels at a given resolution, in one thread.

    python benchmarks/slide_reading.py SLIDE... [--mpp 0.5] [--slide-mpp 0.25]

Prints megapixels of the result per second of processor time, and how much of it went into decoding the level beneath;
the rest is resampling. Without slides a noisy picture written as tiled TIFF (JPEG, quality 90) is read.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import tifffile
from scipy.ndimage import gaussian_filter

from restain.images import RGB
from restain.wsi.geometry import Region
from restain.wsi.reader import FileSlide, open_slide
from restain.wsi.resample import grid_size, read_region

TILE = 512  # pixels
SIDE = 6144  # pixels of the picture


class Timed(FileSlide):
    """A slide that counts the seconds spent in decoding."""

    decoding = 0.0

    def read_level(self, level: int, region: Region) -> RGB:
        start = time.process_time()
        pixels = super().read_level(level, region)
        self.decoding += time.process_time() - start
        return pixels


def measure(path: Path, mpp: float, slide_mpp: float | None) -> None:
    """Read the slide once and print a line."""
    with open_slide(path, slide_mpp) as slide:
        slide.__class__ = Timed
        size = grid_size(slide, mpp)
        start = time.process_time()
        for y in range(0, size.height, TILE):
            for x in range(0, size.width, TILE):
                read_region(slide, Region(x, y, TILE, TILE).clip(size), mpp)
        seconds = time.process_time() - start
        rate, share = size.area / 1e6 / seconds, slide.decoding / seconds
        stretch = f"{size} pixels at {mpp:g} µm from {slide.mpp:g} µm"
        print(f"{path.name} ({slide.reader}): {stretch}: {rate:.1f} Mpx/s, {share:.0%} of it decoding")


def write_picture(path: Path, mpp: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    picture = gaussian_filter(noise, (2, 2, 0))
    resolution = (1e4 / mpp, 1e4 / mpp)
    options = {"tile": (256, 256), "photometric": "rgb", "compression": "jpeg", "compressionargs": {"level": 90}}
    tifffile.imwrite(path, picture, resolution=resolution, resolutionunit="CENTIMETER", **options)


def main() -> None:
    """Read each slide, or the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("slides", type=Path, nargs="*")
    parser.add_argument("--mpp", type=float, default=0.5)
    parser.add_argument("--slide-mpp", type=float)
    arguments = parser.parse_args()
    for path in arguments.slides:
        measure(path, arguments.mpp, arguments.slide_mpp)
    if not arguments.slides:
        with TemporaryDirectory() as folder:
            write_picture(Path(folder) / "picture.tif", 0.25)
            measure(Path(folder) / "picture.tif", arguments.mpp, None)


if __name__ == "__main__":
    main()
