"""What a finished slide looks like at a glance: a thumbnail, and the H&E beside its virtual stain."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from restain.images import write_png
from restain.slides.record import PREVIEW_GAP
from restain.types import Mpp
from restain.wsi.reader import open_slide
from restain.wsi.resample import grid_size, read_region
from restain.wsi.slide import Slide

LONGER_SIDE = 1024  # pixels of a thumbnail


def write_pictures(slide: Slide, stained: Path, thumbnail: Path, preview: Path) -> None:
    """Write the virtual stain's thumbnail, and a picture of the H&E (left) and the virtual stain (right).

    Args:
        slide: the H&E.
        stained: the finished slide file.
        thumbnail: PNG to write.
        preview: PNG to write.
    """
    with open_slide(stained) as virtual:
        mpp = max(_glance(slide), _glance(virtual))
        before, after = (read_region(shown, grid_size(shown, mpp).region, mpp) for shown in (slide, virtual))
    write_png(thumbnail, after)
    height = max(before.shape[0], after.shape[0])
    both = np.full((height, before.shape[1] + PREVIEW_GAP + after.shape[1], 3), 255, dtype=np.uint8)
    both[: before.shape[0], : before.shape[1]] = before
    both[: after.shape[0], -after.shape[1] :] = after
    write_png(preview, both)


def _glance(slide: Slide) -> Mpp:
    """The resolution at which a slide is as large as a thumbnail, or its own where it is smaller."""
    return Mpp(slide.mpp * max(1.0, slide.levels[0].size.longer_side / LONGER_SIDE))
