"""Which statistics a slide is stained with: measured once, kept beside its finished tiles."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
from torch import nn

from restain.images import RGB
from restain.slides.local import measure_local
from restain.slides.normalisation import (
    LocalStatistics,
    Statistics,
    load_statistics,
    measure_slide,
    save_statistics,
)
from restain.slides.plan import Plan
from restain.slides.sampling import sample_windows

SAMPLES, SIDE = 16, 512  # windows of tissue for the statistics of a slide, at most, and their side in pixels
_SEED = 0

Read = Callable[[tuple[int, int, int, int]], RGB]


def find_statistics(
    folder: Path, generator: nn.Module, norm: Literal["tile", "slide", "local"], plan: Plan, read: Read
) -> Statistics | LocalStatistics | None:
    """The statistics that ``norm`` asks for, from ``folder`` where an interrupted run has left them.

    Args:
        folder: of the slide's journal.
        generator: on its device.
        norm: "tile" needs none.
        plan: of the slide.
        read: (x, y, width, height) in the plan's grid -> pixels.
    """
    if norm == "tile" or not plan.tiles:
        return None
    path = folder / "statistics.safetensors"
    if path.exists():
        return load_statistics(path)
    mask = plan.tissue.mask if plan.tissue.mask.any() else np.ones_like(plan.tissue.mask)  # glass alone, asked for
    measured: Statistics | LocalStatistics
    if norm == "slide":
        windows = sample_windows(mask, plan.size, sample_count(plan), SIDE, _SEED)
        measured = measure_slide(generator, [read(window) for window in windows])
    else:
        measured = measure_local(generator, read, mask, plan.size)
    save_statistics(path, measured)
    return measured


def sample_count(plan: Plan) -> int:
    """How many windows a slide is sampled by: no more than would cover its tiles."""
    return min(SAMPLES, -(-sum(tile.width * tile.height for tile in plan.tiles) // SIDE**2))
