"""Slides with a mark at a known place in microns, and the record of a virtual one."""

from pathlib import Path

import numpy as np
from small_slides import identity

from restain.slides.record import MadeBy, Request, SlideRecord

HE, IHC = (214, 150, 196), (178, 140, 96)  # colours of the glass of two slides
MARK = (700.0, 260.0, 760.0, 320.0)  # µm: left, top, right, bottom of a dark square on both


def marked(width_um: float, height_um: float, mpp: float, colour: tuple[int, int, int]) -> np.ndarray:
    """A plain image with the dark square at its place in microns."""
    image = np.full((round(height_um / mpp), round(width_um / mpp), 3), colour, np.uint8)
    left, top, right, bottom = (round(edge / mpp) for edge in MARK)
    image[top:bottom, left:right] = (30, 20, 40)
    return image


def record_for(source: Path, output: Path, **changes: object) -> SlideRecord:
    """What ``restain slide`` writes about a result."""
    request = Request(
        slide="beef" * 16,
        stainer="f00d" * 16,
        tissue=None,
        mpp=None,
        model_mpp=None,
        norm="slide",
        tile=256,
        seams="auto",
        match_source=False,
        stain_background=False,
        lossless=False,
        quality=90,
        precision="32",
    )
    made_by = MadeBy(
        stain="er", recipe="asp-dgrank", source=source.name, request=request, identity=identity("f00d" * 16)
    )
    fields = {"slide": str(source), "output": str(output), "status": "stained", "seam_score": 1.02, "made_by": made_by}
    return SlideRecord(**{**fields, **changes})
