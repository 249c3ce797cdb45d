"""Which statistics a slide is stained with: measured once, kept beside its finished tiles."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np

from restain.images import RGB
from restain.networks.norms import Statistics
from restain.slides.plan import Plan
from restain.slides.seamless.frozen import (
    LocalStatistics,
    load_statistics,
    measure_slide,
    save_statistics,
)
from restain.slides.seamless.local import measure_local
from restain.slides.seamless.sampling import sample_count, sample_windows
from restain.slides.tiles import STRIDE
from restain.stainer import Stainer

_SEED = 0

Read = Callable[[tuple[int, int, int, int]], RGB]


def find_statistics(
    folder: Path, stainer: Stainer, norm: Literal["tile", "slide", "local"], plan: Plan, read: Read
) -> Statistics | LocalStatistics | None:
    """The statistics that ``norm`` asks for, from ``folder`` where an interrupted run has left them.

    They are measured in windows of the size of the stainer's training crops, as its norms met the tissue in training.

    Args:
        folder: of the slide's journal.
        stainer: on its device.
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
    side = window_side(stainer)
    if norm == "slide":
        windows = sample_windows(mask, plan.size, sample_count(mask, plan.size, side), side, _SEED)
        measured = measure_slide(stainer.generator, [read(window) for window in windows])
    else:
        measured = measure_local(stainer.generator, read, mask, plan.size, side)
    save_statistics(path, measured)
    return measured


def window_side(stainer: Stainer) -> int:
    """Side in pixels of the windows that statistics are measured in."""
    return max(16, stainer.card.tile_size // STRIDE * STRIDE)
