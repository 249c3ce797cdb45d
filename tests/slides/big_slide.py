"""Stain a slide of 60 000 x 60 000 pixels that exists only as a rule, and print the peak memory in bytes.

    python tests/slides/big_slide.py OUT

One band of tissue crosses the whole width. The network is replaced by the identity, since what is asked is how much the
reading, the journal and the writing hold; a generator adds what one tile needs, whatever the slide's size.
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

sys.path.append(str(Path(__file__).parents[1]))
from small_slides import Identity

from restain.images import RGB
from restain.networks.specs import ResnetSpec
from restain.slides.options import SlideOptions
from restain.slides.run import single
from restain.slides.run.job import Job
from restain.stainer import Stainer, StainerCard
from restain.types import Mpp
from restain.wsi.geometry import Region, Size
from restain.wsi.slide import Level

SIDE = 60_000
WHITE = 240
BAND = (20_700, 21_200)  # rows with tissue, level 0
PATTERN = np.random.default_rng(0).integers(60, 200, (256, 256, 3), dtype=np.uint8)


class Ruled:
    """A slide whose pixels are computed when they are asked for: one pattern, repeated."""

    reader, icc, mpp = "rule", None, Mpp(0.5)
    properties: Mapping[str, str] = {}
    levels = tuple(Level(Size(SIDE // step, SIDE // step), float(step)) for step in (1, 4, 16))

    def __init__(self, path: Path) -> None:
        self.path = path

    def read_level(self, level: int, region: Region) -> RGB:
        step = int(self.levels[level].downsample)
        pixels = np.full((region.height, region.width, 3), WHITE, dtype=np.uint8)
        rows = np.arange(region.y, region.y + region.height)
        columns = np.arange(region.x, region.x + region.width)
        inside = (rows * step >= BAND[0]) & (rows * step < BAND[1])
        pixels[inside] = PATTERN[rows[inside] % 256][:, columns % 256]
        return pixels

    def close(self) -> None:
        pass

    def __enter__(self) -> Ruled:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def main(out: Path) -> None:
    """Stain it."""
    source = out / "ruled"
    source.write_text("a rule")
    patched: Any = single
    opened = patched.open_slide
    patched.open_slide = lambda path, mpp=None: Ruled(path) if path == source else opened(path, mpp)
    patched.SlideStainer = Identity
    generator = ResnetSpec(ngf=1, blocks=1).build()  # never run
    stainer = Stainer(generator, StainerCard("none", 0.5, 256, "none", {}), "0" * 64)
    job = Job(source, out / "ruled.ome.tif")
    record = patched.stain_slide(job, stainer, SlideOptions(norm="tile"), quiet=True)
    if record.status != "stained":
        raise SystemExit(record.error)
    scale = 1 if sys.platform == "darwin" else 1024
    print(record.width, record.height, record.tiles, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
