"""Which statistics a slide is stained with: measured once, kept beside its finished tiles."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from restain.slides.options import Norm
from restain.slides.plan import Plan
from restain.slides.seamless.frozen import (
    LocalStatistics,
    Statistics,
    load_statistics,
    measure_slide,
    save_statistics,
)
from restain.slides.seamless.local import measure_local
from restain.slides.seamless.windows import sample_windows, window_count
from restain.slides.slide_stainer import LATTICE
from restain.slides.tiling import Read
from restain.stainer import Stainer

_SEED = 0


def find_statistics(
    folder: Path, stainer: Stainer, norm: Norm, plan: Plan, read: Read
) -> Statistics | LocalStatistics | None:
    """The statistics that ``norm`` asks for, from ``folder`` where an interrupted run has left them.

    They are measured in windows of the size of the stainer's training crops, as its norms met the tissue in training.

    Args:
        folder: of the slide's journal.
        stainer: on its device.
        norm: "tile" needs none.
        plan: of the slide.
        read: pixels of a region of the plan's grid.
    """
    if norm == "tile" or not plan.tiles:
        return None
    path = folder / "statistics.safetensors"
    if path.exists():
        return load_statistics(path)
    mask = (
        plan.tissue.mask if plan.tissue.mask.any() else np.ones_like(plan.tissue.mask)
    )  # bare glass alone, to be stained
    measured: Statistics | LocalStatistics
    side = window_side(stainer)
    if norm == "slide":
        count = window_count(mask, plan.grid.size, side)
        windows = sample_windows(mask, plan.grid.size, count=count, side=side, seed=_SEED)
        measured = measure_slide(stainer.generator, [read(window) for window in windows])
    else:
        measured = measure_local(stainer.generator, read, mask, plan.grid.size, side)
    save_statistics(path, measured)
    return measured


def window_side(stainer: Stainer) -> int:
    """Side in pixels of the windows that statistics are measured in."""
    return max(16, stainer.card.tile_size // LATTICE.stride * LATTICE.stride)
